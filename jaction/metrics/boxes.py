"""How many of a box's actions were found."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from jaction.errors import InputError


def box_recall_precision(
  scores: Array, labels: Array, *, ks: Sequence[int] = (3, 5), threshold: float = 0.5, multi_label: bool = True
) -> tuple[dict[str, Array], Array]:
  """({"recall@0.5", "precision@0.5", "recall@top3", ...: [R]}, bool [R], whose mean counts) of R boxes.

  Args:
    scores: [R,K] before the sigmoid (multi_label) or softmax. labels: [R,K] of 0 and 1. Column 0 is nobody's action.
    ks: of the largest scores, at most K - 1. threshold: of the probability; of one label each the largest counts.

  A box without an action counts in nothing.  The precision's divisor has 1e-6 more, as in the reference
  (BBoxHeadAVA of MMAction2 0.24).
  """
  if scores.ndim != 2 or scores.shape != labels.shape:
    raise InputError(f"scores {tuple(scores.shape)} and labels {tuple(labels.shape)}; wanted the same [R,K]")
  logits, truth = scores[:, 1:].astype(jnp.float32), labels[:, 1:] > 0.5
  classes = logits.shape[1]

  def largest(k):
    places = jax.lax.top_k(logits, min(k, classes))[1]
    return jax.nn.one_hot(places, classes, dtype=jnp.float32).sum(axis=1) > 0

  chosen = {f"{threshold:g}": jax.nn.sigmoid(logits) > threshold if multi_label else largest(1)}
  chosen |= {f"top{k}": largest(k) for k in ks}
  found = {}
  for name, rows in chosen.items():
    right = (rows & truth).sum(axis=1)
    found[f"recall@{name}"] = right / jnp.maximum(truth.sum(axis=1), 1)
    found[f"precision@{name}"] = right / (rows.sum(axis=1) + 1e-6)
  return found, truth.any(axis=1)
