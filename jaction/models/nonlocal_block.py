"""Non-local blocks (Wang et al., 2017; arXiv:1711.07971, sec. 3)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.conv import max_pool
from jaction.models.layers import ZERO, BatchNorm, Conv, Draw

MODES = ("gaussian", "embedded_gaussian", "dot_product")


class NonLocal(nn.Module):
  """Every position looks at every other one of the clip.  [B, T, H, W, C] -> the same.

  theta, phi and g have C / 2 channels; phi and g see positions thinned by a 1 x 2 x 2 maximum (sec. 3.3).
  """

  mode: str = "embedded_gaussian"
  scale: bool = False  # theta . phi over the root of their channels, as in self-attention
  pool_first: bool = False  # the maximum before phi and g (PySlowFast) instead of behind them (MMAction2)
  out_bias: bool = False  # of the last convolution (PySlowFast)
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    if self.mode not in MODES:
      raise ValueError(f"a non-local block's mode is one of {', '.join(MODES)}, got {self.mode!r}")
    b, t, h, w, c = x.shape

    def embed(name, y):
      return Conv(c // 2, (1, 1, 1), use_bias=True, draw=Draw(std=0.01), name=name)(y)

    def thin(y):
      return max_pool(y, (1, 2, 2), (1, 2, 2), ((0, 0),) * 3)

    def rows(y):
      return y.reshape(b, -1, y.shape[-1])

    seen = thin(x) if self.pool_first else x
    g = embed("g", seen)
    theta, phi = (x, seen) if self.mode == "gaussian" else (embed("theta", x), embed("phi", seen))
    if not self.pool_first:
      g, phi = thin(g), thin(phi)
    weights = jnp.einsum("bic,bjc->bij", rows(theta), rows(phi), preferred_element_type=jnp.float32)
    if self.mode == "dot_product":
      weights = weights / weights.shape[-1]
    else:
      weights = jax.nn.softmax(weights * (theta.shape[-1] ** -0.5 if self.scale else 1.0), axis=-1)
    y = jnp.einsum("bij,bjc->bic", weights.astype(x.dtype), rows(g)).reshape(b, t, h, w, c // 2)
    y = Conv(c, (1, 1, 1), use_bias=self.out_bias, draw=Draw(std=0.01), name="out")(y)
    return x + self.norm(name="bn", draw=ZERO)(y, train=train)  # begins as the identity (sec. 3.3)
