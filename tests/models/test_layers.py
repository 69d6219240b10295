import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict

from jaction.models import create_model, initialize
from jaction.models.layers import ZERO, BatchNorm, Conv


@pytest.fixture
def x():
  return 3 + 2 * np.random.default_rng(0).standard_normal((4, 3, 5, 5, 6), np.float32)


def run(x, **fields):
  norm = BatchNorm(**fields)
  variables = norm.init(jax.random.key(0), x, train=False)
  y, new = norm.apply(variables, x, train=True, mutable=["batch_stats"])
  return variables, np.asarray(y), jax.tree.map(np.asarray, new["batch_stats"])


def test_batch_norm_uses_the_batch_and_keeps_the_unbiased_variance(x):
  _, y, stats = run(x)
  flat = x.reshape(-1, 6).astype(np.float64)
  np.testing.assert_allclose(y.reshape(-1, 6), (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5), atol=1e-5)
  np.testing.assert_allclose(stats["mean"], 0.1 * flat.mean(0), rtol=1e-5)
  np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)
  assert not np.allclose(stats["var"], 0.9 + 0.1 * flat.var(0), rtol=1e-5), "the biased variance would be flax's own"


def test_groups_have_statistics_of_their_own(x):
  _, y, stats = run(x, groups=2)
  halves = [run(half) for half in (x[:2], x[2:])]
  np.testing.assert_allclose(y, np.concatenate([h[1] for h in halves]), atol=1e-5)
  for name in ("mean", "var"):
    np.testing.assert_allclose(stats[name], np.mean([h[2][name] for h in halves], axis=0), rtol=1e-5)


def test_groups_that_do_not_divide_the_batch_are_an_error(x):
  with pytest.raises(ValueError, match="3 groups.*got 4"):
    run(x, groups=3)


def test_a_frozen_norm_neither_uses_nor_changes_anything_in_training(x):
  variables, y, stats = run(x, frozen=True)
  np.testing.assert_allclose(y, x / np.sqrt(1 + 1e-5), rtol=1e-5)
  jax.tree.map(np.testing.assert_array_equal, stats, variables["batch_stats"])


def test_a_norm_over_one_value_stays_finite():
  _, y, stats = run(np.full((1, 1, 1, 1, 2), 7, np.float32))
  assert np.isfinite(y).all() and np.isfinite(stats["var"]).all()


def test_bfloat16_in_gives_bfloat16_out_with_float32_parameters(x):
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
      return BatchNorm(name="bn")(Conv(8, (3, 3), name="conv")(x), train=train)

  variables = Net().init(jax.random.key(0), x, train=False)
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
  assert Net().apply(variables, jnp.asarray(x, jnp.bfloat16), train=False).dtype == jnp.bfloat16


def test_initialize_gives_the_tree_of_init_and_depends_on_path_and_seed_alone():
  model, clips = (
    create_model("slowfast_tiny_2x8x1", num_classes=5),
    jax.ShapeDtypeStruct((1, 1, 8, 32, 32, 3), np.float32),
  )
  got = flatten_dict(initialize(model, clips, seed=3), sep="/")
  want = flatten_dict(jax.eval_shape(model.init, jax.random.key(0), clips), sep="/")
  assert {k: (v.shape, v.dtype) for k, v in got.items()} == {k: (v.shape, v.dtype) for k, v in want.items()}
  again = flatten_dict(initialize(model, clips, seed=3), sep="/")
  other = flatten_dict(initialize(create_model("slowfast_tiny_2x8x1", num_classes=9), clips, seed=3), sep="/")
  seed = flatten_dict(initialize(model, clips, seed=4), sep="/")
  for path in got:
    np.testing.assert_array_equal(got[path], again[path])
    if "fc" not in path:
      np.testing.assert_array_equal(got[path], other[path], err_msg="another class count changed the backbone")
  path = "params/backbone/slow/conv1/conv/kernel"
  assert not np.array_equal(got[path], seed[path])
  assert np.isclose(got[path].std(), np.sqrt(2 / (got[path].size / got[path].shape[-2])), rtol=0.1)
  assert (
    not got["params/backbone/slow/res2/block0/bn3/scale"].any()
    and got["params/backbone/slow/res2/block0/bn1/scale"].all()
  )


def test_a_zero_draw_is_zero():
  assert not ZERO(jax.random.key(0), (3,)).any()
