"""Average recall of proposals against their number (AR@AN), and the area under it, as ActivityNet defines them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaction.errors import InputError
from jaction.segments import iou

THRESHOLDS = np.linspace(0.5, 0.95, 10)


class Recall(NamedTuple):
  """Fields:
  recall: [thresholds, 100].
  average: [100], over the thresholds.
  per_video: [100], how many proposals a video has on average at each of 1 to 100 percent of the most.
  auc: the area under average over per_video, 0 to 100.
  """

  recall: np.ndarray
  average: np.ndarray
  per_video: np.ndarray
  auc: float

  def at(self, k: int) -> float:
    """AR@k: column k - 1, which is k proposals a video where the most is 100."""
    return float(self.average[k - 1])


def average_recall(
  truth: Mapping[str, np.ndarray],
  proposals: Mapping[str, np.ndarray],
  *,
  most: float | None = 100,
  thresholds: Sequence[float] = THRESHOLDS,
  total: int | None = None,
) -> Recall:
  """Recall of proposals.

  Args:
    truth: the segments [n, 2] of each video.
    proposals: start, end and score [m, 3] of each video; one that is absent has none.
    most: proposals a video on average, at which the curve ends; None: as many as there are.
    total: how many proposals there are; None: counts them.

  Source: the evaluation kit of ActivityNet, with the truncations of MMAction2: IoU in float32 against thresholds
  rounded to float32; int(n * ratio) of each video's proposals are looked at.
  """
  ids = list(truth)
  if not ids:
    raise InputError("no videos with annotations: there is no recall")
  empty = np.zeros((0, 3))
  given = [np.asarray(proposals.get(name, empty), np.float64).reshape(-1, 3) for name in ids]
  wanted = [np.asarray(truth[name], np.float64).reshape(-1, 2) for name in ids]
  counts, targets = (np.array([len(rows) for rows in each]) for each in (given, wanted))
  if targets.sum() == 0:
    raise InputError("no annotated segments in any video: there is no recall")
  total = int(counts.sum()) if total is None else total
  share = np.arange(1, 101) / 100.0
  if total == 0:
    zeros = np.zeros(100)
    return Recall(np.zeros((len(thresholds), 100)), zeros, zeros, 0.0)
  most = float(total) / len(ids) if most is None else most
  looked = np.minimum((counts * (most * float(len(ids)) / total)).astype(int), counts)
  share = share * (most * float(len(ids)) / max(looked.sum(), 1))
  ranks = _first_ranks(given, wanted, looked, np.asarray(thresholds).astype(np.float32))  # [thresholds, G]
  reach = np.minimum((looked[:, None] * share[None]).astype(int), looked[:, None])  # [videos, 100]
  reach = np.repeat(reach, targets, axis=0)  # [G, 100]
  recall = np.stack([(row[:, None] <= reach).sum(axis=0) for row in ranks]) / targets.sum()
  average, per_video = recall.mean(axis=0), share * (float(looked.sum()) / len(ids))
  auc = 100 * float(np.trapezoid(average, per_video)) / per_video[-1] if per_video[-1] else 0.0
  return Recall(recall, average, per_video, auc)


def _first_ranks(given, wanted, looked, thresholds) -> np.ndarray:
  """For each annotated segment of all videos, the place (from 1) of the first of its video's proposals, by score, that
  overlaps it enough; infinity where none does.  [thresholds, G]"""
  video = np.repeat(np.arange(len(given)), [len(rows) for rows in given])
  rows = np.concatenate(given)
  order = np.lexsort((rows[:, 2], video))  # ascending within a video, stable
  counts = np.array([len(one) for one in given])
  begins = np.cumsum(counts) - counts
  rows = rows[:, :2].astype(np.float32)
  targets = np.concatenate(wanted).astype(np.float32)
  of = np.repeat(np.arange(len(given)), [len(one) for one in wanted])
  out = np.full((len(thresholds), len(targets)), np.inf)
  pairs = looked[of]
  if not pairs.sum():
    return out
  which = np.repeat(np.arange(len(targets)), pairs)
  starts = np.cumsum(pairs) - pairs
  rank = np.arange(len(which)) - starts[which]
  at = order[begins[of[which]] + counts[of[which]] - 1 - rank]  # reversed: falling scores
  near = iou(rows[at, 0], rows[at, 1], targets[which, 0], targets[which, 1]).astype(np.float32)
  some = np.flatnonzero(pairs)
  for number, threshold in enumerate(thresholds):
    places = np.where(near >= threshold, rank + 1.0, np.inf)
    out[number, some] = np.minimum.reduceat(places, starts[some])
  return out
