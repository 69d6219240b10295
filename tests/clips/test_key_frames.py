import json
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from jaction.clips.key_frames import Boxed, KeyFrames
from jaction.errors import InputError, MediaError
from jaction.records.ava import KeyFrame
from jaction.records.frames import FrameCache
from jaction.records.key_frames import ClipRecord
from jaction.records.record import Record

FOLDER = (
  pathlib.Path(os.environ.get("JACTION_SHARED", pathlib.Path(__file__).parents[3] / "shared")) / "golden/sampling"
)
GREY = {"mean": (127.5,) * 3, "std": (60.0,) * 3}


def form(clip_len=4, frame_interval=2, steps=(), settings=None, **options):
  return KeyFrames(clip_len, frame_interval, steps, settings or {}, **GREY, **options)


@pytest.fixture
def record(tmp_path):
  """Twelve frames of 40 x 20 pixels, four a second, whose green says their number; a person at second 101."""
  folder = tmp_path / "v"
  folder.mkdir()
  for number in range(12):
    Image.new("RGB", (40, 20), (0, number * 20, 0)).save(folder / f"img_{number + 1:05d}.jpg", quality=100)
  key = KeyFrame("v", 101, ((0.25, 0.2, 0.75, 0.8), (0.9, 0.1, 1.0, 0.2)), ((2, 3), (1,)), (0, 1))
  return ClipRecord(key.key, str(folder), Record("v", str(folder), template="img_{:05d}.jpg"), key, 100.0, 4.0)


def numbers(clips):
  return (clips[:, 10, 5, 1] / 20).round().astype(int).tolist()


def test_the_key_frame_is_in_the_middle_and_ends_are_repeated(record):
  frames, boxes = form().clip(record, record.key.boxes)
  assert numbers(frames) == [0, 2, 4, 6]  # second 101 is frame 4
  np.testing.assert_allclose(boxes, record.key.boxes, atol=1e-6)
  assert numbers(form(clip_len=8).clip(record, [])[0]) == [0, 0, 0, 2, 4, 6, 8, 10]
  cached = form().clip(record, [], cache=FrameCache(10**7))[0]
  np.testing.assert_array_equal(cached, frames)
  small = form().clip(record, [], cache=FrameCache(100))[0]  # a cache that cannot hold the video
  np.testing.assert_array_equal(small, frames)


def test_any_rate_and_any_times():
  times = np.array([0.0, 0.1, 0.5, 0.52, 0.9, 1.4])  # a variable rate: what is shown then
  assert form(clip_len=3, frame_interval=1).indices(0.6, 6, fps=4, times=times).tolist() == [2, 3, 4]
  at_two = form(clip_len=3, frame_interval=1, target_fps=2.0)
  assert at_two.indices(0.6, 6, fps=4, times=times).tolist() == [1, 3, 4]  # 0.1, 0.6, 1.1 s
  assert at_two.indices(1.0, 300, fps=30).tolist() == [15, 30, 45]


@pytest.mark.reference
def test_the_frames_are_the_references():
  """Theirs count from 1, and end at the shot's ends; ours from 0, and at the video's."""
  path = FOLDER / "ava_frames.json"
  if not path.is_file():
    pytest.skip(f"no {path}; set JACTION_SHARED")

  class Scripted:
    def __init__(self, lowest):
      self.lowest = lowest

    def integers(self, low, high, size):
      return np.full(size, low if self.lowest else high - 1)

  for case in json.loads(path.read_text()):
    own = form(**case["params"])
    last = case["shot_info"][1] - 1
    for name, rng in (("no_jitter", None), ("jitter_low", Scripted(True)), ("jitter_high", Scripted(False))):
      if name not in case:
        continue
      seconds = float(case["timestamp"] - case["timestamp_start"])
      found = own.indices(seconds, 10**6, fps=case["fps"], rng=rng) + 1
      wanted = np.array(case[name])
      inside = (wanted > case["shot_info"][0]) & (wanted < last)
      assert found[inside].tolist() == wanted[inside].tolist()


