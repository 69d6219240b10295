"""The stored preprocessing: exact through JSON, strict, and the same clips with and without a cache."""

import dataclasses
import json
import pickle
import threading

import cv2
import numpy as np
import pytest

from jaction.clips import transforms
from jaction.clips.clip import Clip
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.records import read_records
from jaction.records.frames import FrameCache
from jaction.records.record import Record
from jaction.records.toy import make_toy_set

TEST = {
  "sampler": "uniform",
  "clip_len": 1,
  "frame_interval": 1,
  "num_clips": 4,
  "frames_per_view": 4,
  "steps": ["resize", "three_crop"],
  "settings": {"resize": {"size": 16}, "three_crop": {"size": 16}},
  "mean": [123.675, 116.28, 103.53],
  "std": [58.395, 57.12, 57.375],
}
TRAIN = TEST | {
  "steps": ["resize", "random_resized_crop", "flip", "reverse"],
  "settings": {
    "resize": {"size": 20},
    "random_resized_crop": {"size": [12, 12], "area_range": [0.3, 1.0]},
    "flip": {"ratio": 0.5, "labels": [1, 0]},
    "reverse": {"ratio": 0.5, "labels": [0, 1]},
  },
}


@pytest.fixture
def folder(tmp_path, pictures):
  """A record of `frames` PNG images 24 high and 31 wide, and the images."""

  def make(frames, label=1):
    place = tmp_path / f"video {frames}"
    place.mkdir(exist_ok=True)
    images = pictures(frames, 24, 31, 3)
    for number, image in enumerate(images, start=1):
      cv2.imwrite(str(place / f"img_{number:05d}.png"), image[..., ::-1])
    return Record("v", str(place), label, frames=frames, template="img_{:05d}.png"), images

  return make


def test_what_was_stored_comes_back_equal_whatever_the_sequences_were():
  for data in (TEST, TRAIN):
    one = Preprocessing.from_json(data)
    two = Preprocessing.from_json(json.loads(json.dumps(one.to_json())))
    three = Preprocessing(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})
    assert one == two == three and len({one, two, three}) == 1
    assert pickle.loads(pickle.dumps(one)) == one
    assert json.dumps(two.to_json()) == json.dumps(one.to_json())
  assert Preprocessing.from_json(TRAIN).settings["random_resized_crop"]["size"] == (12, 12)
  numpy = Preprocessing.from_json(TEST | {"num_clips": np.int64(4), "mean": np.array(TEST["mean"])})
  assert numpy == Preprocessing.from_json(TEST)
  assert Preprocessing.from_json(TEST) != Preprocessing.from_json(TEST | {"average": "score"})


def test_it_does_not_change_with_what_it_was_made_from():
  data = json.loads(json.dumps(TEST))
  made = Preprocessing.from_json(data)
  data["settings"]["resize"]["size"] = 99
  made.to_json()["settings"]["resize"]["size"] = 98
  assert made.settings["resize"]["size"] == 16


@pytest.mark.parametrize(
  "change, message",
  [
    ({"clip_length": 3}, "no field 'clip_length'.*Near it: clip_len"),
    ({"sampler": "unifrm"}, "no sampler 'unifrm'.*Near it: uniform"),
    ({"steps": ["resize", "tree_crop"]}, "no step 'tree_crop'.*Near it: .*three_crop"),
    ({"steps": ["resize"]}, "settings for 'three_crop', which is neither"),
    ({"steps": "resize"}, "steps is 'resize'"),
    ({"steps": ["resize", "three_crop", "resize"]}, "resize stands 2 times"),
    ({"steps": ["three_crop"], "settings": {}}, "three_crop needs the setting 'size'"),
    ({"settings": {"resize": {"sice": 1}, "three_crop": {"size": 1}}}, "no setting 'sice'.*Near it: size"),
    ({"settings": {"resize": {"size": 1.5}, "three_crop": {"size": 1}}}, "resize: size is 1.5; wanted a side"),
    ({"settings": {"resize": {"size": [3, 4, 5]}, "three_crop": {"size": 1}}}, "resize: size is"),
    ({"settings": {"resize": 5, "three_crop": {"size": 1}}}, "the settings of resize are 5"),
    ({"settings": TEST["settings"] | {"uniform": {"num_clips": 3}}}, "uniform has no setting 'num_clips'"),
    ({"frames_per_view": 3}, "4 frames do not split into views of frames_per_view 3"),
    ({"num_clips": 0}, "num_clips is 0"),
    ({"clip_len": True}, "clip_len is True"),
    ({"average": "probs"}, "average is 'probs'.*Near it: prob"),
    ({"out_of_bound": "wrap"}, "out_of_bound is 'wrap'"),
    ({"twice_sample": 1}, "twice_sample is 1"),
    ({"sampler": "dense", "twice_sample": True}, "dense takes no twice_sample"),
    ({"sampler": "untrimmed"}, "untrimmed takes no num_clips"),
    ({"std": [1, 0, 1]}, "std is .*above 0"),
    ({"mean": "grey"}, "mean is 'grey'"),
    ({"mean": [float("nan")] * 3}, "mean is nan; wanted what JSON can hold"),
    ({"settings": {"resize": {"size": 1}, "three_crop": {"size": object()}}}, "settings.three_crop.size is <object"),
  ],
)
def test_what_is_wrong_is_named_when_it_is_written_down(change, message):
  with pytest.raises(InputError, match=message):
    Preprocessing.from_json(TEST | change)


