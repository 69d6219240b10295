"""What is done to frames while they are decoded, against the same steps one by one on whole clips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaction.clips.clip import Clip, crop_frames, resize_and_crop, resize_frames
from jaction.clips.preprocessing import Preprocessing
from jaction.clips.transforms import STEPS, lead
from jaction.records import FrameCache, Record
from jaction.records.toy import scene, write_scene

sides = st.integers(1, 90)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.data(), sides, sides, sides, sides, st.sampled_from(["bilinear", "nearest"]), st.sampled_from([1, 2, 3]))
def test_a_part_of_a_resized_frame_is_what_resizing_all_of_it_shows_there(data, w, h, width, height, how, channels):
  left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
  box = left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
  frame = np.random.default_rng(w * 7 + h).integers(0, 256, (h, w, channels), np.uint8)
  wanted = crop_frames(resize_frames(frame[None], (width, height), how), box)[0]
  np.testing.assert_array_equal(resize_and_crop(frame, (width, height), box, how), wanted)


@pytest.mark.parametrize(
  "settings", [{"size": 40}, {"size": (50, 30)}, {"size": (64, 40), "keep_ratio": True, "interpolation": "nearest"}]
)
@pytest.mark.parametrize("steps", [("resize",), ("resize", "center_crop"), ("resize", "flip", "center_crop")])
def test_the_lead_and_the_rest_are_all_the_steps(pictures, steps, settings):
  frames, options = pictures(3, 33, 57, 3), {"resize": settings, "center_crop": {"size": 20}}
  clip = Clip(frames)
  for step in steps:
    clip = STEPS[step](clip, None, **options.get(step, {}))
  each, rest = lead(steps, options, (57, 33))
  made = each(frames[0], None)
  out = np.empty((3, *made.shape), np.uint8)
  for frame, place in zip(frames, out, strict=True):
    each(frame, place)
  left = Clip(out)
  for step in rest:
    left = STEPS[step](left, None, **options.get(step, {}))
  np.testing.assert_array_equal(left.frames, clip.frames)


def test_a_preprocessing_gives_the_same_clips_with_and_without_a_cache_of_whole_videos(tmp_path):
  write_scene(tmp_path / "v.mp4", scene(0, 3))
  record = Record("v", str(tmp_path / "v.mp4"), 0)
  for steps in (("resize", "center_crop"), ("resize", "random_resized_crop", "flip"), ("center_crop",)):
    crops = {"resize": {"size": 50}, "center_crop": {"size": 40}, "random_resized_crop": {"size": 32}}
    prepare = Preprocessing(
      "uniform", 1, 1, 4, 4, steps, {k: v for k, v in crops.items() if k in steps}, (0.0,), (1.0,)
    )
    for seed in range(3):
      plain = prepare(record, np.random.default_rng(seed))
      kept = prepare(record, np.random.default_rng(seed), FrameCache(1 << 28))
      np.testing.assert_array_equal(plain["clips"], kept["clips"])
