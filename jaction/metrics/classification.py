"""Top-k, mean class accuracy and the confusion matrix, as MMAction2 defines them, and top-k counts on the device."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaction.errors import InputError

NORMALIZATIONS = (None, "true", "pred", "all")


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, ks: int | Sequence[int] = (1, 5)) -> list[float]:
  """The share of rows whose label is among the k largest scores, for each k, which may exceed the number of classes.

  Args:
    scores: [N,K], any numbers that rank. labels: [N] whole numbers in [0, K).

  Of equal scores the larger class index ranks first, as in the reference (a stable ascending sort, reversed). A row
  with a NaN is wrong.
  """
  scores, labels = _checked(scores, labels)
  ks = [int(k) for k in np.atleast_1d(ks)]
  if min(ks, default=1) < 1:
    raise InputError(f"top-k of k={min(ks)}; wanted at least 1")
  own = np.take_along_axis(scores, labels[:, None], axis=1)
  later = np.arange(scores.shape[1]) > labels[:, None]
  ahead = ((scores > own) | ((scores == own) & later)).sum(axis=1)
  valid = ~np.isnan(scores).any(axis=1)
  return [float(np.mean((ahead < k) & valid)) for k in ks]


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
  """The mean over classes of the share of a class's rows whose largest score is its own; the first of equal ones wins.

  Classes that are neither label nor prediction are left out; one that is predicted only counts as 0, as in the
  reference. A row with a NaN is wrong and predicts nothing. scores [N,K], labels [N].
  """
  scores, labels = _checked(scores, labels)
  valid = ~np.isnan(scores).any(axis=1)
  predicted = scores.argmax(axis=1)
  seen = np.zeros(scores.shape[1], bool)
  seen[labels] = seen[predicted[valid]] = True
  right = np.bincount(labels[valid & (predicted == labels)], minlength=scores.shape[1])
  count = np.bincount(labels, minlength=scores.shape[1])
  return float(np.mean(right[seen] / np.maximum(count[seen], 1)))


def confusion_matrix(
  predicted: np.ndarray,
  labels: np.ndarray,
  *,
  normalize: str | None = None,
  classes: Sequence[int] | None = None,
) -> np.ndarray:
  """How often each class (row) was predicted as each (column): int64 [S,S], float64 with `normalize`.

  Args:
    predicted, labels: [N] whole numbers.
    normalize: None for counts, "true" for shares of a row, "pred" of a column, "all" of everything; 0 where there is
      nothing to share.
    classes: what rows and columns stand for; None for the sorted union of the classes seen, as in the reference.
  """
  predicted, labels = (_whole(values, name) for values, name in ((predicted, "predictions"), (labels, "labels")))
  if predicted.shape != labels.shape:
    raise InputError(f"{len(predicted)} predictions for {len(labels)} labels; wanted as many")
  if normalize not in NORMALIZATIONS:
    raise InputError(f"normalize is {normalize!r}; wanted one of {', '.join(map(str, NORMALIZATIONS))}")
  seen = np.unique(np.concatenate([predicted, labels]))
  order = seen if classes is None else _whole(classes, "classes")
  absent = np.setdiff1d(seen, order)
  if len(absent):
    raise InputError(f"the class {absent[0]} was seen and is not among the {len(order)} classes asked for")
  place = {int(value): at for at, value in enumerate(order)}
  matrix = np.zeros((len(order), len(order)), np.int64)
  rows, columns = ([place[int(value)] for value in values] for values in (labels, predicted))
  np.add.at(matrix, (rows, columns), 1)
  if normalize is None:
    return matrix
  axis = {"true": 1, "pred": 0, "all": None}[normalize]
  total = matrix.sum(axis=axis, keepdims=True).astype(np.float64)
  return np.divide(matrix, total, out=np.zeros(matrix.shape), where=np.broadcast_to(total > 0, matrix.shape))


def top_k_correct(scores: Array, labels: Array, mask: Array, *, k: int) -> tuple[Array, Array]:
  """(correct, seen) on the device: scores [B,K], labels [B] whole numbers, mask [B] bool, True for real rows.

  Ties and NaN count as in `top_k_accuracy`; masked rows may hold anything.
  """
  own = jnp.take_along_axis(scores, labels[:, None], axis=-1, mode="clip")  # [B,1]
  later = jnp.arange(scores.shape[-1])[None] > labels[:, None]
  ahead = ((scores > own) | ((scores == own) & later)).sum(axis=-1)  # 0 is best
  correct = (ahead < k) & ~jnp.isnan(scores).any(axis=-1)
  return jnp.sum(correct, where=mask), jnp.sum(mask)


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  scores, labels = np.asarray(scores), _whole(labels, "labels")
  if scores.ndim != 2 or len(scores) != len(labels) or not scores.size:
    raise InputError(f"scores {scores.shape} for labels {labels.shape}; wanted [N,K] and [N] with at least one row")
  if labels.min() < 0 or labels.max() >= scores.shape[1]:
    raise InputError(
      f"labels from {labels.min()} to {labels.max()} for scores of {scores.shape[1]} classes; "
      f"wanted 0 to {scores.shape[1] - 1}"
    )
  return scores, labels


def _whole(values: Sequence[int] | np.ndarray, name: str) -> np.ndarray:
  values = np.asarray(values)
  if values.ndim != 1 or not (np.issubdtype(values.dtype, np.integer) or not values.size):
    raise InputError(f"{name} of shape {values.shape} and type {values.dtype}; wanted whole numbers [N]")
  return values.astype(np.int64)
