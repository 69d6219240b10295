import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaction.errors import InputError
from jaction.models.conv import FORMS, choose, conv, max_pool, plain, same

CASES = [  # kernel, strides, padding, groups
  ((1, 1, 1), (1, 1, 1), None, 1),
  ((1, 1, 1), (1, 2, 2), None, 1),
  ((3, 1, 1), (1, 1, 1), None, 1),
  ((5, 1, 1), (4, 1, 1), None, 1),
  ((3, 1, 1), (2, 2, 2), ((0, 0), (0, 0), (0, 0)), 1),
  ((1, 3, 3), (1, 2, 2), None, 1),
  ((1, 3, 3), (1, 1, 1), None, 4),
  ((3, 3, 3), (1, 1, 1), None, 8),
  ((3, 3, 3), (2, 2, 2), None, 8),
  ((5, 1, 1), (1, 1, 1), None, 8),
  ((3, 3, 3), (1, 1, 1), None, 1),
  ((3, 3, 3), (2, 2, 2), None, 4),
  ((3, 3, 3), (1, 1, 1), ((2, 0), (1, 1), (0, 2)), 1),
  ((3, 3, 3), (2, 1, 3), ((2, 0), (1, 1), (0, 2)), 8),
  ((3, 2, 1), (1, 2, 3), ((0, 0), (0, 1), (0, 0)), 8),
  ((5, 7, 7), (1, 2, 2), None, 1),
]


def allowed(form, kernel, groups):
  if form == "frames":
    return kernel[0] == 1
  if form == "shifts":
    return groups == 8
  if form in ("pixels", "products"):
    return kernel[1:] == (1, 1) and (groups == 1 or form == "pixels")
  return True


@pytest.mark.parametrize(
  "case, form", [(c, f) for c, f in itertools.product(CASES, FORMS) if f != "lax" and allowed(f, c[0], c[3])]
)
def test_every_form_gives_the_numbers_and_the_gradients_of_the_plain_convolution(case, form):
  kernel, strides, padding, groups = case
  padding = padding or same(kernel)
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 8, 9, 10, 8), np.float32)
  w = rng.standard_normal((*kernel, 8 // groups, 8 if groups == 8 else 12), np.float32)

  def outputs(form):
    def loss(x, w):
      y = conv(x, w, strides=strides, padding=padding, groups=groups, form=form)
      return jnp.square(y).mean(), y

    (_, y), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(x, w)
    return y, *grads

  with jax.default_matmul_precision("highest"):
    for got, want in zip(outputs(form), outputs("lax"), strict=True):
      np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())


def test_the_depthwise_form_has_batched_gradients_and_those_of_the_gradient_and_a_forward_mode_within_plain():
  rng = np.random.default_rng(0)
  x, w = rng.standard_normal((2, 1, 4, 5, 5, 8), np.float32), rng.standard_normal((3, 3, 3, 1, 8), np.float32)

  def loss(x, w, form="shifts"):
    return jnp.sin(conv(x, w, strides=(1, 2, 2), padding=same((3, 3, 3)), groups=8, form=form)).sum()

  grads = jax.vmap(jax.grad(loss, 1), (0, None))(x, w)
  for i in range(2):
    np.testing.assert_allclose(grads[i], jax.grad(loss, 1)(x[i], w, "lax"), atol=1e-4)

  def curvature(form):
    return jax.grad(lambda w: jnp.square(jax.grad(loss, 1)(x[0], w, form)).sum())(w)

  np.testing.assert_allclose(curvature("shifts"), curvature("lax"), rtol=1e-3, atol=1e-3)
  with plain():
    _, change = jax.jvp(lambda w: loss(x[0], w, "auto"), (w,), (w,))
  np.testing.assert_allclose(change, jnp.sum(jax.grad(loss, 1)(x[0], w) * w), rtol=1e-3)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_the_gradient_of_the_depthwise_form_has_its_inputs_type(dtype):
  with jax.enable_x64(dtype == jnp.float64):
    x, w = jnp.ones((1, 4, 4, 4, 8), dtype), jnp.ones((3, 3, 3, 1, 8), dtype)
    of_x, of_w = jax.grad(
      lambda x, w: conv(x, w, strides=(1, 1, 1), padding=same((3, 3, 3)), groups=8, form="shifts").sum(), (0, 1)
    )(x, w)
    assert (of_x.dtype, of_w.dtype) == (dtype, dtype)
    assert of_w[1, 1, 1, 0, 0] == 64 and of_w[0, 0, 0, 0, 0] == 27  # pixels that each tap meets


def test_a_clip_smaller_than_the_kernel_is_an_error_that_says_so():
  with pytest.raises(InputError, match="a kernel over 3 wants as many, got 2"):
    conv(np.ones((1, 2, 5, 5, 3)), np.ones((3, 3, 3, 1, 3)), strides=(1, 1, 1), padding=((0, 0),) * 3, groups=3)


def test_the_depthwise_gradient_of_a_split_batch_meets_the_other_devices_once():
  mesh = jax.make_mesh((8,), ("data",))
  rows, whole = (jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)) for axes in (("data",), ()))
  x, w = np.ones((8, 4, 6, 6, 8), np.float32), np.ones((3, 3, 3, 1, 8), np.float32)

  def gradient(x, w):
    return jax.grad(
      lambda w: jnp.square(conv(x, w, strides=(1, 1, 1), padding=same((3, 3, 3)), groups=8, form="shifts")).sum()
    )(w)

  text = jax.jit(gradient, in_shardings=(rows, whole), out_shardings=whole).lower(x, w).compile().as_text()
  entry = text[text.index("\nENTRY") :]
  assert "all-reduce" in entry and "all-reduce" not in text[: text.index("\nENTRY")]


