"""Convolution, dense layer and batch norm, and how their parameters are drawn.

The compute type of a layer is its input's: a bfloat16 clip makes a bfloat16 network with float32 parameters.
"""

import contextvars
import math
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array, lax

from jaction.models.conv import conv, same


class Draw(NamedTuple):
  """How a parameter is drawn: normal with standard deviation `std` (None: He's, by fan-out), around `mean`."""

  std: float | None = None
  mean: float = 0.0

  def scale(self, shape: Sequence[int]) -> float:
    return math.sqrt(2 / (math.prod(shape[:-2]) * shape[-1])) if self.std is None else self.std

  def __call__(self, key, shape, dtype=jnp.float32):
    if self.std == 0:
      return jnp.full(shape, self.mean, dtype)
    return self.mean + self.scale(shape) * jax.random.normal(key, shape, dtype)


HE = Draw()
ZERO, ONE = Draw(std=0, mean=0.0), Draw(std=0, mean=1.0)

_drawn: contextvars.ContextVar[dict | None] = contextvars.ContextVar("drawn", default=None)


frozen_rule: contextvars.ContextVar[Any] = contextvars.ContextVar("frozen_rule", default=None)  # see freeze.Rule
rematerialized: contextvars.ContextVar[list | None] = contextvars.ContextVar("rematerialized", default=None)


def _param(module: nn.Module, name: str, draw: Draw, shape: Sequence[int]) -> Array:
  if (drawn := _drawn.get()) is not None:
    drawn[("params", *module.path, name)] = draw
  value = module.param(name, draw, tuple(shape))
  rule = frozen_rule.get()
  return (
    lax.stop_gradient(value)
    if rule is not None and rule.leaf(module.path, name, isinstance(module, BatchNorm))
    else value
  )


def initialize(model: nn.Module, *inputs: Any, seed: int = 0) -> dict:
  """Variables of `model` as numpy arrays, drawn as its layers say.  `inputs` may be jax.ShapeDtypeStructs.

  Compiling `model.init` takes minutes for a full-size network on a CPU; this takes seconds, gives the same numbers on
  every backend, and a parameter's numbers depend on its path and the seed alone.
  """
  token = _drawn.set(drawn := {})
  try:
    shapes = flatten_dict(jax.eval_shape(model.init, jax.random.key(0), *inputs))
  finally:
    _drawn.reset(token)
  out = {}
  for path, leaf in shapes.items():
    if path[0] == "batch_stats":
      out[path] = np.full(leaf.shape, float(path[-1] == "var"), leaf.dtype)
      continue
    draw = drawn[path]
    if draw.std == 0:
      out[path] = np.full(leaf.shape, draw.mean, leaf.dtype)
    else:
      rng = np.random.default_rng([seed, zlib.crc32("/".join(path).encode())])
      value = draw.mean + draw.scale(leaf.shape) * rng.standard_normal(leaf.shape, np.float32)
      out[path] = value.astype(leaf.dtype)
  return unflatten_dict(out)


class Conv(nn.Module):
  """x [..., T, H, W, C] -> [..., T', H', W', features]; a kernel of two sizes sees each frame alone, one of one is for
  x [B, T, C]."""

  features: int
  kernel: Sequence[int]
  strides: Sequence[int] | None = None  # None: ones
  padding: Sequence[tuple[int, int]] | None = None  # None: same(kernel)
  groups: int = 1
  use_bias: bool = False
  draw: Draw = HE
  form: str = "auto"  # see conv.FORMS
  dilation: int = 1  # of a kernel that sees each frame alone: pixels between its taps; `padding` None grows with it

  @nn.compact
  def __call__(self, x: Array) -> Array:
    shape = (*self.kernel, x.shape[-1] // self.groups, self.features)
    kernel = _param(self, "kernel", self.draw, shape)
    strides = self.strides or (1,) * len(self.kernel)
    padding = same(self.kernel) if self.padding is None else self.padding
    if self.padding is None and self.dilation > 1:
      padding = tuple((low * self.dilation, high * self.dilation) for low, high in padding)
    options = {"strides": strides, "padding": padding, "groups": self.groups, "dilation": self.dilation}
    y = conv(x, kernel.astype(x.dtype), form=self.form, **options)
    if self.use_bias:
      y += _param(self, "bias", ZERO, (self.features,)).astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))
    return y


class Dense(nn.Module):
  """x [..., C] -> [..., features]."""

  features: int
  draw: Draw = Draw(std=0.01)
  use_bias: bool = True
  bias_draw: Draw = ZERO

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = _param(self, "kernel", self.draw, (x.shape[-1], self.features))
    y = x @ kernel.astype(x.dtype)
    if self.use_bias:
      y += _param(self, "bias", self.bias_draw, (self.features,)).astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    return y


