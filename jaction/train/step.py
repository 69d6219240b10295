"""The one train step, and the tasks it can be closed over."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaction.clips.blending import BLENDINGS
from jaction.clips.device import normalize
from jaction.errors import InputError, nearest
from jaction.losses import LOSSES, class_balanced_focal, hvu, label_weights
from jaction.train.mesh import split, whole
from jaction.train.state import TrainState, averaged

NAMES = (*LOSSES, "class_balanced_focal", "hvu")


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


def auxiliary_weight(model: nn.Module) -> float:
  """What the scores of a network's auxiliary heads weigh in the loss of training; 0 where it has none."""
  return getattr(getattr(model, "head", None), "aux_weight", 0.0)


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


def make_train_step(
  model: nn.Module,
  task: Task,
  optimizer: optax.GradientTransformation,
  mesh: Mesh,
  *,
  seed: int,
  mean: tuple[float, ...],
  std: tuple[float, ...],
  accumulate: int = 1,
  blend: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]] | None = None,
  ema: float = 0.0,
) -> Callable[[TrainState, Mapping[str, jax.Array], Any], tuple[TrainState, dict[str, tuple[jax.Array, jax.Array]]]]:
  """(state, batch, learning rate) -> (state, {name: (sum, count)}).

  The batch (uint8 clips [B,V,T,H,W,C], label, mask) is split over the mesh, the state is whole on every device and is
  donated.  Rows whose mask is False count neither in the loss nor in the metrics.  The loss of each auxiliary head
  (`auxiliary_weight`) joins the loss, and stands by itself, as weighted, under "loss_" and the head's name.

  accumulate: the batch goes through the network in so many parts, one after another: row r is in part r mod accumulate,
  so that no row changes its device.  Without batch norm and dropout the step is that of the whole batch, to rounding.
  A batch norm sees each part by itself (its groups divide the part) and updates its running statistics with each.
  A loss of a row that hangs on other rows (hvu) sees those of its part.
  blend: see `blending`; it blends within each part.  ema: the decay of the averages in the state, 0 where it has none.
  """
  key, aux_weight = jax.random.key(seed), auxiliary_weight(model)

  @functools.partial(
    jax.jit,
    donate_argnums=0,
    in_shardings=(whole(mesh), split(mesh), whole(mesh)),
    out_shardings=whole(mesh),
  )
  def train_step(state, batch, lr):
    step_key = jax.random.fold_in(key, state.step)

    def loss_of(params, batch_stats, part, part_key):
      """(the sum of the rows' losses, (sums and counts, new statistics))."""
      clips = part["clips"]
      if blend is not None:
        clips, label = blend(clips, part["label"], jax.random.fold_in(part_key, 1))
        part = {**part, "label": label}
      mask = part["mask"].astype(jnp.float32)  # [B]
      out, updated = model.apply(
        {"params": params, "batch_stats": batch_stats},
        normalize(clips, mean, std),
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": part_key},
        **({"aux": True} if aux_weight > 0 else {}),
      )
      logits, side = out if aux_weight > 0 else (out, {})
      losses = {f"loss_{name}": aux_weight * task.loss(scores, part) * mask for name, scores in side.items()}
      losses["loss"] = sum(losses.values(), start=task.loss(logits, part) * mask)
      count = (mask if task.weights is None else task.weights(logits, part) * mask).sum()
      sums = {name: (values.sum(), count) for name, values in losses.items()}
      sums |= {name: ((metric(logits, part) * mask).sum(), mask.sum()) for name, metric in task.metrics.items()}
      return sums["loss"][0], (sums, updated.get("batch_stats", {}))

    gradient = jax.grad(loss_of, has_aux=True)
    if accumulate == 1:
      grads, (sums, batch_stats) = gradient(state.params, state.batch_stats, batch, step_key)
    else:
      parts = {name: _parts(rows, accumulate, mesh) for name, rows in batch.items()}
      first = jax.tree.map(lambda rows: rows[0], parts)
      shapes, (sum_shapes, _) = jax.eval_shape(gradient, state.params, state.batch_stats, first, step_key)
      zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (shapes, sum_shapes))

      def one(carry, given):
        totals, batch_stats = carry
        part, number = given
        grads, (sums, batch_stats) = gradient(state.params, batch_stats, part, jax.random.fold_in(step_key, number))
        return (jax.tree.map(jnp.add, totals, (grads, sums)), batch_stats), None

      ((grads, sums), batch_stats), _ = jax.lax.scan(one, (zeros, state.batch_stats), (parts, jnp.arange(accumulate)))
    count = sums["loss"][1]
    grads = jax.tree.map(lambda g: g / count.astype(g.dtype), grads)
    direction, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = jax.tree.map(lambda p, d: p - lr * d, state.params, direction)
    average = state.ema
    if ema:
      average = averaged(average, {"params": params, "batch_stats": batch_stats}, state.step, ema)
    sums["grad_norm"] = (optax.tree.norm(grads), jnp.float32(1))
    return TrainState(state.step + 1, params, batch_stats, opt_state, average), sums

  return train_step


def _parts(rows: jax.Array, count: int, mesh: Mesh) -> jax.Array:
  """[B,...] -> [count, B / count, ...], each part split over the mesh: row r is in part r mod count."""
  if rows.shape[0] % (count * mesh.devices.size):
    raise InputError(f"a batch of {rows.shape[0]} in {count} parts does not split over {mesh.devices.size} devices")
  parts = jnp.moveaxis(rows.reshape(-1, count, *rows.shape[1:]), 1, 0)
  return jax.lax.with_sharding_constraint(parts, NamedSharding(mesh, PartitionSpec(None, "data")))
