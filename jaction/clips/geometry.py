"""Sizes and boxes of resizes and crops: plain arithmetic on widths and heights, and on draws that someone else made.

Sizes are (width, height) and boxes (left, top, right, bottom) in pixels, right and bottom exclusive.
"""

import math
from collections.abc import Sequence

import numpy as np

from jaction.errors import InputError

Size = tuple[int, int]
Box = tuple[int, int, int, int]


def scaled_size(size: Size, scale: float | tuple[float, float], *, keep_ratio: bool = True) -> Size:
  """The size an image is resized to.

  A float multiplies both sides.  A pair with keep_ratio bounds the longer side by its larger and the shorter by its
  smaller number, in whichever order they come; an infinite or -1 one bounds nothing.  Without keep_ratio the pair is
  the new size.  Sides become int(side * factor + 0.5).  Source: MMAction2 0.9, Resize.
  """
  width, height = size
  if isinstance(scale, tuple | list):
    if not keep_ratio:
      return _size((int(scale[0]), int(scale[1])))
    bounds = [math.inf if bound == -1 else bound for bound in scale]
    factor = min(max(bounds) / max(width, height), min(bounds) / min(width, height))
  else:
    factor = scale
  if not 0 < factor < math.inf:
    raise InputError(f"scale {scale!r} of an image {width}x{height}; wanted a factor or a finite bound above 0")
  return _size((int(width * float(factor) + 0.5), int(height * float(factor) + 0.5)))


def centre_box(size: Size, crop: Size) -> Box:
  """The middle `crop` of an image; of an odd remainder the smaller half lies left and above."""
  _holds(size, crop)
  return _box(((size[0] - crop[0]) // 2, (size[1] - crop[1]) // 2), crop)


def three_boxes(size: Size, crop: Size) -> list[Box]:
  """First, last, middle along the side that `crop` does not fill.  The last one begins at twice the middle one's start,
  so of an odd remainder it leaves a pixel.  An InputError where the crop fills neither side."""
  _holds(size, crop)
  if crop[1] == size[1]:
    step = (size[0] - crop[0]) // 2
    return [_box((x, 0), crop) for x in (0, 2 * step, step)]
  if crop[0] == size[0]:
    step = (size[1] - crop[1]) // 2
    return [_box((0, y), crop) for y in (0, 2 * step, step)]
  raise InputError(
    f"three crops of {crop[0]}x{crop[1]} from {size[0]}x{size[1]}; wanted a crop as wide or as high as the image: "
    "resize the short side to the crop's first"
  )


def five_boxes(size: Size, crop: Size) -> list[Box]:
  """The corners (upper left, upper right, lower left, lower right) and the centre, on a grid of quarter steps."""
  _holds(size, crop)
  return [_box(offset, crop) for offset in fixed_offsets(size, crop, 5)]


def fixed_offsets(size: Size, crop: Size, count: int) -> list[tuple[int, int]]:
  """The 5 or 13 offsets (x, y) of multi-scale crops (arXiv:1507.02159, sec. 3.2), in steps of a quarter of the room."""
  if count not in (5, 13):
    raise InputError(f"num_fixed_crops is {count}; wanted 5 or 13")
  x, y = (size[0] - crop[0]) // 4, (size[1] - crop[1]) // 4
  steps = [(0, 0), (4, 0), (0, 4), (4, 4), (2, 2)]
  if count == 13:
    steps += [(0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3)]
  return [(i * x, j * y) for i, j in steps]


def multi_scale_sizes(size: Size, scales: Sequence[float], max_wh_scale_gap: int = 1) -> list[Size]:
  """The sizes a multi-scale crop is drawn from: the short side times each scale, for width and height whose scales
  stand at most `max_wh_scale_gap` apart in the list; heights outside, widths inside."""
  sides = [int(min(size) * scale) for scale in scales]
  pairs = ((i, j) for i in range(len(sides)) for j in range(len(sides)))
  return [(sides[j], sides[i]) for i, j in pairs if abs(i - j) <= max_wh_scale_gap]


def snapped_size(crop: Size, wanted: Size) -> Size:
  """A crop less than 3 pixels from the size it will be resized to takes that size, side by side."""
  width, height = (want if abs(side - want) < 3 else side for side, want in zip(crop, wanted, strict=True))
  return width, height


def random_resized_size(size: Size, log_ratios: Sequence[float], areas: Sequence[float]) -> Size | None:
  """The first drawn size that fits the image, None where none does.

  `log_ratios` are natural logarithms of width / height, `areas` fractions of the image's area, as many as tries.
  Sides are rounded half to even.  Source: MMAction2 0.9, RandomResizedCrop; arXiv:1409.4842, sec. 6.
  """
  area = np.asarray(areas, np.float64) * (size[0] * size[1])
  ratio = np.exp(np.asarray(log_ratios, np.float64))
  widths, heights = np.round(np.sqrt(area * ratio)), np.round(np.sqrt(area / ratio))
  for width, height in zip(widths, heights, strict=True):
    if 0 < width <= size[0] and 0 < height <= size[1]:
      return int(width), int(height)
  return None


def central_square(size: Size) -> Box:
  """The largest square in the middle of an image, which random_resized_crop falls back to."""
  return centre_box(size, (min(size), min(size)))


def placed_box(crop: Size, offset: tuple[int, int]) -> Box:
  """The box of size `crop` whose upper left corner is `offset`."""
  return _box(offset, crop)


def source_box(box: Box, size: Size, within: Sequence[float]) -> tuple[float, float, float, float]:
  """Where `box` of an image of `size` lies in the source pixels that were resized to it: float32, not yet rounded.

  `within` is the part of the source that the image shows.  A chain of resizes and crops so becomes one crop (of the
  rounded box) and one resize, whose pixels differ a little from step-by-step ones.  Source: MMAction2 0.9, Fuse.
  """
  left, top, right, bottom = within
  x, y = (right - left) / size[0], (bottom - top) / size[1]
  moved = np.array([left + box[0] * x, top + box[1] * y, left + box[2] * x, top + box[3] * y], np.float32)
  return tuple(moved.tolist())


def _box(offset: tuple[int, int], crop: Size) -> Box:
  return offset[0], offset[1], offset[0] + crop[0], offset[1] + crop[1]


def _size(size: Size) -> Size:
  if min(size) < 1:
    raise InputError(f"an image resized to {size[0]}x{size[1]}; wanted at least one pixel each way")
  return size


def _holds(size: Size, crop: Size) -> None:
  if min(crop) < 1 or crop[0] > size[0] or crop[1] > size[1]:
    raise InputError(
      f"a crop of {crop[0]}x{crop[1]} from an image of {size[0]}x{size[1]} (width x height); "
      "wanted a crop inside it: resize to a larger short side, or crop less"
    )
