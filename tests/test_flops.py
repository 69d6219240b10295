"""The cost of a model is counted from shapes, and agrees with counts made by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from jaction.errors import InputError
from jaction.flops import macs_of, model_cost


def struct(*shape):
  return jax.ShapeDtypeStruct(shape, np.float32)


def convolve(x, kernel, **settings):
  axes = "DHW"[-(x.ndim - 2) :]
  numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
  settings = {"window_strides": (1,) * len(axes), "padding": "SAME", "dimension_numbers": numbers} | settings
  return lax.conv_general_dilated(x, kernel, **settings)


def by_hand(x, kernel, groups=1, stride=1, dilation=1):
  """Every multiplication of a padded 2-D convolution, one by one."""
  n, height, width, channels = x
  k_h, k_w, per_group, out = kernel
  assert channels == groups * per_group
  count = 0
  for _ in range(n):
    for _ in range(0, height, stride):
      for _ in range(0, width, stride):
        count += out * per_group * k_h * k_w
  return count


@pytest.mark.parametrize("settings", [{}, {"groups": 2}, {"groups": 4}, {"stride": 2}, {"dilation": 2}])
def test_a_convolution_counts_outputs_times_taps(settings):
  groups, stride, dilation = (settings.get(key, 1) for key in ("groups", "stride", "dilation"))
  x, kernel = (2, 8, 6, 4), (3, 3, 4 // groups, 8)
  got = macs_of(
    lambda x, w: convolve(x, w, feature_group_count=groups, window_strides=(stride,) * 2, rhs_dilation=(dilation,) * 2),
    struct(*x),
    struct(*kernel),
  )
  assert got == by_hand(x, kernel, groups, stride, dilation)


def test_a_transposed_convolution_counts_its_inputs():
  got = macs_of(
    lambda x, w: convolve(x, w, lhs_dilation=(2, 2), padding=((1, 2), (1, 2))), struct(1, 4, 4, 3), struct(3, 3, 3, 5)
  )
  assert got == 4 * 4 * 3 * 5 * 9


def test_three_dimensions_are_counted():
  assert macs_of(convolve, struct(1, 4, 8, 8, 3), struct(3, 1, 1, 3, 16)) == 4 * 8 * 8 * 16 * 3 * 3


def test_matrix_products_are_counted_with_their_batch_axes():
  assert macs_of(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), struct(5, 2, 3), struct(5, 3, 7)) == 5 * 2 * 3 * 7


def test_what_is_inside_jit_remat_custom_gradients_loops_and_branches_is_counted():
  matrix = struct(4, 4)

  @jax.custom_jvp
  def own_gradient(x):
    return x @ x

  own_gradient.defjvp(lambda primals, tangents: (own_gradient(*primals), tangents[0]))

  def program(x):
    x = jax.jit(lambda x: x @ x)(x)
    x = jax.checkpoint(lambda x: x @ x)(x)
    x = own_gradient(x)
    x, _ = lax.scan(lambda c, _: (c @ c, None), x, None, length=3)
    return lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x, x)

  assert macs_of(program, matrix) == (1 + 1 + 1 + 3 + 2) * 64


def test_a_loop_of_unknown_length_is_refused():
  with pytest.raises(InputError, match="while loop"):
    macs_of(lambda x: lax.while_loop(lambda c: c[0, 0] < 9, lambda c: c @ c, x), struct(4, 4))


class Inner(nn.Module):
  def setup(self):
    self.layer = nn.Dense(5)

  def __call__(self, x):
    return self.layer(x)


class Outer(nn.Module):
  def setup(self):
    self.one, self.two = Inner(), nn.Conv(6, (1, 3, 3))

  def __call__(self, clips, train=False):
    x = self.two(clips.reshape(-1, *clips.shape[2:]))
    return self.one.layer(x.mean(axis=(1, 2, 3))).reshape(*clips.shape[:2], 5)  # called past its owner


def test_the_modules_of_a_model_are_counted_by_their_place_in_the_tree():
  cost = model_cost(Outer(), (1, 2, 3, 8, 8, 3))
  assert cost.by_module == {"two": 2 * 3 * 8 * 8 * 6 * 3 * 9, "one/layer": 2 * 6 * 5}
  assert cost.macs == sum(cost.by_module.values())


def test_the_peak_of_memory_is_the_largest_pair_of_neighbours():
  class Chain(nn.Module):
    @nn.compact
    def __call__(self, clips, train=False):
      x = clips.reshape(1, 100)
      x = nn.Dense(1000, use_bias=False)(x)
      x = nn.Dense(3000, use_bias=False)(x)
      return nn.Dense(7, use_bias=False)(x)

  assert model_cost(Chain(), (1, 1, 1, 10, 10, 1)).peak_bytes == 4 * (100 + 1000 + 3000)


def test_a_shape_of_another_rank_is_refused():
  with pytest.raises(InputError, match=r"\[B,V,T,H,W,C\], got \(1, 8, 64, 64, 3\)"):
    model_cost(Outer(), (1, 8, 64, 64, 3))