class BatchNorm(nn.Module):
  """Batch norm over all axes but the last, as PyTorch computes it: the running variance is the unbiased one.

  Under jit over a mesh the statistics are those of the global batch.  `groups` cuts the batch axis into that many parts
  with statistics of their own (PyTorch's per-device statistics; PySlowFast's sub-batch norm); the running statistics
  take their mean.  `frozen`: the running statistics are used, and kept, in training too.  Variables from `fuse` hold
  one parameter, `shift`, in place of all others: the norm is an addition then, for inference alone.
  """

  eps: float = 1e-5
  momentum: float = 0.1  # share of the new statistics, as in PyTorch
  groups: int = 1
  frozen: bool = False
  draw: Draw = ONE  # of the scale

  @nn.compact
  def __call__(self, x: Array, *, train: bool, rows: Array | None = None) -> Array:
    """rows: bool [B], False for those that statistics leave out (padding); None: they are of all."""
    features = x.shape[-1]
    if self.has_variable("params", "shift"):
      if train:
        raise ValueError("the batch norms of this model are folded into its convolutions (fuse): it cannot be trained")
      shift = self.get_variable("params", "shift")
      return (x.astype(jnp.float32) + shift.reshape((1,) * (x.ndim - 1) + (-1,))).astype(x.dtype)
    scale = _param(self, "scale", self.draw, (features,))
    bias = _param(self, "bias", ZERO, (features,))
    mean = self.variable("batch_stats", "mean", jnp.zeros, (features,), jnp.float32)
    var = self.variable("batch_stats", "var", jnp.ones, (features,), jnp.float32)
    rule = frozen_rule.get()
    if not train or self.frozen or (rule is not None and rule.norm(self.path)):
      factor = scale * lax.rsqrt(var.value + self.eps)
      return _affine(x, factor, bias - mean.value * factor)
    if x.shape[0] % self.groups:
      raise ValueError(f"batch norm over {self.groups} groups needs a batch that they divide; got {x.shape[0]}")

    # The axes stay apart: XLA's gradient of a sum over one axis of all pixels takes five to ten times as long on a CPU.
    grouped = x.reshape(self.groups, x.shape[0] // self.groups, *x.shape[1:]).astype(jnp.float32)
    axes, expand = tuple(range(1, x.ndim)), (slice(None), *[None] * (x.ndim - 1))
    if rows is None:
      count = math.prod(grouped.shape[1:-1])
      batch_mean = grouped.mean(axis=axes)  # [groups, C]
      batch_var = jnp.square(grouped - batch_mean[expand]).mean(axis=axes)
      correction = count / max(count - 1, 1)
    else:
      share = rows.reshape(self.groups, -1, *[1] * (x.ndim - 1)).astype(jnp.float32)
      pixels = math.prod(x.shape[1:-1])
      count = jnp.maximum(share.sum(axis=axes) * pixels, 1.0)  # [groups, 1]
      batch_mean = (grouped * share).sum(axis=axes) / count
      batch_var = (jnp.square(grouped - batch_mean[expand]) * share).sum(axis=axes) / count
      correction = jnp.mean(count / jnp.maximum(count - 1, 1.0))
    if not self.is_initializing():
      unbiased = batch_var.mean(axis=0) * correction
      mean.value += self.momentum * (batch_mean.mean(axis=0) - mean.value)
      var.value += self.momentum * (unbiased - var.value)
    factor = scale[None] * lax.rsqrt(batch_var + self.eps)
    shift = bias[None] - batch_mean * factor
    return _affine(x.reshape(grouped.shape), factor[expand], shift[expand]).reshape(x.shape)


def call_block(block: nn.Module, x: Array, *, train: bool) -> Array:
  """block(x, train=train).  In training under a recognizer with `remat` only x is kept for the backward pass, which
  computes what is inside the block again."""
  called = rematerialized.get()
  if called is None or not train:
    return block(x, train=train)
  called.append(block.name)
  return nn.remat(lambda block, x: block(x, train=train))(block, x)


class Blocks(nn.Module):
  """A stage: blocks in a row, named block0, block1, ...; each is made by (name=) and called by (x, train=)."""

  makers: Sequence[Any]

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    for i, make in enumerate(self.makers):
      x = call_block(make(name=f"block{i}"), x, train=train)
    return x


def _affine(x: Array, factor: Array, shift: Array) -> Array:
  """x * factor + shift along the last axis, computed in float32, in the type of x."""
  lead = (1,) * (x.ndim - factor.ndim)
  y = x.astype(jnp.float32) * factor.reshape(lead + factor.shape) + shift.reshape(lead + shift.shape)
  return y.astype(x.dtype)
