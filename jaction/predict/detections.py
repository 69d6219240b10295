"""Boxes of a detector back in the pictures that people know."""

import numpy as np

from jaction.errors import InputError


def restore_boxes(
  boxes: np.ndarray,
  size: tuple[int, int],
  *,
  flipped: bool = False,
  crop: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
  """Boxes [R,4] (x1, y1, x2, y2 in pixels of the network's picture) -> [R,4] in [0, 1] of the whole picture.

  Args:
    size: (width, height) of the network's picture.
    flipped: it was mirrored; x becomes width - 1 - x, as in the reference.
    crop: the part of the whole picture that it shows, as (x, y, width, height) in [0, 1]; None: all of it.

  Source: get_det_bboxes of MMAction2 0.24.
  """
  boxes = np.array(boxes, np.float32)
  if boxes.ndim != 2 or boxes.shape[1] != 4:
    raise InputError(f"boxes of shape {boxes.shape}; wanted [R,4]")
  width, height = size
  if flipped:
    boxes[:, [0, 2]] = width - 1 - boxes[:, [2, 0]]
  boxes /= np.float32([width, height, width, height])
  if crop is not None:
    x, y, part_width, part_height = crop
    boxes = boxes * np.float32([part_width, part_height] * 2) + np.float32([x, y] * 2)
  return boxes
