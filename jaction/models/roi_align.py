"""RoIAlign (He et al., 2017; arXiv:1703.06870, sec. 3) as two small matrix products for each box.

Bilinear interpolation is separable, and so is the mean over a bin's grid of samples: a bin's value is
rows[i] @ map @ columns[j], where rows holds how much each row of the map counts for each bin.  These weights are made
for all boxes at once, so that there is no loop over boxes, every gradient is that of a matrix product, and time and
memory grow in proportion to the boxes.
"""

import jax.numpy as jnp
from jax import Array, lax

from jaction.errors import InputError

SLACK = 1e-5  # cells: a box of whole pixels that went through [0, 1] and back must not gain a sample by rounding


def roi_align(
  features: Array,
  boxes: Array,
  mask: Array | None = None,
  *,
  output_size: int | tuple[int, int] = 7,
  scale: float = 1.0,
  sampling_ratio: int = 0,
  aligned: bool = True,
) -> Array:
  """The features in each box: [B,H,W,C] or [B,T,H,W,C] -> [B,R,h,w,C] or [B,R,T,h,w,C], zeros where mask is False.

  Args:
    boxes: [B,R,4], x1, y1, x2, y2; times `scale` they are in cells of the map. They may reach outside of it.
    mask: bool [B,R], False for padding; None: all are boxes.
    output_size: (h, w), or one number for both.
    sampling_ratio: samples of a bin along each axis; 0: as many as the bin has cells, rounded up.
    aligned: the middle of the first cell is at 0.5; False is the legacy form: it is at 0, and no box is smaller than a
      cell.

  Exact for boxes of any size; empty and reversed ones give zeros (aligned) or those of one cell (legacy).  A sample
  more than a cell outside of the map counts as zero, one nearer takes the value at the edge.  The gradient reaches
  features and boxes.  Source: RoIAlign of mmcv 1.7 and torchvision, average pooling.
  """
  if features.ndim not in (4, 5) or boxes.ndim != 3 or boxes.shape[-1] != 4 or boxes.shape[0] != features.shape[0]:
    raise InputError(
      f"roi_align: features {tuple(features.shape)} and boxes {tuple(boxes.shape)}; wanted [B,H,W,C] or [B,T,H,W,C], "
      "and [B,R,4] of the same B"
    )
  if sampling_ratio < 0 or scale <= 0:
    raise InputError(f"roi_align: sampling_ratio {sampling_ratio}, scale {scale}; wanted 0 or more, and above 0")
  h, w = (output_size, output_size) if isinstance(output_size, int) else output_size
  height, width = features.shape[-3:-1]
  x1, y1, x2, y2 = jnp.moveaxis(boxes.astype(jnp.float32) * scale, -1, 0)
  if mask is not None:  # whatever padding holds, a nan too, stays out of the products
    x1, y1, x2, y2 = (jnp.where(mask, side, 0.0) for side in (x1, y1, x2, y2))
  rows = _bin_weights(y1, y2, h, height, sampling_ratio, aligned)  # [B,R,h,H]
  columns = _bin_weights(x1, x2, w, width, sampling_ratio, aligned)
  if mask is not None:
    rows = jnp.where(mask[..., None, None], rows, 0.0)
  narrow = features.dtype

  def product(indices, weights, x):
    return jnp.einsum(indices, weights, x, precision=lax.Precision.HIGHEST, preferred_element_type=jnp.float32)

  if features.ndim == 4:
    part = product("brih,bhwc->briwc", rows.astype(narrow), features)
    return product("brjw,briwc->brijc", columns, part).astype(narrow)
  part = product("brih,bthwc->brtiwc", rows.astype(narrow), features)
  return product("brjw,brtiwc->brtijc", columns, part).astype(narrow)


def _bin_weights(low: Array, high: Array, bins: int, size: int, ratio: int, aligned: bool) -> Array:
  """[B,R] ends of the boxes along one axis of `size` cells -> [B,R,bins,size], what each cell counts for each bin.

  An adaptive grid has any number of samples, and a program a fixed one.  But a bin of more than `size` samples has them
  hardly less than a cell apart, so that no more than size + 2 of them lie where they count: those are taken.
  """
  if aligned:
    low, high = low - 0.5, high - 0.5
  length = high - low if aligned else jnp.maximum(high - low, 1.0)
  step = length / bins  # of a bin
  if ratio:
    grid, count = jnp.full_like(step, ratio), ratio
  else:
    grid, count = lax.stop_gradient(jnp.maximum(jnp.ceil(step - SLACK), 0.0)), size + 3
  gap = step / jnp.maximum(grid, 1.0)  # between samples
  start = low[..., None] + step[..., None] * _numbers(bins, 3)  # [B,R,bins]
  gap, grid = gap[..., None], grid[..., None]
  first = jnp.zeros_like(start)
  if not ratio:  # the first sample that is not too far before the map
    far = jnp.ceil((-1.0 - start) / jnp.where(gap > 0, gap, 1.0) - 0.5)
    first = lax.stop_gradient(jnp.maximum(jnp.where(grid > count, far, 0.0), 0.0))
  number = first[..., None] + _numbers(count, 4)  # [B,R,bins,samples]
  place = start[..., None] + (number + 0.5) * gap[..., None]
  counts = (number < grid[..., None]) & (place >= -1.0) & (place <= size)
  place = jnp.clip(place, 0.0, size - 1.0)
  tent = jnp.maximum(1.0 - jnp.abs(place[..., None] - _numbers(size, 5)), 0.0)
  total = jnp.sum(jnp.where(counts[..., None], tent, 0.0), axis=-2)
  return total / jnp.maximum(grid, 1.0)[..., None]


def _numbers(count: int, rank: int) -> Array:
  """0, 1, ... along the last of so many axes."""
  return jnp.arange(count, dtype=jnp.float32).reshape((1,) * (rank - 1) + (count,))
