import numpy as np
import pytest

from jaction.models.inception import max_pool_ceil


@pytest.mark.parametrize("length", range(1, 12))
@pytest.mark.parametrize("window, stride", [(3, 2), (2, 2), (3, 3)])
def test_the_last_window_may_reach_over_the_end(length, window, stride):
  x = np.random.default_rng(0).standard_normal((2, length, 4, 3, 5), np.float32)
  count = max(-(-(length - window) // stride), 0) + 1
  want = np.stack([x[:, i * stride : i * stride + window].max(axis=1) for i in range(count)], axis=1)
  np.testing.assert_array_equal(max_pool_ceil(x, (window, 1, 1), (stride, 1, 1)), want)
