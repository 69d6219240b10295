"""Steps by their properties: pure, boxes with the frames, crop and resize in either form."""

import dataclasses
import math
import threading

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaction.clips import geometry, transforms
from jaction.clips.clip import Clip, flip_frames, resize_frames
from jaction.clips.layout import pair_flow, split_views, stack_flow
from jaction.clips.transforms import STEPS
from jaction.errors import InputError

quick = settings(max_examples=40, deadline=None, database=None, derandomize=True)
sides = st.integers(12, 40)
SETTINGS = {
  "resize": {"size": 20},
  "random_rescale": {"scales": (14, 20)},
  "random_scale": {"scales": ((30, 20), (40, 25))},
  "random_resized_crop": {"size": 9},
  "multi_scale_crop": {"size": (9, 8), "scales": (1, 0.7), "num_fixed_crops": 13},
  "random_crop": {"size": 10},
  "center_crop": {"size": (10, 9)},
  "three_crop": {"size": 12},
  "ten_crop": {"size": 10},
  "flip": {"ratio": 1},
  "reverse": {"ratio": 1},
  "multi_group_crop": {"size": (9, 8), "groups": 3},
  "color_jitter": {},
  "pca_noise": {"alpha_std": 0.5},
  "random_erasing": {"ratio": 1},
  "rand_augment": {"num_ops": 4, "magnitude": 12},
}
DRAWING = {
  "random_rescale",
  "random_scale",
  "random_resized_crop",
  "multi_scale_crop",
  "random_crop",
  "multi_group_crop",
}
OFF_IN_TESTS = {"flip", "reverse", "color_jitter", "pca_noise", "random_erasing", "rand_augment"}


def test_every_step_is_tried_here():
  assert set(SETTINGS) == set(STEPS)


@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_step_leaves_what_it_was_given_and_gives_the_same_for_the_same_draws(name, pictures):
  frames = pictures(4, 12, 17, 3)
  frames.setflags(write=False)  # as a cache hands them out
  clip = Clip(frames, boxes=np.array([[1, 2, 9, 8]], np.float32), label=3)
  outs = [STEPS[name](clip, np.random.default_rng(5), **SETTINGS[name]) for _ in range(2)]
  assert np.array_equal(outs[0].frames, outs[1].frames) and np.array_equal(outs[0].boxes, outs[1].boxes)
  assert outs[0].frames.dtype == np.uint8 and outs[0].boxes.dtype == np.float32 and outs[0].label == 3
  assert len(outs[0].frames) == 4 * outs[0].crops
  assert clip.frames is frames and np.array_equal(clip.boxes, [[1, 2, 9, 8]])
  width, height = outs[0].size
  assert (outs[0].boxes >= 0).all() and (outs[0].boxes <= [width, height, width, height]).all()


@pytest.mark.parametrize("name", sorted(STEPS))
def test_without_a_generator_steps_that_draw_refuse_and_changes_by_chance_are_off(name, pictures):
  clip = Clip(pictures(2, 12, 17, 3), label=1)
  if name in DRAWING:
    with pytest.raises(InputError, match=f"{name} has to draw"):
      STEPS[name](clip, None, **SETTINGS[name])
  elif name in OFF_IN_TESTS:
    assert STEPS[name](clip, None, **SETTINGS[name]) is clip
  else:
    assert STEPS[name](clip, None, **SETTINGS[name]).frames.size


@quick
@given(sides, sides, st.integers(1, 3), st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 2, 3, 4, 10]))
def test_all_frames_are_resized_as_opencv_resizes_each(height, width, n, to_width, to_height, channels):
  frames = np.random.default_rng(0).integers(0, 256, (n, height, width, channels), dtype=np.uint8)
  got = resize_frames(frames, (to_width, to_height))
  for frame, done in zip(frames, got, strict=True):
    assert np.array_equal(done, cv2.resize(frame, (to_width, to_height)).reshape(to_height, to_width, channels))


@quick
@given(sides, sides, st.integers(0, 500))
def test_crop_with_resize_is_the_crop_then_the_resize(height, width, seed):
  clip = Clip(np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8))
  cropped = transforms.random_resized_crop(clip, np.random.default_rng(seed))
  both = transforms.random_resized_crop(clip, np.random.default_rng(seed), size=(11, 8))
  assert np.array_equal(both.frames, resize_frames(np.ascontiguousarray(cropped.frames), (11, 8)))
  assert min(cropped.size) > 0 and cropped.size[0] <= width and cropped.size[1] <= height


