"""2-D convolution of many frames whose kernel's gradient is quick on a CPU.

XLA computes that gradient as one more convolution, with the frames as channels and the map as its kernel, which takes
1 to 5 times as long as what is written out here: of one frame after the other the pixels under each tap side by side,
in the processor's cache, and one matrix product with the gradient (docs/benchmarks.md).
"""

import functools
import itertools

import jax
import jax.numpy as jnp
from jax import Array, lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
PIXELS = 4096  # of the gradient's maps, all frames together, below which XLA's own is as quick


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_frames(x: Array, kernel: Array, strides: tuple[int, int], padding: tuple[tuple[int, int], ...]) -> Array:
  """x [N, H, W, C] with kernel [h, w, C, O] -> [N, H', W', O].  It has no forward mode: see `conv.plain`."""
  return _plain(x, kernel, strides, padding)


def _plain(x, kernel, strides, padding):
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=DIMENSIONS)


def _forward(x, kernel, strides, padding):
  return _plain(x, kernel, strides, padding), (x, kernel)  # so that a gradient has a forward mode: Hessians


def _backward(strides, padding, kept, gradient):
  x, kernel = kept
  (of_x,) = jax.linear_transpose(lambda x: _plain(x, kernel, strides, padding), x)(gradient)
  n, height, width, _ = gradient.shape
  if n * height * width < PIXELS:
    (of_kernel,) = jax.linear_transpose(lambda kernel: _plain(x, kernel, strides, padding), kernel)(gradient)
    return of_x, of_kernel
  return of_x, _frame_by_frame(x, kernel, strides, padding, gradient)


def _frame_by_frame(x, kernel, strides, padding, gradient):
  h, w, channels, outputs = kernel.shape
  _, height, width, _ = gradient.shape
  x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
  exact = jnp.promote_types(x.dtype, jnp.float32)

  def add(total, pair):
    frame, behind = pair
    taps = []
    for i, j in itertools.product(range(h), range(w)):
      ends = i + (height - 1) * strides[0] + 1, j + (width - 1) * strides[1] + 1, channels
      taps.append(lax.slice(frame, (i, j, 0), ends, (*strides, 1)))
    under = jnp.concatenate(taps, axis=-1).reshape(height * width, -1)
    behind = behind.reshape(height * width, outputs)
    return total + lax.dot_general(behind, under, (((0,), (0,)), ((), ())), preferred_element_type=exact), None

  total, _ = lax.scan(add, jnp.zeros((outputs, h * w * channels), exact), (x, gradient))
  return total.T.reshape(kernel.shape).astype(kernel.dtype)


conv_frames.defvjp(_forward, _backward)
