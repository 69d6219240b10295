"""What resizes, crops and mirrors do to boxes: float32 [...,4], x1, y1, x2, y2 in pixels of the frames.

A clip's boxes take these on the way through every step.  Where the reference's first form differs it is an argument.
"""

import numpy as np

from jaction.clips.geometry import Box, Size
from jaction.errors import InputError


def scale_boxes(boxes: np.ndarray, factors: tuple[float, float]) -> np.ndarray:
  """Boxes times the (x, y) factors of a resize; with factors = (width, height), unit boxes become pixels.

  MMAction2 0.9's EntityBoxRescale does both at once: factors = (width * x, height * y).
  """
  return (boxes * np.array([*factors, *factors], np.float32)).astype(np.float32)


def move_boxes(boxes: np.ndarray, offset: tuple[float, float]) -> np.ndarray:
  """Boxes as seen from the point (x, y), which becomes (0, 0); they may reach outside of the image afterwards."""
  return (boxes - np.array([*offset, *offset], np.float32)).astype(np.float32)


def hold_boxes(boxes: np.ndarray, size: Size) -> np.ndarray:
  """Boxes held inside an image of (width, height): [0, width - 1] and [0, height - 1], as in the reference."""
  return np.clip(boxes, 0, np.array([size[0] - 1, size[1] - 1] * 2, np.float32)).astype(np.float32)


def crop_boxes(boxes: np.ndarray | None, box: Box) -> np.ndarray | None:
  """Boxes in the pixels of a crop (left, top, right, bottom), held inside it; None stays None."""
  if boxes is None:
    return None
  left, top, right, bottom = box
  return hold_boxes(move_boxes(boxes, (left, top)), (right - left, bottom - top))


def flip_boxes(
  boxes: np.ndarray | None, size: Size, direction: str = "horizontal", *, last_pixel: bool = False
) -> np.ndarray | None:
  """Mirrored boxes: the new x1 is width - x2; None stays None.

  `last_pixel` takes one more off, so that it is width - x2 - 1: the form of MMAction2 0.9, which 0.24 corrected.
  """
  if boxes is None:
    return None
  x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
  width, height = size[0] - last_pixel, size[1] - last_pixel
  parts = (width - x2, y1, width - x1, y2) if direction == "horizontal" else (x1, height - y2, x2, height - y1)
  return np.stack(parts, axis=-1).astype(np.float32)


def warp_boxes(boxes: np.ndarray | None, matrix: np.ndarray, size: Size) -> np.ndarray | None:
  """The upright boxes around boxes under the affine map [2,3] of pixel centres, cut off at the edges of the image."""
  if boxes is None:
    return None
  x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
  corners = np.stack([np.stack([x1, x2, x1, x2], -1), np.stack([y1, y1, y2, y2], -1)], -1) - 0.5
  x, y = np.moveaxis(corners @ matrix[:, :2].T + matrix[:, 2] + 0.5, -1, 0)
  moved = np.stack([x.min(-1), y.min(-1), x.max(-1), y.max(-1)], -1)
  return np.clip(moved, 0, [*size, *size]).astype(np.float32)


def pad_boxes(boxes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
  """[R,D] -> ([count,D] with zeros behind, bool [count]: which rows are boxes), so that clips of a batch stack.

  D is 4, or 5 with a score.  More than `count` boxes are an InputError: none is dropped in silence.
  """
  if boxes.ndim != 2 or len(boxes) > count:
    raise InputError(f"boxes of shape {list(boxes.shape)}; wanted [R,D] with at most R = {count}")
  padded = np.zeros((count, boxes.shape[1]), np.float32)
  padded[: len(boxes)] = boxes
  return padded, np.arange(count) < len(boxes)