@quick
@given(sides, sides, st.integers(1, 45), st.integers(0, 99), st.booleans())
def test_multi_scale_crops_stay_inside_whatever_is_snapped(height, width, side, seed, free):
  clip = Clip(np.zeros((1, height, width, 1), np.uint8))
  out = transforms.multi_scale_crop(clip, np.random.default_rng(seed), size=side, scales=(1, 0.875), random_crop=free)
  assert out.size == (side, side)


@quick
@given(sides, sides, st.integers(0, 99))
def test_a_box_follows_its_pixels_through_crop_and_mirror(height, width, seed):
  rng = np.random.default_rng(seed)
  x, y = int(rng.integers(0, width - 3)), int(rng.integers(0, height - 3))
  frames = np.zeros((1, height, width, 1), np.uint8)
  frames[0, y : y + 3, x : x + 3] = 255
  clip = Clip(frames, boxes=np.array([[x, y, x + 3, y + 3]], np.float32))
  for out in (transforms.flip(clip, rng, ratio=1), transforms.flip(clip, rng, ratio=1, direction="vertical")):
    x1, y1, x2, y2 = out.boxes[0].astype(int)
    assert (out.frames[0, y1:y2, x1:x2] == 255).all() and (out.frames == 255).sum() == 9
  out = transforms.random_crop(clip, rng, size=min(height, width) - 2)
  x1, y1, x2, y2 = out.boxes[0].astype(int)
  inside = out.frames[0, y1:y2, x1:x2]
  assert (inside == 255).all()  # the box is held inside the crop, and shows only its object


@quick
@given(sides, sides, st.integers(2, 60))
def test_resizing_by_the_short_side_keeps_shape_and_boxes(height, width, side):
  clip = Clip(np.zeros((1, height, width, 3), np.uint8), boxes=np.array([[0, 0, width, height]], np.float32))
  out = transforms.resize(clip, size=side)
  assert min(out.size) == side
  assert abs(max(out.size) - side * max(width, height) / min(width, height)) <= 0.5 + 1e-9
  np.testing.assert_allclose(out.boxes[0], [0, 0, *out.size], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(OFF_IN_TESTS - {"reverse"} | DRAWING))
def test_what_is_drawn_holds_for_all_frames(name, pictures):
  clip = Clip(np.repeat(pictures(1, 40, 46, 3), 4, axis=0))
  for seed in range(8):
    out = STEPS[name](clip, np.random.default_rng(seed), **SETTINGS[name])
    for crop in np.split(out.frames, out.crops):
      assert (crop == crop[0]).all(), seed


def test_groups_of_crops_are_drawn_each_by_itself_with_boxes(pictures, scripted):
  clip = Clip(pictures(2, 12, 17, 3), boxes=np.array([[3, 3, 9, 9]], np.float32))
  ends = iter([1, 2, 0, 4, 8, 0])
  out = transforms.multi_group_crop(clip, scripted(lambda low, high: next(ends)), size=(9, 8), groups=3)
  places = ((1, 2), (0, 4), (8, 0))
  assert out.crops == 3 and out.frames.shape == (6, 8, 9, 3) and out.boxes.shape == (3, 1, 4)
  for crop, (x, y) in zip(np.split(out.frames, 3), places, strict=True):
    assert np.array_equal(crop, clip.frames[:, y : y + 8, x : x + 9])
  assert out.boxes[1].tolist() == [[3, 0, 8, 5]]
  with pytest.raises(InputError, match="20x20 from an image of 17x12"):
    transforms.multi_group_crop(clip, np.random.default_rng(0), size=20, groups=2)


def test_two_mirrors_and_two_reversals_give_the_clip_back(pictures):
  clip = Clip(pictures(4, 6, 7, 3), boxes=np.array([[1, 2, 3, 4]], np.float32), label=0)
  rng = np.random.default_rng(0)
  for name in ("flip", "reverse"):
    there = STEPS[name](clip, rng, ratio=1, labels=(1, 0))
    back = STEPS[name](there, rng, ratio=1, labels=(1, 0))
    assert there.label == 1 and back.label == 0
    assert not np.array_equal(there.frames, clip.frames)
    assert np.array_equal(back.frames, clip.frames) and np.array_equal(back.boxes, clip.boxes)


def test_time_turns_around_inside_each_crop(pictures):
  frames = pictures(4, 12, 16, 3)
  rng = np.random.default_rng(0)
  crops = transforms.three_crop(Clip(frames), size=12)
  first = transforms.reverse(crops, rng, ratio=1)
  then = transforms.three_crop(transforms.reverse(Clip(frames), rng, ratio=1), size=12)
  assert np.array_equal(first.frames, then.frames)


