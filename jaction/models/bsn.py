"""BSN, the boundary-sensitive network: its two networks (Lin et al., 2018; arXiv:1806.02964, sections 3.3 and 3.4)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.bmn import check_features
from jaction.models.layers import HE, Conv, Dense


class TEM(nn.Module):
  """Temporal evaluation: features [B, T, C] -> {actionness, start, end}, each [B, T], probabilities in float32."""

  temporal_dim: int = 100
  feat_dim: int = 400  # C of `inputs`; what comes decides
  hidden: int = 512
  last_ratio: float = 0.01  # of the reference: what the last convolution gives is scaled before the sigmoid
  dtype: Any = jnp.float32

  @nn.nowrap
  def inputs(self, channels: int | None = None) -> tuple[jax.ShapeDtypeStruct, ...]:
    """What the model takes for one video; None: `feat_dim` channels."""
    return (jax.ShapeDtypeStruct((1, self.temporal_dim, channels or self.feat_dim), jnp.float32),)

  @nn.compact
  def __call__(self, features: Array, *, train: bool = False) -> dict[str, Array]:
    check_features(features, self.temporal_dim)
    x = features.astype(self.dtype)
    x = nn.relu(Conv(self.hidden, (3,), use_bias=True, name="conv1")(x))
    x = nn.relu(Conv(self.hidden, (3,), use_bias=True, name="conv2")(x))
    x = Conv(3, (1,), use_bias=True, name="conv3")(x).astype(jnp.float32)
    x = nn.sigmoid(self.last_ratio * x)
    return {"actionness": x[..., 0], "start": x[..., 1], "end": x[..., 2]}


class PEM(nn.Module):
  """Proposal evaluation: boundary-sensitive features [B, R, 32] -> confidence [B, R], probabilities in float32."""

  feat_dim: int = 32  # C of `inputs`; what comes decides
  hidden: int = 256
  ratio: float = 0.1  # of the reference: what both layers give is scaled before the activation
  proposals: int = 100  # that one video is meant to have
  dtype: Any = jnp.float32

  @nn.nowrap
  def inputs(self, channels: int | None = None) -> tuple[jax.ShapeDtypeStruct, ...]:
    """What the model takes for one video; None: `feat_dim` channels."""
    return (jax.ShapeDtypeStruct((1, self.proposals, channels or self.feat_dim), jnp.float32),)

  @nn.compact
  def __call__(self, features: Array, *, train: bool = False) -> Array:
    if features.ndim != 3:
      raise ValueError(f"features must be [B, proposals, C], got shape {tuple(features.shape)}")
    x = nn.relu(self.ratio * Dense(self.hidden, HE, name="fc1")(features.astype(self.dtype)))
    x = Dense(1, HE, name="fc2")(x).astype(jnp.float32)
    return nn.sigmoid(self.ratio * x)[..., 0]
