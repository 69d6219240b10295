"""AVA's frame mAP: detections of people's actions at key frames against the annotated ones (arXiv:1705.08421, sec. 5).

The rules are the official evaluation's, which MMAction2 has too: a detection is held against the one annotated box of
its frame and action that it overlaps most, and no other; equal overlaps take the first one, equal scores the later one.
Everything runs over sorted columns, with no loop over frames.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaction.boxes import areas
from jaction.errors import InputError


class Boxes(NamedTuple):
  """Rows of boxes at key frames, in the order in which they were written."""

  frames: np.ndarray  # [N] whole numbers or text: which key frame
  boxes: np.ndarray  # [N,4] x1, y1, x2, y2
  labels: np.ndarray  # [N] whole numbers: the action
  scores: np.ndarray  # [N]; of annotated boxes whatever orders them: the official evaluation takes the person


def frame_ap(detections: Boxes, truth: Boxes, classes: Sequence[int], *, threshold: float = 0.5) -> dict[int, float]:
  """The average precision of each class; nan for one that is annotated nowhere.

  Boxes of other classes are left out on both sides, and detections without an area, which are no false positives
  either; a frame without annotations makes all of its detections false.  Raises InputError for columns that do not
  fit each other or hold numbers that are not finite.
  """
  wanted = np.asarray(list(classes), np.int64)
  if len(np.unique(wanted)) != len(wanted):
    raise InputError(f"classes {wanted.tolist()}; wanted each once")
  found, known = _columns(detections, "detections"), _columns(truth, "annotations")
  _, numbers = np.unique(np.concatenate([known.frames, found.frames]), return_inverse=True)
  known = known._replace(frames=numbers[: len(known.labels)].astype(np.int64))
  found = found._replace(frames=numbers[len(known.labels) :].astype(np.int64))
  order = np.argsort(wanted)
  known, found = (_of(boxes, wanted, order) for boxes in (known, found))
  x1, y1, x2, y2 = found.boxes.T
  found = _take(found, (y1 < y2) & (x1 < x2))
  counts = np.bincount(known.labels, minlength=len(wanted))
  right, found = _matched(found, known, len(wanted), threshold)
  return {int(label): _average_precision(*_curve(right, found.labels, k, counts[k])) for k, label in enumerate(wanted)}


def mean_ap(per_class: dict[int, float]) -> float:
  """The mean over the classes that are annotated; nan where none is."""
  values = np.array([value for value in per_class.values() if not np.isnan(value)])
  return float(values.mean()) if len(values) else float("nan")


def _columns(rows: Boxes, what: str) -> Boxes:
  frames, boxes = np.asarray(rows.frames), np.asarray(rows.boxes, np.float64)
  labels, scores = np.asarray(rows.labels, np.int64), np.asarray(rows.scores, np.float64)
  count = len(labels)
  if boxes.shape != (count, 4) or frames.shape != (count,) or scores.shape != (count,):
    shapes = [frames.shape, boxes.shape, labels.shape, scores.shape]
    raise InputError(f"{what}: columns of shapes {shapes}; wanted [N], [N,4], [N], [N]")
  if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
    raise InputError(f"{what}: a box or a score that is not finite")
  return Boxes(frames, boxes, labels, scores)


def _take(rows: Boxes, which: np.ndarray) -> Boxes:
  return Boxes(*(column[which] for column in rows))


def _of(rows: Boxes, classes: np.ndarray, order: np.ndarray) -> Boxes:
  """Rows of the wanted classes, whose labels become places in `classes`; in a frame the largest score comes first, and
  frames come as they are first met."""
  places = np.searchsorted(classes, rows.labels, sorter=order)
  places = order[np.minimum(places, len(order) - 1)] if len(order) else np.zeros(0, np.int64)
  wanted = classes[places] == rows.labels if len(order) else np.zeros(len(rows.labels), bool)
  rows = _take(rows._replace(labels=places if len(order) else rows.labels), wanted)
  met = np.full(int(rows.frames.max(initial=-1)) + 1, len(rows.frames))
  met[rows.frames[::-1]] = np.arange(len(rows.frames))[::-1]  # of several assignments the last holds: the first row
  return _take(rows, np.lexsort((-rows.scores, met[rows.frames])))


def _matched(found: Boxes, known: Boxes, classes: int, threshold: float) -> tuple[np.ndarray, Boxes]:
  """(bool [N], which detections are right; the detections), those of a class in a row, ranked."""
  keys = known.frames * classes + known.labels
  by_key = np.argsort(keys, kind="stable")
  keys, boxes = keys[by_key], known.boxes[by_key]
  own = found.frames * classes + found.labels
  low, high = np.searchsorted(keys, own), np.searchsorted(keys, own, side="right")
  several = np.flatnonzero(high > low)
  counts = (high - low)[several]
  starts = np.concatenate([[0], np.cumsum(counts)])[:-1].astype(np.int64)
  first = np.repeat(several, counts)
  second = np.arange(len(first)) - np.repeat(starts, counts) + np.repeat(low[several], counts)
  overlap = _overlaps(found.boxes[first], boxes[second])
  best = np.full(len(own), -1)
  if len(several):
    largest = np.maximum.reduceat(overlap, starts)
    at = np.where(overlap == np.repeat(largest, counts), np.arange(len(overlap)), len(overlap))
    chosen = np.minimum.reduceat(at, starts)  # of equal ones the first
    good = largest >= threshold
    best[several[good]] = second[chosen[good]]
  right = np.zeros(len(own), bool)
  hits = np.flatnonzero(best >= 0)
  right[hits[np.unique(best[hits], return_index=True)[1]]] = True  # in a frame the largest score comes first
  ranked = np.lexsort((-np.arange(len(own)), -found.scores, found.labels))
  return right[ranked], _take(found, ranked)


def _overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Intersection over union of pairs [N,4], [N,4] -> [N]."""
  low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
  width, height = np.maximum(high - low, 0).T
  shared = height * width
  return shared / (areas(first) + areas(second) - shared)


def _curve(right: np.ndarray, labels: np.ndarray, k: int, count: int) -> tuple[np.ndarray, np.ndarray, int]:
  rows = right[np.searchsorted(labels, k) : np.searchsorted(labels, k, side="right")]
  hits = np.cumsum(rows)
  return hits / np.arange(1, len(hits) + 1), hits / max(count, 1), count


def _average_precision(precision: np.ndarray, recall: np.ndarray, count: int) -> float:
  """The area under the precision, each value raised to the largest one at no smaller recall."""
  if not count:
    return float("nan")
  if not len(precision):
    return 0.0
  raised = np.maximum.accumulate(precision[::-1])[::-1]
  steps = np.diff(recall, prepend=0.0)
  grown = steps > 0
  return float(np.sum(steps[grown] * raised[grown]))
