"""What is done to the frames of a clip, step by step: pure functions of a Clip, a generator and named settings.

`rng=None` is the test form: flips, reversals, colour changes and the like are off, and a step that has to draw refuses
it.  Boxes travel with the frames.  What is drawn holds for all frames of a clip.  Every step works on one thread and
keeps nothing, so that many loader threads can run it.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaction.clips import geometry
from jaction.clips.augment import rand_augment, random_erasing
from jaction.clips.boxes import crop_boxes, flip_boxes, scale_boxes
from jaction.clips.clip import Clip, Rng, crop_frames, flip_frames, resize_and_crop, resize_frames
from jaction.clips.color import color_jitter, pca_noise
from jaction.clips.geometry import Box, Size
from jaction.errors import InputError


def resize(
  clip: Clip, rng: Rng = None, *, size: int | Size, keep_ratio: bool = False, interpolation: str = "bilinear"
) -> Clip:
  """`size` an int: the short side becomes it, the long one follows.  A pair (width, height): exactly that, or with
  keep_ratio as large as fits inside (the longer side under the larger number, the shorter under the smaller)."""
  return _resized(clip, resized_size(clip.size, size=size, keep_ratio=keep_ratio), interpolation)


def random_rescale(clip: Clip, rng: Rng = None, *, scales: tuple[int, int], interpolation: str = "bilinear") -> Clip:
  """The short side becomes a drawn whole number, both ends of `scales` included.  Draws one integer."""
  side = int(_drawing(rng, "random_rescale").integers(min(scales), max(scales) + 1, None))
  return resize(clip, size=side, interpolation=interpolation)


def random_scale(clip: Clip, rng: Rng = None, *, scales: tuple[Size, Size], interpolation: str = "bilinear") -> Clip:
  """As large as fits inside a drawn size: the long bound between those of the two `scales`, then the short bound."""
  rng = _drawing(rng, "random_scale")
  long, short = [max(scale) for scale in scales], [min(scale) for scale in scales]
  bound = int(rng.integers(min(long), max(long) + 1, None)), int(rng.integers(min(short), max(short) + 1, None))
  return resize(clip, size=bound, keep_ratio=True, interpolation=interpolation)


def random_resized_crop(
  clip: Clip,
  rng: Rng = None,
  *,
  size: int | Size | None = None,
  area_range: tuple[float, float] = (0.08, 1.0),
  aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
  attempts: int = 10,
  interpolation: str = "bilinear",
) -> Clip:
  """A crop of drawn area and shape, resized to `size` (None: left as it is); the central square where none fits.

  Draws `attempts` logarithms of the shape, `attempts` areas, then, where one fits, the integers x and y.
  """
  rng = _drawing(rng, "random_resized_crop")
  logs = rng.uniform(math.log(aspect_ratio_range[0]), math.log(aspect_ratio_range[1]), attempts)
  areas = rng.uniform(area_range[0], area_range[1], attempts)
  crop = geometry.random_resized_size(clip.size, logs, areas)
  box = geometry.central_square(clip.size) if crop is None else geometry.placed_box(crop, _offset(clip.size, crop, rng))
  return _then_resized(_cropped(clip, box), size, interpolation)


def multi_scale_crop(
  clip: Clip,
  rng: Rng = None,
  *,
  size: int | Size,
  scales: tuple[float, ...] = (1,),
  max_wh_scale_gap: int = 1,
  num_fixed_crops: int = 5,
  random_crop: bool = False,
  interpolation: str = "bilinear",
) -> Clip:
  """A crop of a size drawn from a few, at a place drawn from 5 or 13 (random_crop: from all), resized to `size`.

  Draws the number of the size, then that of the place (random_crop: x, then y).  Source: arXiv:1507.02159, sec. 3.2.
  """
  rng, wanted = _drawing(rng, "multi_scale_crop"), pair(size)
  sizes = geometry.multi_scale_sizes(clip.size, scales, max_wh_scale_gap)
  width, height = geometry.snapped_size(sizes[int(rng.integers(0, len(sizes), None))], wanted)
  # A snapped side can be up to 2 pixels longer than the image: the reference then reads from a negative offset.
  crop = min(width, clip.size[0]), min(height, clip.size[1])
  if random_crop:
    offset = _offset(clip.size, crop, rng)
  else:
    offset = geometry.fixed_offsets(clip.size, crop, num_fixed_crops)[int(rng.integers(0, num_fixed_crops, None))]
  return _then_resized(_cropped(clip, geometry.placed_box(crop, offset)), wanted, interpolation)


def random_crop(clip: Clip, rng: Rng = None, *, size: int) -> Clip:
  """A square of `size` pixels; draws y, then x, each only where there is room, and never the last place (as the
  reference does)."""
  rng, (width, height) = _drawing(rng, "random_crop"), clip.size
  if size > min(width, height):
    geometry.centre_box(clip.size, (size, size))  # says what is wrong
  y = int(rng.integers(0, height - size, None)) if height > size else 0
  x = int(rng.integers(0, width - size, None)) if width > size else 0
  return _cropped(clip, geometry.placed_box((size, size), (x, y)))


def center_crop(clip: Clip, rng: Rng = None, *, size: int | Size) -> Clip:
  """The middle of the frames; `size` is the side of a square, or (width, height)."""
  return _cropped(clip, geometry.centre_box(clip.size, pair(size)))


def three_crop(clip: Clip, rng: Rng = None, *, size: int | Size) -> Clip:
  """Three crops along the longer side, first, last, middle; the frames of a crop stay together."""
  parts = [_cropped(clip, box) for box in geometry.three_boxes(clip.size, pair(size))]
  return _joined(clip, parts)


def ten_crop(clip: Clip, rng: Rng = None, *, size: int | Size, flow: bool = False) -> Clip:
  """Corners and centre, each followed by its mirror image; the frames of a crop stay together.

  The reference's mirrored flow keeps the sign of x; with `flow` it is inverted, as it should be.
  """
  parts = []
  for box in geometry.five_boxes(clip.size, pair(size)):
    plain = _cropped(clip, box)
    parts += [plain, _flipped(plain, "horizontal", flow)]
  return _joined(clip, parts)


def multi_group_crop(clip: Clip, rng: Rng = None, *, size: int | Size, groups: int) -> Clip:
  """`groups` crops at drawn places, the last place included; the frames of a crop stay together.  Draws x, then y, of
  each."""
  rng, crop = _drawing(rng, "multi_group_crop"), pair(size)
  geometry.centre_box(clip.size, crop)  # says what is wrong where the crop is too large
  boxes = [geometry.placed_box(crop, _offset(clip.size, crop, rng)) for _ in range(groups)]
  return _joined(clip, [_cropped(clip, box) for box in boxes])


def flip(
  clip: Clip,
  rng: Rng = None,
  *,
  ratio: float = 0.5,
  direction: str = "horizontal",
  labels: tuple[int, ...] | None = None,
  flow: bool = False,
) -> Clip:
  """Mirrors the frames in `ratio` of the cases; `labels[label]` is then the new label.  Draws one random()."""
  if rng is None or rng.random() >= ratio:
    return clip
  return dataclasses.replace(_flipped(clip, direction, flow), label=mapped_label(clip.label, labels, "flip"))


def reverse(clip: Clip, rng: Rng = None, *, ratio: float = 0.5, labels: tuple[int, ...] | None = None) -> Clip:
  """Turns time around in `ratio` of the cases; `labels[label]` is then the new label.  Draws one random()."""
  if rng is None or rng.random() >= ratio:
    return clip
  back = lambda x: x.reshape(clip.crops, -1, *x.shape[1:])[:, ::-1].reshape(x.shape)  # noqa: E731
  numbers = None if clip.numbers is None else back(clip.numbers)
  label = mapped_label(clip.label, labels, "reverse")
  return dataclasses.replace(clip, frames=back(clip.frames), label=label, numbers=numbers)


STEPS: Mapping[str, Callable[..., Clip]] = {
  "resize": resize,
  "random_rescale": random_rescale,
  "random_scale": random_scale,
  "random_resized_crop": random_resized_crop,
  "multi_scale_crop": multi_scale_crop,
  "random_crop": random_crop,
  "center_crop": center_crop,
  "three_crop": three_crop,
  "ten_crop": ten_crop,
  "multi_group_crop": multi_group_crop,
  "flip": flip,
  "reverse": reverse,
  "color_jitter": color_jitter,
  "pca_noise": pca_noise,
  "random_erasing": random_erasing,
  "rand_augment": rand_augment,
}


def lead(
  steps: tuple[str, ...], settings: Mapping[str, Mapping[str, Any]], source: Size
) -> tuple[Callable[[np.ndarray, np.ndarray | None], np.ndarray], tuple[str, ...]]:
  """(what a leading "resize", and a "center_crop" behind it, do to one frame [H,W,C] of (width, height) `source`, the
  steps that are left to do).  The pixels are those of the steps one by one; `out` as in `Video.read`."""
  size = resized_size(source, **{k: v for k, v in settings["resize"].items() if k != "interpolation"})
  interpolation = settings["resize"].get("interpolation", "bilinear")
  box, left = (0, 0, *size), steps[1:]
  if left[:1] == ("center_crop",):
    box, left = geometry.centre_box(size, pair(settings["center_crop"]["size"])), left[1:]

  def each(frame: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    made = resize_and_crop(frame, size, box, interpolation)
    if out is None:
      return made
    out[...] = made
    return out

  return each, left


def resized_size(source: Size, *, size: int | Size, keep_ratio: bool = False) -> Size:
  """(width, height) that the step "resize" gives."""
  if isinstance(size, int):
    return geometry.scaled_size(source, (math.inf, size))
  return geometry.scaled_size(source, size, keep_ratio=keep_ratio)


def mapped_label(label: int | None, labels: Sequence[int] | None, step: str) -> int | None:
  """labels[label]; the label itself where either is None.  An InputError where the table is too short for the label."""
  if labels is None or label is None:
    return label
  if not 0 <= label < len(labels):
    raise InputError(f"{step}: the label {label} is not in the table of {len(labels)} labels; wanted one entry a class")
  return int(labels[label])


def pair(size: int | Sequence[int]) -> Size:
  """(width, height) of a crop; an int is a square."""
  return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _drawing(rng: Rng, step: str) -> Any:
  if rng is None:
    raise InputError(
      f"{step} has to draw and got rng=None, the test form; use resize and center_crop there, or pass a rng"
    )
  return rng


def _offset(size: Size, crop: Size, rng: Any) -> tuple[int, int]:
  """(x, y) anywhere inside, the last place included."""
  x = int(rng.integers(0, size[0] - crop[0] + 1, None))
  return x, int(rng.integers(0, size[1] - crop[1] + 1, None))


def _resized(clip: Clip, size: Size, interpolation: str) -> Clip:
  factors = size[0] / clip.size[0], size[1] / clip.size[1]
  boxes = None if clip.boxes is None else scale_boxes(clip.boxes, factors)
  return dataclasses.replace(clip, frames=resize_frames(clip.frames, size, interpolation), boxes=boxes)


def _then_resized(clip: Clip, size: int | Size | None, interpolation: str) -> Clip:
  return clip if size is None else _resized(clip, pair(size), interpolation)


def _cropped(clip: Clip, box: Box) -> Clip:
  return dataclasses.replace(clip, frames=crop_frames(clip.frames, box), boxes=crop_boxes(clip.boxes, box))


def _flipped(clip: Clip, direction: str, flow: bool) -> Clip:
  frames = flip_frames(clip.frames, direction, flow=flow)
  return dataclasses.replace(clip, frames=frames, boxes=flip_boxes(clip.boxes, clip.size, direction))


def _joined(clip: Clip, parts: list[Clip]) -> Clip:
  if clip.crops != 1:
    raise InputError(f"a clip that holds {clip.crops} crops already; wanted one step that makes several crops")
  boxes = None if clip.boxes is None else np.stack([part.boxes for part in parts])
  numbers = None if clip.numbers is None else np.tile(clip.numbers, len(parts))
  frames = np.concatenate([part.frames for part in parts])
  return dataclasses.replace(clip, frames=frames, boxes=boxes, crops=len(parts), numbers=numbers)