def test_flips_come_as_often_as_asked(pictures):
  clip, rng = Clip(pictures(1, 4, 5, 3)), np.random.default_rng(0)
  share = np.mean([transforms.flip(clip, rng, ratio=0.3).frames is not clip.frames for _ in range(2000)])
  assert abs(share - 0.3) < 0.04
  assert transforms.flip(clip, rng, ratio=0).frames is clip.frames


def test_ten_crops_of_flow_invert_x_only_where_asked(pictures):
  flow = pictures(1, 12, 12, 2)
  plain = transforms.ten_crop(Clip(flow), size=12).frames
  right = transforms.ten_crop(Clip(flow), size=12, flow=True).frames
  assert np.array_equal(plain[1], flow[0, :, ::-1]) and np.array_equal(right[1, ..., 1], plain[1, ..., 1])
  assert np.array_equal(right[1, ..., 0], 255 - plain[1, ..., 0]) and np.array_equal(right[0], plain[0])


def test_the_drawn_areas_and_shapes_fill_their_ranges(pictures):
  clip, rng = Clip(np.zeros((1, 200, 200, 1), np.uint8)), np.random.default_rng(0)
  sizes = np.array([transforms.random_resized_crop(clip, rng, area_range=(0.2, 0.5)).size for _ in range(300)])
  areas, ratios = sizes.prod(axis=1) / 40000, np.log(sizes[:, 0] / sizes[:, 1])
  assert 0.19 < areas.min() < 0.23 and 0.47 < areas.max() < 0.51
  assert ratios.min() < -0.25 and ratios.max() > 0.25 and np.abs(ratios).max() < math.log(4 / 3) + 0.02


def test_wrong_sizes_labels_and_names_are_named(pictures):
  clip, rng = Clip(pictures(2, 12, 17, 3), label=7), np.random.default_rng(0)
  with pytest.raises(InputError, match="20x20 from an image of 17x12"):
    transforms.center_crop(clip, size=20)
  with pytest.raises(InputError, match="crop of 13x13"):
    transforms.random_crop(clip, rng, size=13)
  with pytest.raises(InputError, match="resize the short side"):
    transforms.three_crop(clip, size=10)
  with pytest.raises(InputError, match="label 7 is not in the table of 2"):
    transforms.flip(clip, rng, ratio=1, labels=(1, 0))
  with pytest.raises(InputError, match="Near it: bilinear"):
    transforms.resize(clip, size=9, interpolation="biliner")
  with pytest.raises(InputError, match="direction is 'left'"):
    flip_frames(clip.frames, "left")
  with pytest.raises(InputError, match="x, y pairs"):
    flip_frames(clip.frames, flow=True)
  with pytest.raises(InputError, match="holds 3 crops already"):
    transforms.ten_crop(transforms.three_crop(clip, size=12), size=5)
  with pytest.raises(InputError, match="5 or 13"):
    geometry.fixed_offsets((9, 9), (3, 3), 6)
  with pytest.raises(InputError, match="at least one pixel"):
    geometry.scaled_size((300, 2), 0.1)


def test_views_and_stacked_flow_lie_as_documented():
  frames = np.arange(6)[:, None, None, None] * np.ones((1, 2, 3, 1), int)
  assert split_views(frames, 3)[:, :, 0, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
  flow = pair_flow(np.arange(8)[:, None, None] * np.ones((1, 2, 3), int))  # x0 y0 x1 y1 ...
  assert stack_flow(flow, 2)[:, 0, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
  with pytest.raises(InputError, match="6 frames do not split into views of 4"):
    split_views(frames, 4)
  with pytest.raises(InputError, match="3 flow images"):
    pair_flow(np.zeros((3, 2, 2)))


def test_steps_give_the_same_in_many_threads(pictures):
  clip, outs = Clip(pictures(4, 40, 60, 3)), {}

  def work(number):
    rng = np.random.default_rng(number % 3)
    out = clip
    for name in ("random_resized_crop", "flip", "reverse"):
      out = STEPS[name](out, rng, **({"size": 24} if name == "random_resized_crop" else {}))
    outs[number] = out.frames

  threads = [threading.Thread(target=work, args=(number,)) for number in range(9)]
  [thread.start() for thread in threads]
  [thread.join() for thread in threads]
  assert all(np.array_equal(outs[number], outs[number % 3]) for number in range(9))
  assert dataclasses.replace(clip).frames is clip.frames
