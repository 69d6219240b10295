"""Losses of recognizers: logits and labels in, one number for each row out. Means and masks are the caller's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaction.errors import InputError, nearest


def cross_entropy(
  logits: Array, labels: Array, *, label_smoothing: float = 0.0, class_weights: Array | None = None
) -> Array:
  """Softmax cross entropy [B], unreduced, in float32.

  Args:
    logits: [B,K].
    labels: [B] whole numbers in [0, K), or soft labels [B,K]. A number outside costs nothing: it is padding, and is to
      be masked out; labels of records are checked where their list is read.
    label_smoothing: labels become (1 - s) * labels + s / K (as in MMAction2 1.x; 0.9 ignored it for single labels).
    class_weights: [K]. The reference's mean is then the sum of this over the sum of `label_weights`, not over B.
  """
  targets = _smooth(_targets(logits, labels), label_smoothing)
  if class_weights is not None:
    targets = targets * _row(class_weights, logits)
  return -jnp.sum(targets * jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1), axis=-1)


def label_weights(logits: Array, labels: Array, class_weights: Array, *, label_smoothing: float = 0.0) -> Array:
  """[B]: what each row weighs in the reference's mean of a cross entropy with class weights (arguments as there)."""
  return jnp.sum(_smooth(_targets(logits, labels), label_smoothing) * _row(class_weights, logits), axis=-1)


def binary_cross_entropy(
  logits: Array, labels: Array, *, label_smoothing: float = 0.0, class_weights: Array | None = None
) -> Array:
  """Sigmoid cross entropy [B], the mean over classes, in float32; its mean over rows is the reference's.

  Args:
    logits: [B,K].
    labels: [B,K] in [0, 1]; or [B] whole numbers for one class each.
    label_smoothing: labels become (1 - s) * labels + s / K.
    class_weights: [K], a factor to each class; the mean is still over all K.
  """
  losses = _binary(logits, _smooth(_targets(logits, labels), label_smoothing))
  if class_weights is not None:
    losses = losses * _row(class_weights, logits)
  return jnp.mean(losses, axis=-1)


def hvu(
  logits: Array,
  labels: Array,
  *,
  counts: Sequence[int],
  weights: Sequence[float] | None = None,
  present: Array | None = None,
  rows: Array | None = None,
  kind: str = "individual",
  with_mask: bool = True,
  reduction: str = "mean",
  label_smoothing: float = 0.0,
) -> Array:
  """The loss [B] of tags in several categories (HVU, arXiv:1904.11451), as MMAction2's HVULoss defines it; its mean
  over the rows that `rows` marks is the reference's number.

  "individual": each category's binary cross entropy is averaged over the rows that have tags of it, and these averages
  are weighted by `weights`, which are scaled to sum to one over the categories that any row has.  A batch without a
  category, which the reference could compute on CUDA alone, leaves it out.  "all": one sum, or mean, over the classes,
  of the categories that the row has.  What a row costs hangs on the other rows where there is a mask.

  Args:
    logits, labels: [B,K]; the categories follow each other along K.
    counts: how many classes each category has; their sum is K.
    weights: one for each category; None: all the same. "all" does not look at them.
    present: [B,C], whether the row is annotated for the category; None: it has one of its tags.
    rows: [B], False for padding, which weighs nothing in any average; None: there is none.
    with_mask: without it, a row counts for categories that it lacks too, as all negative.
    reduction: "mean" or "sum" over a category's classes.
  """
  counts, kinds, reductions = tuple(counts), ("individual", "all"), ("mean", "sum")
  if labels.shape != logits.shape or logits.ndim != 2 or sum(counts) != logits.shape[1]:
    raise InputError(
      f"logits {logits.shape}, labels {labels.shape} and categories of {' + '.join(map(str, counts))} = {sum(counts)} "
      "classes; wanted [B,K] twice, and as many classes in all"
    )
  for name, value, known in (("kind", kind, kinds), ("reduction", reduction, reductions)):
    if value not in known:
      raise InputError(f"hvu: {name} is {value!r}; wanted one of {', '.join(known)}.{nearest(str(value), known)}")
  weights = jnp.ones(len(counts)) if weights is None else jnp.asarray(weights, jnp.float32)
  if weights.shape != (len(counts),):
    raise InputError(f"hvu: {weights.size} weights for {len(counts)} categories; wanted one a category")
  own = jax.nn.one_hot(np.repeat(np.arange(len(counts)), counts), len(counts))  # [K,C], which category a class is of
  if present is None:
    present = labels @ own > 0
  seen = present.astype(jnp.float32) if with_mask else jnp.ones((len(logits), len(counts)))
  real = jnp.ones(len(logits)) if rows is None else rows.astype(jnp.float32)
  seen = seen * real[:, None]
  losses = _binary(logits, _smooth(labels.astype(jnp.float32), label_smoothing))  # [B,K]
  if kind == "all":
    mask = seen @ own.T
    total = jnp.sum(losses * mask, axis=1)
    return total / jnp.maximum(jnp.sum(mask, axis=1), 1) if reduction == "mean" else total
  losses = losses @ own  # [B,C]
  if reduction == "mean":
    losses = losses / jnp.asarray([counts], jnp.float32)
  having = jnp.sum(seen, axis=0)  # [C]
  weights = jnp.where(having > 0, weights, 0)
  shares = weights / jnp.maximum(jnp.sum(weights), 1e-12) / jnp.maximum(having, 1)
  return jnp.sum(real) * jnp.sum(losses * seen * shares[None], axis=1)


