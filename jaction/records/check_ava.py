"""Every fault of an AVA-style set, with its file and line: what `jaction data check-ava` prints."""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from jaction.errors import InputError, MediaError
from jaction.records.ava import read_ava_labels
from jaction.records.boxes_file import read_box_file
from jaction.records.frames import open_frames
from jaction.records.key_frames import find_video
from jaction.records.text import read_text, real, shown, whole

COLUMNS = "video,second,x1,y1,x2,y2,action,person"
ROUNDING = 1e-3  # that a box may reach out of [0, 1]: files have three decimals


class Fault(NamedTuple):
  """error: training refuses it.  warning: it does not, but it is hardly meant."""

  level: str
  where: str  # "file:line", "file: video,0902"
  what: str

  def __str__(self) -> str:
    return f"{self.where}: {self.level}: {self.what}"


class Counts(NamedTuple):
  """What was looked at."""

  lines: int = 0
  videos: int = 0
  key_frames: int = 0
  people: int = 0


def check_ava(
  path: str | os.PathLike,
  *,
  media: str | os.PathLike | None = None,
  labels: str | os.PathLike | None = None,
  exclude: str | os.PathLike | None = None,
  proposals: str | os.PathLike | None = None,
  start: float = 0.0,
  fps: float = 30.0,
) -> tuple[list[Fault], Counts]:
  """(faults, in the files' order; counts) of a csv of boxes and of the files beside it, those that are given.

  Every line is looked at, whatever was wrong before.  media: whether each video is there, can be opened, and lasts to
  its key frames (start, fps: see ClipRecord).  Raises InputError for a file that cannot be read at all.
  """
  names = None if labels is None else read_ava_labels(labels)
  faults: list[Fault] = []
  seconds: dict[str, dict[int, str]] = {}  # video -> second -> where it is first met
  people: set[tuple] = set()
  seen: dict[tuple, str] = {}
  lines = 0
  for where, row in _rows(path, faults):
    lines += 1
    try:
      video, second, box, action, person = _line(where, row)
    except InputError as error:
      faults.append(_of(error, where))
      continue
    seconds.setdefault(video, {}).setdefault(second, where)
    people.add((video, second, person))
    faults += [Fault(level, where, what) for level, what in _box_faults(np.array(box))]
    if action < 1:
      faults.append(Fault("error", where, f"action {action}; actions count from 1 on"))
    elif names is not None and action not in names:
      faults.append(Fault("error", where, f"action {action} is not in {labels}"))
    before = seen.setdefault((video, second, box, action), where)
    if before != where:
      faults.append(Fault("warning", where, f"says the same as {before}"))
  if media is not None:
    faults += _media_faults(media, seconds, start, fps)
  if exclude is not None:
    faults += _exclusion_faults(exclude, seconds)
  if proposals is not None:
    faults += _proposal_faults(proposals, seconds)
  counts = Counts(lines, len(seconds), sum(map(len, seconds.values())), len(people))
  if not lines:
    faults.append(Fault("error", os.fspath(path), f"no lines `{COLUMNS}` in it"))
  return faults, counts


def _rows(path: str | os.PathLike, faults: list[Fault]) -> Iterator[tuple[str, list[str]]]:
  reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
  while True:
    try:
      row = next(reader)
    except StopIteration:
      return
    except csv.Error as error:
      faults.append(Fault("error", f"{path}:{reader.line_num}", f"cannot be read as CSV ({error})"))
      continue
    if any(cell.strip() for cell in row):
      yield f"{path}:{reader.line_num}", row


def _line(where: str, row: list[str]) -> tuple[str, int, tuple[float, ...], int, int]:
  if len(row) != 8 or not row[0].strip():
    raise InputError(f"{where}: {shown(','.join(row))}; `{COLUMNS}` was wanted")
  box = tuple(real(side, "box", where) for side in row[2:6])
  return row[0], whole(row[1], "second", where), box, whole(row[6], "action", where), whole(row[7], "person", where)


