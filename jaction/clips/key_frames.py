"""Clips around key frames, with the boxes of the people in them: what a detector sees of an AVA-style record."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaction.boxes import overlaps
from jaction.clips.boxes import pad_boxes, scale_boxes
from jaction.clips.clip import Clip
from jaction.clips.settings import check_settings, frozen, is_count, thawed
from jaction.clips.transforms import STEPS
from jaction.errors import InputError, MediaError, nearest
from jaction.records.frames import FrameCache, open_frames
from jaction.records.key_frames import ClipRecord

LATE = 1.0  # seconds that a key frame may lie behind the last frame: videos are cut a little short


@dataclasses.dataclass(frozen=True)
class KeyFrames:
  """Which frames around a key frame, and what is done to them and to the boxes; stored beside a detector's weights.

  Fields:
    clip_len, frame_interval: so many frames, so far apart, the key frame at place clip_len // 2.  In training each
      moves by up to half an interval, as in MMAction2.
    steps, settings: of jaction.clips.transforms, those that make one crop and map no labels.
    mean, std: per channel, 0..255.
    target_fps: the rate that frame_interval counts in, whatever the video's own; 0: the video's.
    max_boxes: of one clip; the rows of a batch have so many, and a mask.

  Frames before the first or behind the last are that one.  InputError names what is wrong, and what is near it.
  """

  clip_len: int
  frame_interval: int
  steps: tuple[str, ...]
  settings: Mapping[str, Mapping[str, Any]]
  mean: tuple[float, ...]
  std: tuple[float, ...]
  target_fps: float = 0.0
  max_boxes: int = 32

  channels = 3

  def __post_init__(self):
    for field in dataclasses.fields(self):
      object.__setattr__(self, field.name, frozen(getattr(self, field.name), field.name))
    for name in ("clip_len", "frame_interval", "max_boxes"):
      if not is_count(getattr(self, name)):
        raise InputError(f"{name} is {getattr(self, name)!r}; wanted a whole number of at least 1")
    for step in self.steps:
      if step not in STEPS:
        raise InputError(f"there is no step {step!r}; wanted names of {', '.join(STEPS)}.{nearest(str(step), STEPS)}")
      if step in ("three_crop", "ten_crop", "multi_group_crop") or self.settings.get(step, {}).get("labels"):
        raise InputError(f"the step {step}: a detector wants one crop, and steps that map no labels")
      check_settings(step, STEPS[step], self.settings.get(step, {}), ())
    for name in self.settings:
      if name not in self.steps:
        raise InputError(
          f"settings for {name!r}, which is no step: {', '.join(self.steps)}.{nearest(name, self.steps)}"
        )
    if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
      raise InputError(f"mean {self.mean}, std {self.std}; wanted three numbers each, those of std above 0")
    if self.target_fps < 0:
      raise InputError(f"target_fps is {self.target_fps}; wanted frames per second, or 0 for the video's own frames")

  def __hash__(self) -> int:
    return hash(json.dumps(self.to_json(), sort_keys=True))

  def to_json(self) -> dict[str, Any]:
    """The fields as json can hold them; `from_json` makes an equal object of it."""
    return {field.name: thawed(getattr(self, field.name)) for field in dataclasses.fields(self)}

  @classmethod
  def from_json(cls, data: Mapping[str, Any]) -> "KeyFrames":
    """The inverse of to_json.  An unknown key, or a missing one without a default, is an InputError that names it."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
      if key not in fields:
        raise InputError(f"clips of key frames have no {key!r}; they have {', '.join(fields)}.{nearest(key, fields)}")
    absent = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in data]
    if absent:
      raise InputError(f"clips of key frames without {', '.join(absent)}; wanted {', '.join(fields)}")
    return cls(**data)

  def clip(
    self, record: ClipRecord, boxes: np.ndarray, rng: np.random.Generator | None = None, cache: FrameCache | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """(frames uint8 [T,H,W,3], boxes float32 [R,4] in [0, 1] of these frames) of boxes [R,4] in [0, 1] of the video's.

    rng=None is the test form.  MediaError where the video cannot be read, or the key frame lies outside of it.
    """
    frames = self._frames(record, rng, cache)
    pixels = scale_boxes(np.asarray(boxes, np.float32).reshape(-1, 4), (frames.shape[2], frames.shape[1]))
    clip = Clip(frames, pixels)
    for step in self.steps:
      clip = STEPS[step](clip, rng, **self.settings.get(step, {}))
    width, height = clip.size
    unit = np.asarray(clip.boxes) / np.array([width, height] * 2, np.float32)
    return np.ascontiguousarray(clip.frames), unit.astype(np.float32)

  def indices(
    self,
    seconds: float,
    total: int,
    *,
    fps: float,
    times: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
  ) -> np.ndarray:
    """int64 [clip_len], of a video of `total` frames, around the moment `seconds` after its first frame.

    times: when each frame is shown, from 0 on; None: they are 1 / fps apart.
    """
    steps = (np.arange(self.clip_len) - self.clip_len // 2) * self.frame_interval
    if rng is not None:
      half = self.frame_interval
      steps = steps + rng.integers(-half // 2, (half + 1) // 2, self.clip_len)
    if self.target_fps:
      found = _shown_at(seconds + steps / self.target_fps, fps, times)
    else:
      found = _shown_at(np.array([seconds]), fps, times) + steps
    return np.clip(found, 0, total - 1).astype(np.int64)

  def _frames(self, record: ClipRecord, rng: np.random.Generator | None, cache: FrameCache | None) -> np.ndarray:
    seconds = record.key.second - record.start

    def chosen(total, fps, times):
      length = total / fps if times is None else float(times[-1]) + 1 / fps
      if not 0 <= seconds <= length + LATE:
        raise MediaError(
          f"{record.source}: the key frame at second {record.key.second} is outside of it; its {total} frames are "
          f"seconds {record.start:g} to {record.start + length:g} (wrong `start`, or `fps`?)"
        )
      return self.indices(seconds, total, fps=fps, times=times, rng=rng)

    if cache is not None:
      key = (record.source, record.video.template, "whole")
      whole = cache.get(key, lambda: _whole(record, cache.max_bytes))
      if len(whole):
        times = cache.get((*key, "times"), lambda: _times(record))
        return whole[chosen(len(whole), times[0], times[1:] if len(times) > 1 else None)]
    with open_frames(record.video) as video:
      return video.read(chosen(video.num_frames, *_rate(video, record.fps)))


@dataclasses.dataclass(frozen=True)
class Boxed:
  """(record, rng, cache) -> {"clips" uint8 [T,H,W,3], "boxes" float32 [R,4] in [0, 1], "box_mask" bool [R], "label"
  float32 [R,K]}, R = max_boxes.

  In training the annotated boxes, and the proposals that overlap one of them by `overlap` or more with its actions
  (the reference's assigner); at most R of them, drawn.  Boxes that a crop left nothing of are masked out.  In the test
  form `record.detected`, all of them: more than R is an InputError.
  """

  preprocess: KeyFrames
  num_classes: int
  train: bool
  overlap: float = 0.9
  first: int = 1  # the action of column 1, or 0 of networks without a column for nobody

  def __call__(
    self, record: ClipRecord, rng: np.random.Generator | None = None, cache: FrameCache | None = None
  ) -> dict[str, Any]:
    count = self.preprocess.max_boxes
    if self.train:
      boxes, labels = self._targets(record)
      if len(boxes) > count:
        kept = np.sort((np.random.default_rng(0) if rng is None else rng).permutation(len(boxes))[:count])
        boxes, labels = boxes[kept], labels[kept]
    else:
      boxes, _ = record.detected
      labels = np.zeros((len(boxes), self.num_classes), np.float32)
    clips, boxes = self.preprocess.clip(record, boxes, rng, cache)
    padded, mask = pad_boxes(boxes, count)
    rows = np.zeros((count, self.num_classes), np.float32)
    rows[: len(labels)] = labels
    if self.train:
      mask &= (padded[:, 2] > padded[:, 0]) & (padded[:, 3] > padded[:, 1])
      rows *= mask[:, None]
    return {"clips": clips, "boxes": padded, "box_mask": mask, "label": rows}

  def _targets(self, record: ClipRecord) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.array(record.key.boxes, np.float64).reshape(-1, 4)
    labels = record.key.targets(self.num_classes + 1 - self.first)[:, 1 - self.first :]
    if record.key.proposals and len(boxes):
      proposals = np.array(record.key.proposals, np.float64)
      shared = overlaps(proposals, boxes)
      best = shared.argmax(axis=1)
      taken = shared.max(axis=1) >= self.overlap
      boxes = np.concatenate([boxes, proposals[taken]])
      labels = np.concatenate([labels, labels[best[taken]]])
    return boxes.astype(np.float32), labels


def _shown_at(seconds: np.ndarray, fps: float, times: np.ndarray | None) -> np.ndarray:
  if times is None:
    return np.floor(seconds * fps + 0.5).astype(np.int64)
  return np.searchsorted(times, seconds + 1e-6, side="right") - 1


def _rate(video: Any, fps: float) -> tuple[float, np.ndarray | None]:
  times = getattr(video, "times", None)
  return (fps, None) if times is None else (float(video.fps), np.asarray(times) - times[0])


def _times(record: ClipRecord) -> np.ndarray:
  """The rate, then the frames' times where the file knows them."""
  with open_frames(record.video) as video:
    fps, times = _rate(video, record.fps)
  return np.concatenate([[fps], times if times is not None else []])


def _whole(record: ClipRecord, max_bytes: int) -> np.ndarray:
  """All frames; an empty array where they are more than the cache may hold."""
  with open_frames(record.video) as video:
    if video.num_frames * video.width * video.height * 3 > max_bytes:
      return np.empty((0, 1, 1, 3), np.uint8)
    return video.read(range(video.num_frames))
