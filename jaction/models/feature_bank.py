"""Long-term feature banks (Wu et al., 2019; arXiv:1812.05038): people seen up to half a minute before and after.

`FeatureBank` joins a box's own features with what its operator makes of the bank (sec. 3.3).  The bank of a clip is
[N, C], N = window seconds x people a second, the features that a plain detector gives with `return_features=True`;
`jaction.records.feature_bank` stores and samples them.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.errors import InputError, nearest
from jaction.models.layers import ONE, ZERO, Dense, Draw, _param

OPERATORS = ("non_local", "avg", "max")


class FeatureBank(nn.Module):
  """[B,R,T,h,w,C] and a bank [B,N,C'] -> [B,R,1,1,1,C + C''], C'' = C' of the mean and the maximum, else `latent`.

  The reference fills a bank's empty places with zeros and lets them count, in its means, its maxima and its attention;
  with empty_counts=False they do not.
  """

  operator: str = "non_local"
  bank_shape: tuple[int, int] = (300, 2048)  # N, C'
  latent: int = 512
  layers: int = 2
  drop: float = 0.2  # inside the operator
  empty_counts: bool = True

  @nn.compact
  def __call__(
    self, rois: Array, scene: Array, mask: Array | None, bank: Array | None, bank_mask: Array | None, *, train: bool
  ) -> Array:
    if self.operator not in OPERATORS:
      near = nearest(self.operator, OPERATORS)
      raise InputError(f"operator={self.operator!r} is not known; wanted one of {', '.join(OPERATORS)}.{near}")
    if bank is None:
      raise InputError("this network wants `bank` [B,N,C] and `bank_mask` [B,N] beside the boxes")
    own = rois.astype(jnp.float32).mean(axis=2).max(axis=(2, 3))  # [B,R,C]
    present = jnp.ones(bank.shape[:2], bool) if bank_mask is None else bank_mask
    bank = jnp.where(present[..., None], bank.astype(jnp.float32), 0.0)
    counts = jnp.ones_like(present) if self.empty_counts else present
    if self.operator == "avg":
      share = counts.astype(jnp.float32)[..., None]
      pooled = (bank * share).sum(axis=1) / jnp.maximum(share.sum(axis=1), 1.0)
    elif self.operator == "max":
      pooled = jnp.where(counts[..., None], bank, -jnp.inf).max(axis=1)
      pooled = jnp.where(counts.any(axis=1)[:, None], pooled, 0.0)
    else:
      drop = nn.Dropout(self.drop, deterministic=not train)
      x = drop(Dense(self.latent, Draw(), name="own")(own))
      seen = drop(Dense(self.latent, Draw(), name="bank")(bank))
      for i in range(1, 1 + self.layers):
        x = x + _Attention(self.latent, self.drop, name=f"layer{i}")(x, seen, counts, train=train)
      return jnp.concatenate([own, x], axis=-1)[:, :, None, None, None]
    pooled = jnp.broadcast_to(pooled[:, None], (*own.shape[:2], pooled.shape[-1]))
    return jnp.concatenate([own, pooled], axis=-1)[:, :, None, None, None]


class _Attention(nn.Module):
  """A box looks at the bank: a non-local block with a layer norm and ReLU before its last layer (Fig. 4)."""

  width: int
  drop: float

  @nn.compact
  def __call__(self, x: Array, bank: Array, counts: Array, *, train: bool) -> Array:
    theta = Dense(self.width, Draw(), name="theta")(x)
    phi = Dense(self.width, Draw(), name="phi")(bank)
    g = Dense(self.width, Draw(), name="g")(bank)
    weights = jnp.einsum("brc,bnc->brn", theta, phi) * self.width**-0.5
    weights = jnp.where(counts[:, None], weights, -1e30)
    # A bank in which nothing counts gives nothing.
    weights = jnp.where(counts[:, None], jax.nn.softmax(weights, axis=-1), 0.0)
    y = jnp.einsum("brn,bnc->brc", weights, g)
    y = nn.relu(_LayerNorm(name="ln")(y))
    return nn.Dropout(self.drop, deterministic=not train)(Dense(self.width, Draw(), name="out")(y))


class _LayerNorm(nn.Module):
  eps: float = 1e-5

  @nn.compact
  def __call__(self, x: Array) -> Array:
    scale = _param(self, "scale", ONE, (x.shape[-1],))
    bias = _param(self, "bias", ZERO, (x.shape[-1],))
    mean = x.mean(axis=-1, keepdims=True)
    var = jnp.square(x - mean).mean(axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + self.eps) * scale[None, None] + bias[None, None]
