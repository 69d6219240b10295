"""One device or many, parameters whole or split: the same training, and less memory on each device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import PartitionSpec as P

from jaction.batches import put
from jaction.errors import InputError
from jaction.train.classification import classification, normalized_clips
from jaction.train.loop import train
from jaction.train.mesh import SMALL, bytes_per_device, make_mesh, shared_out, split, whole
from jaction.train.optim import make_optimizer
from jaction.train.state import new_state
from jaction.train.step import make_train_step

SGD = {
  "name": "sgd", "momentum": 0.9, "nesterov": False, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-3,
  "clip_norm": 1.0, "groups": (), "no_decay": (),
}  # fmt: skip
ADAM = SGD | {"name": "adamw"}
FORMS = {  # devices, over how many of them parameters are split, parts of a batch
  "one device": (1, 1, 1),
  "eight devices": (8, 1, 1),
  "split over four of eight": (8, 4, 1),
  "split over eight": (8, 8, 1),
  "four parts": (2, 1, 4),
  "four parts, split over two": (4, 2, 4),
}
ROWS = 32


class Wide(nn.Module):
  """Clips [B,V,T,H,W,C] -> [B,V,5], in the type of its parameters; nearly all of them in one layer."""

  @nn.compact
  def __call__(self, clips, *, train=False):
    x = clips.reshape(*clips.shape[:2], -1)
    x = jax.nn.gelu(nn.Dense(256, param_dtype=x.dtype)(x))
    return nn.Dense(5, param_dtype=x.dtype)(x)


def batch(seed, start=0, rows=ROWS):
  rng = np.random.default_rng(seed)
  data = {
    "clips": rng.integers(0, 256, (ROWS, 1, 2, 4, 4, 3), np.uint8),
    "label": rng.integers(0, 5, ROWS).astype(np.int32),
    "mask": np.arange(ROWS) < ROWS - 3,
    "index": np.arange(ROWS),
  }
  return {name: value[start : start + rows] for name, value in data.items()}


def trained(form, own, dtype, steps=20, shift=0):
  """The parameters after so many steps on the same global batches; `shift` feeds those of other steps."""
  devices, model, parts = FORMS[form]
  mesh, optimizer = make_mesh(jax.devices()[:devices], model=model), make_optimizer(own)
  variables = Wide().init(jax.random.key(1), jnp.zeros((1, 1, 2, 4, 4, 3), dtype))
  variables = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), variables)
  state = new_state(variables, optimizer, ema=True)
  shardings = shared_out(state, mesh)
  normalize = normalized_clips((127.5,) * 3, (64.0,) * 3)
  # The loss in the parameters' type: ours is float32 by design.
  task = classification("cross_entropy")._replace(loss=lambda logits, data: (logits**2).mean((1, 2)), metrics={})
  step = make_train_step(
    Wide(), task, optimizer, mesh, seed=5, accumulate=parts, ema=0.9, shardings=shardings,
    inputs=lambda data: tuple(x.astype(dtype) for x in normalize(data)),
  )  # fmt: skip
  state = jax.device_put(state, shardings)
  for number in range(steps):
    state, _ = step(state, put(batch(number + shift), mesh), dtype(0.05 if own is SGD else 0.002))
  return jax.device_get((state.params, state.ema))


def largest_difference(one, other):
  """Over the largest parameter."""
  pairs = list(zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))
  return max(np.abs(a - b).max() for a, b in pairs) / max(np.abs(a).max() for a, _ in pairs)


@pytest.mark.parametrize("own, name", [(SGD, "sgd"), (ADAM, "adamw")])
def test_any_devices_and_parts_end_at_the_same_parameters_in_float64(own, name):
  with jax.enable_x64(True):
    wanted = trained("one device", own, np.float64)
    for form in list(FORMS)[1:]:
      assert largest_difference(wanted, trained(form, own, np.float64)) < 1e-9, form
    assert largest_difference(wanted, trained("eight devices", own, np.float64, shift=1)) > 1e-4  # the comparison sees


def test_any_devices_and_parts_end_at_the_same_parameters_in_float32_with_sgd():
  wanted = trained("one device", SGD, np.float32)
  for form in list(FORMS)[1:]:
    assert largest_difference(wanted, trained(form, SGD, np.float32)) < 1e-5, form


@pytest.mark.parametrize("form", FORMS)
def test_run_twice_it_is_the_same_to_the_bit(form):
  one, other = (jax.tree.leaves(trained(form, ADAM, np.float32, steps=5)) for _ in range(2))
  assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_a_state_split_over_four_of_eight_devices_holds_less_than_a_third_on_each():
  params = {"kernel": np.zeros((3, 3, 128, 256), np.float32), "bias": np.zeros(256, np.float32)}
  state = new_state({"params": params}, make_optimizer(ADAM), ema=True)
  held = {}
  for model in (1, 4):
    mesh = make_mesh(model=model)
    held[model] = bytes_per_device(jax.device_put(state, shared_out(state, mesh)))
  assert held[4] <= 0.3 * held[1], held
  assert held[1] > 4 * 3 * 3 * 128 * 256 * 4  # parameters, two moments, averages


def test_leaves_are_split_along_the_largest_axis_that_divides_and_small_ones_not():
  mesh = make_mesh(model=4)
  tree = {
    "kernel": np.zeros((3, 3, 64, 128)), "both": np.zeros((128, 128)), "odd": np.zeros((101, 103)),
    "first": np.zeros((1000, 10)), "small": np.zeros(SMALL), "number": np.zeros(()),
  }  # fmt: skip
  specs = {name: sharding.spec for name, sharding in shared_out(tree, mesh).items()}
  assert specs == {
    "kernel": P(None, None, None, "model"), "both": P(None, "model"), "odd": P(), "first": P("model", None),
    "small": P(), "number": P(),
  }  # fmt: skip
  assert all(sharding == whole(make_mesh()) for sharding in shared_out(tree, make_mesh()).values())


def test_every_device_has_rows_of_its_own_however_parameters_are_split():
  for model in (1, 2, 8):
    mesh = make_mesh(model=model)
    rows = jax.device_put(np.arange(16), split(mesh))
    assert sorted(shard.data.tolist() for shard in rows.addressable_shards) == [[i, i + 1] for i in range(0, 16, 2)]


def test_a_split_that_does_not_divide_the_devices_is_an_input_error():
  with pytest.raises(InputError, match=r"mesh.model=3 does not divide 8 devices; wanted one of \[1, 2, 4, 8\]"):
    make_mesh(model=3)


def test_a_run_goes_on_with_its_parameters_split_otherwise_and_says_so(config, tmp_path, capfd):
  config.model.fields.dropout, config.optimizer.name, config.schedule.lr = 0.0, "sgd", 0.01
  config.duration.steps, config.eval.every.steps, config.checkpoint.every.steps = 6, 6, 3
  wanted = train(config, tmp_path / "whole")
  config.mesh.model = 4
  assert train(config, tmp_path / "split")["loss"] == pytest.approx(wanted["loss"], rel=1e-4)
  config.mesh.model = 1
  for folder in (tmp_path / "split/checkpoints/6", tmp_path / "split/model"):
    folder.rename(folder.with_name("set_aside_" + folder.name))
  capfd.readouterr()
  assert train(config, tmp_path / "split")["loss"] == pytest.approx(wanted["loss"], rel=1e-4)
  said = capfd.readouterr().err
  assert "resuming after step 3" in said and "mesh.model: 4 then, 1 now" in said
