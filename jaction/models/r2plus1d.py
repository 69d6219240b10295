"""R(2+1)D (Tran et al., 2018; arXiv:1711.11248): 3-D convolutions as spatial ones followed by temporal ones."""

import functools
from collections.abc import Sequence
from typing import Any

from flax import linen as nn
from jax import Array

from jaction.models.conv import max_pool, same
from jaction.models.layers import BatchNorm, Blocks, Conv
from jaction.models.resnet import DEPTHS


def middle(inputs: int, outputs: int, size: int) -> int:
  """Channels between the two convolutions: as many parameters as one of 3 x size x size (sec. 3.5).

  The 3 is the reference's own, also where the temporal kernel is 1.
  """
  return int(3 * inputs * outputs * size * size / (inputs * size * size + 3 * outputs))


class Conv2plus1d(nn.Module):
  """1 x k x k, norm, ReLU, t x 1 x 1, or the other way round.  -> [B, T/stride_t, H/stride, W/stride, features]."""

  features: int
  kernel: tuple[int, int]  # t, k
  stride: int = 1
  stride_t: int = 1
  width: int | None = None  # between the two; None: see `middle`
  time_first: bool = False
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    t, k = self.kernel
    width = self.width or middle(x.shape[-1], self.features, k)
    space = {"kernel": (1, k, k), "strides": (1, self.stride, self.stride), "name": "conv_s"}
    time = {"kernel": (t, 1, 1), "strides": (self.stride_t, 1, 1), "name": "conv_t"}
    first, second = (time, space) if self.time_first else (space, time)
    x = nn.relu(self.norm(name="bn_s")(Conv(width, **first)(x), train=train))
    return Conv(self.features, **second)(x)


class BasicBlock(nn.Module):
  """Two factorised 3 x 3 x 3 with a factorised shortcut (MMAction2)."""

  width: int
  stride: int
  stride_t: int
  outer: Any  # norm behind a pair; the one inside is BatchNorm's own

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    y = Conv2plus1d(self.width, (3, 3), self.stride, self.stride_t, name="conv1")(x, train=train)
    y = nn.relu(self.outer(name="bn1")(y, train=train))
    y = self.outer(name="bn2")(Conv2plus1d(self.width, (3, 3), name="conv2")(y, train=train), train=train)
    if self.stride != 1 or x.shape[-1] != self.width:
      x = Conv2plus1d(self.width, (1, 1), self.stride, self.stride_t, name="proj")(x, train=train)
      x = self.outer(name="bn_proj")(x, train=train)
    return nn.relu(x + y)


class Bottleneck(nn.Module):
  """1 x 1 x 1, a factorised 3 x 3 x 3, 1 x 1 x 1 with a plain shortcut (PyTorchVideo)."""

  width: int
  stride: int
  stride_t: int
  outer: Any

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    out, strides = 4 * self.width, (self.stride_t, self.stride, self.stride)
    y = nn.relu(self.outer(name="bn1")(Conv(self.width, (1, 1, 1), name="conv1")(x), train=train))
    y = Conv2plus1d(self.width, (3, 3), self.stride, self.stride_t, self.width, True, name="conv2")(y, train=train)
    y = nn.relu(self.outer(name="bn2")(y, train=train))
    y = self.outer(name="bn3")(Conv(out, (1, 1, 1), name="conv3")(y), train=train)
    if max(strides) != 1 or x.shape[-1] != out:
      x = self.outer(name="bn_proj")(Conv(out, (1, 1, 1), strides, name="proj")(x), train=train)
    return nn.relu(x + y)


class R2Plus1D(nn.Module):
  """[B, T, H, W, C] -> [B, T/8, H/32, W/32, 512] (MMAction2), or [B, T/4, H/32, W/32, 2048] (facebook=True)."""

  depth: int = 34
  strides_t: Sequence[int] = (1, 2, 2, 2)
  facebook: bool = False  # PyTorchVideo: a plain stem without pool, bottlenecks
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    if self.facebook:
      x = Conv(64, (1, 7, 7), (1, 2, 2), name="conv1")(x)
    else:
      x = Conv2plus1d(64, (3, 7), 2, name="conv1")(x, train=train)
    x = nn.relu(self.norm(name="bn1")(x, train=train))
    if not self.facebook:
      x = max_pool(x, (1, 3, 3), (1, 2, 2), same((1, 3, 3)))
    block = Bottleneck if self.facebook else BasicBlock
    for i, count in enumerate(DEPTHS[self.depth][1]):
      first = functools.partial(block, 64 * 2**i, 2 if i > 0 or self.facebook else 1, self.strides_t[i], self.norm)
      other = functools.partial(block, 64 * 2**i, 1, 1, self.norm)
      x = Blocks((first, *[other] * (count - 1)), name=f"res{i + 2}")(x, train=train)
    return x
