"""Normalisation on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaction.clips.device import normalize
from jaction.errors import InputError


def test_normalisation_is_the_plain_formula_under_jit_for_any_leading_axes(pictures):
  clips = pictures(2, 1, 3, 4, 5, 3)
  mean, std = (120.0, 110.5, 100.25), (58.0, 57.0, 56.5)
  got = jax.jit(lambda x: normalize(x, mean, std))(clips)
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, (clips.astype(np.float64) - mean) / std, rtol=1e-5, atol=1e-6)
  half = normalize(clips, mean, std, jnp.bfloat16)
  assert half.dtype == jnp.bfloat16 and half.shape == clips.shape


def test_normalisation_needs_no_implicit_promotion(pictures):
  with jax.numpy_dtype_promotion("strict"):
    assert normalize(pictures(2, 3, 3), (1, 2, 3), (1, 1, 1)).dtype == jnp.float32


def test_two_numbers_serve_all_channels_of_stacked_flow(pictures):
  flow = pictures(2, 4, 5, 10)
  got = normalize(flow, (128, 100), (64, 32), gain=(0.5, 2))
  np.testing.assert_allclose(got[..., 6], (flow[..., 6] - 128.0) / 64 * 0.5, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(got[..., 7], (flow[..., 7] - 100.0) / 32 * 2, rtol=1e-5, atol=1e-6)


def test_numbers_that_fit_no_channel_are_refused(pictures):
  with pytest.raises(InputError, match="mean has 2 numbers for 3 channels"):
    normalize(pictures(2, 4, 3), (1, 2), (1, 1, 1))
  with pytest.raises(InputError, match="above 0"):
    normalize(pictures(2, 4, 3), (1, 2, 3), (1, 0, 1))