def test_every_missing_field_without_a_default_is_named():
  with pytest.raises(InputError, match="without clip_len, steps;"):
    Preprocessing.from_json({key: value for key, value in TEST.items() if key not in ("clip_len", "steps")})


@pytest.mark.parametrize(
  "step, settings",
  [
    ("flip", {"ratio": 1.5}),
    ("flip", {"labels": [0, 5]}),
    ("flip", {"direction": "diagonal"}),
    ("random_crop", {"size": [4, 5]}),
    ("random_resized_crop", {"area_range": [0.5, 1.5]}),
    ("random_resized_crop", {"area_range": [0.5, 0.2]}),
    ("multi_scale_crop", {"size": 4, "num_fixed_crops": 7}),
    ("multi_scale_crop", {"size": 4, "scales": [1, 0]}),
    ("random_rescale", {"scales": [0.5, 0.7]}),
    ("resize", {"size": 4, "interpolation": "cubic"}),
  ],
)
def test_settings_that_make_no_sense_are_refused(step, settings):
  with pytest.raises(InputError, match=f"{step}: {list(settings)[-1]} is "):
    Preprocessing.from_json(TEST | {"steps": [step], "settings": {step: settings}})


def test_views_run_over_crops_then_clips(folder):
  record, images = folder(20)
  made = Preprocessing.from_json(TEST | {"clip_len": 2, "num_clips": 3, "frames_per_view": 2})
  out = made(record)
  assert out["label"] == 1 and out["clips"].shape == (9, 2, 16, 16, 3) and out["clips"].dtype == np.uint8
  clip = transforms.resize(Clip(images[made.indices(20)]), size=16)
  for crop, box in enumerate(transforms.geometry.three_boxes(clip.size, (16, 16))):
    wanted = transforms.crop_frames(clip.frames, box).reshape(3, 2, 16, 16, 3)
    assert np.array_equal(out["clips"][3 * crop : 3 * crop + 3], wanted)


def test_segments_make_one_view_and_no_label_is_minus_one(folder):
  record, _ = folder(9, label=None)
  out = Preprocessing.from_json(
    TEST | {"steps": ["resize", "center_crop"], "settings": {"resize": {"size": 16}, "center_crop": {"size": 12}}}
  )(record)
  assert out["clips"].shape == (1, 4, 12, 12, 3) and out["label"] == -1


def test_a_cache_changes_no_pixel_and_no_draw(folder):
  record, _ = folder(13)
  cache = FrameCache(10**7)
  for data in (TEST, TRAIN):
    made = Preprocessing.from_json(data)
    for seed in range(4):
      rngs = [np.random.default_rng(seed) if data is TRAIN else None for _ in range(2)]
      plain, cached = made(record, rngs[0]), made(record, rngs[1], cache)
      assert np.array_equal(plain["clips"], cached["clips"]) and plain["label"] == cached["label"]
  assert len(cache) == 2  # one for each size it is resized to


def test_a_video_larger_than_the_cache_is_read_as_without_one(folder):
  record, _ = folder(13)
  made, cache = Preprocessing.from_json(TEST), FrameCache(1000)
  assert np.array_equal(made(record, None, cache)["clips"], made(record)["clips"])
  assert len(cache) == 0


