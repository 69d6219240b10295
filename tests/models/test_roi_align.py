import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaction.errors import InputError
from jaction.models.roi_align import SLACK, roi_align

RNG = np.random.default_rng(0)


def bilinear(frame, y, x):
  """The value at a place of [H,W,C]; zero more than a cell outside, the edge's nearer than that."""
  height, width = frame.shape[:2]
  if y < -1 or y > height or x < -1 or x > width:
    return np.zeros(frame.shape[2])
  y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
  top, left = int(y), int(x)
  bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
  v, u = y - top, x - left
  above = frame[top, left] * (1 - u) + frame[top, right] * u
  below = frame[bottom, left] * (1 - u) + frame[bottom, right] * u
  return above * (1 - v) + below * v


def one_box(frame, box, size, scale, ratio, aligned):
  """Sample by sample, as the paper says and mmcv does."""
  x1, y1, x2, y2 = (float(np.float32(side) * np.float32(scale)) - 0.5 * aligned for side in box)
  width, height = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1.0), max(y2 - y1, 1.0))
  out = np.zeros((*size, frame.shape[2]))
  grid_y, grid_x = (ratio or max(0, math.ceil(side / n - SLACK)) for side, n in zip((height, width), size, strict=True))
  for i in range(size[0]):
    for j in range(size[1]):
      for a in range(grid_y):
        for b in range(grid_x):
          y = y1 + (i + (a + 0.5) / grid_y) * height / size[0]
          x = x1 + (j + (b + 0.5) / grid_x) * width / size[1]
          out[i, j] += bilinear(frame, y, x)
  return out / max(grid_y * grid_x, 1)


BOXES = np.array(
  [
    [[3.0, 5.0, 60.0, 70.0], [0.0, 0.0, 96.0, 80.0], [33.3, 20.1, 41.7, 29.9], [-40.0, 50.0, 30.0, 101.0]],
    [[10.0, 10.0, 10.0, 30.0], [50.0, 40.0, 20.0, 60.0], [200.0, 200.0, 250.0, 240.0], [-900.0, -700.0, 1500.0, 990.0]],
  ],
  np.float32,
)
BOXES = np.concatenate([BOXES, RNG.uniform(-50, 150, (2, 6, 4)).astype(np.float32)], axis=1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 3])
@pytest.mark.parametrize("size, scale", [((4, 3), 1 / 16), ((2, 2), 1 / 8), ((7, 7), 1 / 4)])
def test_it_is_the_mean_over_samples_of_every_box(aligned, ratio, size, scale):
  frames = RNG.standard_normal((2, int(80 * scale), int(96 * scale), 3)).astype(np.float32)
  got = roi_align(frames, BOXES, output_size=size, scale=scale, sampling_ratio=ratio, aligned=aligned)
  for b in range(2):
    for r, box in enumerate(BOXES[b]):
      want = one_box(frames[b], box, size, scale, ratio, aligned)
      np.testing.assert_allclose(got[b, r], want, atol=2e-4, err_msg=f"{box}")


def test_the_forms_differ():
  """The control of the test above: it could tell them apart."""
  frames = RNG.standard_normal((1, 6, 6, 2)).astype(np.float32)
  boxes = np.array([[[3.0, 5.0, 60.0, 70.0]]], np.float32)
  forms = [
    roi_align(frames, boxes, scale=1 / 16, output_size=2, aligned=a, sampling_ratio=n)
    for a, n in [(1, 0), (0, 0), (1, 1)]
  ]
  assert min(np.abs(forms[0] - other).max() for other in forms[1:]) > 1e-2


def test_frames_are_treated_alike():
  clip = RNG.standard_normal((2, 3, 5, 6, 4)).astype(np.float32)
  together = roi_align(clip, BOXES, output_size=3, scale=1 / 16)
  for t in range(3):
    np.testing.assert_allclose(together[:, :, t], roi_align(clip[:, t], BOXES, output_size=3, scale=1 / 16), atol=1e-5)


def test_padding_gives_zeros_whatever_it_holds():
  frames = RNG.standard_normal((2, 5, 6, 3)).astype(np.float32)
  mask = np.zeros((2, BOXES.shape[1]), bool)
  mask[:, :3] = True
  odd = np.where(mask[..., None], BOXES, np.nan)
  got = roi_align(frames, odd, mask, output_size=3, scale=1 / 16)
  assert np.isfinite(got).all() and not got[:, 3:].any()
  np.testing.assert_array_equal(got[:, :3], roi_align(frames, BOXES[:, :3], output_size=3, scale=1 / 16))
  grads = jax.grad(lambda f: roi_align(f, odd, mask, output_size=3, scale=1 / 16).sum())(jnp.asarray(frames))
  assert np.isfinite(grads).all()


def test_gradients_are_those_of_finite_differences():
  frames = jnp.asarray(RNG.standard_normal((1, 5, 6, 2)), jnp.float32)
  boxes = jnp.asarray([[[9.0, 11.0, 71.0, 66.0], [-20.0, 3.0, 44.0, 40.0]]], jnp.float32)
  weights = jnp.asarray(RNG.standard_normal((1, 2, 3, 3, 2)), jnp.float32)

  def loss(frames, boxes):
    return (roi_align(frames, boxes, output_size=3, scale=1 / 16) * weights).sum()

  of_frames, of_boxes = jax.grad(loss, argnums=(0, 1))(frames, boxes)
  for array, grad, put, step in (
    (frames, of_frames, lambda x: loss(x, boxes), 0.5),  # linear in the features
    (boxes, of_boxes, lambda x: loss(frames, x), 0.02),
  ):
    for place in [(0, 1, 2, 1), (0, 4, 5, 0)] if array.ndim == 4 else [(0, 0, 2), (0, 1, 1)]:
      ahead, behind = put(array.at[place].add(step)), put(array.at[place].add(-step))
      np.testing.assert_allclose(grad[place], (ahead - behind) / (2 * step), atol=3e-3)


def test_a_box_of_whole_pixels_keeps_its_samples_on_the_way_through_the_unit_square():
  frames = RNG.standard_normal((1, 10, 19, 2)).astype(np.float32)
  for width in range(100, 400):
    unit = np.float32([10, 20, 138, 148]) / np.float32(width) * np.float32(width)
    got = roi_align(frames, unit[None, None], output_size=8, scale=1 / 16)
    if (unit != np.float32([10, 20, 138, 148])).any():
      break
  np.testing.assert_allclose(
    got, roi_align(frames, np.float32([[[10, 20, 138, 148]]]), output_size=8, scale=1 / 16), atol=1e-4
  )


def test_wrong_shapes_are_named():
  with pytest.raises(InputError, match="same B"):
    roi_align(np.zeros((2, 5, 5, 3), np.float32), np.zeros((1, 2, 4), np.float32))
  with pytest.raises(InputError, match="sampling_ratio"):
    roi_align(np.zeros((1, 5, 5, 3), np.float32), np.zeros((1, 2, 4), np.float32), sampling_ratio=-1)
