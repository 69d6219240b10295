"""Temporal Relation Network (Zhou et al., 2017; arXiv:1711.08496): a head that relates frames at many scales."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from jaction.models.layers import Dense, Draw


class Relation(nn.Module):
  """h and g of one scale (eq. 1): frames [..., scale * hidden] -> [..., num_classes]."""

  num_classes: int
  hidden: int = 256

  @nn.compact
  def __call__(self, x: Array) -> Array:
    x = nn.relu(Dense(self.hidden, Draw(), name="fc1")(nn.relu(x)))
    return Dense(self.num_classes, name="fc2")(x)


class RelationHead(nn.Module):
  """The sum over all scales T, T - 1, ... 2 of relations among so many frames in their order (eq. 3).

  [B, T, H, W, C] -> [B, num_classes].  Each scale takes at most `draws` of its tuples of frames: in training a draw
  without repetition from the "dropout" stream, in evaluation the first ones, so that scores do not change from run to
  run (MMAction2 draws there too).
  """

  num_classes: int
  dropout: float = 0.8
  segments: int = 8
  hidden: int = 256
  draws: int = 3
  std: float = 0.001

  @nn.compact
  def __call__(self, features: Array, *, train: bool, return_features: bool = False) -> Array:
    if features.shape[1] != self.segments:
      raise ValueError(f"relations are among {self.segments} frames, got {features.shape[1]}; see the field segments")
    x = features.astype(jnp.float32).mean(axis=(2, 3))
    if return_features:
      return x.mean(axis=1)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    x = Dense(self.hidden, Draw(std=self.std), name="fc")(x)  # [B, T, hidden]
    scores = jnp.zeros((x.shape[0], self.num_classes), jnp.float32)
    for i, scale in enumerate(range(self.segments, 1, -1)):
      tuples = np.array(list(itertools.combinations(range(self.segments), scale)))
      count = min(self.draws, len(tuples))
      picked = tuples[:count]
      if train and count < len(tuples):
        picked = jax.random.choice(self.make_rng("dropout"), tuples, (count,), replace=False)
      related = jnp.take(x, picked.reshape(-1), axis=1).reshape(x.shape[0], count, scale * self.hidden)
      scores += Relation(self.num_classes, self.hidden, name=f"relation{i}")(related).sum(axis=1)
    return scores
