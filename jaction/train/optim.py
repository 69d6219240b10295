"""Optimizers, and what of them differs from parameter to parameter.

The optimizers follow PyTorch where it and optax differ: SGD and Adam add the decay to the gradient, AdamW adds it to
the direction, and the learning rate multiplies last, so that a change of it scales what momentum has gathered.
"""

import fnmatch
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaction.errors import InputError, nearest

OPTIMIZERS = ("sgd", "adam", "adamw", "lars")


def make_optimizer(optimizer: Mapping[str, Any]) -> optax.GradientTransformation:
  """Gradients -> the direction that minus the learning rate is to be multiplied with.

  Gradients are first scaled down to a global norm of `clip_norm` (0: not).  `groups` holds (pattern, times the
  learning rate, times the decay) for leaves whose path, such as "head/fc/kernel", matches; the first match counts.
  Leaves that a pattern of `no_decay` matches do not decay at all.  Patterns: see `matches`.

  lars (arXiv:1708.03888) multiplies gradient and decay of a leaf of two or more axes by `trust` * |w| / |gradient +
  decay|, before the momentum; biases and norms are those of sgd.
  """
  name = optimizer["name"]
  groups = check_groups(optimizer["groups"])

  def decayed(path, g, p):
    off = any(matches(pattern, path) for pattern in optimizer["no_decay"])
    return g if off else g + optimizer["weight_decay"] * groups(path)[1] * p

  decay = optax.stateless(lambda g, p: _by_path(decayed, g, p))
  adam = optax.scale_by_adam(b1=optimizer["b1"], b2=optimizer["b2"], eps=optimizer["eps"])
  chains = {  # what is made of a gradient, in order
    "sgd": (decay, optax.trace(optimizer["momentum"], nesterov=optimizer["nesterov"])),
    "adam": (decay, adam),
    "adamw": (adam, decay),
    "lars": (decay, _layer_trust(optimizer), optax.trace(optimizer["momentum"], nesterov=optimizer["nesterov"])),
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


def scaled(factors: Mapping[str, float], optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
  """`optimizer` with the learning rate of the leaves at these paths multiplied; others keep theirs."""
  rates = optax.stateless(
    lambda direction, _: _by_path(lambda path, d: d * factors[path] if path in factors else d, direction)
  )
  return optax.chain(optimizer, rates)


def depth_factors(paths: Iterable[str], decay: float) -> dict[str, float]:
  """Layer-wise decay: what multiplies each leaf's learning rate, decay ** (how many stages it stands before the head).

  For backbones of stages res2 ... res5: the head and what follows the last stage have 1, the last stage decay, the one
  before it decay ** 2, and the stem (conv1, bn1) the least.  A SlowFast's lateral connection goes with the stage that
  it leads into.  Raises InputError for a backbone without such stages.
  """
  paths = list(paths)
  found = {path: _stage(path) for path in paths}
  last = max((stage for stage in found.values() if stage), default=0)
  if not last:
    raise InputError(
      "optimizer.layer_decay wants a backbone with stages res2, res3, ...; the paths of this network are such as "
      f"{', '.join(paths[:3])}: set it to 1"
    )
  return {path: decay ** (0 if stage is None else last + 1 - stage) for path, stage in found.items()}


def _stage(path: str) -> int | None:
  """1 for res2, 2 for res3, ...; 0 for the stem, None behind the stages."""
  names = path.split("/")
  for name in names:
    if match := re.fullmatch(r"res(\d+)", name):
      return int(match[1]) - 1
    if match := re.fullmatch(r"lateral_(?:bn_)?(\d+)", name):
      return int(match[1]) + 1
  return 0 if names[0] == "backbone" and any(re.fullmatch(r"conv1.*|bn1.*", name) for name in names[:-1]) else None


def matches(pattern: str, path: str) -> bool:
  """Whether a whole path such as "head/fc/kernel" is as the pattern says: * and ? (they cross slashes), or "re:" and a
  regular expression."""
  if pattern.startswith("re:"):
    return re.fullmatch(pattern[3:], path) is not None
  return fnmatch.fnmatchcase(path, pattern)


def check_patterns(optimizer: Mapping[str, Any], paths: Sequence[str]) -> None:
  """Raises InputError for a pattern of groups or no_decay that no parameter's path matches, naming the nearest path."""
  patterns = [("groups", group[0]) for group in optimizer["groups"]]
  for key, pattern in patterns + [("no_decay", pattern) for pattern in optimizer["no_decay"]]:
    try:
      found = any(matches(pattern, path) for path in paths)
    except re.error as error:
      raise InputError(f"optimizer.{key}: {pattern!r} is no regular expression: {error}") from error
    if not found:
      near = nearest(pattern.removeprefix("re:"), paths, n=1) or f" The paths are such as {', '.join(paths[-3:])}."
      raise InputError(f"optimizer.{key}: no parameter's path matches {pattern!r}.{near}")


def leaf_paths(tree: Any) -> list[str]:
  """The paths of a tree of dicts, such as "head/fc/kernel"."""
  return ["/".join(str(key.key) for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def _layer_trust(optimizer: Mapping[str, Any]) -> optax.GradientTransformation:
  def ratio(update, p):
    weight, size = jnp.linalg.norm(p.ravel()), jnp.linalg.norm(update.ravel())
    known = (weight > 0) & (size > 0)
    return update * jnp.where(known, optimizer["trust"] * weight / jnp.where(known, size, 1), 1.0)

  each = lambda update, p: ratio(update, p) if p.ndim > 1 else update  # noqa: E731
  return optax.stateless(lambda updates, params: jax.tree.map(each, updates, params))


def check_groups(groups: Sequence[tuple[str, float, float]]) -> Callable[[str], tuple[float, float]]:
  """The function path -> (times the learning rate, times the decay); (1, 1) where no pattern matches."""
  for group in groups:
    if len(group) != 3 or not isinstance(group[0], str):
      raise InputError(f"optimizer.groups: {group!r}; wanted (pattern, times the learning rate, times the decay)")

  def factors(path: str) -> tuple[float, float]:
    return next(((lr, decay) for pattern, lr, decay in groups if matches(pattern, path)), (1.0, 1.0))

  return factors


def _by_path(function: Callable, *trees: Any) -> Any:
  join = lambda path: "/".join(str(key.key) for key in path)  # noqa: E731
  return jax.tree_util.tree_map_with_path(lambda path, *leaves: function(join(path), *leaves), *trees)
