"""Average precision of temporal detections, as ActivityNet and THUMOS define it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaction.errors import InputError, nearest
from jaction.segments import descending, iou

THRESHOLDS = np.linspace(0.5, 0.95, 10)
THUMOS = np.arange(0.1, 1.0, 0.1)


class Detections(NamedTuple):
  """N detections of any classes and videos.

  Fields:
    video: [N], numbers.
    label: [N], class numbers.
    segment: [N, 2].
    score: [N].
  """

  video: np.ndarray
  label: np.ndarray
  segment: np.ndarray
  score: np.ndarray


class Truth(NamedTuple):
  """M annotated segments; fields as those of Detections."""

  video: np.ndarray
  label: np.ndarray
  segment: np.ndarray


def average_precision(
  truth: Truth, found: Detections, classes: int, thresholds: Sequence[float] = THRESHOLDS
) -> np.ndarray:
  """[thresholds, classes]; nan for a class that is detected and never annotated, 0 for one that is not detected.

  Detections are taken by falling score, of equal ones the last first; each takes, of its video's and class's annotated
  segments that are still free, the one it overlaps most (of equal ones the last), if by the threshold or more (IoU in
  float32 against the threshold in float64).  Precision is interpolated, its envelope summed over recall.
  """
  thresholds = np.asarray(thresholds, np.float64)
  order = descending(found.score)
  found = Detections(*(np.asarray(one)[order] for one in found))
  hit = _matches(truth, found, thresholds)  # [thresholds, N]
  out = np.zeros((len(thresholds), classes))
  annotated = np.bincount(truth.label, minlength=classes) if len(truth.label) else np.zeros(classes, int)
  by_class = np.argsort(found.label, kind="stable")
  ends = np.searchsorted(found.label[by_class], np.arange(classes + 1))
  for label in range(classes):
    rows = by_class[ends[label] : ends[label + 1]]
    if len(rows):
      out[:, label] = interpolated(hit[:, rows], annotated[label])
  return out


def interpolated(hit: np.ndarray, annotated: int) -> np.ndarray:
  """AP of each row of hit [..., N], whether the detections by falling score are right; nan without annotations."""
  if annotated == 0:
    return np.full(hit.shape[:-1], np.nan)
  right = np.cumsum(hit, axis=-1)
  precision = right / np.arange(1, hit.shape[-1] + 1)
  envelope = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
  return (envelope * hit).sum(axis=-1) / annotated


def _matches(truth: Truth, found: Detections, thresholds: np.ndarray) -> np.ndarray:
  """Whether each of the sorted detections is right at each threshold.  Groups of one class in one video go at once: all
  their best detections, then all their second ones, ..."""
  hit = np.zeros((len(thresholds), len(found.score)), bool)
  if not len(truth.label) or not len(found.score):
    return hit
  classes = int(max(truth.label.max(), found.label.max())) + 1
  keys, own = np.unique(truth.video.astype(np.int64) * classes + truth.label, return_inverse=True)
  wanted = found.video.astype(np.int64) * classes + found.label
  group = np.searchsorted(keys, wanted)
  group[group == len(keys)] = 0
  known = np.flatnonzero(keys[group] == wanted)  # the others can match nothing
  # Larger groups first, so that those which still have a detection are always the first ones.
  sizes = np.bincount(group[known], minlength=len(keys))
  turn = np.argsort(-sizes, kind="stable")
  number = np.empty(len(keys), int)
  number[turn] = np.arange(len(keys))
  of, own, sizes = number[group[known]], number[own], sizes[turn]
  order = np.argsort(of, kind="stable")
  begins = np.cumsum(sizes) - sizes
  segments, free = _padded(truth.segment, own, len(keys))
  free = np.repeat(free[None], len(thresholds), axis=0)  # [thresholds, groups, most]
  for place in range(sizes.max(initial=0)):
    count = np.searchsorted(-sizes, -place, side="left")  # groups with more than `place` detections
    rows = known[order[begins[:count] + place]]
    one = found.segment[rows]
    near = iou(one[:, None, 0], one[:, None, 1], segments[:count, :, 0], segments[:count, :, 1]).astype(np.float32)
    near = np.where(free[:, :count], np.nan_to_num(near, nan=-1.0)[None], -1)  # [thresholds, count, most]
    best = near.shape[-1] - 1 - np.argmax(near[..., ::-1], axis=-1)
    taken = np.take_along_axis(near, best[..., None], -1)[..., 0].astype(np.float64) >= thresholds[:, None]
    hit[:, rows] = taken
    at, which = np.nonzero(taken)
    free[at, which, best[at, which]] = False
  return hit


def _padded(segments: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
  """[M, 2] -> ([groups, most, 2], whether there is one [groups, most]), in the order given."""
  order = np.argsort(group, kind="stable")
  counts = np.bincount(group, minlength=groups)
  place = np.arange(len(order)) - (np.cumsum(counts) - counts)[group[order]]
  out, there = np.zeros((groups, counts.max(), 2)), np.zeros((groups, counts.max()), bool)
  out[group[order], place], there[group[order], place] = segments[order], True
  return out, there


def thumos_map(truth: Truth, found: Detections, classes: int, thresholds: Sequence[float] = THUMOS) -> np.ndarray:
  """mAP [thresholds]; nan where a class is detected that is never annotated, as the reference has it."""
  return average_precision(truth, found, classes, thresholds).mean(axis=1)


class ActivityNet(NamedTuple):
  """Fields:
  names: the classes, in the order in which the annotations have them first.
  ap: [thresholds, classes].
  by_threshold: [thresholds], mAP.
  average: its mean.
  """

  names: tuple[str, ...]
  ap: np.ndarray
  by_threshold: np.ndarray
  average: float


def activitynet_map(
  annotations: Mapping[str, Sequence[tuple[float, float, str]]],
  results: Mapping[str, Sequence[Mapping]],
  thresholds: Sequence[float] = THRESHOLDS,
) -> ActivityNet:
  """Detection mAP.

  Args:
    annotations: (start, end, class) of each video.
    results: {"segment": [start, end], "score", "label"} of each video; videos that are not annotated count against it.

  InputError names the video of a detection whose class no annotation has.
  """
  names = {label: None for rows in annotations.values() for _, _, label in rows}
  index = {label: i for i, label in enumerate(names)}
  videos = {name: i for i, name in enumerate({**dict.fromkeys(annotations), **dict.fromkeys(results)})}
  for name, rows in results.items():
    for row in rows:
      if row["label"] not in index:
        raise InputError(
          f"results of {name!r}: no annotation has the class {row['label']!r}.{nearest(row['label'], index)}"
        )
  given = [(videos[name], index[label], start, end) for name, rows in annotations.items() for start, end, label in rows]
  found = [
    (videos[name], index[row["label"]], *row["segment"], row["score"]) for name, rows in results.items() for row in rows
  ]
  truth, rows = np.array(given, np.float64).reshape(-1, 4), np.array(found, np.float64).reshape(-1, 5)
  ap = average_precision(
    Truth(truth[:, 0].astype(int), truth[:, 1].astype(int), truth[:, 2:]),
    Detections(rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2:4], rows[:, 4]),
    len(index),
    thresholds,
  )
  by_threshold = ap.mean(axis=1) if len(index) else np.zeros(len(thresholds))
  return ActivityNet(tuple(names), ap, by_threshold, float(by_threshold.mean()))