def test_a_long_video_enters_the_cache_piece_by_piece(folder, monkeypatch):
  record, images = folder(13)
  monkeypatch.setattr("jaction.clips.preprocessing._CHUNK", 5)
  made, cache = Preprocessing.from_json(TEST | {"steps": [], "settings": {}}), FrameCache(10**7)
  assert np.array_equal(made(record, None, cache)["clips"][0], images[made.indices(13)])


def test_every_video_gives_as_many_views_however_short_it_is(folder):
  made = Preprocessing.from_json(TEST | {"clip_len": 4, "num_clips": 2, "frames_per_view": 4, "twice_sample": True})
  shapes = {made(folder(frames)[0])["clips"].shape for frames in (1, 3, 4, 20)}
  assert shapes == {(12, 4, 16, 16, 3)}
  assert made.indices(3, np.random.default_rng(0)).shape == (8,)  # training takes each clip once


@pytest.mark.parametrize("fps", [12.0, 29.97, 30.0, 59.94])
def test_with_a_target_rate_a_clip_lasts_as_long_in_every_video(fps):
  made = Preprocessing.from_json(
    TEST | {"clip_len": 8, "frame_interval": 2, "num_clips": 3, "frames_per_view": 8, "target_fps": 30.0}
  )
  seconds = 10
  indices = made.indices(round(fps * seconds), fps=fps).reshape(3, 8)
  times = indices / fps
  wanted = dataclasses.replace(made, target_fps=0.0).indices(30 * seconds).reshape(3, 8) / 30
  assert np.abs(times - wanted).max() < 1 / fps + 1e-9  # the frame that is shown at that moment
  drawn = made.indices(round(fps * seconds), np.random.default_rng(0), fps=fps)
  assert drawn.min() >= 0 and drawn.max() < round(fps * seconds)


def test_at_the_videos_own_rate_a_target_rate_changes_nothing():
  plain = Preprocessing.from_json(TEST | {"clip_len": 8, "frame_interval": 2, "num_clips": 3, "frames_per_view": 8})
  for total in (1, 7, 50, 301):
    for key in (None, 1):
      rng = lambda key=key: None if key is None else np.random.default_rng(key)  # noqa: E731
      same = dataclasses.replace(plain, target_fps=23.976).indices(total, rng(), fps=23.976)
      np.testing.assert_array_equal(same, plain.indices(total, rng()))


def test_a_target_rate_wants_a_video_and_gives_the_same_from_the_cache(folder, tmp_path):
  with pytest.raises(InputError, match="folders of frames have no rate"):
    Preprocessing.from_json(TEST | {"target_fps": 10})(folder(6)[0])
  with pytest.raises(InputError, match="target_fps is -1"):
    Preprocessing.from_json(TEST | {"target_fps": -1})
  make_toy_set(tmp_path / "toy", videos=(8, 8, 8))
  for record in read_records(tmp_path / "toy" / "train.txt")[:3]:
    made, cache = Preprocessing.from_json(TEST | {"target_fps": 7.5}), FrameCache(10**8)
    once, again = made(record, None, cache), made(record, None, cache)
    assert np.array_equal(once["clips"], made(record)["clips"]) and np.array_equal(once["clips"], again["clips"])


def test_labels_follow_flips_and_reversals(folder):
  record, _ = folder(6, label=0)
  both = TRAIN["settings"] | {"flip": {"ratio": 1, "labels": [1, 0, 2]}, "reverse": {"ratio": 1, "labels": [0, 2, 1]}}
  made = Preprocessing.from_json(TRAIN | {"settings": both})
  assert made(record, np.random.default_rng(0))["label"] == 2


def test_the_settings_of_a_sampler_stand_under_its_name():
  dense = Preprocessing.from_json(
    TEST | {"sampler": "dense", "settings": TEST["settings"] | {"dense": {"num_sample_positions": 3}}}
  )
  assert dense.indices(100).shape == (12,)


def test_two_threads_get_what_one_gets(folder):
  record, _ = folder(16)
  made, cache, outs = Preprocessing.from_json(TRAIN), FrameCache(10**7), {}

  def work(number):
    outs[number] = made(record, np.random.default_rng(number), cache)["clips"]

  threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
  [thread.start() for thread in threads]
  [thread.join() for thread in threads]
  for number in range(6):
    assert np.array_equal(outs[number], made(record, np.random.default_rng(number))["clips"])


def test_every_field_has_its_place_in_json():
  fields = [field.name for field in dataclasses.fields(Preprocessing)]
  assert list(Preprocessing.from_json(TEST).to_json()) == fields
