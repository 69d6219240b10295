"""Losses of recognizers: logits and labels in, one number for each row out. Means and masks are the caller's."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaction.errors import InputError


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
  targets, logits = _smooth(_targets(logits, labels), label_smoothing), logits.astype(jnp.float32)
  # log(1 + exp(-|x|)) cannot overflow, whichever sign the logit has.
  losses = jnp.maximum(logits, 0) - logits * targets + jnp.log1p(jnp.exp(-jnp.abs(logits)))
  if class_weights is not None:
    losses = losses * _row(class_weights, logits)
  return jnp.mean(losses, axis=-1)


LOSSES: Mapping[str, Callable[..., Array]] = {
  "cross_entropy": cross_entropy,
  "binary_cross_entropy": binary_cross_entropy,
}


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
