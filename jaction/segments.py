"""Stretches of time, [start, end], as arrays: overlaps, non-maximum suppression, regression."""

import numpy as np


def pairwise_iou(candidates: np.ndarray, targets: np.ndarray) -> np.ndarray:
  """Temporal IoU [N targets, M candidates] in float32 of segments [M, 2] and [N, 2], as the metrics take it.

  Computed in the segments' own precision and rounded once.  Two stretches of no length have nan.
  """
  inter, union = overlap(candidates[None, :, 0], candidates[None, :, 1], targets[:, None, 0], targets[:, None, 1])
  with np.errstate(divide="ignore", invalid="ignore"):
    return (inter / union).astype(np.float32)


def overlap(start, end, other_start, other_end) -> tuple[np.ndarray, np.ndarray]:
  """(intersection, union) of two stretches, as numpy broadcasts; reversed ones have a negative length."""
  inter = np.clip(np.minimum(end, other_end) - np.maximum(start, other_start), 0, None)
  return inter, (other_end - other_start) + (end - start) - inter


def iou(start, end, other_start, other_end) -> np.ndarray:
  """Temporal IoU, as numpy broadcasts."""
  inter, union = overlap(start, end, other_start, other_end)
  with np.errstate(divide="ignore", invalid="ignore"):
    return inter / union


def iop(start, end, other_start, other_end) -> np.ndarray:
  """The share of [start, end] that lies in the other, as numpy broadcasts."""
  inter, _ = overlap(start, end, other_start, other_end)
  with np.errstate(divide="ignore", invalid="ignore"):
    return inter / (end - start)


def descending(scores: np.ndarray) -> np.ndarray:
  """The order of falling scores; of equal ones the last comes first (a stable ascending sort, reversed)."""
  return np.argsort(scores, kind="stable")[::-1]


def soft_nms(
  proposals: np.ndarray, *, alpha: float, low_threshold: float, high_threshold: float, top_k: int
) -> np.ndarray:
  """[N, columns] whose first two are start and end in [0, 1] and whose last is the score -> [M, 3]: start, end, score.

  The best is picked, others that overlap it by more than low + (high - low) * its width are multiplied by
  exp(-IoU^2 / alpha), and so on; up to top_k + 1 rows come back, in the order of picking, as in the reference.
  """
  rows = proposals[descending(proposals[:, -1])][:, [0, 1, -1]].astype(np.float64)
  start, end, score = rows.T.copy()
  width = end - start
  left, picked, kept = np.ones(len(rows), bool), [], []
  for _ in range(min(len(rows), top_k + 1)):
    best = int(np.argmax(np.where(left, score, -np.inf)))
    if not left[best]:  # what is left is nan or -inf
      best = int(np.flatnonzero(left)[0])
    picked.append(best)
    kept.append(score[best])
    left[best] = False
    near = iou(start[best], end[best], start, end)
    hit = left & (near > low_threshold + (high_threshold - low_threshold) * width[best])
    score[hit] *= np.exp(-np.square(near[hit]) / alpha)
  return np.column_stack([start[picked], end[picked], kept]) if picked else np.zeros((0, 3))


def nms(detections: np.ndarray, threshold: float) -> np.ndarray:
  """[N, columns] of start, end, score, ... -> the rows that no better row overlaps by more than `threshold`, in falling
  order of score."""
  order, kept = descending(detections[:, 2]), []
  start, end = detections[:, 0], detections[:, 1]
  while len(order):
    best, order = order[0], order[1:]
    kept.append(best)
    inter = np.minimum(end[best], end[order]) - np.maximum(start[best], start[order])
    with np.errstate(divide="ignore", invalid="ignore"):
      near = inter / ((end[best] - start[best]) + (end[order] - start[order]) - inter)
    order = order[~(near > threshold)]
  return detections[kept]


def regress(detections: np.ndarray) -> np.ndarray:
  """[N, 5] of start, end, score, shift of the centre (in lengths) and log of the change of length -> the same with the
  start and end that these give, cut to [0, 1] (SSN)."""
  start, end = detections[:, 0], detections[:, 1]
  length = end - start
  centre = (start + end) / 2 + length * detections[:, 3]
  length = length * np.exp(detections[:, 4])
  return np.column_stack([np.clip(centre - length / 2, 0, 1), np.clip(centre + length / 2, 0, 1), detections[:, 2:]])
