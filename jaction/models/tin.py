"""Temporal Interlacing Network (Shao et al., 2020; arXiv:2001.06499): shifts in time by learned, fractional offsets."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.layers import Conv, Dense, Draw
from jaction.models.resnet import ResNet

REACH = 2  # frames: an offset lies in (-2, 2)
HALF = 0.5108  # offsets begin near half a frame


def shift_by(x: Array, offset: Array) -> Array:
  """x [B, T, H, W, C] moved by offset [B, C] frames, |offset| <= REACH, linearly interpolated, zeros at the ends.

  A positive offset moves towards later frames: out[t] = x[t - offset] (eq. 6).
  """
  t = x.shape[1]
  padded = jnp.pad(x, [(0, 0), (REACH, REACH), *[(0, 0)] * 3])
  out = jnp.zeros_like(x)
  for s in range(-REACH, REACH + 1):
    share = nn.relu(1 - jnp.abs(offset - s)).astype(x.dtype)
    out += share[:, None, None, None] * padded[:, REACH - s : REACH - s + t]
  return out


class Offset(nn.Module):
  """OffsetNet (sec. 3.2): pooled [B, T, C] -> offsets in frames [B, groups], each in (-2, 2)."""

  groups: int = 2

  @nn.compact
  def __call__(self, pooled: Array) -> Array:
    x = Conv(1, (3,), use_bias=True, name="conv")(pooled)[..., 0]
    x = nn.relu(Dense(x.shape[-1], Draw(), name="fc1")(x))
    x = Dense(self.groups, Draw(), bias_draw=Draw(std=0, mean=HALF), name="fc2")(x)
    return 2 * REACH * (jax.nn.sigmoid(x) - 0.5)


class Weight(nn.Module):
  """WeightNet (sec. 3.2): pooled [B, T, C] -> the weight of each frame [B, T, groups], in (0, 2)."""

  groups: int = 2

  @nn.compact
  def __call__(self, pooled: Array) -> Array:
    return 2 * jax.nn.sigmoid(Conv(self.groups, (3,), use_bias=True, name="conv")(pooled))


class Interlace(nn.Module):
  """The first C / div channels in groups of their own offset and weight; the rest stays.  [B, T, H, W, C] -> the same.

  Each learned group has a mirror image with the opposite offset and the same weight: g0, g1, -g0, -g1.
  """

  div: int = 4
  groups: int = 2

  @nn.compact
  def __call__(self, x: Array) -> Array:
    fold = x.shape[-1] // self.div
    if fold % (2 * self.groups):
      raise ValueError(f"{2 * self.groups} groups do not divide {fold} of {x.shape[-1]} channels")
    moved = x[..., :fold]
    pooled = moved.astype(jnp.float32).mean(axis=(2, 3))
    offset = Offset(self.groups, name="offset")(pooled)
    weight = Weight(self.groups, name="weight")(pooled)
    each = fold // (2 * self.groups)
    offset = jnp.repeat(jnp.concatenate([offset, -offset], axis=-1), each, axis=-1)
    weight = jnp.repeat(jnp.concatenate([weight, weight], axis=-1), each, axis=-1)
    moved = shift_by(moved, offset) * weight[:, :, None, None].astype(x.dtype)
    return jnp.concatenate([moved, x[..., fold:]], axis=-1)


def interlace(x: Array) -> Array:
  """An Interlace of the block that calls it, before its first convolution."""
  return Interlace(name="interlace")(x)


def tin_resnet(depth: int = 50, *, width: int = 64) -> nn.Module:
  """A ResNet with an Interlace in each residual branch (sec. 3.3).  Its weights fit one number of frames."""
  return ResNet(depth, width, before=interlace)
