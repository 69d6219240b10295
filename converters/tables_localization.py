"""MMAction2's names of the localizers."""

from collections.abc import Mapping

import numpy as np
from flax import linen as nn

from jaction.converters.engine import Row, conv, dense, under
from jaction.models.bmn import BMN, sample_mask
from jaction.models.bsn import PEM, TEM

MATCHING = "x_3d_p.0.weight"  # [O, C, samples, 1, 1]
BMN_ROWS = (
  *conv("x_1d_b.0", "base1"),
  *conv("x_1d_b.2", "base2"),
  *conv("x_1d_s.0", "start1"),
  *conv("x_1d_s.2", "start2"),
  *conv("x_1d_e.0", "end1"),
  *conv("x_1d_e.2", "end2"),
  *conv("x_1d_p.0", "proposal"),
  Row(MATCHING, "params/matching/kernel", "conv-samples"),
  Row("x_3d_p.0.bias", "params/matching/bias"),
  *conv("x_2d_p.0", "map1"),
  *conv("x_2d_p.2", "map2"),
  *conv("x_2d_p.4", "map3"),
  *conv("x_2d_p.6", "map4"),
)
TEM_ROWS = (*conv("conv1", "conv1"), *conv("conv2", "conv2"), *conv("conv3", "conv3"))
PEM_ROWS = (*dense("fc1", "fc1"), *dense("fc2", "fc2"))
SSN_HEAD = tuple(
  row
  for torch, flax in (("activity_fc", "activity"), ("completeness_fc", "completeness"), ("regressor_fc", "regression"))
  for row in (
    Row(f"cls_head.{torch}.weight", f"params/head/{flax}_kernel", "dense"),
    Row(f"cls_head.{torch}.bias", f"params/head/{flax}_bias"),
  )
)
FEATURE_STEMS = ("params/base1/kernel", "params/conv1/kernel", "params/fc1/kernel")
PROBE = 12  # channels to ask the first kernel's shape with: BMN's has four groups
FEATURE_NETS = {BMN: BMN_ROWS, TEM: TEM_ROWS, PEM: PEM_ROWS}


def fitted(model: nn.Module, state_dict: Mapping[str, np.ndarray]) -> nn.Module:
  """The model with as many samples a proposal as the weights have; whatever is no BMN as it is."""
  shape = np.shape(state_dict.get(MATCHING, 0))
  return model.clone(num_samples=shape[2]) if isinstance(model, BMN) and len(shape) == 5 else model


def has_classes(model: nn.Module) -> bool:
  """Whether a last layer of the model counts classes; localizers on features know none."""
  return type(model) not in FEATURE_NETS


def fields_of(name: str, state_dict: Mapping[str, np.ndarray]) -> dict[str, int]:
  """What the weights say about the fields of the network called `name`."""
  first = {"bmn": ("x_1d_b.0.weight", 4), "bsn_tem": ("conv1.weight", 1), "bsn_pem": ("fc1.weight", 1)}
  family = next((key for key in first if name.startswith(key)), None)
  if family is None:
    return {}
  key, groups = first[family]
  shape, samples = np.shape(state_dict.get(key, 0)), np.shape(state_dict.get(MATCHING, 0))
  fields = {"feat_dim": shape[1] * groups} if len(shape) > 1 else {}
  return fields | ({"num_samples": samples[2]} if len(samples) == 5 else {})


def derived(model: nn.Module, state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The tables that MMAction2 keeps among a network's weights, though its settings give them."""
  if not isinstance(model, BMN):
    return {}
  own = fitted(model, state_dict)
  geometry = own.temporal_dim, own.num_samples, own.num_samples_per_bin, own.boundary_ratio
  return {"sample_mask": sample_mask(*geometry)}


def ssn_rows(backbone: tuple[Row, ...]) -> tuple[Row, ...]:
  """backbone: the rows of its ResNet."""
  return (*under("backbone.", "backbone/", backbone), *SSN_HEAD)
