"""Convolution over clips, with several lowerings behind one function.

XLA's 3-D convolution is slow on CPUs, and most kernels of video networks are not really three-dimensional: 1 x k x k is
a 2-D convolution of every frame, k x 1 x 1 a 1-D convolution of every pixel.  The forms below give equal numbers (a
test holds them together); `jaction benchmark convolutions` measures them, and `choose` is the result.
"""

import contextlib
import contextvars
import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaction.errors import InputError
from jaction.models.conv_frames import conv_frames

DIMENSIONS = {2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}

Padding = Sequence[tuple[int, int]]

_only: contextvars.ContextVar[str | None] = contextvars.ContextVar("only", default=None)


def same(kernel: Sequence[int]) -> tuple[tuple[int, int], ...]:
  """k // 2 on both sides: PyTorch's usual padding.  XLA's "SAME" differs from it where a stride meets an even size."""
  return tuple((k // 2, k // 2) for k in kernel)


def conv(
  x: Array,
  kernel: Array,
  *,
  strides: Sequence[int],
  padding: Padding,
  groups: int = 1,
  dilation: int = 1,
  form: str = "auto",
) -> Array:
  """x [..., T, H, W, C] with kernel [t, h, w, C / groups, O], or kernel [h, w, C / groups, O] on every frame;
  or x [B, T, C] with kernel [t, C / groups, O].

  `form` is "auto" (the fastest measured on the backend in use) or a key of FORMS.  `dilation` spreads the taps of a
  1 x h x w kernel over the frame.
  """
  rank = kernel.ndim - 2
  if dilation > 1:
    return _dilated(x, kernel, strides, padding, groups, dilation)
  if rank == 1:  # [B, T, C] with kernel [t, C / groups, O]: clips of one pixel
    ones, none = (1, 1), ((0, 0), (0, 0))
    wide = x[:, :, None, None], kernel[:, None, None]
    return conv(*wide, strides=(*strides, *ones), padding=(*padding, *none), groups=groups, form=form)[:, :, 0, 0]
  if rank == 2:  # a temporal kernel of one
    kernel, strides, padding = kernel[None], (1, *strides), ((0, 0), *padding)
  for size, k, stride, ends in zip(x.shape[-4:-1], kernel.shape, strides, padding, strict=False):
    if (size + sum(ends) - k) // stride < 0:
      raise InputError(f"a kernel over {k} wants as many, got {size + sum(ends)}: give a longer or larger clip")
  if form == "auto":
    form = _only.get() or choose(kernel.shape, groups, jax.default_backend())
  return FORMS[form](x, kernel, tuple(strides), tuple(map(tuple, padding)), groups)


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """Within it "auto" is the plain convolution on every backend: for counting operations, and for exports."""
  token = _only.set("lax")
  try:
    yield
  finally:
    _only.reset(token)


def choose(kernel_shape: Sequence[int], groups: int, backend: str) -> str:
  """The form for a [t, h, w, C / groups, O] kernel."""
  t, h, w, channels, outputs = kernel_shape
  if backend != "cpu":
    return "frames" if t == 1 else "lax"
  if (h, w) == (1, 1) and groups == 1:
    return "products"
  if channels == 1 and outputs == groups:
    return "shifts"
  if t == 1:
    return "frames"
  if groups > 1:
    return "lax"
  return "stacked" if channels <= 8 else "taps"


def _lax(x, kernel, strides, padding, groups=1):
  return lax.conv_general_dilated(
    x, kernel, tuple(strides), tuple(padding), dimension_numbers=DIMENSIONS[kernel.ndim - 2], feature_group_count=groups
  )


def _frames(function, x):
  """`function` of [N, H, W, C], over all leading axes of x at once."""
  y = function(x.reshape(-1, *x.shape[-3:]))
  return y.reshape(*x.shape[:-3], *y.shape[1:])


def _sum(parts):
  return sum(parts[1:], parts[0])


def _time(x, strides, padding, size):
  """x padded in time, and for each tap of the temporal kernel the frames that meet it."""
  x = jnp.pad(x, [(0, 0), padding[0], *[(0, 0)] * 3])
  count = (x.shape[1] - size) // strides[0] + 1
  return [lax.slice_in_dim(x, i, i + (count - 1) * strides[0] + 1, strides[0], axis=1) for i in range(size)]


def _as_frames(x, kernel, strides, padding, groups):
  """1 x h x w: one 2-D convolution over B * T frames."""
  (x,) = _time(x, strides, padding, 1)
  return _frames(lambda y: _frames_of(y, kernel[0], strides[1:], padding[1:], groups), x)


def _frames_of(x, kernel, strides, padding, groups=1):
  """h x w on [N, H, W, C]."""
  # On one CPU alone: frames that are split over devices are not gone through one after the other.
  cropped = min(min(ends) for ends in padding) < 0
  if groups == 1 and not cropped and jax.default_backend() == "cpu" and jax.device_count() == 1:
    return conv_frames(x, kernel, tuple(strides), tuple(padding))
  return _lax(x, kernel, strides, padding, groups)


def _dilated(x, kernel, strides, padding, groups, dilation):
  """h x w, or 1 x h x w, with taps `dilation` pixels apart: one 2-D convolution over all frames."""
  kernel = kernel[0] if kernel.ndim == 5 else kernel
  options = {"dimension_numbers": DIMENSIONS[2], "feature_group_count": groups, "rhs_dilation": (dilation, dilation)}
  return _frames(lambda y: lax.conv_general_dilated(y, kernel, tuple(strides)[-2:], tuple(padding)[-2:], **options), x)


def _as_pixels(x, kernel, strides, padding, groups):
  """t x 1 x 1: one 2-D convolution over [T, H * W]."""
  x = x[:, :, :: strides[1], :: strides[2]]
  b, t, h, w, c = x.shape
  y = _lax(x.reshape(b, t, h * w, c), kernel[:, 0], (strides[0], 1), (tuple(padding[0]), (0, 0)), groups)
  return y.reshape(b, y.shape[1], h, w, -1)


def _as_products(x, kernel, strides, padding, groups):
  """t x 1 x 1 without groups: matrix products, one for all taps where time is not strided, else one a tap."""
  x = x[:, :, :: strides[1], :: strides[2]]
  size, (_, _, _, c, o) = kernel.shape[0], kernel.shape
  if strides[0] > 1:
    taps = _time(x, strides, padding, size)
    return _sum([tap.reshape(-1, c) @ kernel[i, 0, 0] for i, tap in enumerate(taps)]).reshape(*taps[0].shape[:-1], o)
  flat = kernel[:, 0, 0].transpose(1, 0, 2).reshape(c, size * o)
  y = (x.reshape(-1, c) @ flat).reshape(*x.shape[:-1], size * o)
  return _sum([tap[..., i * o : (i + 1) * o] for i, tap in enumerate(_time(y, strides, padding, size))])


def _as_taps(x, kernel, strides, padding, groups):
  """t x h x w: the sum over the temporal taps of 2-D convolutions."""
  taps = _time(x, strides, padding, kernel.shape[0])
  frames = (1, *strides[1:]), ((0, 0), *padding[1:])
  return _sum([_as_frames(tap, kernel[i : i + 1], *frames, groups) for i, tap in enumerate(taps)])


def _as_stacked(x, kernel, strides, padding, groups):
  """t x h x w with few channels: the taps become channels of one 2-D convolution."""
  if groups > 1:
    return _as_taps(x, kernel, strides, padding, groups)
  t, h, w, c, o = kernel.shape
  taps = jnp.concatenate(_time(x, strides, padding, t), axis=-1)
  flat = kernel.transpose(1, 2, 0, 3, 4).reshape(h, w, t * c, o)
  return _frames(lambda y: _frames_of(y, flat, strides[1:], padding[1:]), taps)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _as_shifts(x, kernel, strides, padding, groups):
  """Depthwise: the sum over all taps of shifted frames times the tap's weight of each channel.

  Its gradient is written out.  In the derived one XLA's fusion has each of the taps compute what stands behind the
  convolution anew, and on a CPU a training step of X3D takes some times as long.  What is written out has no forward
  mode: see `plain`.
  """
  return _padded_shifts(x, kernel, strides, padding)


def _padded_shifts(x, kernel, strides, padding):
  return _shifted(jnp.pad(x, [(0, 0), *padding, (0, 0)]), kernel, strides)


def _shifted(x, kernel, strides):
  counts = [(size - k) // s + 1 for size, k, s in zip(x.shape[1:4], kernel.shape, strides, strict=False)]
  taps = _taps(x, kernel.shape[:3], strides, counts)
  return _sum([tap * kernel[place].reshape(1, 1, 1, 1, -1) for place, tap in taps])


def _taps(x, sizes, strides, counts):
  """(place in the kernel, the pixels of padded x that meet it, [B, *counts, C])."""
  for start in itertools.product(*map(range, sizes)):
    ends = [first + (count - 1) * stride + 1 for first, count, stride in zip(start, counts, strides, strict=True)]
    yield start, lax.slice(x, (0, *start, 0), (x.shape[0], *ends, x.shape[-1]), (1, *strides, 1))


def _shifts_forward(x, kernel, strides, padding, groups):
  return _padded_shifts(x, kernel, strides, padding), (x, kernel)


def _shifts_backward(strides, padding, groups, kept, gradient):
  x, kernel = kept
  sizes, zero = kernel.shape[:3], jnp.zeros((), gradient.dtype)
  # Of x: the gradient, with the pixels between that the strides left out, under the kernel turned round.
  pads = []
  for size, k, stride, (low, _), count in zip(x.shape[1:4], sizes, strides, padding, gradient.shape[1:4], strict=True):
    before = k - 1 - low
    pads.append((before, size + k - 1 - before - ((count - 1) * stride + 1), stride - 1))
  wide = lax.pad(gradient, zero, ((0, 0, 0), *pads, (0, 0, 0)))
  of_x = _shifted(wide, kernel[::-1, ::-1, ::-1], (1, 1, 1))

  # Of the kernel: frame by frame, so that what all taps read stays in the processor's cache.
  x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
  exact = jnp.promote_types(gradient.dtype, jnp.float32)

  def add(t, total):
    frame = lax.dynamic_slice_in_dim(gradient, t, 1, axis=1)
    under = lax.dynamic_slice_in_dim(x, t * strides[0], sizes[0], axis=1)
    taps = _taps(under, sizes, strides, frame.shape[1:4])
    return total + jnp.stack([jnp.sum(tap * frame, (1, 2, 3), dtype=exact) for _, tap in taps], axis=1)

  # The clips' sums are added behind the loop: where a batch is split over devices, that is one exchange and not one a
  # frame.
  zeros = jnp.zeros((x.shape[0], math.prod(sizes), x.shape[-1]), exact)
  total = lax.fori_loop(0, gradient.shape[1], add, zeros).sum(axis=0)
  return of_x, total.reshape(kernel.shape).astype(kernel.dtype)


_as_shifts.defvjp(_shifts_forward, _shifts_backward)


FORMS = {
  "lax": _lax,  # any kernel
  "frames": _as_frames,  # t = 1
  "pixels": _as_pixels,  # h = w = 1, no spatial padding
  "products": _as_products,  # h = w = 1, no spatial padding, no groups
  "shifts": _as_shifts,  # one input and one output channel a group
  "taps": _as_taps,  # any kernel
  "stacked": _as_stacked,  # any kernel
}


def max_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Padding) -> Array:
  """Maximum over a window of [..., H, W, C] (two sizes) or [..., T, H, W, C] (three), as PyTorch's in floor mode.

  One axis after the other, as a maximum of strided slices: on a CPU the gradient of XLA's windowed form takes 2.6 times
  as long.  Where values tie the gradient is shared among them, which nothing sees behind a ReLU.  InputError where the
  window is larger than what it slides over: a clip too short or too small for the network.
  """
  first = x.ndim - 1 - len(window)
  for axis, (size, stride, (low, high)) in enumerate(zip(window, strides, padding, strict=True), start=first):
    if (size, stride, low, high) == (1, 1, 0, 0):
      continue
    widths = [(0, 0)] * x.ndim
    widths[axis] = (low, high)
    padded = jnp.pad(x, widths, constant_values=-jnp.inf)
    if padded.shape[axis] < size:
      raise InputError(f"a pool over {size} wants as many, got {padded.shape[axis]}: give a longer or larger clip")
    count = (padded.shape[axis] - size) // stride + 1
    slices = [lax.slice_in_dim(padded, i, i + (count - 1) * stride + 1, stride, axis=axis) for i in range(size)]
    x = functools.reduce(jnp.maximum, slices)
  return x
