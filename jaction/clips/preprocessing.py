"""One object says how a record becomes the views that a network sees; it is stored beside the weights.

Training, evaluation, prediction and export use it alike, so that the same video gives the same scores in all of them.
"""

import dataclasses
import functools
import inspect
import json
import os
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from jaction.clips.audio import SOUND_STEPS, cut, cut_by_frames, samples_of
from jaction.clips.clip import Clip
from jaction.clips.layout import split_views, stack_flow
from jaction.clips.sampling import OUT_OF_BOUND, SAMPLERS
from jaction.clips.settings import check_settings, frozen, is_count, thawed
from jaction.clips.transforms import STEPS, lead
from jaction.errors import InputError, nearest
from jaction.records.frames import FrameCache, open_frames
from jaction.records.record import Record
from jaction.records.sound import read_feature, read_waveform
from jaction.records.video import Video

AVERAGES = ("prob", "score", "none")
MODALITIES = ("rgb", "flow", "stacked_flow", "motion", "spectrogram")
_CHUNK = 64  # frames decoded at a time on the way into a cache: bounds the memory that full-size frames take
# Fields that a sampler may not know, and the value that means nothing to it.
_NEUTRAL = {"frame_interval": 1, "num_clips": 1, "twice_sample": False, "out_of_bound": "loop"}


