"""Durations and schedules, against their formulas written out step by step."""

import math

import pytest

from jaction.errors import InputError
from jaction.train.schedules import in_steps, make_schedule

SCHEDULE = {
  "name": "cosine", "lr": 0.4, "final_lr": 0.0, "milestones": (), "gamma": 0.1, "by_epoch": False, "warmup_ratio": 0.1,
  "warmup_kind": "linear", "interval": 0.0, "reference_batch": 0,
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


# The formulas, of the epoch e of a run of `end`; w: the epoch at which the warm-up ends.
FORMULAS = {
  "constant": lambda e, end, w: 0.4,
  "linear": lambda e, end, w: 0.4 * (1 - e / end) + 0.02 * e / end,
  "exponential": lambda e, end, w: 0.4 * math.exp(e * math.log(0.7)),
  "cosine": lambda e, end, w: 0.02 + 0.38 * math.cos(math.pi * e / end / 2) ** 2,
  "tin_cosine": lambda e, end, w: 0.02 + 0.38 * math.cos(math.pi * (e - w) / (end - w) / 2) ** 2,
  "step": lambda e, end, w: 0.4 * math.prod(0.7 for at in (2, 4, 6, 8, 10) if e >= at),
}
WARMUPS = {
  "linear": lambda done, ratio: ratio + (1 - ratio) * done,
  "constant": lambda done, ratio: ratio,
  "exponential": lambda done, ratio: math.exp(math.log(ratio) * (1 - done)),
}


@pytest.mark.parametrize("kind", WARMUPS)
@pytest.mark.parametrize("by_epoch", [False, True])
@pytest.mark.parametrize("name", FORMULAS)
def test_each_schedule_and_warm_up_is_its_formula_at_every_step(name, by_epoch, kind):
  total, warmup, size, examples = 103, 24, 10, 97
  settings = {"name": name, "final_lr": 0.02, "gamma": 0.7, "warmup_ratio": 0.2, "warmup_kind": kind}
  settings |= {"by_epoch": by_epoch, "interval": 2.0 if name == "step" else 0.0, "reference_batch": 4}
  rate = schedule(total=total, warmup=warmup, batch_size=size, examples=examples, **settings)
  for step in range(total):
    epoch, end, w = (n * size / examples for n in (step, total, warmup))
    if by_epoch:
      epoch, end, w = math.floor(epoch), math.floor(end), math.floor(w)
    wanted = FORMULAS[name](epoch, end, w)
    if step < warmup:
      wanted *= WARMUPS[kind](step / warmup, 0.2)
    assert rate(step) == pytest.approx(wanted * 10 / 4, rel=1e-9), step


def test_the_cosine_of_tin_begins_where_the_warm_up_ends():
  plain, tin = (schedule(name=name, warmup=20) for name in ("cosine", "tin_cosine"))
  assert tin(20) == pytest.approx(0.4) and plain(20) < 0.37
  assert tin(60) == pytest.approx(0.2)


def test_a_rate_is_scaled_from_its_reference_batch_with_all_that_follows_from_it():
  one, other = schedule(final_lr=0.1, warmup=9), schedule(final_lr=0.1, warmup=9, reference_batch=40)
  assert [other(s) for s in range(100)] == pytest.approx([one(s) / 4 for s in range(100)])


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"name": "cosin"}, "'cosin' is not known.*Near it: cosine"),
    ({"warmup_kind": "expo"}, "warmup_kind='expo' is not known.*Near it: exponential"),
    ({"name": "step"}, "wants one of the two"),
    ({"warmup": 5, "warmup_kind": "exponential", "warmup_ratio": 0.0}, "from above 0"),
    ({"lr": 0.0}, "learning rate above 0"),
    ({"warmup": 100}, "warm-up of 100 steps"),
    ({"milestones": (4, 2), "name": "step"}, "increasing order"),
  ],
)
def test_a_schedule_that_cannot_be_is_refused(settings, message):
  with pytest.raises(InputError, match=message):
    schedule(**settings)
