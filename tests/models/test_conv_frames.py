"""The written-out gradient of a 2-D convolution's kernel is XLA's, and is taken on one CPU alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaction.models import conv, conv_frames


def plain(x, kernel, strides, padding):
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def gradients(function, x, kernel, strides, padding):
  return jax.grad(lambda x, w: jnp.square(function(x, w, strides, padding)).mean(), (0, 1))(x, kernel)


def drawn(shape, kernel):
  rng = np.random.default_rng(0)
  return rng.standard_normal(shape, np.float32), rng.standard_normal(kernel, np.float32)


@pytest.mark.parametrize(
  "kernel, strides, padding",
  [
    ((3, 3, 5, 7), (1, 1), ((1, 1), (1, 1))),
    ((3, 3, 5, 7), (2, 2), ((1, 1), (1, 1))),
    ((7, 7, 3, 4), (2, 2), ((3, 3), (3, 3))),
    ((3, 2, 4, 4), (2, 3), ((0, 2), (1, 0))),
    ((1, 1, 6, 2), (1, 2), ((0, 0), (0, 0))),
    ((2, 5, 1, 1), (3, 1), ((0, 0), (2, 2))),
  ],
)
@pytest.mark.parametrize("pixels", [0, 10**9], ids=["frame by frame", "few pixels"])
def test_the_gradients_are_those_of_the_plain_convolution(kernel, strides, padding, pixels, monkeypatch):
  monkeypatch.setattr(conv_frames, "PIXELS", pixels)
  x, w = drawn((3, 12, 13, kernel[2]), kernel)
  with jax.default_matmul_precision("highest"):
    found = gradients(conv_frames.conv_frames, x, w, strides, padding)
    wanted = gradients(plain, x, w, strides, padding)
  for one, other in zip(found, wanted, strict=True):
    np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


def scans(function, *args):
  return "scan" in str(jax.make_jaxpr(lambda *args: function(*args))(*args))  # a function of its own: traced anew


def test_many_pixels_are_gone_through_frame_by_frame_and_few_are_not():
  options = (1, 1), ((1, 1), (1, 1))
  for side, wanted in ((8, False), (40, True)):
    x, w = drawn((4, side, side, 2), (3, 3, 2, 2))
    assert scans(lambda x, w: gradients(conv_frames.conv_frames, x, w, *options), x, w) == wanted
    assert not scans(lambda x, w: conv_frames.conv_frames(x, w, *options), x, w)


@pytest.mark.parametrize("form", ["frames", "taps", "stacked"])
def test_it_is_taken_on_one_cpu_and_not_where_frames_are_split_over_devices(form, monkeypatch):
  x, w = drawn((2, 4, 40, 40, 2), (1 if form == "frames" else 3, 3, 3, 2, 2))

  def gradient(x, w):
    made = lambda w: conv.conv(x, w, strides=(1, 1, 1), padding=conv.same(w.shape[:3]), form=form)  # noqa: E731
    return jax.grad(lambda w: jnp.square(made(w)).sum())(w)

  assert jax.device_count() == 8 and not scans(gradient, x, w)
  wanted = gradient(x, w)
  monkeypatch.setattr(jax, "device_count", lambda: 1)
  assert scans(gradient, x, w)
  np.testing.assert_allclose(gradient(x, w), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_padding_that_cuts_off_is_left_to_xla(monkeypatch):
  x, w = drawn((2, 4, 50, 50, 2), (1, 3, 3, 2, 2))
  options = {"strides": (1, 1, 1), "padding": ((0, 0), (-1, 0), (0, -2)), "form": "frames"}
  gradient = lambda w: jax.grad(lambda w: jnp.square(conv.conv(x, w, **options)).sum())(w)  # noqa: E731
  wanted = gradient(w)
  monkeypatch.setattr(jax, "device_count", lambda: 1)
  np.testing.assert_allclose(gradient(w), wanted, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_has_its_inputs_type(dtype):
  x, w = (jnp.asarray(a, dtype) for a in drawn((4, 40, 40, 3), (3, 3, 3, 2)))
  found = gradients(conv_frames.conv_frames, x, w, (1, 1), ((1, 1), (1, 1)))
  assert [g.dtype for g in found] == [dtype, dtype]
  exact = gradients(plain, *(a.astype(jnp.float32) for a in (x, w)), (1, 1), ((1, 1), (1, 1)))
  np.testing.assert_allclose(found[1].astype(jnp.float32), exact[1], atol=2e-2 * np.abs(exact[1]).max())


@pytest.mark.parametrize("function", [conv_frames.conv_frames, conv._as_shifts], ids=["frames", "shifts"])
def test_a_gradient_has_a_forward_mode(function):
  """Products with the Hessian, which optimizers of second order take."""
  shifts = function is conv._as_shifts
  x, w = drawn((1, 3, 40, 40, 2) if shifts else (3, 40, 40, 2), (1, 3, 3, 1, 2) if shifts else (3, 3, 2, 2))
  options = ((1, 1, 1), ((0, 0), (1, 1), (1, 1)), 2) if shifts else ((1, 1), ((1, 1), (1, 1)))
  other = conv._lax if shifts else plain

  def product(function):
    return jax.jvp(jax.grad(lambda w: jnp.square(function(x, w, *options)).sum()), (w,), (np.ones_like(w),))[1]

  np.testing.assert_allclose(product(function), product(other), rtol=1e-4)


def test_it_has_gradients_of_gradients_and_batches():
  x, w = drawn((2, 3, 46, 46, 2), (3, 3, 2, 2))
  options = (1, 1), ((1, 1), (1, 1))

  def twice(function):
    inner = lambda w, x: jnp.square(function(x, w, *options)).sum()  # noqa: E731
    return jax.grad(lambda w: jnp.square(jax.vmap(jax.grad(inner), (None, 0))(w, x)).mean())(w)

  wanted = twice(plain)
  np.testing.assert_allclose(twice(conv_frames.conv_frames), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
