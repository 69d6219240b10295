"""The one train step, and what a task gives it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaction.errors import InputError
from jaction.train.mesh import split, whole
from jaction.train.state import TrainState, averaged


class Task(NamedTuple):
  """What is learnt: `loss` and each of `metrics` take (what the model gives, batch); one number for each row, [B].

  The loss of a batch is the sum of its rows' over the sum of what `weights` gives for them in the same way; None: over
  the number of rows.
  """

  loss: Callable[[Any, Mapping[str, jax.Array]], jax.Array]
  metrics: Mapping[str, Callable[[Any, Mapping[str, jax.Array]], jax.Array]]
  weights: Callable[[Any, Mapping[str, jax.Array]], jax.Array] | None = None


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
  inputs: Callable[[Mapping[str, jax.Array]], tuple[Any, ...]],
  accumulate: int = 1,
  blend: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]] | None = None,
  ema: float = 0.0,
  shardings: TrainState | None = None,
) -> Callable[[TrainState, Mapping[str, jax.Array], Any], tuple[TrainState, dict[str, tuple[jax.Array, jax.Array]]]]:
  """(state, batch, learning rate) -> (state, {name: (sum, count)}).

  The batch, arrays of B rows with `mask` [B] among them, is split over the mesh; the state lies as `shardings` say
  (None: whole on every device; see `mesh.shared_out`) and is donated.  `inputs` makes of the batch what a model takes.
  Rows whose mask is False count neither in the loss nor in the metrics.  The loss of each auxiliary head
  (`auxiliary_weight`) joins the loss, and stands by itself, as weighted, under "loss_" and the head's name.

  accumulate: the batch goes through the network in so many parts, one after another: row r is in part r mod accumulate,
  so that no row changes its device.  Without batch norm and dropout the step is that of the whole batch, to rounding.
  A batch norm sees each part by itself (its groups divide the part) and updates its running statistics with each.
  A loss of a row that hangs on other rows (hvu) sees those of its part.
  blend: see `blending`; it blends within each part.  ema: the decay of the averages in the state, 0 where it has none.
  """
  key, aux_weight = jax.random.key(seed), auxiliary_weight(model)
  state_lies = whole(mesh) if shardings is None else shardings

  @functools.partial(
    jax.jit,
    donate_argnums=0,
    in_shardings=(state_lies, split(mesh), whole(mesh)),
    out_shardings=(state_lies, whole(mesh)),
  )
  def train_step(state, batch, lr):
    step_key = jax.random.fold_in(key, state.step)

    def loss_of(params, batch_stats, part, part_key):
      """(the sum of the rows' losses, (sums and counts, new statistics))."""
      if blend is not None:
        clips, label = blend(part["clips"], part["label"], jax.random.fold_in(part_key, 1))
        part = {**part, "clips": clips, "label": label}
      mask = part["mask"].astype(jnp.float32)  # [B]
      out, updated = model.apply(
        {"params": params, "batch_stats": batch_stats},
        *inputs(part),
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
    sums["param_norm"] = (optax.tree.norm(params), jnp.float32(1))
    return TrainState(state.step + 1, params, batch_stats, opt_state, average), sums

  return train_step


def _parts(rows: jax.Array, count: int, mesh: Mesh) -> jax.Array:
  """[B,...] -> [count, B / count, ...], each part split over the mesh: row r is in part r mod count."""
  if rows.shape[0] % (count * mesh.devices.size):
    raise InputError(f"a batch of {rows.shape[0]} in {count} parts does not split over {mesh.devices.size} devices")
  parts = jnp.moveaxis(rows.reshape(-1, count, *rows.shape[1:]), 1, 0)
  return jax.lax.with_sharding_constraint(parts, NamedSharding(mesh, PartitionSpec(None, mesh.axis_names)))
