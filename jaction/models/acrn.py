"""Actor-Centric Relation Network (Sun et al., 2018; arXiv:1807.10982, sec. 3.2): each person beside every place."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.layers import HE, BatchNorm, Conv, _param


class ActorRelation(nn.Module):
  """Tile the person's features over the scene's map, 1 x 1, then 3 x 3: [B,R,T,h,w,C], [B,T,H,W,C'] -> [B,R,T,H,W,out].

  The form of MMAction2 0.24.  Padding takes no part in the batch norms' statistics.
  """

  out: int = 2304
  num_convs: int = 1  # of the 3 x 3 ones
  norm: Any = BatchNorm

  @nn.compact
  def __call__(
    self, rois: Array, scene: Array, mask: Array | None, bank: Any = None, bank_mask: Any = None, *, train: bool
  ) -> Array:
    b, r = rois.shape[:2]
    person = rois.max(axis=(2, 3, 4))  # [B,R,C]
    rows = None if mask is None else mask.reshape(-1)
    x = _PairConv(self.out, name="conv1")(person, scene).reshape(b * r, *scene.shape[1:4], self.out)
    x = nn.relu(self.norm(name="bn1")(x, train=train, rows=rows))
    for i in range(2, 2 + self.num_convs):
      x = Conv(self.out, (1, 3, 3), name=f"conv{i}")(x)
      x = nn.relu(self.norm(name=f"bn{i}")(x, train=train, rows=rows))
    return x.reshape(b, r, *x.shape[1:])


class _PairConv(nn.Module):
  """A 1 x 1 x 1 convolution of (person, scene) side by side, without making the pair at every place: one product for
  each person, one for each place, and their sums."""

  features: int

  @nn.compact
  def __call__(self, person: Array, scene: Array) -> Array:
    """[B,R,C], [B,T,H,W,C'] -> [B,R,T,H,W,features]"""
    first = person.shape[-1]
    kernel = _param(self, "kernel", HE, (1, 1, 1, first + scene.shape[-1], self.features))
    kernel = kernel[0, 0, 0].astype(scene.dtype)
    ours = jnp.einsum("brc,cd->brd", person, kernel[:first])
    theirs = jnp.einsum("bthwc,cd->bthwd", scene, kernel[first:])
    return ours[:, :, None, None, None] + theirs[:, None]
