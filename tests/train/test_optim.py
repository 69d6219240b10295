"""Durations, schedules and optimizers, against arithmetic written out and, where torch is there, against torch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaction.errors import InputError
from jaction.train.optim import in_steps, make_optimizer, make_schedule

SGD = {
  "name": "sgd", "momentum": 0.9, "nesterov": False, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.1,
  "clip_norm": 0.0, "groups": (),
}  # fmt: skip
SCHEDULE = {
  "name": "cosine", "lr": 0.4, "final_lr": 0.0, "milestones": (), "gamma": 0.1, "by_epoch": False, "warmup_ratio": 0.1,
}  # fmt: skip


def length(**given):
  return {"steps": 0, "epochs": 0.0, "examples": 0} | given


@pytest.mark.parametrize(
  "given, steps",
  [({"steps": 7}, 7), ({"epochs": 2}, 25), ({"epochs": 0.5}, 7), ({"examples": 17}, 3), ({"examples": 8}, 1)],
)
def test_a_duration_in_each_unit_comes_to_steps(given, steps):
  assert in_steps(length(**given), batch_size=8, examples=100, what="duration") == steps


@pytest.mark.parametrize("given", [{}, {"steps": 3, "epochs": 1}, {"steps": -1}])
def test_exactly_one_unit_must_be_given(given):
  with pytest.raises(InputError, match="duration.steps=.*duration.epochs=.*exactly one"):
    in_steps(length(**given), batch_size=8, examples=100, what="duration")


def test_an_optional_duration_may_be_left_out():
  assert in_steps(length(), batch_size=8, examples=100, what="eval.every", optional=True) == 0
  with pytest.raises(InputError, match="at most one"):
    in_steps(length(steps=1, examples=1), batch_size=8, examples=100, what="eval.every", optional=True)


def schedule(total=100, warmup=0, batch_size=10, examples=100, **settings):
  return make_schedule(SCHEDULE | settings, total=total, warmup=warmup, batch_size=batch_size, examples=examples)


def test_cosine_falls_from_lr_to_final_lr():
  rate = schedule(final_lr=0.1)
  assert rate(0) == 0.4
  assert rate(50) == pytest.approx(0.25)
  assert rate(99) == pytest.approx(0.1, abs=1e-3)
  assert all(rate(s) > rate(s + 1) for s in range(99))


def test_cosine_by_epoch_is_that_of_mmcv():
  rate = schedule(total=103, by_epoch=True, examples=97)  # 10 epochs of 9.7 steps
  for step in range(103):
    epoch = step * 10 // 97
    assert rate(step) == pytest.approx(0.2 * (1 + math.cos(math.pi * epoch / 10)))


def test_steps_come_at_their_epochs():
  rate = schedule(name="step", milestones=(4, 8), by_epoch=True)
  assert [rate(s) for s in (0, 39, 40, 79, 80, 99)] == pytest.approx([0.4, 0.4, 0.04, 0.04, 0.004, 0.004])


def test_warm_up_is_linear_up_to_what_the_schedule_has_meanwhile():
  plain, warm = schedule(name="step", milestones=(2,)), schedule(name="step", milestones=(2,), warmup=30)
  assert warm(0) == pytest.approx(0.04)
  assert warm(15) == pytest.approx(plain(15) * 0.55)
  assert warm(25) == pytest.approx(plain(25) * (0.1 + 0.9 * 25 / 30))
  assert [warm(s) for s in range(30, 100)] == [plain(s) for s in range(30, 100)]


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"name": "cosin"}, "'cosin' is not known.*Near it: cosine"),
    ({"lr": 0.0}, "learning rate above 0"),
    ({"warmup": 100}, "warm-up of 100 steps"),
    ({"milestones": (4, 2), "name": "step"}, "increasing order"),
  ],
)
def test_a_schedule_that_cannot_be_is_refused(settings, message):
  with pytest.raises(InputError, match=message):
    schedule(**settings)


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
