"""Inflated 3-D networks (Carreira and Zisserman, 2017; arXiv:1705.07750) as ResNets, and their 2-D sibling C2D.

The ResNet form, and C2D, are those of arXiv:1711.07971 (Table 1): pool2 halves time between res2 and res3.
"""

import functools
from typing import Any

from flax import linen as nn

from jaction.models.resnet import ResNet, Stem

FLAT, TALL = (1, 1), (3, 1)
INFLATED = ((TALL,), (TALL, FLAT), (TALL, FLAT), (FLAT, TALL))  # of the blocks of res2 ... res5, in turn
EVERY_SECOND = ((), (1, 3), (1, 3, 5), ())  # blocks with a non-local one behind them, 0-based
POOL2 = (2, 2, 0)


def i3d_resnet(
  depth: int = 50, *, stride_t: int = 2, pool_stride_t: int = 2, temporal: Any = INFLATED, after: Any = None
) -> nn.Module:
  """Stem 5 x 7 x 7; `stride_t` and `pool_stride_t` are its strides in time.  -> [B, T/8, H/32, W/32, 2048].

  With both strides 1 and every block inflated (`temporal`) it is MMAction2's "heavy" form, for eight frames.
  """
  stem = functools.partial(Stem, stride_t=stride_t, pool_stride_t=pool_stride_t)
  blocks = EVERY_SECOND if after is not None else ((),) * 4
  return ResNet(depth, 64, stem, 5, temporal=temporal, pool2=POOL2, after=after, after_blocks=blocks)


def c2d_resnet(depth: int = 50, *, pool2: bool = True, pool_padding: bool = False) -> nn.Module:
  """2-D kernels, features pooled over time: [B, T, H, W, C] -> [B, T/2, H/32, W/32, 2048], or T without pool2."""
  stem = functools.partial(Stem, pool_padding=pool_padding)
  return ResNet(depth, 64, stem, pool2=POOL2 if pool2 else None)