def test_boxes_travel_with_the_crop_and_the_mirror(record):
  steps = ("resize", "center_crop")
  preprocess = form(steps=steps, settings={"resize": {"size": (80, 40)}, "center_crop": {"size": 40}})
  frames, boxes = preprocess.clip(record, record.key.boxes)
  assert frames.shape == (4, 40, 40, 3)
  np.testing.assert_allclose(boxes[0], [0.0, 0.2, 39 / 40, 0.8], atol=1e-6)  # 20..60 of 80 fill the middle 40
  flipped = form(steps=("flip",), settings={"flip": {"ratio": 1.0}})
  _, boxes = flipped.clip(record, record.key.boxes, np.random.default_rng(0))
  np.testing.assert_allclose(boxes[1], [0.0, 0.1, 0.1, 0.2], atol=1e-6)


def test_training_takes_annotated_boxes_and_proposals_on_them(record):
  import dataclasses

  near, far = (0.26, 0.2, 0.75, 0.8), (0.0, 0.0, 0.5, 0.5)
  key = dataclasses.replace(record.key, proposals=(near, far), scores=(0.99, 0.95))
  record = dataclasses.replace(record, key=key)
  made = Boxed(form(max_boxes=5), 5, True)(record, np.random.default_rng(0))
  assert made["box_mask"].tolist() == [True, True, True, False, False]
  assert made["label"].tolist() == [[0, 0, 1, 1, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0] * 5, [0] * 5]
  np.testing.assert_allclose(made["boxes"][2], near, atol=1e-6)
  tested = Boxed(form(max_boxes=5), 5, False)(record)  # the proposals alone
  assert tested["box_mask"].sum() == 2 and not tested["label"].any()
  few = Boxed(form(max_boxes=2), 5, True)(record, np.random.default_rng(0))
  assert few["box_mask"].all()
  with pytest.raises(InputError, match="R = 1"):
    Boxed(form(max_boxes=1), 5, False)(record)
  facebook = Boxed(form(max_boxes=5), 4, True, first=0)(record, np.random.default_rng(0))
  assert facebook["label"][0].tolist() == [0, 1, 1, 0]  # no column for nobody


def test_a_box_that_a_crop_left_nothing_of_is_masked_out(record):
  crop = form(steps=("center_crop",), settings={"center_crop": {"size": 20}})
  made = Boxed(crop, 5, True)(record, np.random.default_rng(0))
  assert made["box_mask"][:2].tolist() == [True, False] and not made["label"][1].any()


def test_a_key_frame_outside_of_its_video_is_named(record):
  import dataclasses

  late = dataclasses.replace(record, key=dataclasses.replace(record.key, second=200))
  with pytest.raises(MediaError, match="second 200.*100 to 103"):
    form().clip(late, [])
  gone = dataclasses.replace(record, video=Record("w", "/nowhere/w", template="img_{:05d}.jpg"))
  with pytest.raises(MediaError, match="nowhere"):
    form().clip(gone, [])


@pytest.mark.parametrize(
  ("changes", "told"),
  [
    ({"clip_len": 0}, "clip_len"),
    ({"steps": ("resise",)}, "Near it: .*resize"),
    ({"steps": ("three_crop",), "settings": {"three_crop": {"size": 20}}}, "one crop"),
    ({"steps": ("flip",), "settings": {"flip": {"labels": (1, 0)}}}, "map no labels"),
    ({"settings": {"flip": {}}}, "no step"),
    ({"max_boxes": 0}, "max_boxes"),
    ({"target_fps": -1.0}, "target_fps"),
  ],
)
def test_wrong_settings_are_named(changes, told):
  with pytest.raises(InputError, match=told):
    form(**changes)


def test_it_is_json_and_back():
  one = form(steps=("resize",), settings={"resize": {"size": (80, 40)}}, target_fps=15.0)
  same = KeyFrames.from_json(json.loads(json.dumps(one.to_json())))
  assert same == one and hash(same) == hash(one)
  with pytest.raises(InputError, match="clip_len"):
    KeyFrames.from_json({**one.to_json(), "cliplen": 3})
  with pytest.raises(InputError, match="without clip_len"):
    KeyFrames.from_json({k: v for k, v in one.to_json().items() if k != "clip_len"})
