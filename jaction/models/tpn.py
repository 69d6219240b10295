"""Temporal Pyramid Network (Yang et al., 2020; arXiv:2004.03548): one rate of the clip for each depth of a backbone.

The pyramid stands on res4 and res5.  Its operations are those of sec. 3.2 and 3.3; both levels end up with the same
size in space and time here, so that the flows between them need no resampling.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.conv import max_pool
from jaction.models.layers import BatchNorm, Conv, Dense, Draw

GROUPS = 32


class ConvNorm(nn.Module):
  """Convolution, norm, ReLU."""

  features: int
  kernel: tuple[int, int, int] = (1, 1, 1)
  stride: int = 1  # in space
  groups: int = 1
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    x = Conv(self.features, self.kernel, (1, self.stride, self.stride), groups=self.groups, name="conv")(x)
    return nn.relu(self.norm(name="bn")(x, train=train))


class LevelFusion(nn.Module):
  """The levels of one flow, each through a grouped 1 x 1 x 1, joined.  All [B, T, H, W, C] -> the same size."""

  features: int
  middle: int
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, levels: Sequence[Array], *, train: bool) -> Array:
    levels = [
      ConvNorm(self.middle, groups=GROUPS, norm=self.norm, name=f"level{i}")(x, train=train)
      for i, x in enumerate(levels)
    ]
    return ConvNorm(self.features, norm=self.norm, name="fuse")(jnp.concatenate(levels, axis=-1), train=train)


class TPN(nn.Module):
  """[B, T, H, W, C] -> the pyramid's [B, T/rate, H/32, W/32, 2048], and res4's own map for the auxiliary head."""

  trunk: nn.Module  # a ResNet
  rates: tuple[int, int] = (8, 8)  # of the temporal modulation of res4 and res5
  features: int = 2048
  middle: int = 1024
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> tuple[Array, Array]:
    *lower, res4, res5 = self.trunk.stages()
    for stage in lower:
      x = stage(x, train=train)
    low = res4(x, train=train)
    high = res5(low, train=train)
    # spatial modulation: res4 takes the size and the width of res5
    levels = [ConvNorm(self.features, (1, 3, 3), 2, norm=self.norm, name="spatial0")(low, train=train), high]
    # temporal modulation: a rate of its own for each level
    levels = [
      self._slower(i, Conv(self.middle, (3, 1, 1), groups=GROUPS, name=f"temporal{i}")(x)) for i, x in enumerate(levels)
    ]
    # top-down flow, then bottom-up from what it gave
    levels = [levels[0] + levels[1], levels[1]]
    top_down = LevelFusion(self.features, self.middle, self.norm, name="top_down")(levels, train=train)
    levels = [levels[0], levels[1] + Conv(self.middle, (3, 1, 1), name="flow0")(levels[0])]
    bottom_up = LevelFusion(self.features, self.middle, self.norm, name="bottom_up")(levels, train=train)
    both = jnp.concatenate([top_down, bottom_up], axis=-1)
    return ConvNorm(self.features, norm=self.norm, name="pyramid")(both, train=train), low

  def _slower(self, level: int, x: Array) -> Array:
    """A maximum over `rate` frames; a last window that is not full counts (ceil mode)."""
    rate = self.rates[level]
    return max_pool(x, (rate, 1, 1), (rate, 1, 1), ((0, -x.shape[1] % rate), (0, 0), (0, 0)))


class AuxiliaryHead(nn.Module):
  """Classifies res4 by itself (sec. 3.4).  [B, T, H, W, C] -> [B, num_classes]."""

  num_classes: int
  dropout: float = 0.5
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    x = ConvNorm(2 * x.shape[-1], (1, 3, 3), 2, norm=self.norm, name="conv")(x, train=train)
    x = x.astype(jnp.float32).mean(axis=(1, 2, 3))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return Dense(self.num_classes, name="fc")(x)


class TPNHead(nn.Module):
  """The pyramid's average classified: [B, num_classes], and with `aux` the pair of it and {"aux": res4's scores}.

  The auxiliary scores join the loss of training only (sec. 3.4).
  """

  num_classes: int
  dropout: float = 0.5
  std: float = 0.01
  aux_weight: float = 0.5  # of the auxiliary scores in the loss
  norm: Any = BatchNorm

  @nn.compact
  def __call__(
    self, features: tuple[Array, Array], *, train: bool, return_features: bool = False, aux: bool = False
  ) -> Array | tuple[Array, dict[str, Array]]:
    pyramid, low = features
    side = AuxiliaryHead(self.num_classes, self.dropout, self.norm, name="aux")
    extra = side(low, train=train) if aux or self.is_initializing() else None
    x = pyramid.astype(jnp.float32).mean(axis=(1, 2, 3))
    if return_features:
      return x
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    x = Dense(self.num_classes, Draw(std=self.std), name="fc")(x)
    return (x, {"aux": extra}) if aux else x
