"""Mixup and cutmix: two clips of a batch and their labels become one, on the device, inside the step.

Draws come from a key, or are given; a batch takes one `lam` and, in cutmix, one rectangle, as in MMAction2.  Padded
rows would be mixed into the others: a training batch has none.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaction.errors import InputError


def mixup(
  clips: Array,
  labels: Array,
  key: Array | None = None,
  *,
  alpha: float = 0.2,
  lam: float | Array | None = None,
  permutation: Array | None = None,
) -> tuple[Array, Array]:
  """lam * row + (1 - lam) * the row that the permutation puts beside it, of clips and of labels alike.

  Args:
    clips: [B,...], uint8 or float.  As normalisation is affine, it may come before or after.
    labels: [B,K], one-hot or soft.
    key: of jax.random; may be None where lam and permutation are given.
    alpha: lam is drawn from Beta(alpha, alpha).
    lam, permutation: the share of the row itself, int [B]; what is None is drawn.

  Returns: clips (float32 for uint8, else in their own type) and labels float32 [B,K].  Source: arXiv:1710.09412.
  """
  lam, permutation, _ = _drawn("mixup", clips, labels, key, alpha, lam, permutation)
  clips = clips if jnp.issubdtype(clips.dtype, jnp.floating) else clips.astype(jnp.float32)
  mixed = _between(clips.astype(jnp.float32), permutation, lam).astype(clips.dtype)
  return mixed, _between(labels.astype(jnp.float32), permutation, lam)


def cutmix(
  clips: Array,
  labels: Array,
  key: Array | None = None,
  *,
  alpha: float = 0.2,
  lam: float | Array | None = None,
  permutation: Array | None = None,
  centre: tuple[int, int] | Array | None = None,
) -> tuple[Array, Array]:
  """A rectangle, the same in all frames and rows, shows the row that the permutation puts beside it.

  Its sides are int(side * sqrt(1 - lam)) of the frame's, halved (//2) to either side of the centre and cut off at the
  edges; the labels are mixed by the share of the area that is left.

  Args:
    clips: [B,...,H,W,C], uint8 or float; given back in their own type.
    labels, key, alpha, lam, permutation: as in `mixup`.
    centre: (x, y) in pixels; None: drawn, each place of the frame as likely.

  Returns: clips and labels float32 [B,K].  Source: arXiv:1905.04899.
  """
  lam, permutation, key = _drawn("cutmix", clips, labels, key, alpha, lam, permutation)
  if clips.ndim < 4:
    raise InputError(f"cutmix of clips of shape {list(clips.shape)}; wanted [B,...,H,W,C]")
  height, width = clips.shape[-3], clips.shape[-2]
  if centre is None:
    if key is None:
      raise InputError("cutmix has neither a key nor a centre; wanted one of them")
    centre = jax.random.randint(key, (2,), 0, jnp.array([width, height]))
  # A number that is known is reckoned with in float64: float32 could fall short of a whole side by a rounding.
  root = jnp.sqrt(1 - lam) if isinstance(lam, jax.Array) else np.sqrt(1 - np.float64(lam))
  (x1, x2), (y1, y2) = (
    (jnp.clip(place - half, 0, side), jnp.clip(place + half, 0, side))
    for place, side in ((centre[0], width), (centre[1], height))
    for half in [(side * root).astype(np.int32) // 2]
  )
  x, y = jnp.arange(width), jnp.arange(height)
  inside = ((y >= y1) & (y < y2))[:, None] & ((x >= x1) & (x < x2))[None, :]
  inside = inside.reshape(*[1] * (clips.ndim - 3), height, width, 1)
  share = 1 - ((x2 - x1) * (y2 - y1)).astype(jnp.float32) / (width * height)
  mixed = jnp.where(inside, clips[permutation], clips)
  return mixed, _between(labels.astype(jnp.float32), permutation, share)


BLENDINGS: Mapping[str, Callable[..., tuple[Array, Array]]] = {"mixup": mixup, "cutmix": cutmix}


def _drawn(name, clips, labels, key, alpha, lam, permutation):
  """lam and permutation, given or drawn, and a key for more."""
  if labels.ndim != 2 or labels.shape[:1] != clips.shape[:1]:
    raise InputError(
      f"{name} of clips {list(clips.shape)} with labels {list(labels.shape)}; wanted one-hot or soft labels [B,K], "
      "a row for each clip"
    )
  if key is None and (lam is None or permutation is None):
    raise InputError(f"{name} has neither a key nor both lam and permutation; wanted one or the other")
  first, second, rest = (None, None, None) if key is None else jax.random.split(key, 3)
  if lam is None:
    if not alpha > 0:
      raise InputError(f"{name}: alpha is {alpha!r}; wanted a number above 0")
    lam = jax.random.beta(first, alpha, alpha, dtype=jnp.float32)
  if permutation is None:
    permutation = jax.random.permutation(second, clips.shape[0])
  return lam, jnp.asarray(permutation), rest


def _between(rows: Array, permutation: Array, share: float | Array) -> Array:
  return share * rows + (1 - share) * rows[permutation]
