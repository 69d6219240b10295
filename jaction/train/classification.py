"""What recognition learns: losses and metrics of class scores, and blended clips."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaction.clips.blending import BLENDINGS
from jaction.clips.device import normalize
from jaction.errors import InputError, nearest
from jaction.losses import LOSSES, class_balanced_focal, hvu, label_weights
from jaction.train.step import Task

NAMES = (*LOSSES, "class_balanced_focal", "hvu")


def normalized_clips(
  mean: Sequence[float], std: Sequence[float]
) -> Callable[[Mapping[str, jax.Array]], tuple[jax.Array, ...]]:
  """What a recognizer takes of a batch: its uint8 clips, normalised; to be `inputs` of `Task`."""
  return lambda batch: (normalize(batch["clips"], mean, std),)


def classification(
  loss: str,
  *,
  label_smoothing: float = 0.0,
  weight: float = 1.0,
  class_weights: Sequence[float] = (),
  categories: Sequence[tuple[str, int, float]] = (),
  samples: Sequence[int] = (),
  beta: float = 0.9999,
  gamma: float = 2.0,
) -> Task:
  """One label a clip, [B], or several, [B,K] of 0 and 1; logits are [B,V,K], the loss is the mean over a clip's views.

  weight: times the loss.  class_weights: see `jaction.losses`; the mean of a cross entropy is then one weighted by the
  labels' weights.  categories: (name, classes, weight) of "hvu".  samples, beta, gamma: of "class_balanced_focal", how
  many training examples each class has (none counts as one), and its others.  The accuracy is the share of clips whose
  largest score is its label, or one of its labels.
  """
  if loss not in NAMES:
    raise InputError(f"loss.name={loss!r} is not known; wanted one of {', '.join(NAMES)}.{nearest(loss, NAMES)}")
  if not 0 <= label_smoothing < 1:
    raise InputError(f"loss.label_smoothing={label_smoothing}: wanted 0 or more, below 1")
  if loss == "hvu" and (class_weights or not categories):
    raise InputError("loss.name='hvu' wants loss.categories, (name, classes, weight) each, and no loss.class_weights")
  focal = loss == "class_balanced_focal"
  if focal and (class_weights or label_smoothing or not len(samples)):
    raise InputError(
      "loss.name='class_balanced_focal' wants how many examples each class has, and neither loss.class_weights nor "
      "loss.label_smoothing"
    )
  own = {"label_smoothing": label_smoothing}
  if class_weights:
    own["class_weights"] = np.asarray(class_weights, np.float32)

  def rows_of(function):
    def of(logits, batch):
      rows, views, classes = logits.shape
      spread = {name: jnp.repeat(batch[name], views, axis=0) for name in ("label", "known", "mask") if name in batch}
      return function(logits.reshape(-1, classes), spread).reshape(rows, views).mean(1)

    return of

  def cost(logits, batch):
    if focal:
      counts = np.maximum(samples, 1)
      return weight * class_balanced_focal(logits, batch["label"], samples=counts, beta=beta, gamma=gamma)
    if loss != "hvu":
      return weight * LOSSES[loss](logits, batch["label"], **own)
    counts, shares = ([row[at] for row in categories] for at in (1, 2))
    parts = jnp.split(batch["known"], np.cumsum(counts)[:-1], axis=1)
    present = jnp.stack([part.any(axis=1) for part in parts], axis=1)
    options = {"counts": counts, "weights": shares, "present": present, "rows": batch["mask"]}
    return weight * hvu(logits, batch["label"], **options, **own)

  def correct(logits, batch):
    best, labels = logits.mean(1).argmax(-1), batch["label"]
    if labels.ndim == 2:
      return jnp.take_along_axis(labels, best[:, None], axis=1)[:, 0]
    return (best == labels).astype(jnp.float32)

  weighted = class_weights and loss == "cross_entropy"
  weights = rows_of(lambda logits, batch: label_weights(logits, batch["label"], **own)) if weighted else None
  return Task(rows_of(cost), {"accuracy": correct}, weights)


def blending(settings: Mapping[str, Any], classes: int) -> Callable | None:
  """The function (clips, labels, key) -> blended ones that `settings` {name, alpha, probability} ask for, or None.

  Labels may be whole numbers [B] or rows [B,K]; they come out as rows.  Raises InputError for an unknown name.
  """
  name, alpha, probability = (settings[key] for key in ("name", "alpha", "probability"))
  if not name:
    return None
  if name not in BLENDINGS:
    raise InputError(
      f"blending.name={name!r} is not known; wanted one of {', '.join(BLENDINGS)}.{nearest(str(name), BLENDINGS)}"
    )
  if not alpha > 0 or not 0 <= probability <= 1:
    raise InputError(f"blending.alpha={alpha}, blending.probability={probability}: wanted above 0, and from 0 to 1")

  def blend(clips, labels, key):
    draw, key = jax.random.split(key)
    rows = labels if labels.ndim == 2 else jax.nn.one_hot(labels, classes, dtype=jnp.float32)
    mixed, soft = BLENDINGS[name](clips, rows, key, alpha=alpha)
    chosen = jax.random.uniform(draw) < probability
    return jnp.where(chosen, mixed, clips.astype(mixed.dtype)), jnp.where(chosen, soft, rows)

  return blend