def _of(error: InputError, where: str) -> Fault:
  return Fault("error", where, str(error).removeprefix(f"{where}: "))


def _box_faults(box: np.ndarray) -> Iterator[tuple[str, str]]:
  text = ",".join(f"{side:g}" for side in box)
  if not (box[0] < box[2] and box[1] < box[3]):
    yield "error", f"the box {text} is reversed or empty; x1 < x2 and y1 < y2 was wanted"
  elif box[2] <= 0 or box[3] <= 0 or box[0] >= 1 or box[1] >= 1:
    yield "error", f"the box {text} is outside of the picture, [0, 1]; are these pixels?"
  elif box.min() < -ROUNDING or box.max() > 1 + ROUNDING:
    yield "warning", f"the box {text} reaches out of the picture, [0, 1]"


def _media_faults(
  media: str | os.PathLike, seconds: Mapping[str, Mapping[int, str]], start: float, fps: float
) -> Iterator[Fault]:
  for video, moments in seconds.items():
    first = next(iter(moments.values()))
    try:
      record = find_video(media, video)
      if record is None:
        yield Fault("error", first, f"the video {video} is not in {media}")
        continue
      with open_frames(record) as opened:
        times = getattr(opened, "times", None)
        length = opened.num_frames / fps if times is None else float(times[-1] - times[0]) + 1 / opened.fps  # type: ignore[union-attr]
    except MediaError as error:
      yield Fault("error", first, str(error))
      continue
    except InputError as error:
      yield Fault("error", first, str(error))
      continue
    for second, where in moments.items():
      if not 0 <= second - start <= length + 1:
        yield Fault("error", where, f"second {second} is outside of {video}, seconds {start:g} to {start + length:.6g}")


def _exclusion_faults(path: str | os.PathLike, seconds: Mapping[str, Mapping[int, str]]) -> list[Fault]:
  faults: list[Fault] = []
  for where, row in _rows(path, faults):
    try:
      if len(row) != 2:
        raise InputError(f"{where}: {shown(','.join(row))}; `video,second` was wanted")
      second = whole(row[1], "second", where)
    except InputError as error:
      faults.append(_of(error, where))
      continue
    if second not in seconds.get(row[0], {}):
      faults.append(Fault("warning", where, "excludes a key frame that is not annotated"))
  return faults


def _proposal_faults(path: str | os.PathLike, seconds: Mapping[str, Mapping[int, str]]) -> Iterator[Fault]:
  try:
    found = read_box_file(path)
  except InputError as error:
    yield _of(error, os.fspath(path))
    return
  unknown: dict[str, int] = {}
  for key, rows in found.items():
    where = f"{path}: {key}"
    video, _, second = key.rpartition(",")
    if not video or not second.strip().isdigit():
      yield Fault("error", where, "no name like `video,0902`")
      continue
    if video not in seconds:
      unknown[video] = unknown.get(video, 0) + 1
    elif not len(rows):
      yield Fault("warning", where, "an empty list: the whole picture is taken for a box")
    for number, row in enumerate(rows):
      for level, what in _box_faults(row[:4]):
        yield Fault(level, f"{where}[{number}]", what)
      if len(row) == 5 and not 0 <= row[4] <= 1:
        yield Fault("warning", f"{where}[{number}]", f"a score of {row[4]:g}; 0 to 1 was wanted")
  for video, count in unknown.items():
    yield Fault(
      "warning", os.fspath(path), f"{count} frames of {video}, a video without annotations; they are left out"
    )
  covered = {tuple(key.rpartition(",")[::2]) for key in found}
  lacking = [(v, s) for v, moments in seconds.items() for s in moments if (v, f"{s:04d}") not in covered]
  if lacking:
    video, second = lacking[0]
    text = f"no proposals for {len(lacking)} key frames ({video},{second:04d}, ...): the whole picture is taken"
    yield Fault("warning", os.fspath(path), text)
