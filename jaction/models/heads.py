"""From feature maps to class scores."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.layers import Dense, Draw


class PoolHead(nn.Module):
  """Average over time and space, drop, classify: TSN's consensus, and the head of the 3-D networks.

  [B, T, H, W, C], or one map of each pathway -> [B, num_classes].  The order in which pathways are concatenated belongs
  to the weights: MMAction2's SlowFast head is (fast, slow), Facebook's (slow, fast).
  """

  num_classes: int
  dropout: float = 0.5
  std: float = 0.01  # of the classifier's first weights
  fast_first: bool = True

  @nn.compact
  def __call__(self, features: Array | Sequence[Array], *, train: bool, return_features: bool = False) -> Array:
    maps = list(features) if isinstance(features, tuple | list) else [features]
    maps = maps[::-1] if self.fast_first else maps
    x = jnp.concatenate([m.astype(jnp.float32).mean(axis=(1, 2, 3)) for m in maps], axis=-1)
    if return_features:
      return x
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return Dense(self.num_classes, Draw(std=self.std), name="fc")(x)


class FrameHead(nn.Module):
  """Classify each frame, then average: TSM's head.  [B, T, H, W, C] -> [B, num_classes]."""

  num_classes: int
  dropout: float = 0.5
  std: float = 0.001

  @nn.compact
  def __call__(self, features: Array, *, train: bool, return_features: bool = False) -> Array:
    x = features.astype(jnp.float32).mean(axis=(2, 3))
    if return_features:
      return x.mean(axis=1)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return Dense(self.num_classes, Draw(std=self.std), name="fc")(x).mean(axis=1)
