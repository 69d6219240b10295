"""PyTorch names of the networks that are no ResNets of frames: C3D, Inception, sound."""

from collections.abc import Iterable, Mapping

from flax import linen as nn

from jaction.converters.engine import Row, conv, dense, norm, under
from jaction.models.audio import AudioResNet
from jaction.models.bninception import BLOCKS as BN_BLOCKS
from jaction.models.bninception import BNInception
from jaction.models.c3d import C3D
from jaction.models.inception import BLOCKS, InceptionI3D

HEAD = dense("cls_head.fc_cls", "head/fc")


def _fused(torch: str, flax: str) -> tuple[Row, ...]:
  """A convolution and its norm, named side by side by the reference."""
  return *conv(torch, f"{flax}/conv"), *norm(f"{torch}_bn", f"{flax}/bn")


C3D_ROWS = (
  *(row for letter in "ab" for row in conv(f"conv{{i}}{letter}.conv", f"conv{{i}}{letter}")),
  Row("fc6.weight", "params/fc6/kernel", "dense-1x4x4"),
  Row("fc{i}.weight", "params/fc{i}/kernel", "dense"),
  Row("fc{i}.bias", "params/fc{i}/bias"),
)


def _inception(blocks: Iterable[str], units: Mapping[str, str]) -> tuple[Row, ...]:
  """`units`: the reference's names of the convolutions of a block -> ours."""
  rows = [*_fused("conv1_7x7_s2", "conv1"), *_fused("conv2_3x3_reduce", "conv2_reduce"), *_fused("conv2_3x3", "conv2")]
  for block in blocks:
    for torch, flax in units.items():
      rows += _fused(f"inception_{block}_{torch}", f"inception_{block}/{flax}")
  return tuple(rows)


INCEPTION_ROWS = _inception(
  BLOCKS,
  {
    "1x1": "branch0",
    "branch1_3x3_reduce": "branch1_reduce",
    "branch1_3x3": "branch1",
    "branch2_3x3_reduce": "branch2_reduce",
    "branch2_3x3": "branch2",
    "pool_proj": "branch3",
  },
)
BN_INCEPTION_ROWS = _inception(
  BN_BLOCKS,
  {
    "1x1": "one",
    "3x3_reduce": "three_reduce",
    "3x3": "three",
    "double_3x3_reduce": "double_reduce",
    "double_3x3_1": "double1",
    "double_3x3_2": "double2",
    "pool_proj": "pool_proj",
  },
)


def _factorized(torch: str, flax: str) -> tuple[Row, ...]:
  parts = (("conv_1", "time"), ("conv_2", "freq"))
  return tuple(
    row
    for there, here in parts
    for row in (*conv(f"{torch}.{there}.conv", f"{flax}/{here}"), *norm(f"{torch}.{there}.bn", f"{flax}/bn_{here}"))
  )


_BLOCK, _OURS = "layer{s}.{b}", "res{s+1}/block{b}"
AUDIO_ROWS = (
  *_factorized("conv1.conv", "conv1"),
  *norm("conv1.bn", "bn1"),
  *_factorized(f"{_BLOCK}.conv2.conv", f"{_OURS}/conv2"),
  *conv(f"{_BLOCK}.conv{{c}}.conv", f"{_OURS}/conv{{c}}"),
  *norm(f"{_BLOCK}.conv{{c}}.bn", f"{_OURS}/bn{{c}}"),
  *conv(f"{_BLOCK}.downsample.conv", f"{_OURS}/proj"),
  *norm(f"{_BLOCK}.downsample.bn", f"{_OURS}/bn_proj"),
)

ROWS = {C3D: C3D_ROWS, InceptionI3D: INCEPTION_ROWS, BNInception: BN_INCEPTION_ROWS, AudioResNet: AUDIO_ROWS}


def plain_layouts(backbone: nn.Module) -> dict[str, tuple[Row, ...]]:
  return {"mmaction2": (*under("backbone.", "backbone/", ROWS[type(backbone)]), *HEAD)}
