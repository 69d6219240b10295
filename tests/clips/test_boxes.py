"""Boxes against golden/transforms/entity_boxes_v09, and by what they surround."""

import numpy as np
import pytest

from jaction.clips.boxes import crop_boxes, flip_boxes, hold_boxes, move_boxes, pad_boxes, scale_boxes, warp_boxes
from jaction.errors import InputError


@pytest.mark.reference
def test_the_chain_of_the_first_reference_is_followed_box_by_box(golden):
  cases = golden("transforms/entity_boxes_v09")
  assert cases
  for name, (params, given, wanted) in cases.items():
    height, width = params["img_shape"]
    factors = width * params["scale_factor"][0], height * params["scale_factor"][1]
    left, top, right, bottom = params["crop_bbox"]
    size = right - left, bottom - top
    for kind, boxes in (("boxes", given["entity_boxes"]), ("proposals", given["proposals"][:, :4])):
      boxes = scale_boxes(boxes, factors)
      stages = {"rescaled": boxes}
      stages["cropped"] = boxes = move_boxes(boxes, (left, top))
      stages["flipped"] = boxes = flip_boxes(boxes, size, last_pixel=True)
      stages["clipped"] = hold_boxes(boxes, size)
      for stage, got in stages.items():
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted[f"{stage}_{kind}"], rtol=1e-5, atol=1e-6, err_msg=f"{name} {stage}")
    rows, mask = pad_boxes(given["proposals"], len(given["proposals"]))
    np.testing.assert_allclose(rows[:, 4], wanted["scores"], rtol=1e-6)
    assert mask.all()


def test_a_crop_moves_and_holds_and_none_stays_none():
  boxes = np.array([[[2, 3, 8, 9]], [[-4, 0, 30, 5]]], np.float32)
  assert crop_boxes(boxes, (4, 1, 10, 6)).tolist() == [[[0, 2, 4, 4]], [[0, 0, 5, 4]]]
  assert crop_boxes(None, (0, 0, 1, 1)) is flip_boxes(None, (3, 3)) is warp_boxes(None, np.eye(2, 3), (3, 3)) is None


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
@pytest.mark.parametrize("last_pixel", [False, True])
def test_two_mirrors_of_boxes_give_them_back(direction, last_pixel):
  boxes = np.array([[1, 2, 5, 9]], np.float32)
  there = flip_boxes(boxes, (20, 30), direction, last_pixel=last_pixel)
  assert (there[:, :2] < there[:, 2:]).all() and not np.array_equal(there, boxes)
  assert np.array_equal(flip_boxes(there, (20, 30), direction, last_pixel=last_pixel), boxes)


def test_a_warp_by_whole_pixels_is_a_move_and_a_quarter_turn_swaps_the_sides():
  boxes = np.array([[2, 3, 6, 8], [9, 9, 12, 12]], np.float32)
  moved = warp_boxes(boxes, np.array([[1, 0, 3], [0, 1, -4]]), (12, 12))
  assert moved.tolist() == [[5, 0, 9, 4], [12, 5, 12, 8]]
  # x' = 11 - y, y' = x on pixel centres: the picture turned once around
  turned = warp_boxes(boxes, np.array([[0, -1, 11], [1, 0, 0]]), (12, 12))
  assert turned[0].tolist() == [4, 2, 9, 6]


def test_padding_says_which_rows_are_boxes_and_drops_none():
  rows, mask = pad_boxes(np.ones((2, 4), np.float64), 3)
  assert rows.dtype == np.float32 and rows.tolist() == [[1] * 4, [1] * 4, [0] * 4] and mask.tolist() == [1, 1, 0]
  rows, mask = pad_boxes(np.zeros((0, 4)), 2)
  assert rows.shape == (2, 4) and not mask.any()
  with pytest.raises(InputError, match="at most R = 2"):
    pad_boxes(np.ones((3, 4)), 2)
