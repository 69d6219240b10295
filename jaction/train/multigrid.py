"""Multigrid training (Wu et al., arXiv:1912.00998, Section 3): small clips in large batches first, full ones last.

The shape of a step's batch is a function of the step alone, so that a run that goes on from a checkpoint meets the
shapes that an undisturbed one does.  As in PySlowFast, a stage (the steps between two falls of the learning rate) gives
equal shares of its steps to the long cycle's four shapes; the last stage has the full shape.  Every three steps the
short cycle goes through the sides S/2, S/sqrt 2 and the long cycle's own, S being the full side.
"""

import bisect
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from jaction.clips.multihot import MultiHot
from jaction.clips.preprocessing import Preprocessing
from jaction.clips.sets import BySet
from jaction.errors import InputError
from jaction.records.frames import FrameCache
from jaction.records.record import Record

LONG = ((0.25, 0.5**0.5), (0.5, 0.5**0.5), (0.5, 1.0), (1.0, 1.0))  # of frames, of the side


class Grid(NamedTuple):
  """The shape of one step's batch."""

  batch: int  # clips over all devices
  frames: int
  side: int  # pixels
  scale: int  # times the learning rate: that of the long cycle's batch, as the short cycle has none of its own
  norm_groups: int  # groups that batch norm treats alone: each holds as many clips as at the full shape


class Multigrid:
  """grid(step) for clips of `frames` frames and `side` pixels, `batch` to a step at the full shape.

  stages: the steps at which a stage begins, ascending, the first 0, and behind them the number of steps in all.
  long, short: which cycles are on.  Sides become multiples of `divisor`, frames at least one.  `batch` has to be a
  multiple of `norm_groups`; every batch is a multiple of `batch`, and so of the devices.  Raises InputError.
  """

  def __init__(
    self,
    *,
    batch: int,
    frames: int,
    side: int,
    stages: Sequence[int],
    long: bool = True,
    short: bool = True,
    divisor: int = 32,
    norm_groups: int = 1,
  ):
    if len(stages) < 2 or stages[0] != 0 or list(stages) != sorted(set(stages)):
      raise InputError(
        f"multigrid stages={tuple(stages)}: wanted ascending steps that begin with 0 and end with the end"
      )
    if batch < 1 or norm_groups < 1 or batch % norm_groups:
      raise InputError(
        f"multigrid: {batch} clips do not split into {norm_groups} groups of batch norm: wanted a multiple"
      )
    if frames < 1:
      raise InputError(f"multigrid: frames={frames}; wanted 1 or more")
    if side < divisor or side % divisor:
      near = max(1, round(side / divisor)) * divisor
      raise InputError(f"multigrid: the side {side} is no multiple of multigrid.divisor={divisor}; nearest is {near}")
    self.batch, self.frames, self.side, self.stages = batch, frames, side, tuple(stages)
    self.short, self.divisor, self.norm_groups = short, divisor, norm_groups
    self.starts, self.shapes = [], []
    for number, (first, after) in enumerate(zip(stages[:-1], stages[1:], strict=True)):
      cycle = LONG if long and number < len(stages) - 2 else LONG[-1:]
      for place, shape in enumerate(cycle):
        self.starts.append(first + (after - first) * place // len(cycle))
        self.shapes.append(shape)  # of shapes that begin at one step (a stage shorter than the cycle) the last counts
    sizes = [
      np.array([self.grid(step).batch for step in range(first, first + 3)])[np.arange(after - first) % 3]
      for first, after in zip(self.starts, [*self.starts[1:], self.stages[-1]], strict=True)
      if first < after
    ]
    self._places = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])

  def grid(self, step: int) -> Grid:
    """The shape of the batch of `step` (the first is 0); behind the last, those of the last stage go on."""
    if step < 0:
      raise InputError(f"multigrid: step {step} is before the first, 0")
    time, space = self.shapes[bisect.bisect_right(self.starts, step) - 1]
    frames = max(1, round(self.frames * time))
    side = self._side(self.side * space)
    scale = self._times(frames, side)
    if self.short:
      side = (self._side(self.side * 0.5), self._side(self.side * 0.5**0.5), side)[step % 3]
    times = self._times(frames, side)
    return Grid(times * self.batch, frames, side, scale, times * self.norm_groups)

  def place(self, step: int) -> int:
    """How many clips the steps before `step` take; threads may ask."""
    total = self.stages[-1]
    return int(self._places[min(step, total)]) + sum(self.grid(late).batch for late in range(total, step))

  def grids(self) -> tuple[Grid, ...]:
    """Every shape that comes, each once, in the order of their first step: a program is compiled for each."""
    found = {}
    for start, after in zip(self.starts, [*self.starts[1:], self.stages[-1]], strict=True):
      for step in range(start, min(after, start + 3)):
        found[self.grid(step)] = None
    return tuple(found)

  def _side(self, side: float) -> int:
    return max(self.divisor, round(side / self.divisor) * self.divisor)

  def _times(self, frames: int, side: int) -> int:
    """How many times the full shape's batch a batch of smaller clips is: about the same number of pixels."""
    return max(1, round(self.frames * self.side**2 / (frames * side**2)))


