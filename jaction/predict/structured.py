"""SSN's scores to detections."""

import numpy as np

from jaction.segments import descending, nms, regress


def detections(
  proposals: np.ndarray,
  activity: np.ndarray,
  completeness: np.ndarray,
  regression: np.ndarray | None,
  *,
  top_k: int = 2000,
  threshold: float = 0.2,
) -> list[np.ndarray]:
  """For each class [N, 5] of start, end in [0, 1], score, regression, by falling score, after suppression.

  Args:
    proposals: [R, 2] in [0, 1].
    activity: [R, K + 1]; column 0 is background.
    completeness: [R, K].
    regression: [R, K, 2], not normalised; None: proposals stay where they are.
    top_k: of all pairs of proposal and class; 0 or less: all.
    threshold: of the suppression.

  The score is the softmax of the activities without background, times exp(completeness).
  """
  rows, classes = completeness.shape
  foreground = activity[:, 1:]
  shift = np.exp(foreground - foreground.max(axis=1, keepdims=True, initial=-np.inf)) if rows else foreground
  scores = shift / shift.sum(axis=1, keepdims=True) * np.exp(completeness)
  moves = np.zeros((rows, classes, 2)) if regression is None else regression
  order = np.arange(rows * classes) if top_k <= 0 else np.argsort(scores.ravel(), kind="stable")[-top_k:]
  out = []
  for label in range(classes):
    at = order[order % classes == label] // classes
    found = np.column_stack([proposals[at], scores[at, label], moves[at, label]]).astype(np.float64)
    found = regress(found) if regression is not None else found
    out.append(nms(found, threshold) if len(found) else found[descending(found[:, 2])])
  return out
