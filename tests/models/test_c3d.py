import jax
import numpy as np
import pytest

from jaction.models import create_model


@pytest.mark.parametrize("shape", [(1, 1, 16, 128, 128, 3), (1, 1, 8, 112, 112, 3), (1, 1, 32, 112, 112, 3)])
def test_a_clip_of_another_size_is_refused(shape):
  model = create_model("c3d_16x1x1")
  with pytest.raises(ValueError, match="16, 112, 112"):
    jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float32))
