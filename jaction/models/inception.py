"""Inception in time: Two-Stream Inflated 3D ConvNets (Carreira and Zisserman, 2017; arXiv:1705.07750, Figure 3)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.conv import max_pool
from jaction.models.layers import BatchNorm, Conv, call_block


def max_pool_ceil(x: Array, window: Sequence[int], strides: Sequence[int]) -> Array:
  """Maximum over windows of [..., H, W, C] or [..., T, H, W, C], the last of which may reach over the end."""
  sizes = x.shape[-1 - len(window) : -1]
  missing = [max(-(-(n - k) // s), 0) * s + k - n for n, k, s in zip(sizes, window, strides, strict=True)]
  return max_pool(x, window, strides, tuple((0, max(m, 0)) for m in missing))


class Unit(nn.Module):
  """Convolution, norm, ReLU."""

  features: int
  kernel: Sequence[int] = (1, 1, 1)
  strides: Sequence[int] | None = None
  padding: Sequence[tuple[int, int]] | None = None
  use_bias: bool = False
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    x = Conv(self.features, self.kernel, self.strides, self.padding, use_bias=self.use_bias, name="conv")(x)
    return nn.relu(self.norm(name="bn")(x, train=train))


class Widths(NamedTuple):
  """Channels of a block's four branches: 1, 1 -> 3, 1 -> 3, pool -> 1."""

  one: int
  three: tuple[int, int]
  other: tuple[int, int]
  pool: int


BLOCKS: Mapping[str, Widths] = {
  "3a": Widths(64, (96, 128), (16, 32), 32),
  "3b": Widths(128, (128, 192), (32, 96), 64),
  "4a": Widths(192, (96, 208), (16, 48), 64),
  "4b": Widths(160, (112, 224), (24, 64), 64),
  "4c": Widths(128, (128, 256), (24, 64), 64),
  "4d": Widths(112, (144, 288), (32, 64), 64),
  "4e": Widths(256, (160, 320), (32, 128), 128),
  "5a": Widths(256, (160, 320), (32, 128), 128),
  "5b": Widths(384, (192, 384), (48, 128), 128),
}
POOLS = {"3b": (3, 3, 3), "4e": (2, 2, 2)}  # behind these blocks, of stride 2


class Inception(nn.Module):
  """Four branches side by side ("Inc." of Figure 3).  [B, T, H, W, C] -> [B, T, H, W, the sum of the branches]."""

  widths: Widths
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    def unit(x, features, size, name):
      return Unit(features, (size,) * 3, norm=self.norm, name=name)(x, train=train)

    w = self.widths
    one = unit(x, w.one, 1, "branch0")
    three = unit(unit(x, w.three[0], 1, "branch1_reduce"), w.three[1], 3, "branch1")
    other = unit(unit(x, w.other[0], 1, "branch2_reduce"), w.other[1], 3, "branch2")
    pool = unit(max_pool(x, (3, 3, 3), (1, 1, 1), ((1, 1),) * 3), w.pool, 1, "branch3")
    return jnp.concatenate([one, three, other, pool], axis=-1)


class InceptionI3D(nn.Module):
  """Inception-V1, inflated.  [B, T, H, W, C] -> [B, T/8, H/32, W/32, 1024].

  As in the TensorFlow original the stem pads by 2 in front and 4 behind, whatever the size, and pools pad behind alone.
  """

  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    x = Unit(64, (7, 7, 7), (2, 2, 2), ((2, 4),) * 3, norm=self.norm, name="conv1")(x, train=train)
    x = max_pool_ceil(x, (1, 3, 3), (1, 2, 2))
    x = Unit(64, norm=self.norm, name="conv2_reduce")(x, train=train)
    x = Unit(192, (3, 3, 3), norm=self.norm, name="conv2")(x, train=train)
    x = max_pool_ceil(x, (1, 3, 3), (1, 2, 2))
    for name, widths in BLOCKS.items():
      x = call_block(Inception(widths, self.norm, name=f"inception_{name}"), x, train=train)
      if name in POOLS:
        x = max_pool_ceil(x, POOLS[name], (2, 2, 2))
    return x
