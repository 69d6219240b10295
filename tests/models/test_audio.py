import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaction.models import create_model, initialize


def test_views_of_sound_are_rows_of_their_own():
  model = create_model("audioonly_r50", num_classes=3, width=4)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, 16, 24, 1), np.float32))
  x = np.random.default_rng(0).standard_normal((2, 3, 16, 24, 1), np.float32)
  apply = jax.jit(lambda x: model.apply(variables, x))
  scores = apply(x)
  assert scores.shape == (2, 3, 3) and scores.dtype == jnp.float32
  np.testing.assert_allclose(scores[1, 2], apply(x[1:, 2:])[0, 0], rtol=1e-4, atol=1e-5)


def test_a_network_on_sound_names_the_shape_it_wants():
  model = create_model("tsn_r18_audio")
  with pytest.raises(ValueError, match=r"\[B, V, T, F, 1\]"):
    jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 1, 64, 80), np.float32))
