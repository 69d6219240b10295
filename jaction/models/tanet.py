"""TANet: temporal adaptive modules in a ResNet (Liu et al., 2020; arXiv:2005.06803)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.layers import ONE, ZERO, BatchNorm, Conv, Dense, Draw
from jaction.models.resnet import DEPTHS, Bottleneck, Stage, Stem, identity

SMALL = Draw(std=0.001)


class GlobalBranch(nn.Module):
  """G (eq. 5): of each channel's course over the clip, [B, T, C], a kernel in time [B, size, C] that sums to one."""

  size: int = 3
  alpha: int = 2
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, pooled: Array, *, train: bool) -> Array:
    x = pooled.swapaxes(1, 2)
    x = Dense(self.alpha * x.shape[-1], SMALL, use_bias=False, name="fc1")(x)
    x = nn.relu(self.norm(name="bn")(x, train=train))
    x = Dense(self.size, SMALL, use_bias=False, name="fc2")(x)
    return jax.nn.softmax(x, axis=-1).swapaxes(1, 2)


class LocalBranch(nn.Module):
  """L (eq. 3): the importance of each frame and channel, [B, T, C] -> [B, T, C] in (0, 1)."""

  beta: int = 4
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, pooled: Array, *, train: bool) -> Array:
    channels = pooled.shape[-1]
    x = Conv(channels // self.beta, (3,), draw=SMALL, name="conv1")(pooled)
    x = nn.relu(self.norm(name="bn")(x, train=train))
    return jax.nn.sigmoid(Conv(channels, (1,), draw=SMALL, name="conv2")(x))


class TAM(nn.Module):
  """G(x) * (L(x) . x), * in time (sec. 3.2).  [B, T, H, W, C] -> the same."""

  size: int = 3
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    pooled = x.astype(jnp.float32).mean(axis=(2, 3))
    kernel = GlobalBranch(self.size, norm=self.norm, name="g")(pooled, train=train).astype(x.dtype)
    importance = LocalBranch(norm=self.norm, name="l")(pooled, train=train).astype(x.dtype)
    t, half = x.shape[1], self.size // 2
    padded = jnp.pad(x * importance[:, :, None, None], [(0, 0), (half, half), *[(0, 0)] * 3])
    taps = [kernel[:, i, None, None, None] * padded[:, i : i + t] for i in range(self.size)]
    return sum(taps[1:], taps[0])


class TABlock(nn.Module):
  """A bottleneck with a TAM behind its first convolution (sec. 3.3).  [B,T,H,W,C] -> [B,T,H/stride,W/stride,4*width].

  The fields are those that a Stage gives to its blocks.
  """

  width: int
  stride: int = 1
  temporal: Any = None
  before: Any = identity
  zero_init: bool = False
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    out = 4 * self.width
    y = Conv(self.width, (1, 1), name="conv1")(self.before(x))
    y = nn.relu(self.norm(name="bn1")(y, train=train))
    y = TAM(norm=self.norm, name="tam")(y, train=train)
    y = Conv(self.width, (3, 3), (self.stride, self.stride), name="conv2")(y)
    y = nn.relu(self.norm(name="bn2")(y, train=train))
    y = Conv(out, (1, 1), name="conv3")(y)
    y = self.norm(name="bn3", draw=ZERO if self.zero_init else ONE)(y, train=train)
    if self.stride != 1 or x.shape[-1] != out:
      x = Conv(out, (1, 1), (self.stride, self.stride), name="proj")(x)
      x = self.norm(name="bn_proj")(x, train=train)
    return nn.relu(x + y)


class TANet(nn.Module):
  """A ResNet of TABlocks.  [B, T, H, W, C] -> [B, T, H/32, W/32, 32 * width].  Its weights fit one number of frames."""

  depth: int = 50
  width: int = 64
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    block, counts = DEPTHS[self.depth]
    if block is not Bottleneck:
      raise ValueError(f"TANet has bottlenecks, and a ResNet of depth {self.depth} has none")
    x = Stem(self.width, norm=self.norm, name="conv1")(x, train=train)
    for i, count in enumerate(counts):
      stage = Stage(TABlock, count, self.width * 2**i, 1 if i == 0 else 2, norm=self.norm, name=f"res{i + 2}")
      x = stage(x, train=train)
    return x
