"""Durations, learning-rate schedules, optimizers.

The optimizers follow PyTorch where it and optax differ: SGD and Adam add the decay to the gradient, AdamW adds it to
the direction, and the learning rate multiplies last, so that a change of it scales what momentum has gathered.
"""

import bisect
import fnmatch
import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaction.errors import InputError, nearest

UNITS = ("steps", "epochs", "examples")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "step")


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


def make_schedule(
  schedule: Mapping[str, Any], *, total: int, warmup: int, batch_size: int, examples: int
) -> Callable[[int], float]:
  """The learning rate of step 0, 1, ... total - 1, as a plain function.

  cosine: from `lr` to `final_lr` by half a cosine; step: times `gamma` at each of `milestones` (epochs).  With
  `by_epoch` progress is counted in whole epochs, as MMAction2 does by default.  Warm-up is linear by steps, from
  `warmup_ratio` times the rate that the schedule has meanwhile, up to it (mmcv's LrUpdaterHook).
  """
  name, base = schedule["name"], schedule["lr"]
  if name not in SCHEDULES:
    raise InputError(
      f"schedule.name={name!r} is not known; wanted one of {', '.join(SCHEDULES)}.{nearest(name, SCHEDULES)}"
    )
  if base <= 0:
    raise InputError(f"schedule.lr={base}: wanted a learning rate above 0")
  if warmup >= total and warmup:
    raise InputError(
      f"the warm-up of {warmup} steps is as long as the run of {total} steps: make one shorter or the other longer"
    )
  milestones = list(schedule["milestones"])
  if milestones != sorted(milestones):
    raise InputError(f"schedule.milestones={tuple(milestones)}: wanted epochs in increasing order")

  def rate(step: int) -> float:
    epoch, end = step * batch_size / examples, total * batch_size / examples
    if schedule["by_epoch"]:  # the run's last batch may reach over its last epoch, hence the floor of the end
      epoch, end = step * batch_size // examples, max(1, total * batch_size // examples)
    regular = base
    if name == "cosine":
      regular = schedule["final_lr"] + (base - schedule["final_lr"]) * (1 + math.cos(math.pi * epoch / end)) / 2
    elif name == "step":
      regular = base * schedule["gamma"] ** bisect.bisect_right(milestones, epoch)
    if step < warmup:
      regular *= 1 - (1 - step / warmup) * (1 - schedule["warmup_ratio"])
    return regular

  return rate


def make_optimizer(optimizer: Mapping[str, Any]) -> optax.GradientTransformation:
  """Gradients -> the direction that minus the learning rate is to be multiplied with.

  Gradients are first scaled down to a global norm of `clip_norm` (0: not).  `groups` holds (pattern, times the
  learning rate, times the decay) for leaves whose path, such as "head/fc/kernel", matches; the first match counts.
  """
  name = optimizer["name"]
  groups = check_groups(optimizer["groups"])
  decay = optax.stateless(
    lambda g, p: _by_path(lambda path, g, p: g + optimizer["weight_decay"] * groups(path)[1] * p, g, p)
  )
  adam = optax.scale_by_adam(b1=optimizer["b1"], b2=optimizer["b2"], eps=optimizer["eps"])
  chains = {
    "sgd": (decay, optax.trace(optimizer["momentum"], nesterov=optimizer["nesterov"])),
    "adam": (decay, adam),
    "adamw": (adam, decay),
  }
  if name not in chains:
    raise InputError(
      f"optimizer.name={name!r} is not known; wanted one of {', '.join(OPTIMIZERS)}.{nearest(name, OPTIMIZERS)}"
    )
  clip = [optax.clip_by_global_norm(optimizer["clip_norm"])] if optimizer["clip_norm"] > 0 else []
  rates = (
    [optax.stateless(lambda g, _: _by_path(lambda path, g: g * groups(path)[0], g))] if optimizer["groups"] else []
  )
  return optax.chain(*clip, *chains[name], *rates)


def leaving(frozen: Container[str], optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
  """`optimizer` with no direction for the leaves at these paths, such as "head/fc/kernel": no decay either."""
  still = optax.stateless(
    lambda direction, _: _by_path(lambda path, d: jnp.zeros_like(d) if path in frozen else d, direction)
  )
  return optax.chain(optimizer, still)


def check_groups(groups: Sequence[tuple[str, float, float]]) -> Callable[[str], tuple[float, float]]:
  """The function path -> (times the learning rate, times the decay); (1, 1) where no pattern matches."""
  for group in groups:
    if len(group) != 3 or not isinstance(group[0], str):
      raise InputError(f"optimizer.groups: {group!r}; wanted (pattern, times the learning rate, times the decay)")

  def factors(path: str) -> tuple[float, float]:
    return next(((lr, decay) for pattern, lr, decay in groups if fnmatch.fnmatchcase(path, pattern)), (1.0, 1.0))

  return factors


def _by_path(function: Callable, *trees: Any) -> Any:
  join = lambda path: "/".join(str(key.key) for key in path)  # noqa: E731
  return jax.tree_util.tree_map_with_path(lambda path, *leaves: function(join(path), *leaves), *trees)
