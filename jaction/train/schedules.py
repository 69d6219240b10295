"""Durations and learning-rate schedules, as plain functions of the step."""

import bisect
import math
from collections.abc import Callable, Mapping
from typing import Any

from jaction.errors import InputError, nearest

UNITS = ("steps", "epochs", "examples")
SCHEDULES = ("constant", "cosine", "tin_cosine", "linear", "exponential", "step")
WARMUPS = ("linear", "constant", "exponential")


def in_steps(
  duration: Mapping[str, float], *, batch_size: int, examples: int, what: str, optional: bool = False
) -> int:
  """A duration {steps, epochs, examples}, of which one is not zero, in steps, rounded up.

  `examples` is the size of the training set.  An epoch is `examples / batch_size` steps, which need not be whole:
  batches run on over the end of an epoch.  With `optional` all may be zero, which gives 0.
  """
  given = {unit: duration[unit] for unit in UNITS if duration[unit]}
  if any(value < 0 for value in given.values()) or len(given) > 1 or (not given and not optional):
    said = ", ".join(f"{what}.{unit}={duration[unit]}" for unit in UNITS)
    raise InputError(f"{said}: wanted {'at most' if optional else 'exactly'} one above zero; set the others to 0")
  if not given:
    return 0
  unit, value = given.popitem()
  size = {"steps": 1.0, "epochs": examples / batch_size, "examples": 1 / batch_size}[unit]
  return max(1, math.ceil(value * size - 1e-6))


def rate_scale(schedule: Mapping[str, Any], batch_size: int) -> float:
  """What every rate of the schedule is multiplied with: batch_size / reference_batch, or 1 where that is 0."""
  return batch_size / schedule["reference_batch"] if schedule["reference_batch"] else 1.0


def make_schedule(
  schedule: Mapping[str, Any], *, total: int, warmup: int, batch_size: int, examples: int
) -> Callable[[int], float]:
  """The learning rate of step 0, 1, ... total - 1, as a plain function.

  Progress is counted in epochs, fractions of them included, or with `by_epoch` in whole ones, as MMAction2 does by
  default.  Of a run of `end` epochs, at epoch e:

  constant: lr.  cosine: from lr to `final_lr` by half a cosine.  tin_cosine: the same from the end of the warm-up on
  (MMAction2's TINLrUpdaterHook, in which the cosine of a warm-up is that of the mirrored progress).  linear: from lr
  to final_lr by a straight line.  exponential: lr * gamma ** e.  step: times gamma at each of `milestones`, or where
  there are none after every `interval` (epochs both).

  During the first `warmup` steps the rate that the schedule has meanwhile is multiplied with a factor, as mmcv's
  LrUpdaterHook does; linear: from `warmup_ratio` up to 1 by a straight line; exponential: by a geometric one;
  constant: warmup_ratio.  In the end all of it is multiplied with `rate_scale`, final_lr too.
  """
  _check(schedule, total, warmup)
  name, base, final, gamma = (schedule[key] for key in ("name", "lr", "final_lr", "gamma"))
  milestones, interval = list(schedule["milestones"]), schedule["interval"]
  by_epoch, kind, ratio = (schedule[key] for key in ("by_epoch", "warmup_kind", "warmup_ratio"))
  scale = rate_scale(schedule, batch_size)

  def epochs(step: int) -> float:
    return step * batch_size // examples if by_epoch else step * batch_size / examples

  # The run's last batch may reach over its last epoch, hence the floor of the end.
  end = max(1, epochs(total)) if by_epoch else epochs(total)

  def regular(step: int) -> float:
    epoch = epochs(step)
    if name == "cosine":
      return final + (base - final) * (1 + math.cos(math.pi * epoch / end)) / 2
    if name == "tin_cosine":
      start = epochs(warmup)
      return final + (base - final) * (1 + math.cos(math.pi * (epoch - start) / max(end - start, 1e-9))) / 2
    if name == "linear":
      return base + (final - base) * epoch / end
    if name == "exponential":
      return base * gamma**epoch
    if name == "step":
      passed = bisect.bisect_right(milestones, epoch) if milestones else math.floor(epoch / interval + 1e-9)
      return base * gamma**passed
    return base

  def rate(step: int) -> float:
    value = regular(step)
    if step < warmup:
      if kind == "linear":
        value *= 1 - (1 - step / warmup) * (1 - ratio)
      else:
        value *= ratio if kind == "constant" else ratio ** (1 - step / warmup)
    return scale * value

  return rate


def _check(schedule: Mapping[str, Any], total: int, warmup: int) -> None:
  for key, known in (("name", SCHEDULES), ("warmup_kind", WARMUPS)):
    if (value := schedule[key]) not in known:
      raise InputError(
        f"schedule.{key}={value!r} is not known; wanted one of {', '.join(known)}.{nearest(str(value), known)}"
      )
  if schedule["lr"] <= 0:
    raise InputError(f"schedule.lr={schedule['lr']}: wanted a learning rate above 0")
  if warmup >= total and warmup:
    raise InputError(
      f"the warm-up of {warmup} steps is as long as the run of {total} steps: make one shorter or the other longer"
    )
  if warmup and schedule["warmup_kind"] == "exponential" and schedule["warmup_ratio"] <= 0:
    raise InputError(
      f"schedule.warmup_ratio={schedule['warmup_ratio']}: an exponential warm-up starts from above 0, such as 0.1"
    )
  milestones = list(schedule["milestones"])
  if milestones != sorted(milestones):
    raise InputError(f"schedule.milestones={tuple(milestones)}: wanted epochs in increasing order")
  if schedule["name"] == "step" and bool(milestones) == bool(schedule["interval"]):
    raise InputError(
      f"schedule.milestones={tuple(milestones)}, schedule.interval={schedule['interval']}: the schedule 'step' wants "
      "one of the two, the other () or 0"
    )
