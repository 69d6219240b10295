"""What a train step may do besides: accumulate, blend, average, the focal loss; and precise batch norm."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaction.batches import put
from jaction.clips.blending import BLENDINGS
from jaction.errors import InputError
from jaction.losses import class_balanced_focal
from jaction.models.layers import BatchNorm
from jaction.train.classification import blending, classification, normalized_clips
from jaction.train.mesh import make_mesh, whole
from jaction.train.optim import make_optimizer
from jaction.train.precise import make_statistics
from jaction.train.state import averaged, new_state
from jaction.train.step import make_train_step

SGD = {
  "name": "sgd", "momentum": 0.9, "nesterov": False, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-3,
  "clip_norm": 1.0, "groups": (), "no_decay": (),
}  # fmt: skip
COLOURS = {"mean": (127.5,) * 3, "std": (64.0,) * 3}


class Small(nn.Module):
  """Clips [B,V,T,H,W,C] -> [B,V,3], with two batch norms where asked, of which the second is frozen."""

  norm: bool = False

  @nn.compact
  def __call__(self, clips, *, train=False):
    x = clips.mean((2, 3))  # [B,V,W,C]
    if self.norm:
      x = BatchNorm(momentum=0.3)(x, train=train)
      x = BatchNorm(frozen=True)(x + 1, train=train)
    return nn.Dense(3)(jax.nn.gelu(nn.Dense(8)(x.reshape(*x.shape[:2], -1))))


def batch(rows=16, masked=0, seed=0):
  rng = np.random.default_rng(seed)
  return {
    "clips": rng.integers(0, 256, (rows, 2, 2, 4, 4, 3), np.uint8),
    "label": rng.integers(0, 3, rows).astype(np.int32),
    "mask": np.arange(rows) < rows - masked,
    "index": np.arange(rows),
  }


def stepped(steps=3, *, norm=False, devices=2, masked=0, task=None, own=SGD, lr=0.1, **options):
  """The state after some steps of the same options, on so many devices, and the sums of the last one."""
  mesh, optimizer = make_mesh(jax.devices()[:devices]), make_optimizer(own)
  variables = Small(norm).init(jax.random.key(1), jnp.zeros((1, 1, 2, 4, 4, 3)))
  state = jax.device_put(new_state(variables, optimizer, ema=options.get("ema", 0) > 0), whole(mesh))
  task = classification("cross_entropy") if task is None else task
  step = make_train_step(Small(norm), task, optimizer, mesh, seed=5, inputs=normalized_clips(**COLOURS), **options)
  for number in range(steps):
    state, sums = step(state, put(batch(masked=masked, seed=number), mesh), np.float32(lr))
  return jax.device_get((state, sums))


def close(one, other, rtol=1e-5, atol=1e-7):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize("masked, weights", [(0, ()), (5, (0.5, 1.0, 4.0))])
def test_four_parts_give_the_step_of_the_whole_batch(masked, weights):
  task = classification("cross_entropy", class_weights=weights)
  (one, sums), (parts, part_sums) = (stepped(masked=masked, task=task, accumulate=n) for n in (1, 4))
  close(one.params, parts.params, atol=1e-6)
  close(sums, part_sums)


def test_four_parts_give_the_step_of_the_whole_batch_in_float64_to_its_rounding():
  with jax.enable_x64(True):
    ends = []
    for parts in (1, 4):
      mesh, optimizer = make_mesh(jax.devices()[:2]), make_optimizer(SGD)
      variables = Small().init(jax.random.key(1), jnp.zeros((1, 1, 2, 4, 4, 3)))
      variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
      # The loss in float64 too: ours is float32 by design, and its rounding hangs on the shapes.
      square = classification("cross_entropy")._replace(loss=lambda logits, data: (logits**2).mean((1, 2)), metrics={})
      step = make_train_step(
        Small(), square, optimizer, mesh, seed=5, accumulate=parts, inputs=normalized_clips(**COLOURS)
      )
      state = jax.device_put(new_state(variables, optimizer), whole(mesh))
      for number in range(5):
        state, _ = step(state, put(batch(seed=number), mesh), np.float64(0.1))
      ends.append(jax.device_get(state.params))
    close(*ends, rtol=1e-12, atol=1e-13)


def test_each_part_is_a_batch_to_batch_norm_whatever_the_devices():
  (one, _), (two, _) = (stepped(norm=True, devices=n, accumulate=4) for n in (1, 2))
  close(one.params, two.params, rtol=1e-4, atol=1e-6)
  close(one.batch_stats, two.batch_stats)
  # By hand: parts are every fourth row, one after another.
  state, _ = stepped(1, norm=True, accumulate=4)
  mean, var, data = np.zeros(3), np.ones(3), batch()
  for part in range(4):
    rows = ((data["clips"][part::4] - 127.5) / 64).mean((2, 3)).reshape(-1, 3)
    mean, var = mean + 0.3 * (rows.mean(0) - mean), var + 0.3 * (rows.var(0, ddof=1) - var)
  np.testing.assert_allclose(state.batch_stats["BatchNorm_0"]["mean"], mean, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(state.batch_stats["BatchNorm_0"]["var"], var, rtol=1e-4)


def test_parts_that_devices_do_not_share_evenly_are_refused():
  with pytest.raises(InputError, match="16 in 16 parts does not split over 2 devices"):
    stepped(1, accumulate=16)


def test_the_average_is_the_recurrence_written_out_and_the_raw_net_learns_as_without():
  variables = Small(True).init(jax.random.key(1), jnp.zeros((1, 1, 2, 4, 4, 3)))
  wanted = jax.tree.map(np.float64, variables)
  for steps in (1, 2, 3):
    state, _ = stepped(steps, norm=True, ema=0.15)
    decay = min(0.15, steps / (9 + steps))
    now = {"params": state.params, "batch_stats": state.batch_stats}
    wanted = jax.tree.map(lambda old, new, d=decay: d * old + (1 - d) * np.float64(new), wanted, now)
  close(state.ema, wanted, rtol=1e-5, atol=1e-6)
  assert "ema" in state.tree()
  plain, _ = stepped(3, norm=True)
  assert plain.ema == {} and "ema" not in plain.tree()
  close(plain.params, state.params, rtol=0, atol=0)


def test_what_does_not_change_is_its_own_average_to_the_bit():
  leaf = jnp.asarray(np.random.default_rng(0).normal(size=1000), jnp.float32)
  np.testing.assert_array_equal(averaged(leaf, leaf, jnp.int32(7), 0.9997), leaf)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_a_blended_step_costs_what_its_soft_labels_say(name):
  settings = {"name": name, "alpha": 1.0, "probability": 1.0}
  state, sums = stepped(1, devices=1, lr=0.0, blend=blending(settings, 3))
  key = jax.random.fold_in(jax.random.fold_in(jax.random.key(5), 0), 1)
  data = batch()
  hot = np.eye(3, dtype=np.float32)[data["label"]]
  clips, soft = BLENDINGS[name](jnp.asarray(data["clips"]), hot, jax.random.split(key)[1], alpha=1.0)
  soft = np.asarray(soft)
  np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-6)
  assert (soft.max(1) < 0.99).any()  # some rows did get another's label
  logits = Small().apply({"params": state.params}, (np.asarray(clips, np.float32) - 127.5) / 64)
  costs = -(soft[:, None] * np.asarray(jax.nn.log_softmax(logits))).sum(-1).mean(1)
  np.testing.assert_allclose(sums["loss"], (costs.sum(), 16), rtol=1e-4)
  best = np.asarray(logits).mean(1).argmax(-1)
  np.testing.assert_allclose(sums["accuracy"][0], soft[np.arange(16), best].sum(), rtol=1e-4)


def test_a_blending_of_probability_0_changes_nothing_and_unknown_ones_are_refused():
  off = blending({"name": "mixup", "alpha": 1.0, "probability": 0.0}, 3)
  close(stepped(2, blend=off)[0].params, stepped(2)[0].params)
  assert blending({"name": "", "alpha": 1.0, "probability": 1.0}, 3) is None
  with pytest.raises(InputError, match="'mixupp' is not known.*Near it: mixup"):
    blending({"name": "mixupp", "alpha": 1.0, "probability": 1.0}, 3)
  with pytest.raises(InputError, match="blending.probability=1.5"):
    blending({"name": "mixup", "alpha": 1.0, "probability": 1.5}, 3)


def test_the_focal_loss_takes_the_classes_counts_and_with_beta_0_none():
  logits, data = jnp.asarray(np.random.default_rng(1).normal(size=(16, 2, 3))), batch()
  task = classification("class_balanced_focal", samples=[90, 9, 0], beta=0.99, gamma=1.5, weight=2.0)
  flat, labels = logits.reshape(-1, 3), np.repeat(data["label"], 2)
  wanted = 2 * class_balanced_focal(flat, labels, samples=[90, 9, 1], beta=0.99, gamma=1.5).reshape(16, 2).mean(1)
  np.testing.assert_allclose(task.loss(logits, data), wanted, rtol=1e-5)
  plain = classification("class_balanced_focal", samples=[90, 9, 0], beta=0.0, gamma=0.0)
  costs = optax.sigmoid_binary_cross_entropy(flat, jax.nn.one_hot(labels, 3)).sum(-1).reshape(16, 2).mean(1)
  np.testing.assert_allclose(plain.loss(logits, data), costs, rtol=1e-5)
  with pytest.raises(InputError, match="wants how many examples each class has"):
    classification("class_balanced_focal")


def test_precise_statistics_are_those_of_all_rows_and_frozen_ones_stay():
  variables = jax.device_get(stepped(3, norm=True)[0].variables)
  frozen = variables["batch_stats"]["BatchNorm_1"]
  frozen["mean"] = np.random.default_rng(0).normal(size=3).astype(np.float32)
  mesh = make_mesh(jax.devices()[:2])
  batches = [batch(seed=seed) for seed in range(20, 25)]
  found = make_statistics(Small(True), mesh, seed=5, inputs=normalized_clips(**COLOURS))(variables, batches, 3)
  rows = [((data["clips"] - 127.5) / 64).mean((2, 3)).reshape(-1, 3) for data in batches]
  every = np.concatenate(rows)
  np.testing.assert_allclose(found["BatchNorm_0"]["mean"], every.mean(0), rtol=1e-4, atol=1e-6)
  unbiased = np.mean([each.var(0, ddof=1) for each in rows], axis=0) + np.var([each.mean(0) for each in rows], axis=0)
  np.testing.assert_allclose(found["BatchNorm_0"]["var"], unbiased, rtol=1e-4)
  np.testing.assert_allclose(found["BatchNorm_0"]["var"], every.var(0), rtol=0.02)
  for name in ("mean", "var"):
    np.testing.assert_array_equal(found["BatchNorm_1"][name], frozen[name])
