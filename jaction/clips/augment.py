"""RandAugment and random erasing of whole clips: what is drawn holds for all frames."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from jaction.clips import color, geometry
from jaction.clips.boxes import warp_boxes
from jaction.clips.clip import INTERPOLATIONS, Clip, Rng
from jaction.errors import InputError

MAGNITUDES = 30  # the magnitude at which an operation is at its strongest
Fill = int | tuple[int, ...]


def rand_augment(
  clip: Clip,
  rng: Rng = None,
  *,
  num_ops: int = 2,
  magnitude: int = 9,
  fill: Fill = 128,
  interpolation: str = "bilinear",
) -> Clip:
  """`num_ops` operations out of OPERATIONS, one after the other, the same for all frames; off in the test form.

  Wants uint8 RGB.  `fill` is what a shifted, sheared or turned frame shows outside of itself.  Boxes move along.
  Draws integers(14), random() (the sign: negative below 0.5) for each operation.

  Source: arXiv:1909.13719 (its 14 operations, alg. 1).  Strengths at magnitude 30: shear 0.3, translate 150/331 of the
  side, rotate 30 degrees, colours 1 +- 0.9, posterize to 4 bits, solarize from 0 on: those of torchvision's 31 bins.
  """
  if rng is None:
    return clip
  if clip.frames.shape[-1] != 3 or clip.frames.dtype != np.uint8:
    raise InputError(
      f"rand_augment of {clip.frames.dtype} frames with {clip.frames.shape[-1]} channels; wanted uint8 RGB"
    )
  names = tuple(OPERATIONS)
  for _ in range(num_ops):
    name = names[int(rng.integers(len(names)))]
    sign = -1 if rng.random() < 0.5 else 1
    clip = augmented(clip, name, sign * magnitude / MAGNITUDES, fill=fill, interpolation=interpolation)
  return clip


def augmented(clip: Clip, name: str, level: float, *, fill: Fill = 128, interpolation: str = "bilinear") -> Clip:
  """The clip under one of OPERATIONS at a level from -1 to 1; those without a direction take its size."""
  operation = OPERATIONS[name]
  if isinstance(operation, Warp):
    return _warped(clip, operation.matrix(level, clip.size), fill, interpolation)
  frames = np.empty(clip.frames.shape, np.uint8)
  for frame, place in zip(clip.frames, frames, strict=True):
    place[...] = operation(np.ascontiguousarray(frame), level)
  return dataclasses.replace(clip, frames=frames)


def random_erasing(
  clip: Clip,
  rng: Rng = None,
  *,
  ratio: float = 0.5,
  area_range: tuple[float, float] = (0.02, 1 / 3),
  aspect_ratio_range: tuple[float, float] = (0.3, 10 / 3),
  attempts: int = 10,
  fill: Fill | None = None,
) -> Clip:
  """Paints over one rectangle, the same in all frames, in `ratio` of the cases; off in the test form.

  `fill` None: noise, uniform in 0..255 and the same in all frames; otherwise a value, or one for each channel.  Where
  no drawn size fits the frame, nothing is painted.  Draws random(), then `attempts` logarithms of width / height,
  `attempts` areas, the integers x and y, and the noise.  Source: arXiv:1708.04896, alg. 1.
  """
  if rng is None or rng.random() >= ratio:
    return clip
  logs = rng.uniform(math.log(aspect_ratio_range[0]), math.log(aspect_ratio_range[1]), attempts)
  areas = rng.uniform(area_range[0], area_range[1], attempts)
  size = geometry.random_resized_size(clip.size, logs, areas)
  if size is None:
    return clip
  x, y = (int(rng.integers(0, room - side + 1)) for room, side in zip(clip.size, size, strict=True))
  left, top, right, bottom = geometry.placed_box(size, (x, y))
  channels = clip.frames.shape[-1]
  paint = rng.integers(0, 256, (size[1], size[0], channels)) if fill is None else _fill(fill, channels)
  frames = clip.frames.copy()
  frames[:, top:bottom, left:right] = paint
  return dataclasses.replace(clip, frames=frames)


class Warp(NamedTuple):
  """An operation that moves pixels."""

  matrix: Callable[[float, geometry.Size], np.ndarray]  # (level, (width, height)) -> [2,3], from old to new places


def _shear(x: float, y: float, size: geometry.Size) -> np.ndarray:
  return _about_centre(np.array([[1, x], [y, 1]]), size)


def _rotate(degrees: float, size: geometry.Size) -> np.ndarray:
  u, w = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
  return _about_centre(np.array([[u, -w], [w, u]]), size)


def _about_centre(linear: np.ndarray, size: geometry.Size) -> np.ndarray:
  centre = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
  return np.column_stack([linear, centre - linear @ centre])


def _warped(clip: Clip, matrix: np.ndarray, fill: Fill, interpolation: str) -> Clip:
  frames = np.empty(clip.frames.shape, np.uint8)
  border = _fill(fill, clip.frames.shape[-1]).tolist()
  for frame, place in zip(clip.frames, frames, strict=True):
    place[...] = cv2.warpAffine(
      np.ascontiguousarray(frame), matrix, clip.size, flags=INTERPOLATIONS[interpolation], borderValue=border
    )
  return dataclasses.replace(clip, frames=frames, boxes=warp_boxes(clip.boxes, matrix, clip.size))


def _fill(fill: Fill, channels: int) -> np.ndarray:
  row = np.atleast_1d(np.array(fill))
  if len(row) not in (1, channels):
    raise InputError(f"fill is {fill!r} for {channels} channels; wanted one value, or one for each channel")
  return np.broadcast_to(row, channels)


def _auto_contrast(frame: np.ndarray, level: float) -> np.ndarray:
  tables, values = [], np.arange(256)
  for channel in np.moveaxis(frame, -1, 0):
    low, high = int(channel.min()), int(channel.max())
    tables.append((values - low) * 255 // (high - low) if high > low else values)
  return _looked_up(frame, tables)


def _equalize(frame: np.ndarray, level: float) -> np.ndarray:
  tables = []
  for channel in np.moveaxis(frame, -1, 0):
    counts = np.bincount(channel.ravel(), minlength=256)
    # As Pillow has it: the brightest level that occurs takes no part in the width of a step.
    step = (counts.sum() - counts[counts > 0][-1]) // 255
    before = np.cumsum(counts) - counts
    tables.append((step // 2 + before) // step if step else np.arange(256))
  return _looked_up(frame, tables)


def _posterize(frame: np.ndarray, level: float) -> np.ndarray:
  return frame & (256 - 2 ** round(4 * abs(level)))


def _solarize(frame: np.ndarray, level: float) -> np.ndarray:
  return np.where(frame >= 255 * (1 - abs(level)), 255 - frame, frame)


def _brightness(frame: np.ndarray, level: float) -> np.ndarray:
  return _coloured(frame, color.scale(1 + 0.9 * level))


def _color(frame: np.ndarray, level: float) -> np.ndarray:
  return _coloured(frame, color.saturate(1 + 0.9 * level))


def _contrast(frame: np.ndarray, level: float) -> np.ndarray:
  return _coloured(frame, color.scale(1 + 0.9 * level, np.dot(color.GRAY, cv2.mean(frame)[:3])))


def _sharpness(frame: np.ndarray, level: float) -> np.ndarray:
  kernel = np.ones((3, 3))
  kernel[1, 1] = 5
  out = frame.astype(np.float32)
  smooth = cv2.filter2D(out, -1, kernel / 13)
  inner = (slice(1, -1), slice(1, -1))  # the outermost pixels have no neighbours on all sides and stay
  out[inner] += 0.9 * level * (out - smooth)[inner]
  return color.rounded(out)


def _coloured(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  return color.apply(frame[None], matrix[None], np.uint8)[0]


def _looked_up(frame: np.ndarray, tables: list[np.ndarray]) -> np.ndarray:
  return cv2.LUT(frame, np.clip(np.stack(tables, -1), 0, 255).astype(np.uint8)[None])


OPERATIONS: Mapping[str, Warp | Callable[[np.ndarray, float], np.ndarray]] = {
  "identity": lambda frame, level: frame,
  "auto_contrast": _auto_contrast,
  "equalize": _equalize,
  "rotate": Warp(lambda level, size: _rotate(30 * level, size)),
  "solarize": _solarize,
  "color": _color,
  "posterize": _posterize,
  "contrast": _contrast,
  "brightness": _brightness,
  "sharpness": _sharpness,
  "shear_x": Warp(lambda level, size: _shear(0.3 * level, 0, size)),
  "shear_y": Warp(lambda level, size: _shear(0, 0.3 * level, size)),
  "translate_x": Warp(lambda level, size: np.array([[1, 0, 150 / 331 * level * size[0]], [0, 1, 0]])),
  "translate_y": Warp(lambda level, size: np.array([[1, 0, 0], [0, 1, 150 / 331 * level * size[1]]])),
}
