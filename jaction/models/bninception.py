"""BN-Inception (Ioffe and Szegedy, 2015; arXiv:1502.03167, Figure 5), the first backbone of temporal segment networks.

The network as it was published for Caffe: blocks 4c and 4d have 608 channels (the table: 576), and every convolution
has a bias in front of its norm.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.conv import max_pool
from jaction.models.inception import Unit, max_pool_ceil
from jaction.models.layers import BatchNorm, call_block


class Widths(NamedTuple):
  """Channels of a block's branches: 1, 1 -> 3, 1 -> 3 -> 3, pool -> 1.  Without the first and last one it strides."""

  one: int | None
  three: tuple[int, int]
  double: tuple[int, int]  # the second number is that of both 3 x 3 convolutions
  pool: int | None
  maximum: bool = False  # of the pool, else the average; a block that strides takes the maximum


BLOCKS: Mapping[str, Widths] = {
  "3a": Widths(64, (64, 64), (64, 96), 32),
  "3b": Widths(64, (64, 96), (64, 96), 64),
  "3c": Widths(None, (128, 160), (64, 96), None),
  "4a": Widths(224, (64, 96), (96, 128), 128),
  "4b": Widths(192, (96, 128), (96, 128), 128),
  "4c": Widths(160, (128, 160), (128, 160), 128),
  "4d": Widths(96, (128, 192), (160, 192), 128),
  "4e": Widths(None, (128, 192), (192, 256), None),
  "5a": Widths(352, (192, 320), (160, 224), 128),
  "5b": Widths(352, (192, 320), (192, 224), 128, maximum=True),
}


def _average(x: Array) -> Array:
  """Over windows of 3 x 3 at stride 1; the zeros of the padding count."""
  x = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)])
  rows = x[..., :-2, :, :] + x[..., 1:-1, :, :] + x[..., 2:, :, :]
  return (rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]) / 9


class Inception(nn.Module):
  """[B, T, H, W, C] -> [B, T, H/stride, W/stride, the sum of the branches]."""

  widths: Widths
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    def unit(x, features, size, name, stride=1):
      return Unit(features, (size, size), (stride, stride), use_bias=True, norm=self.norm, name=name)(x, train=train)

    w, branches = self.widths, []
    stride = 2 if w.one is None else 1
    if w.one is not None:
      branches.append(unit(x, w.one, 1, "one"))
    branches.append(unit(unit(x, w.three[0], 1, "three_reduce"), w.three[1], 3, "three", stride))
    y = unit(unit(x, w.double[0], 1, "double_reduce"), w.double[1], 3, "double1")
    branches.append(unit(y, w.double[1], 3, "double2", stride))
    if w.pool is None:
      branches.append(max_pool_ceil(x, (3, 3), (2, 2)))
    else:
      pooled = max_pool(x, (3, 3), (1, 1), ((1, 1), (1, 1))) if w.maximum else _average(x)
      branches.append(unit(pooled, w.pool, 1, "pool_proj"))
    return jnp.concatenate(branches, axis=-1)


class BNInception(nn.Module):
  """[B, T, H, W, C] -> [B, T, H/32, W/32, 1024]; each frame alone."""

  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    x = Unit(64, (7, 7), (2, 2), use_bias=True, norm=self.norm, name="conv1")(x, train=train)
    x = max_pool_ceil(x, (3, 3), (2, 2))
    x = Unit(64, (1, 1), use_bias=True, norm=self.norm, name="conv2_reduce")(x, train=train)
    x = Unit(192, (3, 3), use_bias=True, norm=self.norm, name="conv2")(x, train=train)
    x = max_pool_ceil(x, (3, 3), (2, 2))
    for name, widths in BLOCKS.items():
      x = call_block(Inception(widths, self.norm, name=f"inception_{name}"), x, train=train)
    return x
