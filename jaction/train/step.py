"""The one train step, and the tasks it can be closed over."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh

from jaction.clips.device import normalize
from jaction.errors import InputError, nearest
from jaction.losses import LOSSES
from jaction.train.mesh import split, whole
from jaction.train.state import TrainState


class Task(NamedTuple):
  """What is learnt: `loss` and each of `metrics` take (logits, batch) and give one number for each row, [B]."""

  loss: Callable[[jax.Array, Mapping[str, jax.Array]], jax.Array]
  metrics: Mapping[str, Callable[[jax.Array, Mapping[str, jax.Array]], jax.Array]]


def classification(loss: str, *, label_smoothing: float = 0.0) -> Task:
  """One label a clip; logits are [B,V,K], the loss is the mean over a clip's views."""
  if loss not in LOSSES:
    raise InputError(f"loss.name={loss!r} is not known; wanted one of {', '.join(LOSSES)}.{nearest(loss, LOSSES)}")
  if not 0 <= label_smoothing < 1:
    raise InputError(f"loss.label_smoothing={label_smoothing}: wanted 0 or more, below 1")

  def loss_of(logits, batch):
    rows, views, classes = logits.shape
    labels = jnp.repeat(batch["label"], views)
    losses = LOSSES[loss](logits.reshape(-1, classes), labels, label_smoothing=label_smoothing)
    return losses.reshape(rows, views).mean(1)

  def correct(logits, batch):
    return (logits.mean(1).argmax(-1) == batch["label"]).astype(jnp.float32)

  return Task(loss_of, {"accuracy": correct})


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
  donated.  Rows whose mask is False count neither in the loss nor in the metrics.
  """
  key = jax.random.key(seed)

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
      logits, updated = model.apply(
        {"params": params, "batch_stats": state.batch_stats},
        clips,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.fold_in(key, state.step)},
      )
      losses = task.loss(logits, batch) * mask
      return losses.sum() / mask.sum(), (logits, losses, updated.get("batch_stats", {}))

    (_, (logits, losses, batch_stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    direction, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = jax.tree.map(lambda p, d: p - lr * d, state.params, direction)
    sums = {"loss": (losses.sum(), mask.sum()), "grad_norm": (optax.tree.norm(grads), jnp.float32(1))}
    sums |= {name: ((metric(logits, batch) * mask).sum(), mask.sum()) for name, metric in task.metrics.items()}
    return TrainState(state.step + 1, params, batch_stats, opt_state), sums

  return train_step
