"""Areas and overlaps of boxes, x1, y1, x2, y2 in any unit."""

import numpy as np


def areas(boxes: np.ndarray) -> np.ndarray:
  """[N,4] (x1, y1, x2, y2) -> [N]"""
  return (boxes[:, 3] - boxes[:, 1]) * (boxes[:, 2] - boxes[:, 0])


def intersections(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """The area that each of [N,4] shares with each of [M,4]: [N,M]."""
  low = np.maximum(first[:, None, :2], second[None, :, :2])
  high = np.minimum(first[:, None, 2:], second[None, :, 2:])
  width, height = np.moveaxis(np.maximum(high - low, 0), -1, 0)
  return height * width


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Intersection over union of each of [N,4] with each of [M,4]: [N,M]."""
  shared = intersections(first, second)
  return shared / (areas(first)[:, None] + areas(second)[None] - shared)


def covered(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """The share of each of [M,4] that each of [N,4] covers: [N,M]."""
  return intersections(first, second) / areas(second)[None]
