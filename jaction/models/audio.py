"""The audio pathway of audiovisual SlowFast alone (Xiao et al., 2020; arXiv:2001.08740, Table 1).

[B, 1, T, F, C]: a spectrogram is one frame, whose height is time and whose width is frequency.  The other audio
networks are plain ResNets on such frames.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.layers import BatchNorm, Conv, call_block
from jaction.models.resnet import DEPTHS


class Factorized(nn.Module):
  """k x 1 in time beside 1 x k in frequency, each with norm and ReLU: two maps of `features` channels."""

  features: int
  size: int
  stride: int = 1
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> tuple[Array, Array]:
    strides = (self.stride, self.stride)
    time = Conv(self.features, (self.size, 1), strides, name="time")(x)
    time = nn.relu(self.norm(name="bn_time")(time, train=train))
    freq = Conv(self.features, (1, self.size), strides, name="freq")(x)
    return time, nn.relu(self.norm(name="bn_freq")(freq, train=train))


class AudioBottleneck(nn.Module):
  """1 x 1 -> 3 x 3 -> 1 x 1 with a shortcut; where factorized, 3 x 1 and 1 x 3 side by side stand for the 3 x 3.

  MMAction2's blocks: a 3 x 3 convolution that is not factorized has neither norm nor ReLU behind it.
  """

  width: int
  stride: int = 1
  factorized: bool = False
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    out = 4 * self.width
    y = Conv(self.width, (1, 1), name="conv1")(x)
    y = nn.relu(self.norm(name="bn1")(y, train=train))
    if self.factorized:
      y = jnp.concatenate(Factorized(self.width, 3, self.stride, self.norm, name="conv2")(y, train=train), axis=-1)
    else:
      y = Conv(self.width, (3, 3), (self.stride, self.stride), name="conv2")(y)
    y = Conv(out, (1, 1), name="conv3")(y)
    y = self.norm(name="bn3")(y, train=train)
    if self.stride != 1 or x.shape[-1] != out:
      x = Conv(out, (1, 1), (self.stride, self.stride), name="proj")(x)
      x = self.norm(name="bn_proj")(x, train=train)
    return nn.relu(x + y)


class AudioStage(nn.Module):
  """`blocks` blocks, the first of which strides."""

  blocks: int
  width: int
  stride: int
  factorized: bool
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    for i in range(self.blocks):
      stride = self.stride if i == 0 else 1
      block = AudioBottleneck(self.width, stride, self.factorized, self.norm, name=f"block{i}")
      x = call_block(block, x, train=train)
    return x


class AudioResNet(nn.Module):
  """[B, 1, T, F, C] -> [B, 1, T/8, F/8, 32 * width].

  The stem adds the maps of its two directions, strides not, and has no pool; res2 and res3 are factorized.
  """

  depth: int = 50
  width: int = 32
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    time, freq = Factorized(self.width, 9, norm=self.norm, name="conv1")(x, train=train)
    x = nn.relu(self.norm(name="bn1")(time + freq, train=train))
    for i, count in enumerate(DEPTHS[self.depth][1]):
      stride = 1 if i == 0 else 2
      x = AudioStage(count, self.width * 2**i, stride, i < 2, self.norm, name=f"res{i + 2}")(x, train=train)
    return x
