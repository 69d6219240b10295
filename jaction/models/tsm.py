"""Temporal Shift Module (Lin et al., 2018; arXiv:1811.08383): a 2-D network some of whose channels move in time."""

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaction.models.resnet import ResNet, Stem


def temporal_shift(x: Array, *, div: int = 8) -> Array:
  """[B, T, H, W, C] with C // div channels taken from frame t + 1, as many from t - 1 (sec. 3), zeros at the ends."""
  fold = x.shape[-1] // div
  zeros = jnp.zeros_like(x[:, :1, ..., :fold])
  from_next = jnp.concatenate([x[:, 1:, ..., :fold], zeros], axis=1)
  from_last = jnp.concatenate([zeros, x[:, :-1, ..., fold : 2 * fold]], axis=1)
  return jnp.concatenate([from_next, from_last, x[..., 2 * fold :]], axis=-1)


def tsm_resnet(
  depth: int = 50,
  *,
  width: int = 64,
  shift_div: int = 8,
  stem: Any = Stem,
  temporal_pool: bool = False,
  after: Any = None,
  after_blocks: Sequence[tuple[int, ...]] = ((), (), (), ()),
) -> nn.Module:
  """A ResNet with a shift inside each residual branch (sec. 3.2, "residual shift"), every second one from depth 101 on.

  temporal_pool: a maximum over three frames with stride 2 between res2 and res3.
  """
  return ResNet(
    depth,
    width,
    stem,
    pool2=(3, 2, 1) if temporal_pool else None,
    before=functools.partial(temporal_shift, div=shift_div),
    every=2 if depth >= 101 else 1,
    after=after,
    after_blocks=after_blocks,
  )
