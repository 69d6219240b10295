import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaction.models import create_model, initialize
from jaction.models.resnet import identity
from jaction.models.tsm import temporal_shift


def tiny(name, **fields):
  """The model, random variables whose norms are not trivial, and a jitted apply."""
  model = create_model(name, num_classes=5, **fields)
  frames = model.clip[0]
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, frames, 32, 32, 3), np.float32))
  rng = np.random.default_rng(0)
  variables = jax.tree.map(lambda x: x + 0.3 * rng.random(x.shape, np.float32), variables)
  return model, variables, jax.jit(functools.partial(model.apply, variables), static_argnames="return_features")


def clips(*shape):
  return np.random.default_rng(1).standard_normal((*shape, 32, 32, 3), np.float32)


@pytest.mark.parametrize("name", ["tsn_tiny_1x1x8", "tsm_tiny_1x1x8", "slowonly_tiny_4x4x1", "slowfast_tiny_2x8x1"])
def test_views_are_rows_of_their_own_and_features_come_before_the_classifier(name):
  model, variables, apply = tiny(name)
  x = clips(2, 3, model.clip[0])
  scores = apply(x)
  assert scores.shape == (2, 3, 5) and scores.dtype == jnp.float32
  np.testing.assert_allclose(scores[1, 2], apply(x[1:, 2:])[0, 0], rtol=2e-4, atol=1e-4)
  features = apply(x, return_features=True)
  fc = variables["params"]["head"]["fc"]
  np.testing.assert_allclose(features @ fc["kernel"] + fc["bias"][None, None], scores, rtol=1e-3, atol=1e-3)


def test_the_shift_is_the_papers():
  x = np.random.default_rng(0).standard_normal((2, 5, 3, 3, 16), np.float32)
  want = np.zeros_like(x)
  for t in range(5):
    if t + 1 < 5:
      want[:, t, ..., :2] = x[:, t + 1, ..., :2]
    if t > 0:
      want[:, t, ..., 2:4] = x[:, t - 1, ..., 2:4]
    want[:, t, ..., 4:] = x[:, t, ..., 4:]
  np.testing.assert_array_equal(temporal_shift(x, div=8), want)


def test_tsm_sees_the_order_of_frames_and_does_not_without_its_shift():
  model, variables, apply = tiny("tsm_tiny_1x1x8")
  x = clips(1, 1, 8)
  forward = apply(x)  # large numbers: both limits are shares of them
  assert np.abs(forward - apply(x[:, :, ::-1])).max() > 1e-4 * np.abs(forward).max()
  blind = create_model("tsm_tiny_1x1x8", num_classes=5, before=identity)
  run = jax.jit(functools.partial(blind.apply, variables))
  np.testing.assert_allclose(run(x), run(x[:, :, ::-1]), rtol=1e-6)  # sums in another order


def test_tsn_does_not_see_the_order_of_frames():
  _, _, apply = tiny("tsn_tiny_1x1x8")
  x = clips(1, 1, 8)
  np.testing.assert_allclose(apply(x), apply(x[:, :, ::-1]), atol=1e-4)


def test_slowfast_takes_a_clip_or_the_pair_it_would_make_of_it():
  _, _, apply = tiny("slowfast_tiny_2x8x1")
  x = clips(1, 2, 8)
  np.testing.assert_allclose(apply((x[:, :, ::4], x)), apply(x), rtol=1e-5, atol=1e-5)
  assert np.abs(apply((x[:, :, 1::4], x)) - apply(x)).max() > 1e-4


def test_a_clip_that_alpha_does_not_divide_is_an_error():
  model, variables, _ = tiny("slowfast_tiny_2x8x1")
  with pytest.raises(ValueError, match="multiple of 4"):
    jax.eval_shape(model.apply, variables, clips(1, 1, 10))


def test_clips_of_the_wrong_rank_or_type_are_errors():
  model, variables, _ = tiny("tsn_tiny_1x1x8")
  with pytest.raises(ValueError, match=r"\[B, V, T, H, W, C\]"):
    jax.eval_shape(model.apply, variables, clips(1, 8))
  with pytest.raises(ValueError, match="uint8"):
    jax.eval_shape(model.apply, variables, np.zeros((1, 1, 8, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("name", ["tsm_tiny_1x1x8", "slowfast_tiny_2x8x1"])
def test_training_changes_the_statistics_and_dropout_needs_its_key(name):
  model, variables, _ = tiny(name, dropout=0.5)
  x = clips(2, 1, model.clip[0])

  @jax.jit
  def step(key):
    return model.apply(variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": key})

  (one, new), (two, _) = step(jax.random.key(0)), step(jax.random.key(1))
  assert np.abs(one - two).max() > 0
  changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), new["batch_stats"], variables["batch_stats"])
  assert all(jax.tree.leaves(changed))


def test_bfloat16_compute_is_near_float32_and_returns_float32():
  _, variables, apply = tiny("slowonly_tiny_4x4x1")
  half = create_model("slowonly_tiny_4x4x1", num_classes=5, dtype="bfloat16")
  x = clips(1, 1, 4)
  got, want = jax.jit(half.apply)(variables, x), apply(x)
  assert got.dtype == jnp.float32
  assert 0 < np.abs(got - want).max() < 0.05 * np.abs(want).max()
