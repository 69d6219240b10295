"""The train step itself: masks, dropout keys, decay of the loss, donated state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaction.batches import put
from jaction.errors import InputError
from jaction.train.classification import classification, normalized_clips
from jaction.train.mesh import check_batch_size, make_mesh, whole
from jaction.train.optim import make_optimizer
from jaction.train.state import new_state
from jaction.train.step import make_train_step


class Small(nn.Module):
  """Clips [B,V,T,H,W,C] -> [B,V,3] with batch norm and dropout."""

  dropout: float = 0.0

  @nn.compact
  def __call__(self, clips, *, train=False):
    x = nn.BatchNorm(use_running_average=not train)(clips.mean((2, 3, 4)))
    x = nn.Dense(16)(x)
    return nn.Dense(3)(nn.Dropout(self.dropout, deterministic=not train)(x))


SGD = {
  "name": "sgd", "momentum": 0.9, "nesterov": False, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-3,
  "clip_norm": 1.0, "groups": (), "no_decay": (),
}  # fmt: skip


def batch(rows=16, views=2, masked=0):
  rng = np.random.default_rng(0)
  return {
    "clips": rng.integers(0, 256, (rows, views, 2, 4, 4, 3), np.uint8),
    "label": rng.integers(0, 3, rows).astype(np.int32),
    "mask": np.arange(rows) < rows - masked,
    "index": np.arange(rows),
  }


def prepared(dropout=0.0, devices=None, smoothing=0.0):
  mesh, model, optimizer = make_mesh(devices), Small(dropout), make_optimizer(SGD)
  variables = model.init(jax.random.key(1), jnp.zeros((2, 1, 2, 4, 4, 3)))
  state = jax.device_put(new_state(variables, optimizer), whole(mesh))
  task = classification("cross_entropy", label_smoothing=smoothing)
  step = make_train_step(model, task, optimizer, mesh, seed=5, inputs=normalized_clips((127.5,) * 3, (64.0,) * 3))
  return mesh, state, step


def test_the_sums_are_those_of_the_unmasked_rows():
  mesh, state, step = prepared()
  variables = jax.device_get(state.variables)
  data = batch(masked=5)
  _, sums = step(state, put(data, mesh), np.float32(0.1))
  clips = (data["clips"].astype(np.float32) - 127.5) / 64
  logits, _ = Small().apply(variables, clips, train=True, mutable=["batch_stats"])
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.repeat(jnp.array(data["label"])[:, None], 2, 1))
  right = (np.asarray(logits).mean(1).argmax(-1) == data["label"])[:11].sum()
  np.testing.assert_allclose(float(sums["loss"][0]), float(losses.mean(1)[:11].sum()), rtol=1e-5)
  assert float(sums["loss"][1]) == 11
  assert float(sums["accuracy"][0]) == right


def test_eight_devices_step_as_one():
  ends = []
  for devices in (jax.devices(), jax.devices()[:1]):
    mesh, state, step = prepared(devices=devices, smoothing=0.1)
    for _ in range(4):
      state, sums = step(state, put(batch(), mesh), np.float32(0.1))
    ends.append(jax.device_get((state.params, state.batch_stats, sums)))
  for a, b in zip(jax.tree.leaves(ends[0]), jax.tree.leaves(ends[1]), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6)


def test_dropout_follows_the_step_and_the_seed():
  losses = []
  for _ in range(2):
    mesh, state, step = prepared(dropout=0.5)
    state, first = step(state, put(batch(), mesh), np.float32(0))
    _, second = step(state, put(batch(), mesh), np.float32(0))
    losses.append((float(first["loss"][0]), float(second["loss"][0])))
  assert losses[0] == losses[1]  # the same at each start
  assert losses[0][0] != losses[0][1]  # another at each step, with the same parameters


def test_the_step_counts_and_the_old_state_is_given_away():
  mesh, state, step = prepared()
  after, _ = step(state, put(batch(), mesh), np.float32(0.1))
  assert int(after.step) == 1
  assert jax.tree.leaves(state.params)[0].is_deleted()
  assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(after.batch_stats))


def test_label_smoothing_raises_the_loss_of_a_sure_answer():
  logits = jnp.array([[[20.0, 0.0, 0.0]]])
  data = {"label": jnp.array([0])}
  sure, smooth = (classification("cross_entropy", label_smoothing=s).loss(logits, data)[0] for s in (0.0, 0.3))
  np.testing.assert_allclose([sure, smooth], [0.0, 0.2 * 20], atol=1e-4)


def test_what_cannot_be_is_refused():
  with pytest.raises(InputError, match="Near it: cross_entropy"):
    classification("cross_entrpy")
  with pytest.raises(InputError, match="label_smoothing=1.5"):
    classification("cross_entropy", label_smoothing=1.5)
  with pytest.raises(InputError, match="batch_size=4 does not split over 8 devices.*such as 8"):
    check_batch_size("batch_size", 4, make_mesh())


def several(rows=16, views=2, classes=3):
  """A batch of several labels a clip, of which the last classes are not known in the first rows."""
  rng = np.random.default_rng(3)
  data = batch(rows, views, masked=5)
  data["label"] = (rng.random((rows, classes)) < 0.4).astype(np.float32)
  data["known"] = np.ones((rows, classes), bool)
  data["known"][:4, 2:] = False
  data["label"] *= data["known"]
  return data


def test_several_labels_cost_the_mean_over_real_rows():
  data = several()
  logits = jnp.asarray(np.random.default_rng(1).normal(size=(16, 2, 3)))
  task = classification("binary_cross_entropy", weight=160.0)
  costs = optax.sigmoid_binary_cross_entropy(logits, jnp.asarray(data["label"])[:, None].repeat(2, 1)).mean((1, 2))
  np.testing.assert_allclose(task.loss(logits, data), 160 * costs, rtol=1e-5)
  best = np.asarray(logits).mean(1).argmax(-1)
  np.testing.assert_array_equal(task.metrics["accuracy"](logits, data), data["label"][np.arange(16), best])


def test_a_category_weighs_by_the_rows_that_have_it_and_padding_by_nothing():
  data = several()
  logits = jnp.asarray(np.random.default_rng(1).normal(size=(16, 2, 3)))
  task = classification("hvu", categories=(("one", 2, 1.0), ("two", 1, 3.0)))
  costs = optax.sigmoid_binary_cross_entropy(logits, jnp.asarray(data["label"])[:, None].repeat(2, 1)).mean(1)
  want = 0.25 * costs[:11, :2].mean() + 0.75 * costs[4:11, 2].mean()
  losses = task.loss(logits, data)
  assert losses.shape == (16,) and not np.any(losses[11:])
  np.testing.assert_allclose(losses.sum() / 11, want, rtol=1e-5)


def test_class_weights_weigh_the_mean_as_pytorch_does():
  mesh, model, optimizer = make_mesh(jax.devices()[:1]), Small(), make_optimizer(SGD)
  variables = model.init(jax.random.key(1), jnp.zeros((2, 1, 2, 4, 4, 3)))
  task = classification("cross_entropy", class_weights=(0.5, 1.0, 4.0))
  step = make_train_step(model, task, optimizer, mesh, seed=5, inputs=normalized_clips((127.5,) * 3, (64.0,) * 3))
  data = batch(masked=5)
  _, sums = step(jax.device_put(new_state(variables, optimizer), whole(mesh)), put(data, mesh), np.float32(0.1))
  variables = model.init(jax.random.key(1), jnp.zeros((2, 1, 2, 4, 4, 3)))
  logits, _ = model.apply(
    variables, (data["clips"].astype(np.float32) - 127.5) / 64, train=True, mutable=["batch_stats"]
  )
  costs = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.repeat(jnp.array(data["label"])[:, None], 2, 1))
  weights = np.array([0.5, 1.0, 4.0])[data["label"]][:11]
  np.testing.assert_allclose(sums["loss"], ((costs.mean(1)[:11] * weights).sum(), weights.sum()), rtol=1e-4)
  with pytest.raises(InputError, match="wants loss.categories"):
    classification("hvu")
