"""The engine under the tables of names: PyTorch's state dicts to Flax variables, and back.

A table is a sequence of rows (PyTorch name, Flax path, kind), with {s} standing for a number and {s+1} for that number
plus one.  The paths that a model really has decide which numbers occur, so one table serves every depth, and the same
rows run in both directions.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaction.errors import CheckpointError, nearest

# PyTorch's step counters of batch norm, and BMN's table, which its settings give: no computation here reads them.
IGNORED = ("num_batches_tracked", "sample_mask")
SHOWN = 30  # lines of one error
PLACE = re.compile(r"\{([^}]*)\}")  # {s} or {s+1}


class Row(NamedTuple):
  torch: str  # "layer{s}.{b}.conv{c}.conv.weight"
  flax: str  # "params/res{s+1}/block{b}/conv{c}/kernel"
  kind: str = "as-is"


def conv(torch: str, flax: str) -> tuple[Row, ...]:
  return Row(f"{torch}.weight", f"params/{flax}/kernel", "conv"), Row(f"{torch}.bias", f"params/{flax}/bias")


def dense(torch: str, flax: str) -> tuple[Row, ...]:
  return Row(f"{torch}.weight", f"params/{flax}/kernel", "dense"), Row(f"{torch}.bias", f"params/{flax}/bias")


def norm(torch: str, flax: str) -> tuple[Row, ...]:
  return (
    Row(f"{torch}.weight", f"params/{flax}/scale"),
    Row(f"{torch}.bias", f"params/{flax}/bias"),
    Row(f"{torch}.running_mean", f"batch_stats/{flax}/mean"),
    Row(f"{torch}.running_var", f"batch_stats/{flax}/var"),
  )


def under(torch: str, flax: str, rows: Iterable[Row]) -> tuple[Row, ...]:
  """The same rows one level down: `torch` before each name, `flax` after params/ and batch_stats/."""
  out = []
  for row in rows:
    collection, path = row.flax.split("/", 1)
    out.append(Row(torch + row.torch, f"{collection}/{flax}{path}", row.kind))
  return tuple(out)


def _flattened(*sizes: int):
  """The weights of a layer that sees a map of C channels and these sizes, all flattened: C first <-> C last."""
  last = 1 + len(sizes)

  def to_flax(x):  # [O, C * sizes] -> [sizes * C, O]
    return np.moveaxis(x.reshape(len(x), -1, *sizes), (0, 1), (last, last - 1)).reshape(-1, len(x))

  def to_torch(x):
    return np.moveaxis(x.reshape(*sizes, -1, x.shape[-1]), (last, last - 1), (0, 1)).reshape(x.shape[-1], -1)

  return to_flax, to_torch


# kind -> (PyTorch array -> Flax array, and back)
KINDS = {
  "as-is": (lambda x: x, lambda x: x),
  "conv": (lambda x: np.moveaxis(x, (0, 1), (-1, -2)), lambda x: np.moveaxis(x, (-1, -2), (0, 1))),  # OI... <-> ...IO
  "conv-samples": (lambda x: x[..., 0, 0].transpose(2, 1, 0), lambda x: x.transpose(2, 1, 0)[..., None, None]),  # BMN's
  "dense": (np.transpose, np.transpose),
  "dense-conv": (lambda x: x.reshape(x.shape[:2]).T, lambda x: x.T[..., None, None, None]),  # a 1x1x1 convolution there
  "column": (lambda x: x.reshape(-1), lambda x: x.reshape(-1, 1, 1, 1)),  # a norm over C x 1 x 1 x 1
  "dense-1x4x4": _flattened(1, 4, 4),  # C3D's fc6
}


def names_of(paths: Iterable[str], rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
  """Flax path -> (PyTorch name, kind).  A path that not exactly one row describes is a fault of the table: KeyError."""
  compiled = [(re.compile(_pattern(row.flax)), row) for row in rows]
  out = {}
  for path in paths:
    hits = [(match, row) for pattern, row in compiled if (match := pattern.fullmatch(path))]
    fewest = min((len(match.groups()) for match, _ in hits), default=0)
    hits = [hit for hit in hits if len(hit[0].groups()) == fewest]  # the row that spells out more is the more exact one
    if len(hits) != 1:
      raise KeyError(f"{path}: described by {len(hits)} rows of the table, want 1")
    ((match, row),) = hits
    values = zip(PLACE.findall(row.flax), map(int, match.groups()), strict=True)
    numbers = {_variable(place): value - _offset(place) for place, value in values}
    name = PLACE.sub(lambda m, n=numbers: str(n[_variable(m[1])] + _offset(m[1])), row.torch)
    out[path] = name, row.kind
  return out


def to_flax(state_dict: Mapping[str, np.ndarray], rows: Sequence[Row], like: Any) -> dict:
  """Variables with the names and shapes of the tree `like`, filled from `state_dict`.

  Strict: names that nothing wants, leaves that nothing fills and wrong shapes are listed in one CheckpointError.
  """
  want = flatten_dict(like, sep="/")
  names = names_of(want, rows)
  wanted = {name for name, _ in names.values()}
  out, problems = {}, []
  for name in state_dict:
    if name not in wanted and not name.endswith(IGNORED):
      near = nearest(name, wanted, n=1)
      problems.append(f"{name} {np.shape(state_dict[name])}: the model has nothing of this name.{near}")
  for path, (name, kind) in names.items():
    if name not in state_dict:
      problems.append(f"{name} {_torch_shape(want[path], kind)}: not in the checkpoint, wanted for {path}")
      continue
    value = np.asarray(state_dict[name])
    shape = _torch_shape(want[path], kind)
    if value.shape != shape:
      problems.append(f"{name}: shape {value.shape}, want {shape} for {path}")
    elif not np.issubdtype(value.dtype, np.floating) and value.dtype.name != "bfloat16":
      problems.append(f"{name}: numbers of type {value.dtype}, want floats")
    else:
      out[path] = np.ascontiguousarray(KINDS[kind][0](value), want[path].dtype)
  if problems:
    shown = problems[:SHOWN] + [f"and {len(problems) - SHOWN} more"] * (len(problems) > SHOWN)
    raise CheckpointError("the weights do not fit the model:\n  " + "\n  ".join(shown))
  return unflatten_dict(out, sep="/")


def to_torch_names(variables: Any, rows: Sequence[Row]) -> dict[str, np.ndarray]:
  """The PyTorch state dict of `variables`, without counters."""
  flat = flatten_dict(variables, sep="/")
  out = {}
  for path, (name, kind) in names_of(flat, rows).items():
    out[name] = np.ascontiguousarray(KINDS[kind][1](np.asarray(flat[path])))
  return out


def _torch_shape(leaf, kind):
  return KINDS[kind][1](np.broadcast_to(np.float32(0), leaf.shape)).shape


def _pattern(template):
  return r"(\d+)".join(re.escape(part) for part in re.split(r"\{[^}]*\}", template))


def _variable(place):
  return re.split(r"[+-]", place)[0]


def _offset(place):
  match = re.search(r"[+-]\d+$", place)
  return int(match[0]) if match else 0
