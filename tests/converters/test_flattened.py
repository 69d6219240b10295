import numpy as np

from jaction.converters.engine import KINDS


def test_a_layer_behind_a_flattened_map_sees_the_same_numbers():
  to_flax, to_torch = KINDS["dense-1x4x4"]
  rng = np.random.default_rng(0)
  x, weight = rng.integers(-9, 9, (2, 1, 4, 4, 6)), rng.integers(-9, 9, (5, 6 * 16))  # T, H, W, C
  kernel = to_flax(weight)
  np.testing.assert_array_equal(x.reshape(2, -1) @ kernel, x.transpose(0, 4, 1, 2, 3).reshape(2, -1) @ weight.T)
  np.testing.assert_array_equal(to_torch(kernel), weight)
