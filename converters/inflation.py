"""torchvision's ImageNet ResNets as first weights of video networks, 2-D ones and inflated ones.

Inflation in time: jaction.models.inflation.  First convolution for optical flow: Wang et al., 2016 (arXiv:1608.00859,
sec. 3.3).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from jaction.converters.engine import IGNORED, KINDS, SHOWN, conv, names_of, norm, under
from jaction.errors import CheckpointError, InputError, nearest
from jaction.models.inflation import check_form, in_time
from jaction.models.layers import initialize
from jaction.models.recognizer import Recognizer
from jaction.models.resnet import ResNet
from jaction.models.tanet import TANet
from jaction.models.tpn import TPN

CLASSIFIER = ("fc.weight", "fc.bias")  # of ImageNet's classes, which nothing here wants
STEM = "conv1/conv/kernel"
TORCHVISION = (
  *conv("conv1", "conv1/conv"),
  *norm("bn1", "conv1/bn"),
  *conv("layer{s}.{b}.conv{c}", "res{s+1}/block{b}/conv{c}"),
  *norm("layer{s}.{b}.bn{c}", "res{s+1}/block{b}/bn{c}"),
  *conv("layer{s}.{b}.downsample.0", "res{s+1}/block{b}/proj"),
  *norm("layer{s}.{b}.downsample.1", "res{s+1}/block{b}/bn_proj"),
)
TRUNKS = {ResNet: "backbone/", TANet: "backbone/", TPN: "backbone/trunk/"}


class Inflated(NamedTuple):
  variables: dict
  initial: tuple[str, ...]  # paths that ImageNet has nothing for (the head, non-local blocks, ...): initial values


def inflate(
  state_dict: Mapping[str, np.ndarray],
  model: nn.Module,
  *,
  form: str = "centred",
  channels: int = 3,
  seed: int = 0,
) -> Inflated:
  """(variables, paths left at initial values) of `model`, filled from torchvision's state dict of a 2-D ResNet.

  A kernel of t frames has the 2-D one in its middle and zeros around it ("centred"), or a t-th of it in each frame
  ("averaged"; MMAction2's `inflate`): either way a still picture gives what the 2-D network gives, away from the clip's
  ends.  For other than three input `channels` (flow 2 or 10, sound 1) the first kernel is its mean over the colours,
  repeated.  Strict: each name of the state dict but the classifier's and the batch counters has a place, each leaf of
  the residual network is filled, shapes fit; all that does not is in one CheckpointError.  InputError for a network
  that is no ResNet.  `seed`: of the initial values.
  """
  check_form("form", form)
  if channels < 1:
    raise InputError(f"channels={channels}: wanted 1 or more")
  backbone = model.backbone if isinstance(model, Recognizer) else None
  if type(backbone) not in TRUNKS:
    raise InputError(f"no ImageNet weights for a {type(backbone or model).__name__}: wanted a network over one ResNet")
  out = flatten_dict(initialize(model, *model.inputs(channels), seed=seed), sep="/")
  names = _names(out, TRUNKS[type(backbone)])
  wanted = {name for name, _ in names.values()}
  problems = []
  for name in state_dict:
    if name not in wanted and name not in CLASSIFIER and not name.endswith(IGNORED):
      near = nearest(name, wanted, n=1)
      problems.append(f"{name} {np.shape(state_dict[name])}: the model has nothing of this name.{near}")
  for path, (name, kind) in names.items():
    if name not in state_dict:
      problems.append(f"{name}: not in the checkpoint, wanted for {path} {out[path].shape}")
      continue
    value = np.asarray(state_dict[name])
    if not np.issubdtype(value.dtype, np.floating) and value.dtype.name != "bfloat16":
      problems.append(f"{name}: numbers of type {value.dtype}, want floats")
      continue
    value, leaf = value.astype(np.float32), out[path]
    value = KINDS[kind][0](value) if value.ndim == 4 or kind == "as-is" else value
    if path.endswith(STEM) and channels != 3 and value.ndim == 4:
      value = np.repeat(value.mean(axis=-2, keepdims=True), channels, axis=-2)
    if leaf.ndim == 5 and value.ndim == 4:
      value = in_time(value, leaf.shape[0], form)
    if value.shape != leaf.shape:
      problems.append(f"{name}: shape {np.shape(state_dict[name])} does not fit {path} {leaf.shape}")
    else:
      out[path] = np.ascontiguousarray(value, leaf.dtype)
  if problems:
    shown = problems[:SHOWN] + [f"and {len(problems) - SHOWN} more"] * (len(problems) > SHOWN)
    raise CheckpointError("these ImageNet weights do not fit the model:\n  " + "\n  ".join(shown))
  return Inflated(unflatten_dict(out, sep="/"), tuple(path for path in out if path not in names))


def _names(paths: Mapping[str, np.ndarray], trunk: str) -> dict[str, tuple[str, str]]:
  """Flax path -> (torchvision's name, kind) for the leaves that torchvision's network has."""
  rows, out = under("", trunk, TORCHVISION), {}
  for path in paths:
    try:
      out |= names_of([path], rows)
    except KeyError:  # a leaf of the head, of a non-local block, ...
      continue
  return out
