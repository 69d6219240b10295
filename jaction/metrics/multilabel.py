"""Average precision of videos with several labels, as MMAction2 defines it: not interpolated, equal scores together."""

from collections.abc import Sequence

import numpy as np

from jaction.errors import InputError


def precision_recall_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(precision [P+1], recall [P+1], thresholds [P]) at every different score, from the lowest that is needed to find
  all positives to the highest; the last point, of no threshold, is precision 1 and recall 0.

  Args:
    scores: [N], any numbers that rank; NaN ranks last. positive: [N] of 0 and 1. Without a positive, recall is NaN.
  """
  scores, positive = _ranking(scores), np.asarray(positive)
  if scores.ndim != 1 or scores.shape != positive.shape or not scores.size:
    raise InputError(f"scores {scores.shape} for labels {positive.shape}; wanted [N] twice, of at least one row")
  _zeros_and_ones(positive)
  found, seen, thresholds = _counts(scores, positive)
  last = np.searchsorted(found, found[-1])
  back = slice(last, None, -1)
  recall = found / found[-1] if found[-1] else np.full(len(found), np.nan)
  return np.append((found / seen)[back], 1.0), np.append(recall[back], 0.0), thresholds[back]


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
  """The sum of precision times the gain in recall over the different scores, from the highest down; NaN without a
  positive.  scores [N], positive [N] of 0 and 1."""
  precision, recall, _ = precision_recall_curve(scores, positive)
  return float(-np.sum(np.diff(recall) * precision[:-1]))


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
  """The mean over classes of the average precision over videos; classes without a positive are left out.

  scores [N,K], labels [N,K] of 0 and 1.  NaN where there is no positive at all.
  """
  scores, labels = _checked(scores, labels)
  some = np.flatnonzero(labels.any(axis=0))
  if not len(some):
    return float("nan")
  return float(np.mean([average_precision(scores[:, k], labels[:, k]) for k in some]))


def mmit_mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
  """The mean over videos of the average precision over classes (Multi-Moments in Time, arXiv:1911.00232).

  scores [N,K], labels [N,K] of 0 and 1.  NaN where a video has no label, as in the reference.
  """
  scores, labels = _checked(scores, labels)
  return float(np.mean([average_precision(*row) for row in zip(scores, labels, strict=True)]))


def category_mean_average_precision(
  scores: np.ndarray, labels: np.ndarray, categories: Sequence[tuple[str, int]], known: np.ndarray | None = None
) -> dict[str, float]:
  """{category: mean average precision over its classes} (HVU, arXiv:1904.11451).

  scores [N,K], labels [N,K] of 0 and 1; categories (name, how many classes), in the order of the classes.  A video of
  which nothing is `known` [N,K] in a category is left out there, as in the reference; None: all is known.
  """
  scores, labels = _checked(scores, labels)
  known = np.ones(labels.shape, bool) if known is None else np.asarray(known, bool)
  ends = np.cumsum([count for _, count in categories])
  if not len(ends) or ends[-1] != scores.shape[1] or known.shape != labels.shape:
    said = " + ".join(f"{name} {count}" for name, count in categories) or "none"
    raise InputError(
      f"categories of {said} classes and `known` of shape {known.shape} for scores {scores.shape}; wanted as many "
      "classes in all"
    )
  out = {}
  for (name, count), end in zip(categories, ends, strict=True):
    part = slice(end - count, end)
    rows = known[:, part].any(axis=1)
    out[name] = mean_average_precision(scores[rows, part], labels[rows, part]) if rows.any() else float("nan")
  return out


def top_k_hits(scores: np.ndarray, labels: np.ndarray, ks: int | Sequence[int] = (1, 5)) -> list[float]:
  """The share of videos of which any label is among the k largest scores, for each k.

  scores [N,K], labels [N,K] of 0 and 1.  Ties and NaN count as in `classification.top_k_accuracy`, whose numbers these
  are where each video has one label.  A video without a label is never right.
  """
  scores, labels = _checked(scores, labels)
  ks = [int(k) for k in np.atleast_1d(ks)]
  if min(ks, default=1) < 1:
    raise InputError(f"top-k of k={min(ks)}; wanted at least 1")
  order = np.argsort(scores, axis=1, kind="stable")[:, ::-1]
  hits = np.take_along_axis(labels, order, axis=1).astype(bool)
  valid = ~np.isnan(scores).any(axis=1)
  return [float(np.mean(hits[:, :k].any(axis=1) & valid)) for k in ks]


def summary(
  scores: np.ndarray,
  labels: np.ndarray,
  categories: Sequence[tuple[str, int]] = (),
  known: np.ndarray | None = None,
) -> dict[str, float]:
  """What evaluation tells of a multi-label list: both mean average precisions, top-1 and, of five classes on, top-5
  hits, and with categories the mean average precision of each and, as "categories_mAP", their mean.

  Arguments as of `category_mean_average_precision`.  What would be NaN (of a video or category without any label) is
  left out.
  """
  labels = np.asarray(labels)
  out = {"mean_average_precision": mean_average_precision(scores, labels)}
  if labels.any(axis=1).all():
    out["mmit_mean_average_precision"] = mmit_mean_average_precision(scores, labels)
  ks = (1, 5) if labels.shape[1] >= 5 else (1,)
  out |= {f"top{k}": hits for k, hits in zip(ks, top_k_hits(scores, labels, ks), strict=True)}
  if categories:
    each = category_mean_average_precision(scores, labels, categories, known)
    known = {f"{name}_mAP": value for name, value in each.items() if not np.isnan(value)}
    out |= known | ({"categories_mAP": float(np.mean(list(known.values())))} if known else {})
  return {name: float(value) for name, value in out.items() if not np.isnan(value)}


def _counts(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """At each different score from the highest down: positives so far, rows so far, the score."""
  order = np.argsort(scores, kind="stable")[::-1]
  scores, positive = scores[order], positive[order]
  ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
  return np.cumsum(positive, dtype=np.float64)[ends], ends + 1, scores[ends]


def _ranking(scores: np.ndarray) -> np.ndarray:
  scores = np.asarray(scores)
  return np.where(np.isnan(scores), -np.inf, scores)


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  scores, labels = np.asarray(scores), np.asarray(labels)
  if scores.ndim != 2 or scores.shape != labels.shape or not scores.size:
    raise InputError(f"scores {scores.shape} for labels {labels.shape}; wanted [N,K] twice, of at least one row")
  return scores, _zeros_and_ones(labels)


def _zeros_and_ones(labels: np.ndarray) -> np.ndarray:
  if not np.isin(labels, (0, 1)).all():
    raise InputError(f"labels from {labels.min()} to {labels.max()}; wanted 0 and 1, a column for each class")
  return labels


def row_recall_and_precision(predicted: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
  """The means over rows of hits / labels and of hits / predictions, of rows of truth values [R,K] with some label each.

  A row without predictions has precision 0.  Source: BBoxHeadAVA of MMAction2 0.24 (which adds 1e-6 to the divisor).
  """
  predicted, labels = np.asarray(predicted, bool), np.asarray(labels, bool)
  hits = (predicted & labels).sum(axis=1)
  return float((hits / labels.sum(axis=1)).mean()), float((hits / np.maximum(predicted.sum(axis=1), 1)).mean())
