"""`from_torch` and `to_torch`: state dicts of any toolbox that has the model, to variables and back."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from jaction.converters.engine import IGNORED, names_of, to_flax, to_torch_names
from jaction.converters.tables import layouts
from jaction.converters.tables_localization import FEATURE_STEMS, PROBE, derived, fitted
from jaction.errors import CheckpointError, InputError, nearest
from jaction.models.fuse import is_fused

CLASSIFIERS = (  # the first that is there
  "cls_head.consensus.fc_fusion_scales.0.3.weight",  # TRN's, whose fc_cls gives no classes
  "cls_head.fc_cls.weight",
  "cls_head.fc2.weight",  # X3D's
  "cls_head.completeness_fc.weight",  # SSN's
  "head.projection.weight",  # PySlowFast's
  "blocks.5.proj.weight",  # PyTorchVideo's
  "blocks.6.proj.weight",
  "roi_head.bbox_head.fc_cls.weight",  # of boxes: MMAction2's
  "detection_head.proj.weight",  # PyTorchVideo's
)
STEMS = (
  "conv1/conv/kernel",
  "conv1a/kernel",
  "conv1/time/kernel",
  *FEATURE_STEMS,
)  # what sees the input, and so its channels


def from_torch(state_dict: Mapping[str, np.ndarray], model: nn.Module) -> dict:
  """{"params": ..., "batch_stats": ...} as numpy arrays, in float32.

  state_dict: {name: array} in any layout that `tables.layouts` has for the model; the one that shares the most names is
  taken.  The number of input channels is read off the first kernel.  Every name that does not fit, every leaf that
  nothing fills, every wrong shape is listed in one CheckpointError; PyTorch's batch counters are ignored.
  """
  tables, model = layouts(model), fitted(model, state_dict)
  probe = PROBE if hasattr(model, "feat_dim") else 3
  shapes = _shapes(model, channels=probe)
  leaves = flatten_dict(shapes, sep="/")
  named = {layout: names_of(leaves, rows) for layout, rows in tables.items()}
  best = max(named, key=lambda layout: len({name for name, _ in named[layout].values()} & state_dict.keys()))
  stems = ((path, name) for path, (name, _) in named[best].items() if path.endswith(STEMS))
  path, first = next(stems, (None, None))
  if np.ndim(state_dict.get(first)) > 1:
    per_channel = leaves[path].shape[-2] / probe  # more than one where the stem stacks pixels
    channels = np.shape(state_dict[first])[1] / per_channel
    if channels != probe and channels.is_integer():
      shapes = _shapes(model, int(channels))
  return to_flax(state_dict, tables[best], shapes)


def to_torch(
  variables: Mapping[str, Any], model: nn.Module, *, layout: str | None = None, strict_keys: bool = False
) -> dict:
  """{name: numpy array}, named as `layout` names them: the inverse of from_torch, bit for bit.

  strict_keys adds the batch counters (zero) and the tables made of settings (BMN's sample_mask) that strict loading
  in PyTorch asks for.  InputError for variables that `fuse` made: the norms that PyTorch's networks have are gone.
  """
  if is_fused(variables):
    raise InputError("these variables are fused, and PyTorch's networks have batch norms; write the ones before fusing")
  tables = layouts(model)
  layout = next(iter(tables)) if layout is None else layout
  if layout not in tables:
    raise InputError(f"no layout {layout!r} for this model.{nearest(layout, tables)} It has: {', '.join(tables)}.")
  tree = {key: variables[key] for key in ("params", "batch_stats") if key in variables}
  state = to_torch_names(tree, tables[layout])
  if strict_keys:
    counters = {name.rsplit(".", 1)[0] for name in state if name.endswith(".running_mean")}
    state |= {f"{name}.{IGNORED[0]}": np.zeros((), np.int64) for name in sorted(counters)}
    state |= derived(model, state)
  return state


def reversed_channels(variables: Mapping[str, Any]) -> dict:
  """The variables for frames whose three colours come in the other order; its own inverse.  Other inputs: as given."""
  flat = flatten_dict(dict(variables), sep="/")
  for path in flat:
    if path.endswith(STEMS) and np.shape(flat[path])[-2] == 3:
      flat[path] = np.ascontiguousarray(np.asarray(flat[path])[..., ::-1, :])
  return unflatten_dict(flat, sep="/")


def num_classes(state_dict: Mapping[str, np.ndarray]) -> int:
  """The class count of the checkpoint's last layer.  CheckpointError where no known classifier is in it."""
  for name in CLASSIFIERS:
    if name in state_dict:
      return int(np.shape(state_dict[name])[0])
  raise CheckpointError(
    f"no classifier among the {len(state_dict)} entries of the checkpoint: want one of {', '.join(CLASSIFIERS)}"
    + (". torchvision's ImageNet ResNets are read with --inflate" if "fc.weight" in state_dict else "")
  )


def _shapes(model, channels):
  """The model's variables as shapes, without a computation."""
  return jax.eval_shape(model.init, jax.random.key(0), *model.inputs(channels))
