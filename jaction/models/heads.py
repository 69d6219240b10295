"""From feature maps to class scores."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.errors import InputError, nearest
from jaction.models.layers import Dense, Draw

POSITIONS = {  # how the scores of several windows become one
  "score": "their mean (PyTorchVideo without an activation in its head)",
  "prob": "in evaluation the logarithm of the mean of their softmax, in training the mean (PySlowFast, and X3D)",
}


def pool(x: Array, window: Sequence[int] | None) -> Array:
  """[B, T, H, W, C] -> [B, P, C] float32: the mean over time and over each window of h x w pixels, at stride 1.

  window: (h, w), of which P = (H - h + 1) * (W - w + 1) fit; None: the whole map, P = 1.  InputError where it is larger
  than the map.
  """
  x = x.astype(jnp.float32)
  if window is None:
    return x.mean(axis=(1, 2, 3))[:, None]
  (height, width), (h, w) = x.shape[2:4], window
  if h > height or w > width:
    raise InputError(f"pool_window={h} x {w} is larger than the map, {height} x {width}")
  x = x.mean(axis=1)
  x = sum(x[:, i : height - h + 1 + i] for i in range(h)) / h
  x = sum(x[:, :, i : width - w + 1 + i] for i in range(w)) / w
  return x.reshape(x.shape[0], -1, x.shape[-1])


def over_positions(scores: Array, how: str, *, train: bool) -> Array:
  """[B, P, K] -> [B, K]; how: a key of POSITIONS."""
  if how not in POSITIONS:
    raise InputError(f"pool_average={how!r} is not known; wanted {', '.join(POSITIONS)}.{nearest(how, POSITIONS)}")
  if scores.shape[1] == 1:
    return scores[:, 0]
  if train or how == "score":
    return scores.mean(axis=1)
  return jax.nn.logsumexp(jax.nn.log_softmax(scores), axis=1) - jnp.log(float(scores.shape[1]))


class PoolHead(nn.Module):
  """Average over time and space, drop, classify: TSN's consensus, and the head of the 3-D networks.

  [B, T, H, W, C], or one map of each pathway -> [B, num_classes].  The order in which pathways are concatenated belongs
  to the weights: MMAction2's SlowFast head is (fast, slow), Facebook's (slow, fast).

  Facebook's heads have a window of the training crop's map, 7 x 7 of 224 pixels, and see a larger crop at several
  positions; `pool_window` does that here.
  """

  num_classes: int
  dropout: float = 0.5
  std: float = 0.01  # of the classifier's first weights
  fast_first: bool = True
  pool_window: tuple[int, int] | None = None  # h, w of the map; None: all of it
  pool_average: str = "score"  # of several windows; see POSITIONS

  @nn.compact
  def __call__(self, features: Array | Sequence[Array], *, train: bool, return_features: bool = False) -> Array:
    maps = list(features) if isinstance(features, tuple | list) else [features]
    maps = maps[::-1] if self.fast_first else maps
    x = jnp.concatenate([pool(m, self.pool_window) for m in maps], axis=-1)
    if return_features:
      return x.mean(axis=1)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    x = Dense(self.num_classes, Draw(std=self.std), name="fc")(x)
    return over_positions(x, self.pool_average, train=train)


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
