"""Optimizers, against arithmetic written out and, where torch is there, against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaction.errors import InputError
from jaction.train.optim import check_patterns, depth_factors, leaf_paths, make_optimizer, scaled

SGD = {
  "name": "sgd", "momentum": 0.9, "nesterov": False, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.1,
  "clip_norm": 0.0, "groups": (), "no_decay": (),
}  # fmt: skip


def problem():
  rng = np.random.default_rng(0)
  params = {
    "backbone": {"kernel": rng.normal(size=(5, 4)), "bias": rng.normal(size=4)},
    "head": {"kernel": rng.normal(size=(4, 2))},
  }
  params = jax.tree.map(np.float32, params)
  grads = [jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32) * 3, params) for _ in range(6)]
  return params, grads, [0.1, 0.1, 0.02, 0.05, 0.05, 0.01]


def run(settings):
  optimizer = make_optimizer(SGD | settings)
  params, grads, rates = problem()
  state = optimizer.init(params)
  for g, lr in zip(grads, rates, strict=True):
    direction, state = optimizer.update(g, state, params)
    params = jax.tree.map(lambda p, d, lr=lr: p - lr * d, params, direction)
  return params


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("clip_norm", [0.0, 2.0, 100.0])
def test_sgd_is_the_arithmetic_of_pytorch(nesterov, clip_norm):
  params, grads, rates = problem()
  leaves, tree = jax.tree.flatten(jax.tree.map(np.float64, params))
  buffers = None
  for g, lr in zip(grads, rates, strict=True):
    g = [np.float64(x) for x in jax.tree.leaves(g)]
    norm = np.sqrt(sum((x**2).sum() for x in g))
    g = [x * min(1.0, clip_norm / norm) if clip_norm else x for x in g]
    g = [x + 0.1 * p for x, p in zip(g, leaves, strict=True)]
    buffers = g if buffers is None else [0.9 * b + x for b, x in zip(buffers, g, strict=True)]
    used = [x + 0.9 * b for x, b in zip(g, buffers, strict=True)] if nesterov else buffers
    leaves = [p - lr * u for p, u in zip(leaves, used, strict=True)]
  got = run({"nesterov": nesterov, "clip_norm": clip_norm})
  for a, b in zip(jax.tree.leaves(got), leaves, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


@pytest.mark.reference
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("clip_norm", [0.0, 2.0])
def test_optimizers_are_those_of_torch(name, clip_norm):
  torch = pytest.importorskip("torch")
  params, grads, rates = problem()
  leaves = [torch.nn.Parameter(torch.tensor(x)) for x in jax.tree.leaves(params)]
  makers = {
    "sgd": lambda: torch.optim.SGD(leaves, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda: torch.optim.Adam(leaves, 0.1, weight_decay=0.1),
    "adamw": lambda: torch.optim.AdamW(leaves, 0.1, weight_decay=0.1),
  }
  optimizer = makers[name]()
  for g, lr in zip(grads, rates, strict=True):
    for leaf, value in zip(leaves, jax.tree.leaves(g), strict=True):
      leaf.grad = torch.tensor(value)
    if clip_norm:
      torch.nn.utils.clip_grad_norm_(leaves, clip_norm)
    optimizer.param_groups[0]["lr"] = lr
    optimizer.step()
  got = run({"name": name, "nesterov": True, "clip_norm": clip_norm})
  for a, b in zip(jax.tree.leaves(got), leaves, strict=True):
    np.testing.assert_allclose(a, b.detach().numpy(), rtol=2e-5, atol=2e-6)


def test_groups_scale_rate_and_decay_by_path():
  groups = (("head/*", 5.0, 1.0), ("*/bias", 2.0, 0.0))
  optimizer = make_optimizer(SGD | {"momentum": 0.0, "groups": groups})
  params = {"backbone": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}, "head": {"bias": jnp.ones(2)}}
  direction, _ = optimizer.update(params, optimizer.init(params), params)
  np.testing.assert_allclose(direction["backbone"]["kernel"], 1.1)
  np.testing.assert_allclose(direction["backbone"]["bias"], 2.0)  # no decay, twice the rate
  np.testing.assert_allclose(direction["head"]["bias"], 5.5)  # the first match counts


def test_the_gradient_is_clipped_before_the_decay_is_added():
  optimizer = make_optimizer(SGD | {"momentum": 0.0, "clip_norm": 1.0})
  params = {"kernel": jnp.array([30.0, 40.0])}
  direction, _ = optimizer.update(params, optimizer.init(params), params)
  np.testing.assert_allclose(direction["kernel"], [0.6 + 3, 0.8 + 4], rtol=1e-6)
  assert float(optax.tree.norm(direction)) > 1


def test_an_unknown_optimizer_and_a_bad_group_are_refused():
  with pytest.raises(InputError, match="'sgdm' is not known.*Near it: sgd"):
    make_optimizer(SGD | {"name": "sgdm"})
  with pytest.raises(InputError, match="groups.*wanted"):
    make_optimizer(SGD | {"groups": (("head", 1.0),)})


def test_lars_scales_each_matrix_by_its_trust_and_leaves_vectors_to_sgd():
  params, grads, rates = problem()
  leaves, buffers = [np.float64(x) for x in jax.tree.leaves(params)], None
  for g, lr in zip(grads, rates, strict=True):
    g = [np.float64(x) + 0.1 * p for x, p in zip(jax.tree.leaves(g), leaves, strict=True)]
    g = [
      x * 0.02 * np.sqrt((p**2).sum()) / np.sqrt((x**2).sum()) if p.ndim > 1 else x
      for x, p in zip(g, leaves, strict=True)
    ]
    buffers = g if buffers is None else [0.9 * b + x for b, x in zip(buffers, g, strict=True)]
    leaves = [p - lr * b for p, b in zip(leaves, buffers, strict=True)]
  got = run({"name": "lars", "trust": 0.02})
  for a, b in zip(jax.tree.leaves(got), leaves, strict=True):
    np.testing.assert_allclose(a, b, rtol=5e-6, atol=5e-6)


def test_lars_of_a_matrix_of_zeros_moves_by_its_gradient():
  optimizer = make_optimizer(SGD | {"name": "lars", "trust": 0.02, "momentum": 0.0})
  params, grads = {"kernel": jnp.zeros((2, 2))}, {"kernel": jnp.full((2, 2), 3.0)}
  np.testing.assert_array_equal(optimizer.update(grads, optimizer.init(params), params)[0]["kernel"], grads["kernel"])


@pytest.mark.parametrize("pattern", ["*/bias", "re:.*/b[a-z]+s"])
def test_what_does_not_decay_gets_its_bare_gradient(pattern):
  optimizer = make_optimizer(SGD | {"momentum": 0.0, "no_decay": (pattern,)})
  params = {"head": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}}
  direction, _ = optimizer.update(params, optimizer.init(params), params)
  np.testing.assert_allclose(direction["head"]["kernel"], 1.1)
  np.testing.assert_array_equal(direction["head"]["bias"], 1.0)


def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest_path():
  paths = leaf_paths(problem()[0])
  assert paths == ["backbone/bias", "backbone/kernel", "head/kernel"]
  check_patterns(SGD | {"groups": (("head/*", 5.0, 1.0), ("re:.*/(bias|scale)", 1.0, 0.0))}, paths)
  with pytest.raises(InputError, match="groups: .*'haed/kernel'.*Near it: head/kernel"):
    check_patterns(SGD | {"groups": (("haed/kernel", 5.0, 1.0),)}, paths)
  with pytest.raises(InputError, match="no_decay: .*'scale'"):
    check_patterns(SGD | {"no_decay": ("scale",)}, paths)
  with pytest.raises(InputError, match="no regular expression"):
    check_patterns(SGD | {"no_decay": ("re:(",)}, paths)


def test_layer_decay_multiplies_once_for_each_stage_below_the_head():
  paths = [
    "backbone/conv1/bn/scale", "backbone/bn1/bias", "backbone/res2/block0/conv1/kernel", "backbone/res5/conv/kernel",
    "backbone/conv5/kernel", "head/fc/kernel", "backbone/fast/conv1/kernel", "backbone/lateral_0/kernel",
    "backbone/lateral_2/kernel", "backbone/slow/res4/conv/kernel",
  ]  # fmt: skip
  wanted = [0.5**5, 0.5**5, 0.5**4, 0.5, 1, 1, 0.5**5, 0.5**4, 0.5**2, 0.5**2]
  assert [depth_factors(paths, 0.5)[path] for path in paths] == wanted
  with pytest.raises(InputError, match="layer_decay wants a backbone with stages res2"):
    depth_factors(["backbone/conv1a/kernel", "head/kernel"], 0.5)


def test_a_scaled_leaf_moves_by_its_factor_and_the_others_as_before():
  params, grads, _ = problem()
  plain = make_optimizer(SGD)
  optimizer = scaled({"backbone/bias": 0.25}, plain)
  one, other = (o.update(grads[0], o.init(params), params)[0] for o in (plain, optimizer))
  np.testing.assert_array_equal(other["backbone"]["bias"], 0.25 * one["backbone"]["bias"])
  np.testing.assert_array_equal(other["head"]["kernel"], one["head"]["kernel"])