@dataclasses.dataclass(frozen=True)
class Preprocessing:
  """Which frames, what is done to them, how they fall into views, and how they are normalised on the device.

  Fields:
    sampler: a name in SAMPLERS ("uniform", "dense", ...).
    clip_len, frame_interval, num_clips: what the sampler takes.
    frames_per_view: T. For 2-D networks all segments make one view (T = num_clips, clip_len = 1), for 3-D ones each
      clip does (T = clip_len). A stack of flow is one frame.
    steps: names in STEPS, in their order; at most one of each. Of spectrograms names in SOUND_STEPS (see audio.py).
    settings: the named settings of steps, and of the sampler under its own name.
    mean, std: per channel in RGB order, 0..255; for `jaction.clips.device.normalize`.
    average: how the views' scores become the video's: "prob", "score" or "none".
    twice_sample, out_of_bound: what the sampler takes.
    target_fps: the rate that the sampler counts in, whatever the video's own, so that a clip lasts as long in every
      video: of each moment the frame that is shown then. 0: the video's own frames. Folders of frames have no rate.
    modality: what a record is read as, a name in MODALITIES; it sets the channels of the clips (`channels`).
      rgb: a video file or a folder of images. flow: a folder of grey images in x and y, 0..255; a flip turns x around.
      stacked_flow: the same, the clip_len frames of a clip on top of each other as one frame of channels x1, y1, x2 ...
      motion: a video file's own motion vectors, as flow images are (see records/motion.py); nothing is computed.
      spectrogram: clip_len rows of it, T = clip_len, zeros where it is short. With the step "mel" it is made of the
      sound of a wav or video file, without it of a .npy file of features [T,F]. With the step "cut" clips count in
      frames of the video, as the record has them, and so many rows (with "mel": samples) go with each, as in MMAction2.

  Equal settings are equal objects with equal hashes, also after to_json, json and from_json. Everything is checked at
  once: InputError names the field, step or setting that is wrong and what is near it.
  """

  sampler: str
  clip_len: int
  frame_interval: int
  num_clips: int
  frames_per_view: int
  steps: tuple[str, ...]
  settings: Mapping[str, Mapping[str, Any]]
  mean: tuple[float, ...]
  std: tuple[float, ...]
  average: str = "prob"
  twice_sample: bool = False
  out_of_bound: str = "loop"
  modality: str = "rgb"
  target_fps: float = 0.0

  def __post_init__(self):
    for field in dataclasses.fields(self):
      object.__setattr__(self, field.name, frozen(getattr(self, field.name), field.name))
    for name in ("mean", "std"):
      value = getattr(self, name)
      numbers = isinstance(value, tuple) and value and all(type(item) in (int, float) for item in value)
      if not numbers or name == "std" and min(value) <= 0:
        raise InputError(f"{name} is {value!r}; wanted a number for each channel{', above 0' * (name == 'std')}")
      object.__setattr__(self, name, tuple(map(float, value)))
    self._check_sampler()
    self._check_steps()

  @property
  def channels(self) -> int:
    """C of the clips: 3 of rgb, 2 of flow and motion (x, y), 2 * clip_len of stacked flow, 1 of a spectrogram."""
    return {"rgb": 3, "flow": 2, "stacked_flow": 2 * self.clip_len, "motion": 2, "spectrogram": 1}[self.modality]

  @property
  def template(self) -> str:
    """Names of the images in folders of frames, where nothing else is said: MMAction2's."""
    return "{}_{:05d}.jpg" if self._flow else "img_{:05d}.jpg"

  def __hash__(self) -> int:
    return hash(json.dumps(self.to_json(), sort_keys=True))

  def to_json(self) -> dict[str, Any]:
    """The fields as json can hold them; `from_json` makes an equal object of it."""
    return {field.name: thawed(getattr(self, field.name)) for field in dataclasses.fields(self)}

  @classmethod
  def from_json(cls, data: Mapping[str, Any]) -> "Preprocessing":
    """The inverse of to_json. An unknown key, or a missing one without a default, is an InputError that names it."""
    if not isinstance(data, Mapping):
      raise InputError(f"a preprocessing is {type(data).__name__}; wanted a mapping of its fields")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
      if key not in fields:
        raise InputError(
          f"a preprocessing has no field {key!r}; it has {', '.join(fields)}.{nearest(str(key), fields)}"
        )
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in data]
    if missing:
      raise InputError(f"a preprocessing without {', '.join(missing)}; wanted {', '.join(fields)}")
    return cls(**data)

  def __call__(
    self, record: Record, rng: np.random.Generator | None = None, cache: FrameCache | None = None
  ) -> dict[str, Any]:
    """{"clips": uint8 [V,T,H,W,C], "label": int (-1 where the record has none)}; views run over crops, then clips.

    Spectrograms are float32 [V,T,F,1].
    rng=None is the test form. With a cache the whole video is decoded once, put through a leading resize and kept,
    where it fits; the clips are the same, pixel for pixel. Raises MediaError, which names the file, where it cannot be
    read.
    """
    label = -1 if record.label is None else record.label
    if self.modality == "spectrogram":
      return {"clips": self._spectrogram(record, rng, cache), "label": label}
    frames, steps = self._cached_frames(record, rng, cache) if cache is not None else (None, self.steps)
    if frames is None:
      with open_frames(record, flow=self._flow, motion=self.modality == "motion") as video:
        indices = self.indices(video.num_frames, rng, fps=getattr(video, "fps", None))
        if isinstance(video, Video) and self.steps[:1] == ("resize",):
          each, steps = lead(self.steps, self.settings, (video.width, video.height))
          frames = video.read(indices, each)
        else:
          frames, steps = video.read(indices), self.steps
    return self._views(self._run(Clip(frames, label=record.label), steps, rng))

  def explained(self, record: Record, rng: np.random.Generator | None = None) -> dict[str, Any]:
    """What the call gives, with "numbers" int64 [V,T], the frames' numbers in the video (a stack's first), and "total",
    how many frames it has; for pictures, not for sound."""
    with open_frames(record, flow=self._flow, motion=self.modality == "motion") as video:
      indices = self.indices(video.num_frames, rng, fps=getattr(video, "fps", None))
      clip = self._run(Clip(video.read(indices), label=record.label, numbers=indices), self.steps, rng)
      made = self._views(clip)
      first = clip.numbers[:: self.clip_len] if self.modality == "stacked_flow" else clip.numbers
      return made | {"numbers": first.reshape(made["clips"].shape[:2]), "total": video.num_frames}

  def of_frames(self, frames: np.ndarray) -> np.ndarray:
    """Frames already chosen (`indices` of them) uint8 [N,H,W,C] -> clips [V,T,H,W,C], in the test form."""
    return self._views(self._run(Clip(frames), self.steps, None))["clips"]

  def _views(self, clip: Clip) -> dict[str, Any]:
    frames = stack_flow(clip.frames, self.clip_len) if self.modality == "stacked_flow" else clip.frames
    return {"clips": split_views(frames, self.frames_per_view), "label": -1 if clip.label is None else clip.label}

  @property
  def _flow(self) -> bool:
    return self.modality in ("flow", "stacked_flow")

  def _spectrogram(self, record: Record, rng: np.random.Generator | None, cache: FrameCache | None) -> np.ndarray:
    mel, length = self.settings.get("mel", {}), self.settings.get("cut", {}).get("length")
    rate = mel.get("rate", 16000)
    if "mel" in self.steps:
      hop = samples_of(rate, mel.get("step_ms", 16))
      read = lambda: read_waveform(record.source, rate)  # noqa: E731
    else:
      hop = 0
      if os.path.splitext(record.source)[1].lower() != ".npy":
        raise InputError(
          f'{record.source}: wanted a .npy file of features, or the step "mel" to make them of its sound'
        )
      read = lambda: read_feature(record.source)  # noqa: E731
    sound = read() if cache is None else cache.get((record.source, "sound", rate if hop else None), read)
    if length is not None and record.frames is not None:
      frames = self.indices(record.frames, rng).reshape(-1, self.clip_len)
      sound = cut_by_frames(sound, frames, record.frames, length=length)
    else:  # along the sound's own rows; a cut says how many
      if length is None:
        rows, length = self.clip_len, (self.clip_len - 1) * hop if hop else self.clip_len
      else:
        rows = 1 + length // hop if hop else length
      total = 1 + len(sound) // hop if hop else len(sound)
      starts = self.indices(total, rng, rows).reshape(-1, rows)[:, 0]
      sound = cut(sound, starts * max(hop, 1), length)
    for step in self.steps:
      if step != "cut":
        sound = SOUND_STEPS[step](sound, **self.settings.get(step, {}))
    return np.ascontiguousarray(sound[..., None], np.float32)

  def indices(
    self,
    total: int,
    rng: np.random.Generator | None = None,
    clip_len: int | None = None,
    fps: float | None = None,
  ) -> np.ndarray:
    """Which of a video's `total` frames: int64 [clips * clip_len]; as many for each video, so that they stack.

    `fps` is the video's rate, which target_fps wants; InputError where there is none.
    """
    clip_len = clip_len or self.clip_len
    if not self.target_fps:
      return self._sampled(total, rng, clip_len)
    if not fps:
      raise InputError(f"target_fps is {self.target_fps:g}, and folders of frames have no rate; wanted 0, or videos")
    moments = self._sampled(max(1, round(total * self.target_fps / fps)), rng, clip_len)
    return np.minimum((moments + 0.5) * (fps / self.target_fps), total - 1).astype(np.int64)

  def _sampled(self, total: int, rng: np.random.Generator | None, clip_len: int) -> np.ndarray:
    function = SAMPLERS[self.sampler]
    known = _parameters(function)
    settings = {name: getattr(self, name) for name in ("clip_len", *_NEUTRAL) if name in known}
    settings |= {"clip_len": clip_len} | self.settings.get(self.sampler, {})
    indices = function(total, **settings, **({"rng": rng} if "rng" in known else {}))
    # The reference does not double the clips of a video shorter than one clip. Twice the same clips have the same mean.
    if self.twice_sample and rng is None and len(indices) == self.num_clips * clip_len:
      indices = np.tile(indices, 2)
    return indices

  def _run(self, clip: Clip, steps: tuple[str, ...], rng: np.random.Generator | None) -> Clip:
    for step in steps:
      flow = {"flow": True} if step == "flip" and (self._flow or self.modality == "motion") else {}
      clip = STEPS[step](clip, rng, **(flow | self.settings.get(step, {})))
    return clip

  def _cached_frames(
    self, record: Record, rng: np.random.Generator | None, cache: FrameCache
  ) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The sampled frames out of the cache, and the steps that are left to do; None where the video does not fit."""
    lead, rest = (self.steps[:1], self.steps[1:]) if self.steps[:1] == ("resize",) else ((), self.steps)
    settings = json.dumps(thawed(self.settings.get("resize", {})), sort_keys=True) if lead else None
    key: Hashable = (
      record.source,
      record.template,
      record.first,
      record.offset,
      record.frames,
      record.stored,
      hash(record.data),
      self.modality,
      settings,
    )
    try:
      whole = cache.get(key, lambda: self._whole(record, lead, cache.max_bytes))
    except _TooLarge:
      return None, self.steps
    fps = None
    if self.target_fps:
      fps = float(cache.get((*key, "fps"), lambda: np.array(self._rate(record))))
    return whole[self.indices(len(whole), rng, fps=fps)], rest

  def _rate(self, record: Record) -> float:
    with open_frames(record, flow=self._flow, motion=self.modality == "motion") as video:
      return getattr(video, "fps", 0.0)

  def _whole(self, record: Record, lead: tuple[str, ...], max_bytes: int) -> np.ndarray:
    out = None
    with open_frames(record, flow=self._flow, motion=self.modality == "motion") as video:
      for start in range(0, video.num_frames, _CHUNK):
        frames = video.read(range(start, min(start + _CHUNK, video.num_frames)))
        frames = self._run(Clip(frames), lead, None).frames
        if out is None:
          if frames[0].nbytes * video.num_frames > max_bytes:
            raise _TooLarge
          out = np.empty((video.num_frames, *frames.shape[1:]), frames.dtype)
        out[start : start + len(frames)] = frames
    return out

  def _check_sampler(self) -> None:
    if self.sampler not in SAMPLERS:
      raise InputError(
        f"there is no sampler {self.sampler!r}; wanted one of {', '.join(SAMPLERS)}."
        f"{nearest(str(self.sampler), SAMPLERS)}"
      )
    rate = self.target_fps
    if isinstance(rate, bool) or not isinstance(rate, int | float) or rate < 0:
      raise InputError(f"target_fps is {rate!r}; wanted frames per second, or 0 for the video's own frames")
    if rate and self.modality == "spectrogram":
      raise InputError(f"target_fps is {rate:g}; wanted 0 where clips are spectrograms")
    for name in ("clip_len", "frame_interval", "num_clips", "frames_per_view"):
      if not is_count(getattr(self, name)):
        raise InputError(f"{name} is {getattr(self, name)!r}; wanted a whole number of at least 1")
    for name, known in (("average", AVERAGES), ("out_of_bound", OUT_OF_BOUND)):
      value = getattr(self, name)
      if value not in known:
        raise InputError(f"{name} is {value!r}; wanted one of {', '.join(known)}.{nearest(str(value), known)}")
    if not isinstance(self.twice_sample, bool):
      raise InputError(f"twice_sample is {self.twice_sample!r}; wanted true or false")
    taken = inspect.signature(SAMPLERS[self.sampler]).parameters
    for name, neutral in _NEUTRAL.items():
      if name not in taken and getattr(self, name) != neutral:
        raise InputError(
          f"the sampler {self.sampler} takes no {name}; it is {getattr(self, name)!r}, wanted {neutral!r}"
        )
    self._check_modality()
    # A stack of flow is one frame to the network.
    stacked = self.modality == "stacked_flow"
    frames = self.num_clips * (1 if stacked else self.clip_len)
    if frames % self.frames_per_view and "num_clips" in taken:
      raise InputError(
        f"num_clips {self.num_clips} x clip_len {self.clip_len} = {frames} {'stacks' if stacked else 'frames'} do not "
        "split into views of "
        f"frames_per_view {self.frames_per_view}; wanted num_clips (2-D networks) or clip_len (3-D networks)"
      )

  def _check_modality(self) -> None:
    if self.modality not in MODALITIES:
      raise InputError(
        f"modality is {self.modality!r}; wanted one of {', '.join(MODALITIES)}."
        f"{nearest(str(self.modality), MODALITIES)}"
      )
    if self.modality == "spectrogram":
      wanted = {"sampler": ("uniform", "dense"), "frame_interval": (1,), "frames_per_view": (self.clip_len,)}
      for name, values in wanted.items():
        if getattr(self, name) not in values:
          raise InputError(
            f"{name} is {getattr(self, name)!r}; wanted {' or '.join(map(str, values))} where clips are spectrograms"
          )
    for name in ("mean", "std"):
      value = getattr(self, name)
      if self.channels % len(value):
        raise InputError(
          f"{name} has {len(value)} numbers; wanted one for each of the {self.channels} channels of {self.modality}, "
          "or a divisor of that"
        )

  def _check_steps(self) -> None:
    table = SOUND_STEPS if self.modality == "spectrogram" else STEPS
    if not isinstance(self.steps, tuple):
      raise InputError(f"steps is {self.steps!r}; wanted a list of names of {', '.join(table)}")
    for step in self.steps:
      if step not in table:
        raise InputError(
          f"there is no step {step!r} for {self.modality}; wanted names of {', '.join(table)}."
          f"{nearest(str(step), table)}"
        )
      if self.steps.count(step) > 1:
        raise InputError(f"the step {step} stands {self.steps.count(step)} times in steps; its settings go by its name")
    if self.modality == "spectrogram" and list(self.steps) != [step for step in SOUND_STEPS if step in self.steps]:
      raise InputError(f"steps is {self.steps!r}; wanted them in the order {', '.join(SOUND_STEPS)}")
    if not isinstance(self.settings, Mapping):
      raise InputError(f"settings is {self.settings!r}; wanted a mapping of step names to their settings")
    for name in self.settings:
      if name not in (*self.steps, self.sampler):
        known = (*self.steps, self.sampler)
        raise InputError(
          f"settings for {name!r}, which is neither a step nor the sampler: {', '.join(known)}.{nearest(name, known)}"
        )
    for step in self.steps:
      check_settings(step, table[step], self.settings.get(step, {}), ())
    given = ("clip_len", *_NEUTRAL)
    check_settings(self.sampler, SAMPLERS[self.sampler], self.settings.get(self.sampler, {}), given)


@functools.cache
def _parameters(function: Callable) -> Mapping[str, inspect.Parameter]:
  return inspect.signature(function).parameters  # costs as much as decoding a small frame


class _TooLarge(Exception):
  """A video whose frames do not fit the cache."""