def test_a_kernel_of_two_sizes_sees_each_frame_alone():
  x = np.random.default_rng(0).standard_normal((2, 3, 8, 9, 4), np.float32)
  w = np.random.default_rng(1).standard_normal((3, 3, 4, 5), np.float32)
  whole = conv(x, w, strides=(2, 2), padding=same((3, 3)))
  alone = conv(x[1:, 2:], w, strides=(2, 2), padding=same((3, 3)))
  np.testing.assert_allclose(whole[1, 2], alone[0, 0], atol=1e-5)


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
@pytest.mark.parametrize("kernel, groups", [((c[0]), c[3]) for c in CASES])
def test_the_chosen_form_can_compute_the_kernel(backend, kernel, groups):
  assert allowed(choose((*kernel, 8 // groups, 8), groups, backend), kernel, groups)


@pytest.mark.parametrize(
  "window, strides", [((3, 3), (2, 2)), ((1, 3, 3), (1, 2, 2)), ((2, 1, 1), (2, 1, 1)), ((3, 3, 3), (1, 2, 3))]
)
def test_max_pool_is_the_windowed_maximum_with_its_gradient(window, strides):
  x = np.random.default_rng(0).standard_normal((2, 6, 9, 8, 3), np.float32)
  padding = same(window)

  def want(x):
    ones = (1,) * (x.ndim - 1 - len(window))
    pads = [(0, 0)] * len(ones) + [*padding, (0, 0)]
    return lax.reduce_window(x, -jnp.inf, lax.max, (*ones, *window, 1), (*ones, *strides, 1), pads)

  np.testing.assert_array_equal(max_pool(x, window, strides, padding), want(x))
  ours, theirs = (
    jax.grad(lambda x, f=f: jnp.square(f(x)).sum())(x) for f in (lambda x: max_pool(x, window, strides, padding), want)
  )
  np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_same_is_half_the_kernel_on_both_sides_and_not_xlas_same():
  x, w = jnp.ones((1, 1, 8, 8, 1)), jnp.ones((3, 3, 1, 1))
  ours = conv(x, w, strides=(2, 2), padding=same((3, 3)))[0, 0, :, :, 0]
  assert ours[0, 0] == 4 and ours[-1, -1] == 9  # XLA's "SAME" would pad only behind


def test_a_pool_that_is_larger_than_the_clip_is_an_input_error():
  with pytest.raises(InputError, match="a pool over 2 wants as many, got 1"):
    max_pool(np.zeros((1, 1, 4, 4, 3), np.float32), (2, 1, 1), (2, 1, 1), ((0, 0),) * 3)