def class_balanced_focal(
  logits: Array, labels: Array, *, samples: Sequence[int], beta: float = 0.9999, gamma: float = 2.0
) -> Array:
  """The class-balanced focal loss [B], a sum over sigmoids, in float32; its mean over rows is MMAction2's CBFocalLoss.

  A row weighs (1 - beta) / (1 - beta ** samples of its class), scaled so that these sum to K over the classes; gamma
  turns the loss away from what is already right.

  Args:
    logits: [B,K].
    labels: [B] whole numbers in [0, K); one outside is padding and costs nothing.
    samples: how many training examples each of the K classes has, at least 1.

  Source: arXiv:1901.05555, sec. 3 and 4.3.
  """
  counts = np.asarray(samples, np.float64)
  if logits.ndim != 2 or counts.shape != logits.shape[1:] or counts.min() < 1 or not 0 <= beta < 1 or gamma < 0:
    raise InputError(
      f"class_balanced_focal: logits {logits.shape}, {counts.size} samples of at least {counts.min()}, beta {beta}, "
      f"gamma {gamma}; wanted [B,K], K counts of at least 1, 0 <= beta < 1, gamma of at least 0"
    )
  weights = (1 - beta) / (1 - beta**counts)
  targets, logits = _targets(logits, labels), logits.astype(jnp.float32)
  wrong = jnp.exp(-gamma * jax.nn.softplus((2 * targets - 1) * logits))  # (1 - probability of what is right) ** gamma
  losses = jnp.sum(wrong * _binary(logits, targets), axis=-1)
  return losses * jnp.sum(targets * _row(weights / weights.sum() * len(weights), logits), axis=-1)


def actions(
  logits: Array, labels: Array, *, multi_label: bool = True, focal_gamma: float = 0.0, focal_alpha: float = 1.0
) -> tuple[Array, Array]:
  """(loss [R], counts [R]) of the actions of R boxes: what AVA's head learns by.

  Args:
    logits, labels: [R,K]; column 0 is nobody's action and is left out, as are boxes without any action (counts 0).
    multi_label: sigmoid cross entropy, the mean over classes; else softmax cross entropy, a box's labels sharing its
      weight.
    focal_gamma, focal_alpha: alpha * (1 - exp(-loss))^gamma * loss of each element (arXiv:1708.02002).

  The reference's loss is sum(loss * counts) / sum(counts).  Source: BBoxHeadAVA of MMAction2 0.24.
  """
  if logits.ndim != 2 or logits.shape != labels.shape:
    raise InputError(f"logits {logits.shape} and labels {labels.shape}; wanted the same [R,K]")
  x, targets = logits[:, 1:].astype(jnp.float32), labels[:, 1:].astype(jnp.float32)
  if multi_label:
    losses = jnp.maximum(x, 0) - x * targets + jnp.log1p(jnp.exp(-jnp.abs(x)))
  else:
    shares = targets / jnp.maximum(targets.sum(axis=-1, keepdims=True), 1)
    losses = -jnp.sum(shares * jax.nn.log_softmax(x, axis=-1), axis=-1, keepdims=True)
  losses = focal_alpha * (1 - jnp.exp(-losses)) ** focal_gamma * losses if focal_gamma else focal_alpha * losses
  return losses.mean(-1), (targets > 0).any(-1).astype(jnp.float32)


LOSSES: Mapping[str, Callable[..., Array]] = {  # (logits, labels, label_smoothing=, class_weights=) -> [B]
  "cross_entropy": cross_entropy,
  "binary_cross_entropy": binary_cross_entropy,
}


def _binary(logits: Array, targets: Array) -> Array:
  """Sigmoid cross entropy of each entry, in float32."""
  logits = logits.astype(jnp.float32)
  # log(1 + exp(-|x|)) cannot overflow, whichever sign the logit has.
  return jnp.maximum(logits, 0) - logits * targets + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def _targets(logits: Array, labels: Array) -> Array:
  if logits.ndim != 2:
    raise InputError(f"logits of shape {logits.shape}; wanted [B,K]")
  if labels.shape == logits.shape:
    return labels.astype(jnp.float32)
  if labels.shape == logits.shape[:1] and jnp.issubdtype(labels.dtype, jnp.integer):
    return jax.nn.one_hot(labels, logits.shape[-1], dtype=jnp.float32)
  raise InputError(
    f"labels of shape {labels.shape} and type {labels.dtype} for logits {logits.shape}; "
    "wanted whole numbers [B] or numbers of the logits' shape [B,K]"
  )


def _smooth(targets: Array, smoothing: float) -> Array:
  if not 0 <= smoothing < 1:
    raise InputError(f"label_smoothing is {smoothing}; wanted 0 or more, below 1")
  return targets if smoothing == 0 else (1 - smoothing) * targets + smoothing / targets.shape[-1]


def _row(class_weights: Any, logits: Array) -> Array:
  weights = jnp.asarray(class_weights, jnp.float32)
  if weights.shape != logits.shape[-1:]:
    raise InputError(f"class_weights of shape {weights.shape} for {logits.shape[-1]} classes; wanted one a class")
  return weights[None]
