"""X3D (Feichtenhofer, 2020; arXiv:2004.04730, Table 1)."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.heads import over_positions, pool
from jaction.models.layers import BatchNorm, Blocks, Conv, Dense, Draw

BLOCKS = (1, 2, 5, 3)
WIDTHS = (12, 24, 48, 96)  # before the width factor


def round_width(width: float, multiplier: float, *, least: int = 8, divisor: int = 8) -> int:
  """A multiple of `divisor` near width * multiplier, not more than a tenth below it."""
  wanted = width * multiplier
  rounded = max(least, int(wanted + divisor / 2) // divisor * divisor)
  return rounded + divisor if rounded < 0.9 * wanted else rounded


class SqueezeExcite(nn.Module):
  """Each channel times a gate of the pooled channels (arXiv:1709.01507).  [B, T, H, W, C] -> the same."""

  ratio: float = 1 / 16

  @nn.compact
  def __call__(self, x: Array) -> Array:
    y = x.mean(axis=(1, 2, 3), keepdims=True, dtype=jnp.float32).astype(x.dtype)
    y = nn.relu(Conv(round_width(x.shape[-1], self.ratio), (1, 1, 1), use_bias=True, name="fc1")(y))
    return x * jax.nn.sigmoid(Conv(x.shape[-1], (1, 1, 1), use_bias=True, name="fc2")(y))


class Block(nn.Module):
  """1 x 1 x 1 -> depthwise 3 x 3 x 3 -> 1 x 1 x 1 with a shortcut, swish behind the depthwise one."""

  width: int
  inner: int
  stride: int = 1
  excite: bool = True
  shortcut_norm: bool = True
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    strides = (1, self.stride, self.stride)
    y = nn.relu(self.norm(name="bn1")(Conv(self.inner, (1, 1, 1), name="conv1")(x), train=train))
    y = Conv(self.inner, (3, 3, 3), strides, groups=self.inner, name="conv2")(y)
    y = self.norm(name="bn2")(y, train=train)
    if self.excite:
      y = SqueezeExcite(name="se")(y)
    y = self.norm(name="bn3")(Conv(self.width, (1, 1, 1), name="conv3")(nn.swish(y)), train=train)
    if self.stride != 1 or x.shape[-1] != self.width:
      x = Conv(self.width, (1, 1, 1), strides, name="proj")(x)
      if self.shortcut_norm:
        x = self.norm(name="bn_proj")(x, train=train)
    return nn.relu(x + y)


class X3D(nn.Module):
  """[B, T, H, W, C] -> [B, T, H/32, W/32, 432 for a width factor of 2]: res5 and the last 1 x 1 x 1 convolution."""

  gamma_w: float = 2.0  # width, gamma_w of the paper
  gamma_b: float = 2.25  # bottleneck width
  gamma_d: float = 2.2  # depth
  first_shortcut_norm: bool = True  # PyTorchVideo has none on the first shortcut
  norm: Any = BatchNorm
  blocks: tuple[int, ...] = BLOCKS  # of res2 ... res5 before the depth factor
  strides: tuple[int, ...] = (2, 2, 2, 2)  # of the first block of each of res2 ... res5
  patch: bool = False  # the stem sees patches of 4 x 4 pixels, for small frames (ours); not 3 x 3 at stride 2

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    width = round_width(WIDTHS[0], self.gamma_w)
    stem = ((1, 4, 4), (1, 4, 4), ((0, 0),) * 3) if self.patch else ((1, 3, 3), (1, 2, 2))
    x = Conv(width, *stem, name="conv1_s")(x)
    x = Conv(width, (5, 1, 1), groups=width, name="conv1_t")(x)
    x = nn.relu(self.norm(name="bn1")(x, train=train))
    for i, (blocks, base, first) in enumerate(zip(self.blocks, WIDTHS, self.strides, strict=True)):
      width = round_width(base, self.gamma_w)
      makers = []
      for b in range(math.ceil(blocks * self.gamma_d)):
        shortcut_norm = self.first_shortcut_norm or (i, b) != (0, 0)
        inner, stride = int(width * self.gamma_b), first if b == 0 else 1
        makers.append(functools.partial(Block, width, inner, stride, b % 2 == 0, shortcut_norm, self.norm))
      x = Blocks(tuple(makers), name=f"res{i + 2}")(x, train=train)
    x = Conv(int(width * self.gamma_b), (1, 1, 1), name="conv5")(x)
    return nn.relu(self.norm(name="bn5")(x, train=train))


class X3DHead(nn.Module):
  """Pool, widen, drop, classify.  [B, T, H, W, C] -> [B, num_classes].  `pool_window`: as heads.PoolHead's."""

  num_classes: int
  dropout: float = 0.5
  width: int = 2048
  pool_window: tuple[int, int] | None = None
  pool_average: str = "prob"

  @nn.compact
  def __call__(self, features: Array, *, train: bool, return_features: bool = False) -> Array:
    x = pool(features, self.pool_window)
    x = nn.relu(Dense(self.width, Draw(std=0.01), use_bias=False, name="fc1")(x))
    if return_features:
      return x.mean(axis=1)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return over_positions(Dense(self.num_classes, Draw(std=0.01), name="fc2")(x), self.pool_average, train=train)