def full_shape(form: Preprocessing) -> tuple[int, int]:
  """(frames, side) of a view that `form` makes; InputError where its side cannot be told, or is none of pixels."""
  sized = [(step, form.settings[step]["size"]) for step in form.steps if "size" in form.settings.get(step, {})]
  step, size = sized[-1] if sized and form.modality != "spectrogram" else ("", None)
  whole = isinstance(size, int) and step != "resize"  # one number of a resize is the shorter side
  pair: tuple = (size, size) if whole else tuple(size) if isinstance(size, tuple | list) else ()
  if len(pair) != 2 or pair[0] != pair[1]:
    raise InputError(
      f"multigrid: preprocessing.train ends in no square of a known side (its steps are {', '.join(form.steps)}); "
      "wanted a square crop"
    )
  return form.frames_per_view, int(pair[0])


class Shaped(NamedTuple):
  """A record, and the shape that its clips are wanted in."""

  record: Record
  frames: int
  side: int

  @property
  def id(self) -> str:
    return self.record.id


@dataclasses.dataclass(frozen=True)
class Gridded:
  """(a Shaped, rng, cache) -> what `forms[frames]` gives, its clips of `side` pixels.

  Fewer frames span as much time as all do; smaller sides show the same crop, as areas' means."""

  forms: Mapping[int, Callable[..., Mapping[str, Any]]]

  def __call__(
    self, item: Shaped, rng: np.random.Generator | None = None, cache: FrameCache | None = None
  ) -> dict[str, Any]:
    sample = dict(self.forms[item.frames](item.record, rng, cache))
    clips = sample["clips"]  # [V, T, H, W, C]
    if clips.shape[2:4] != (item.side, item.side):
      flat = clips.reshape(-1, *clips.shape[2:])
      small = [cv2.resize(frame, (item.side, item.side), interpolation=cv2.INTER_AREA) for frame in flat]
      sample["clips"] = np.stack(small).reshape(*clips.shape[:2], item.side, item.side, clips.shape[-1])
    return sample


def gridded(prepare: Any, grids: Sequence[Grid]) -> Gridded:
  """`prepare` (a Preprocessing, or a MultiHot or BySet of some) for all of these shapes."""
  return Gridded({frames: _with_frames(prepare, frames) for frames in {grid.frames for grid in grids}})


def _with_frames(prepare: Any, frames: int) -> Any:
  if isinstance(prepare, BySet):
    return BySet(tuple(_with_frames(part, frames) for part in prepare.parts))
  if isinstance(prepare, MultiHot):
    return dataclasses.replace(prepare, preprocess=_with_frames(prepare.preprocess, frames))
  if frames == prepare.frames_per_view:
    return prepare
  if prepare.clip_len != prepare.frames_per_view or prepare.clip_len % frames:
    raise InputError(
      f"multigrid.long: views of {prepare.frames_per_view} frames from clips of {prepare.clip_len} have no form of "
      f"{frames}; wanted clips of a multiple of 4 frames, a view each (segments have the short cycle alone)"
    )
  interval = prepare.frame_interval * (prepare.clip_len // frames)
  return dataclasses.replace(prepare, clip_len=frames, frames_per_view=frames, frame_interval=interval)
