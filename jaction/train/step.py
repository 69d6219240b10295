"""The one train step, and the tasks it can be closed over."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh

from jaction.clips.device import normalize
from jaction.errors import InputError, nearest
from jaction.losses import LOSSES, hvu, label_weights
from jaction.train.mesh import split, whole
from jaction.train.state import TrainState

NAMES = (*LOSSES, "hvu")


class Task(NamedTuple):
  """What is learnt: `loss` and each of `metrics` take (logits, batch) and give one number for each row, [B].

  The loss of a batch is the sum of its rows' over the sum of what `weights` gives for them in the same way; None: over
  the number of rows.
  """

  loss: Callable[[jax.Array, Mapping[str, jax.Array]], jax.Array]
  metrics: Mapping[str, Callable[[jax.Array, Mapping[str, jax.Array]], jax.Array]]
  weights: Callable[[jax.Array, Mapping[str, jax.Array]], jax.Array] | None = None


def classification(
  loss: str,
  *,
  label_smoothing: float = 0.0,
  weight: float = 1.0,
  class_weights: Sequence[float] = (),
  categories: Sequence[tuple[str, int, float]] = (),
) -> Task:
  """One label a clip, [B], or several, [B,K] of 0 and 1; logits are [B,V,K], the loss is the mean over a clip's views.

  weight: times the loss.  class_weights: see `jaction.losses`; the mean of a cross entropy is then one weighted by the
  labels' weights.  categories: (name, classes, weight) of "hvu".  The accuracy is the share of clips whose largest
  score is its label, or one of its labels.
  """
  if loss not in NAMES:
    raise InputError(f"loss.name={loss!r} is not known; wanted one of {', '.join(NAMES)}.{nearest(loss, NAMES)}")
  if not 0 <= label_smoothing < 1:
    raise InputError(f"loss.label_smoothing={label_smoothing}: wanted 0 or more, below 1")
  if loss == "hvu" and (class_weights or not categories):
    raise InputError("loss.name='hvu' wants loss.categories, (name, classes, weight) each, and no loss.class_weights")
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


def auxiliary_weight(model: nn.Module) -> float:
  """What the scores of a network's auxiliary heads weigh in the loss of training; 0 where it has none."""
  return getattr(getattr(model, "head", None), "aux_weight", 0.0)


def make_train_step(
  model: nn.Module,
  task: Task,
  optimizer: optax.GradientTransformation,
  mesh: Mesh,
  *,
  seed: int,
  mean: tuple[float, ...],
  std: tuple[float, ...],
) -> Callable[[TrainState, Mapping[str, jax.Array], Any], tuple[TrainState, dict[str, tuple[jax.Array, jax.Array]]]]:
  """(state, batch, learning rate) -> (state, {name: (sum, count)}).

  The batch (uint8 clips [B,V,T,H,W,C], label, mask) is split over the mesh, the state is whole on every device and is
  donated.  Rows whose mask is False count neither in the loss nor in the metrics.  The loss of each auxiliary head
  (`auxiliary_weight`) joins the loss, and stands by itself, as weighted, under "loss_" and the head's name.
  """
  key, aux_weight = jax.random.key(seed), auxiliary_weight(model)

  @functools.partial(
    jax.jit,
    donate_argnums=0,
    in_shardings=(whole(mesh), split(mesh), whole(mesh)),
    out_shardings=whole(mesh),
  )
  def train_step(state, batch, lr):
    mask = batch["mask"].astype(jnp.float32)  # [B]
    clips = normalize(batch["clips"], mean, std)

    def loss_of(params):
      out, updated = model.apply(
        {"params": params, "batch_stats": state.batch_stats},
        clips,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.fold_in(key, state.step)},
        **({"aux": True} if aux_weight > 0 else {}),
      )
      logits, side = out if aux_weight > 0 else (out, {})
      losses = {f"loss_{name}": aux_weight * task.loss(scores, batch) * mask for name, scores in side.items()}
      losses["loss"] = sum(losses.values(), start=task.loss(logits, batch) * mask)
      count = (mask if task.weights is None else task.weights(logits, batch) * mask).sum()
      return losses["loss"].sum() / count, (logits, losses, count, updated.get("batch_stats", {}))

    (_, (logits, losses, count, batch_stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    direction, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = jax.tree.map(lambda p, d: p - lr * d, state.params, direction)
    sums = {name: (values.sum(), count) for name, values in losses.items()}
    sums["grad_norm"] = (optax.tree.norm(grads), jnp.float32(1))
    sums |= {name: ((metric(logits, batch) * mask).sum(), mask.sum()) for name, metric in task.metrics.items()}
    return TrainState(state.step + 1, params, batch_stats, opt_state), sums

  return train_step
