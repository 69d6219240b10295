"""What a model costs, from its shapes alone: multiply-accumulates and the memory that its activations take.

The program is traced, not run and not compiled.  Convolutions and matrix products are counted as papers do: every
output element times the taps that it sums, padding included.  `model_cost` traces the plain form of every convolution,
whatever form the backend computes it in, so that the counts are the same everywhere.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from jax.extend import core

from jaction.errors import InputError
from jaction.models.conv import plain

_VIEWS = {"reshape", "squeeze", "expand_dims"}  # no memory of their own
_MARK = "@"  # around a module's path in the name stack, where flax alone would give the order of the calls


class Cost(NamedTuple):
  """Of one forward pass."""

  macs: int  # multiply-accumulates
  by_module: Mapping[str, int]  # the same by the path of the module that asked for them: "backbone/res2/block0/conv1"
  peak_bytes: int  # the most that lives at once, weights left out, every operation's result stored


def macs_of(function: Callable[..., Any], *args: Any) -> int:
  """The multiply-accumulates of function(*args); the arguments may be arrays or `jax.ShapeDtypeStruct`s."""
  return sum(_macs(jax.make_jaxpr(function)(*args).jaxpr, "").values())


def model_cost(model: nn.Module, clips: tuple[int, ...], *, dtype: Any = np.float32) -> Cost:
  """The cost of `model.apply` on clips [B,V,T,H,W,C], spectrograms [B,V,T,F,1], or a detector's [B,T,H,W,C], of this
  shape; a detector has one box in each clip.

  Nothing is computed; large models take seconds.
  """
  if hasattr(model, "rois"):
    return _detector_cost(model, clips, dtype)
  axes = len(getattr(model, "clip", "THW")) + 3
  if len(clips) != axes:
    wanted = "[B,V,T,F,1]" if axes == 5 else "[B,V,T,H,W,C]"
    raise InputError(f"model_cost wants a shape {wanted}, got {tuple(clips)}.")
  return _cost(model, jax.ShapeDtypeStruct(clips, dtype))


def _detector_cost(model: Any, clips: tuple[int, ...], dtype: Any) -> Cost:
  if len(clips) != 5:
    raise InputError(f"model_cost wants a shape [B,T,H,W,C] for a detector, got {tuple(clips)}.")
  _, *others = model.inputs()
  rows = [jax.ShapeDtypeStruct((clips[0], *one.shape[1:]), one.dtype) for one in others]
  return _cost(model, jax.ShapeDtypeStruct(clips, dtype), *rows)


def inputs_cost(model: Any) -> Cost:
  """The cost for one row of what `model.inputs` says, which every network of create_model has."""
  return _cost(model, *model.inputs())


def _cost(model: nn.Module, *inputs: jax.ShapeDtypeStruct) -> Cost:
  variables = jax.eval_shape(lambda *x: model.init(jax.random.key(0), *x), *inputs)
  with nn.intercept_methods(_mark_module), plain():
    program = jax.make_jaxpr(lambda v, *x: model.apply(v, *x, train=False))(variables, *inputs).jaxpr
  by_module = _macs(program, "")
  return Cost(sum(by_module.values()), dict(by_module), _peak(program) + sum(_bytes(x) for x in inputs))


def _mark_module(call, args, kwargs, context):
  with jax.named_scope(_MARK + ".".join(context.module.path) + _MARK):
    return call(*args, **kwargs)


def _macs(program, outer: str) -> Counter[str]:
  found: Counter[str] = Counter()
  for equation in program.eqns:
    stack = f"{outer}/{equation.source_info.name_stack}"
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
      found[_module(stack)] += _convolution(equation)
    elif name == "dot_general":
      (contracted, _), _ = params["dimension_numbers"]
      left = equation.invars[0].aval.shape
      found[_module(stack)] += equation.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)
    elif name == "cond":  # the dearest branch
      found += max((_macs(branch.jaxpr, stack) for branch in params["branches"]), key=lambda c: sum(c.values()))
    elif name == "while":
      if any(_macs(inner, stack) for inner in _inner(params)):
        raise InputError("the cost of a while loop is unknown before it runs; wanted a program with fixed loops.")
    else:
      times = params["length"] if name == "scan" else 1
      for inner in _inner(params):
        for module, count in _macs(inner, stack).items():
          found[module] += times * count
  return found


def _convolution(equation) -> int:
  """Outputs x taps x input channels of a group; the zeros between a transposed convolution's inputs do not count."""
  kernel, spec = equation.invars[1].aval.shape, equation.params["dimension_numbers"].rhs_spec
  taps = math.prod(kernel[axis] for axis in spec[1:])  # rhs_spec: output channels, input channels of a group, space
  return equation.outvars[0].aval.size * taps // math.prod(equation.params["lhs_dilation"])


def _module(stack: str) -> str:
  parts = stack.split(_MARK)
  return parts[-2].replace(".", "/") if len(parts) > 2 else ""


def _inner(params: Mapping[str, Any]) -> Iterator[Any]:
  for value in params.values():
    for item in value if isinstance(value, (tuple, list)) else (value,):
      if isinstance(item, core.ClosedJaxpr):
        yield item.jaxpr
      elif isinstance(item, core.Jaxpr):
        yield item


def _bytes(aval) -> int:
  return aval.size * np.dtype(aval.dtype).itemsize if hasattr(aval, "shape") and _is_plain(aval.dtype) else 0


def _is_plain(dtype) -> bool:
  return not jax.dtypes.issubdtype(dtype, jax.dtypes.extended)  # keys of random generators have no size of their own


def _peak(program) -> int:
  """The most bytes of results that live at once: each from the operation that makes it to the last that reads it."""
  owner: dict[Any, Any] = {}  # a view -> the array that it looks at
  last: dict[Any, int] = {}
  for position, equation in enumerate(program.eqns):
    if equation.primitive.name in _VIEWS and not isinstance(equation.invars[0], core.Literal):
      source = equation.invars[0]
      owner[equation.outvars[0]] = owner.get(source, source)
    for var in equation.invars:
      if not isinstance(var, core.Literal):
        last[owner.get(var, var)] = position
  for var in program.outvars:
    if not isinstance(var, core.Literal):
      last[owner.get(var, var)] = len(program.eqns)

  live, peak = {}, 0
  for position, equation in enumerate(program.eqns):
    made = {var: _bytes(var.aval) for var in equation.outvars if var not in owner}
    inside = max((_peak(inner) for inner in _inner(equation.params)), default=0)
    peak = max(peak, sum(live.values()) + max(inside, sum(made.values())))
    live.update({var: size for var, size in made.items() if last.get(var, -1) > position})
    for var in [var for var in live if last[var] <= position]:
      del live[var]
  return peak
