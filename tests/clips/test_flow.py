"""The preprocessing of flow: two channels, stacks, mirrors that turn x around."""

import cv2
import numpy as np
import pytest

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.predict.predictor import with_views
from jaction.records.frames import FrameCache
from jaction.records.record import Record

FLOW = {
  "modality": "flow",
  "sampler": "uniform",
  "clip_len": 4,
  "frame_interval": 1,
  "num_clips": 2,
  "frames_per_view": 4,
  "steps": ["center_crop"],
  "settings": {"center_crop": {"size": 8}},
  "mean": [128.0, 128.0],
  "std": [128.0, 128.0],
}
STACKED = FLOW | {"modality": "stacked_flow", "clip_len": 5, "num_clips": 3, "frames_per_view": 3}


@pytest.fixture
def flow(tmp_path):
  """A record of 20 frames of 8x8 pixels, and what they hold."""
  frames = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 2), dtype=np.uint8)
  for number, frame in enumerate(frames, 1):
    for name, image in zip("xy", np.moveaxis(frame, -1, 0), strict=True):
      cv2.imwrite(str(tmp_path / f"{name}_{number:05d}.png"), image)
  return Record("v", str(tmp_path), 3, frames=20, template="{}_{:05d}.png"), frames


def form(data, **changes):
  return Preprocessing.from_json(data | changes)


def test_flow_has_two_channels(flow):
  record, frames = flow
  out = form(FLOW)(record)
  assert out["clips"].shape == (2, 4, 8, 8, 2) and out["clips"].dtype == np.uint8 and out["label"] == 3
  assert np.array_equal(out["clips"].reshape(8, 8, 8, 2), frames[form(FLOW).indices(20)])


def test_stacked_flow_is_the_frames_of_a_clip_as_channels(flow):
  record, frames = flow
  preprocess = form(STACKED)
  clips = preprocess(record)["clips"]
  assert clips.shape == (1, 3, 8, 8, 10) and preprocess.channels == 10
  indices = preprocess.indices(20).reshape(3, 5)
  for segment in range(3):
    for frame in range(5):
      for axis in range(2):
        assert np.array_equal(clips[0, segment, ..., 2 * frame + axis], frames[indices[segment, frame], ..., axis])


def test_ten_crops_of_stacked_flow_are_views_of_their_own(flow):
  record, frames = flow
  data = {"steps": ["ten_crop"], "settings": {"ten_crop": {"size": 4}}}
  clips = form(STACKED, **data)(record)["clips"]
  assert clips.shape == (10, 3, 4, 4, 10)
  assert np.array_equal(clips[1], clips[0][:, :, ::-1])  # as in the reference, which keeps the sign of x
  turned = form(STACKED, steps=["ten_crop"], settings={"ten_crop": {"size": 4, "flow": True}})(record)["clips"]
  assert np.array_equal(turned[1][..., 0::2], 255 - clips[1][..., 0::2])


@pytest.mark.parametrize("data", [FLOW, STACKED])
def test_a_flip_turns_x_around_unless_told_otherwise(flow, data):
  record, _ = flow
  rng = lambda: np.random.default_rng(0)  # noqa: E731
  plain = form(data)(record, rng())["clips"]
  flipping = {"steps": ["center_crop", "flip"]}
  crop = data["settings"]
  flipped = form(data, **flipping, settings=crop | {"flip": {"ratio": 1}})(record, rng())["clips"]
  wanted = plain[..., ::-1, :].copy()
  kept = form(data, **flipping, settings=crop | {"flip": {"ratio": 1, "flow": False}})(record, rng())["clips"]
  assert np.array_equal(kept, wanted)
  wanted[..., 0::2] = 255 - wanted[..., 0::2]
  assert np.array_equal(flipped, wanted)


def test_a_cache_changes_no_pixel_of_flow(flow):
  record, _ = flow
  cache = FrameCache(1 << 20)
  data = {"steps": ["resize", "center_crop"], "settings": {"resize": {"size": 9}, "center_crop": {"size": 8}}}
  for _ in range(2):
    got = form(STACKED, **data)(record, None, cache)["clips"]
    assert np.array_equal(got, form(STACKED, **data)(record)["clips"])
  assert len(cache) == 1


def test_what_flow_cannot_be_is_said(flow, tmp_path):
  with pytest.raises(InputError, match="std has 3 numbers; wanted one for each of the 2 channels of flow"):
    form(FLOW, std=[1.0, 1.0, 1.0])
  with pytest.raises(InputError, match="3 x clip_len 5 = 3 stacks do not split"):
    form(STACKED, frames_per_view=2)
  with pytest.raises(InputError, match="flow is not computed from a video"):
    form(FLOW)(Record("v", str(tmp_path / "v.mp4"), 0))
  with pytest.raises(InputError, match="pictures in colour"):
    form(FLOW, modality="rgb", mean=[0.0] * 3, std=[1.0] * 3)(flow[0])


def test_another_number_of_segments_keeps_them_in_one_view(flow):
  changed = with_views(form(STACKED), clips=4)
  assert changed(flow[0])["clips"].shape == (1, 4, 8, 8, 10)
  assert with_views(form(FLOW), clips=3)(flow[0])["clips"].shape == (3, 4, 8, 8, 2)
