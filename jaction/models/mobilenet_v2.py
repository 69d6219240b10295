"""MobileNetV2 (Sandler et al., 2018; arXiv:1801.04381) on frames, with TSM's shift (arXiv:1811.08383) if wanted."""

from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jax import Array

from jaction.models.layers import BatchNorm, Conv, call_block
from jaction.models.resnet import identity

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Table 2: expansion, channels, blocks, stride of the first block."""


class ConvNorm(nn.Module):
  """Convolution, norm, and ReLU6 unless it is linear."""

  features: int
  size: int = 1
  stride: int = 1
  groups: int = 1
  linear: bool = False
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    size, strides = (self.size, self.size), (self.stride, self.stride)
    x = Conv(self.features, size, strides, groups=self.groups, name="conv")(x)
    x = self.norm(name="bn")(x, train=train)
    return x if self.linear else jax.nn.relu6(x)


class InvertedResidual(nn.Module):
  """1 x 1 expansion -> 3 x 3 on each channel -> 1 x 1, linear (Table 1).  The shortcut joins where shapes are equal."""

  features: int
  expansion: int
  stride: int = 1
  before: Callable[[Array], Array] = identity  # what the expansion of a block with a shortcut sees of x
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    shortcut = self.stride == 1 and x.shape[-1] == self.features
    wide, y = self.expansion * x.shape[-1], x
    if self.expansion != 1:
      y = ConvNorm(wide, norm=self.norm, name="expand")(self.before(x) if shortcut else x, train=train)
    y = ConvNorm(wide, 3, self.stride, wide, norm=self.norm, name="depthwise")(y, train=train)
    y = ConvNorm(self.features, linear=True, norm=self.norm, name="project")(y, train=train)
    return x + y if shortcut else y


class MobileNetV2(nn.Module):
  """[B, T, H, W, C] -> [B, T, H/32, W/32, 1280]."""

  before: Callable[[Array], Array] = identity  # tsm.temporal_shift, for a network that sees time
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    x = ConvNorm(32, 3, 2, norm=self.norm, name="conv1")(x, train=train)
    for s, (expansion, features, blocks, first) in enumerate(STAGES, start=1):
      for b in range(blocks):
        stride, name = first if b == 0 else 1, f"stage{s}_block{b}"
        block = InvertedResidual(features, expansion, stride, self.before, self.norm, name=name)
        x = call_block(block, x, train=train)
    return ConvNorm(1280, norm=self.norm, name="conv2")(x, train=train)
