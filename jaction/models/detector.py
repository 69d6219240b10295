"""Actions of given people: a video backbone, features in their boxes, and a head (Fast R-CNN, arXiv:1504.08083).

As SlowFast has it for AVA (arXiv:1812.03982, sec. 5): boxes come from elsewhere, and lie on the key frame in the middle
of the clip; the map is pooled over time, and each box becomes a column through all frames.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from jaction.errors import InputError, nearest
from jaction.models.freeze import freezing
from jaction.models.layers import Dense, Draw
from jaction.models.recognizer import _remat
from jaction.models.roi_align import roi_align

POOLS = {"avg": jnp.mean, "max": jnp.max}


class BoxFeatures(nn.Module):
  """Maps of each pathway and boxes -> ([B,R,T',h,w,C], [B,T',H,W,C]): the features in each box, and the map itself.

  Pathways join slow first, each pooled over time (T' = 1), or with `temporal_pool` "none" repeated to the longer one's
  frames.  `with_global` appends the mean over the whole frame, in as many bins, to each box.
  """

  output_size: int = 8
  sampling_ratio: int = 0
  aligned: bool = True
  temporal_pool: str = "avg"  # "avg", "max", "none"
  with_global: bool = False
  stride: int = 16  # pixels of the clip for a cell of the map

  @nn.compact
  def __call__(
    self, features: Array | Sequence[Array], boxes: Array, mask: Array | None, size: tuple[int, int]
  ) -> tuple[Array, Array]:
    """boxes: [B,R,4] in [0, 1]; size: (height, width) of the clip in pixels."""
    maps: list[Any] = list(features) if isinstance(features, tuple | list) else [features]
    _known("temporal_pool", self.temporal_pool, (*POOLS, "none"))
    if self.temporal_pool == "none":
      frames = max(m.shape[1] for m in maps)
      maps = [m[:, np.arange(frames) * m.shape[1] // frames] for m in maps]
    else:
      maps = [_over_time(m, self.temporal_pool) for m in maps]
    joined = jnp.concatenate(maps, axis=-1)
    # The reference multiplies pixels by 1/16, whatever size the map rounded to.
    pixels = boxes * jnp.array([size[1], size[0]] * 2, jnp.float32)[None, None]
    rois = roi_align(
      joined,
      pixels,
      mask,
      output_size=self.output_size,
      scale=1 / self.stride,
      sampling_ratio=self.sampling_ratio,
      aligned=self.aligned,
    )
    if self.with_global:
      whole = adaptive_mean(joined, self.output_size)[:, None]
      rois = jnp.concatenate([rois, jnp.broadcast_to(whole, rois.shape)], axis=-1)
    return rois, joined


class BoxHead(nn.Module):
  """Drop, pool over time, then over space, classify: AVA's head.  [B,R,T,h,w,C] -> [B,R,num_classes] float32.

  MMAction2's heads have 81 classes, of which column 0 is nobody's; Facebook's have AVA's 80.
  """

  num_classes: int
  dropout: float = 0.5
  pool_time: str = "avg"
  pool_space: str = "max"
  drop_first: bool = True  # elements of the box's map (MMAction2), else of what is pooled (Facebook)
  std: float = 0.01  # of the classifier's first weights
  background: bool = True  # column 0 is nobody's action, which no loss and no result looks at

  @nn.compact
  def __call__(self, x: Array, *, train: bool, return_features: bool = False) -> Array:
    drop = nn.Dropout(self.dropout, deterministic=not train)
    x = x.astype(jnp.float32)
    x = drop(x) if self.drop_first else x
    x = POOLS[_known("pool_time", self.pool_time, POOLS)](x, axis=2)
    x = POOLS[_known("pool_space", self.pool_space, POOLS)](x, axis=(2, 3))
    if return_features:
      return x
    x = x if self.drop_first else drop(x)
    return Dense(self.num_classes, Draw(std=self.std), name="fc")(x)


class Detector(nn.Module):
  """Normalised clips [B,T,H,W,C] and boxes [B,R,4] (x1, y1, x2, y2 in [0, 1]) -> scores [B,R,K] before the sigmoid.

  Rows of `mask` [B,R] that are False are padding: they change nothing, and their scores mean nothing.  Two pathways may
  be given already sampled, as a pair (slow, fast).  A network with a feature bank (`neck`) also wants `bank` [B,N,C]
  and `bank_mask` [B,N], the features of people seconds around the clip (see feature_bank.py).  With `return_features`
  the result is [B,R,F], what the last layer would see.  `frozen_stages`, `frozen_norms`, `remat` and `dtype` are those
  of `Recognizer`.
  """

  backbone: nn.Module
  rois: nn.Module
  head: nn.Module
  neck: nn.Module | None = None  # what is done to the boxes' features in between
  clip: tuple[int, int, int] = (4, 256, 256)  # T, H, W that a clip is meant to have
  dtype: Any = jnp.float32
  frozen_stages: int = -1
  frozen_norms: str = "none"
  remat: bool = False

  @nn.nowrap
  def inputs(self, channels: int = 3) -> tuple[jax.ShapeDtypeStruct, ...]:
    """The positional inputs of one row and one box: clips, boxes, mask, and where there is a bank it and its mask."""
    shapes = [((1, *self.clip, channels), jnp.float32), ((1, 1, 4), jnp.float32), ((1, 1), jnp.bool_)]
    if bank := getattr(self.neck, "bank_shape", None):
      shapes += [((1, *bank), jnp.float32), ((1, bank[0]), jnp.bool_)]
    return tuple(jax.ShapeDtypeStruct(*one) for one in shapes)

  def box_features(self, clips: Array | Sequence[Array], boxes: Array, mask: Array | None = None) -> Array:
    """[B,R,T',h,w,C]: what RoIAlign gives the head (and the neck), in the test form."""
    return self._boxed(clips, boxes, mask, train=False)[0]

  def __call__(
    self,
    clips: Array | Sequence[Array],
    boxes: Array,
    mask: Array | None = None,
    bank: Array | None = None,
    bank_mask: Array | None = None,
    *,
    train: bool = False,
    return_features: bool = False,
  ) -> Array:
    x, joined = self._boxed(clips, boxes, mask, train=train)
    if bank is not None and not hasattr(self.neck, "bank_shape"):
      raise InputError("a feature bank was given to a network without one: see the lfb_ names")
    if self.neck is not None:
      x = self.neck(x, joined, mask, bank, bank_mask, train=train)
    return self.head(x, train=train, return_features=return_features).astype(jnp.float32)

  def _boxed(self, clips, boxes, mask, *, train):
    pair = isinstance(clips, tuple | list)
    for array in clips if pair else [clips]:
      if array.ndim != 5 or not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"clips of {array.dtype} {tuple(array.shape)}; wanted normalised floats [B,T,H,W,C]")
    first = clips[0] if pair else clips
    if boxes.ndim != 3 or boxes.shape[-1] != 4 or boxes.shape[0] != first.shape[0]:
      raise InputError(f"boxes of shape {tuple(boxes.shape)}; wanted [B,R,4] with B = {first.shape[0]}")
    if mask is not None and mask.shape != boxes.shape[:2]:
      raise InputError(f"a mask of shape {tuple(mask.shape)}; wanted [B,R] = {list(boxes.shape[:2])}")
    clips = jax.tree.map(lambda x: jnp.asarray(x, self.dtype), clips)
    with freezing((*self.path, "backbone"), self.frozen_stages, self.frozen_norms), _remat(self.remat and train):
      features = self.backbone(clips, train=train)
    return self.rois(features, boxes, mask, first.shape[2:4])


def adaptive_mean(x: Array, bins: int) -> Array:
  """[B,T,H,W,C] -> [B,T,bins,bins,C]: the mean over bins that begin at floor(i * H / bins) and end at
  ceil((i + 1) * H / bins), PyTorch's adaptive pooling."""

  def weights(size):
    out = np.zeros((bins, size), np.float32)
    for i in range(bins):
      first, last = i * size // bins, math.ceil((i + 1) * size / bins)
      out[i, first:last] = 1 / (last - first)
    return jnp.asarray(out)

  rows, columns = weights(x.shape[2]), weights(x.shape[3])
  precise = jax.lax.Precision.HIGHEST
  part = jnp.einsum("ih,bthwc->btiwc", rows, x.astype(jnp.float32), precision=precise)
  return jnp.einsum("jw,btiwc->btijc", columns, part, precision=precise).astype(x.dtype)


def _over_time(x: Array, how: str) -> Array:
  return POOLS[how](x.astype(jnp.float32), axis=1, keepdims=True).astype(x.dtype)


def _known(field: str, value: str, known: Any) -> str:
  if value not in known:
    raise InputError(f"{field}={value!r} is not known; wanted one of {', '.join(known)}.{nearest(str(value), known)}")
  return value
