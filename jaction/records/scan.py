"""A folder of videos, or of folders of frames, per class -> lists of a seeded split, a label map, statistics."""

import collections
import dataclasses
import functools
import hashlib
import json
import os
import re
import string
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from jaction.errors import InputError, MediaError
from jaction.records.frames import FrameFolder
from jaction.records.lists import TEMPLATE, check_template, videos_in
from jaction.records.record import Record
from jaction.records.video import Video
from jaction.records.writers import (
  check_class_names,
  check_path,
  write_csv,
  write_frame_jsonl,
  write_frame_list,
  write_jsonl,
  write_label_map,
  write_video_list,
)

SPLITS = ("train", "val", "test")
WRITERS = {"txt": write_video_list, "csv": write_csv, "jsonl": write_jsonl}
FRAME_WRITERS = {"txt": write_frame_list, "jsonl": write_frame_jsonl}


@dataclasses.dataclass(frozen=True, slots=True)
class Scanned:
  """One video: its class, and what its container says, of frames their count; `error` where it cannot be opened."""

  source: str
  label: int
  bytes: int
  frames: int = 0
  seconds: float = 0.0
  size: tuple[int, int] = (0, 0)  # width, height
  error: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Scan:
  """What `scan` found and wrote.

  Fields:
    folder: where the lists are.
    classes: in label order.
    splits: how many videos each list has.
    damaged: the files that are in no list, with the reason.
    statistics: what statistics.json holds.
  """

  folder: Path
  classes: tuple[str, ...]
  splits: dict[str, int]
  damaged: tuple[Scanned, ...]
  statistics: dict


def scan(
  folder: str | os.PathLike,
  output: str | os.PathLike | None = None,
  *,
  val: float = 0.1,
  test: float = 0.1,
  seed: int = 0,
  format: str = "txt",
  threads: int = 4,
  frames: bool = False,
  template: str = TEMPLATE,
  progress: Callable[[int, int], None] | None = None,
) -> Scan:
  """Opens every video of a folder of classes and writes train, val, test, labels.txt, statistics.json, damaged.txt.

  Args:
    folder: holds a folder of videos per class.
    output: where to write; `folder` itself by default. Paths are relative to it where the videos lie inside, and
      absolute elsewhere.
    val, test: shares of each class, rounded; a class keeps at least one video for training.
    seed: another seed, another split. A video's place depends on its own path and on how many its class has.
    format: "txt", "csv" or "jsonl".
    threads: files opened at once.
    frames: a video is a folder of images named by `template`, of which the first and the last are read; the lists then
      are frame lists, and seconds are not known.
    progress: called with (files done, files).

  A file is damaged where it cannot be opened or its first frame cannot be decoded. InputError: no classes, shares that
  leave nothing for training, no file that can be opened.
  """
  if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
    raise InputError(f"shares of {val} for val and {test} for test; numbers from 0 on with a sum below 1 were wanted")
  writers = FRAME_WRITERS if frames else WRITERS
  if format not in writers:
    raise InputError(f"lists{' of frame folders' if frames else ''} as {format!r}; there are {', '.join(writers)}")
  check_template(template)
  if not os.path.isdir(folder):
    raise InputError(f"{folder}: there is no such folder")
  inside = _frame_folders if frames else videos_in
  classes = tuple(name for name in _folders(folder) if inside(os.path.join(folder, name)))
  if not classes:
    _hint(folder, inside, "folders of frames" if frames else "videos")
  target = Path(output if output is not None else folder)
  _check_target(target, format)
  check_class_names(classes)
  sources = [
    (os.path.join(os.path.abspath(folder), name, one), label)
    for label, name in enumerate(classes)
    for one in inside(os.path.join(folder, name))
  ]
  if format == "txt":
    for source, _ in sources:
      check_path(placed(source, target))
  look = functools.partial(_seen, template) if frames else _opened

  def looked_at(source: str, label: int) -> Scanned:
    try:
      source.encode()
    except UnicodeEncodeError:
      return Scanned(source, label, 0, error=f"{source!r}: its name is no UTF-8, so that no list can hold it")
    return look(source, label)

  found = []
  with ThreadPoolExecutor(max(threads, 1)) as pool:
    for one in pool.map(lambda pair: looked_at(*pair), sources):
      found.append(one)
      if progress is not None:
        progress(len(found), len(sources))
  whole = [one for one in found if not one.error]
  damaged = tuple(one for one in found if one.error)
  if not whole:
    raise InputError(f"{folder}: none of {len(found)} videos can be opened; {damaged[0].error}")
  target.mkdir(parents=True, exist_ok=True)
  lists = split(whole, val=val, test=test, seed=seed, root=os.path.abspath(folder))
  # First of all what tells that the lists beside it are a scan's, and may be written over by the next.
  statistics = _statistics(classes, lists, whole, damaged)
  statistics["written"] = sorted({*_names(format), *_written(target)})
  (target / "statistics.json").write_text(json.dumps(statistics, indent=2, ensure_ascii=False) + "\n", "utf-8")
  for name, members in lists.items():
    rows = [(placed(one.source, target), *([one.frames] if frames else []), one.label) for one in members]
    writers[format](target / f"{name}.{format}", rows)
  write_label_map(target / "labels.txt", classes)
  (target / "damaged.txt").write_text(
    "".join(f"{one.source}\t{one.error}".replace("\n", " ") + "\n" for one in damaged), "utf-8", "backslashreplace"
  )
  return Scan(target, classes, {name: len(members) for name, members in lists.items()}, damaged, statistics)


def split(files: Sequence[Scanned], *, val: float, test: float, seed: int, root: str) -> dict[str, list[Scanned]]:
  """The files of train, val and test, each in the order given; shares are taken class by class."""
  lists: dict[str, list[Scanned]] = {name: [] for name in SPLITS}
  chosen: dict[str, str] = {}
  for label in sorted({one.label for one in files}):
    members = [one.source for one in files if one.label == label]
    members.sort(key=lambda source: _rank(seed, os.path.relpath(source, root)))
    tests = min(int(len(members) * test + 0.5), len(members) - 1)
    vals = min(int(len(members) * val + 0.5), len(members) - 1 - tests)
    for at, source in enumerate(members):
      chosen[source] = "test" if at < tests else "val" if at < tests + vals else "train"
  for one in files:
    lists[chosen[one.source]].append(one)
  return lists


def placed(source: str, folder: str | os.PathLike) -> str:
  """How a list in `folder` names a file: relative where it lies inside, absolute elsewhere."""
  relative = os.path.relpath(source, folder)
  return os.path.abspath(source) if relative.startswith(os.pardir) else relative


def _rank(seed: int, name: str) -> bytes:
  return hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogateescape")).digest()


def _folders(folder: str | os.PathLike) -> list[str]:
  with os.scandir(folder) as entries:
    return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _frame_folders(folder: str) -> list[str]:
  """The folders in a folder that hold a file."""
  found = []
  for name in _folders(folder):
    with os.scandir(os.path.join(folder, name)) as entries:
      if any(entry.is_file() for entry in entries):
        found.append(name)
  return found


def _hint(folder: str | os.PathLike, inside: Callable[[str], list[str]], what: str) -> NoReturn:
  """InputError, which says where the classes lie if they lie one level deeper than they were looked for."""
  outer = [os.path.join(folder, name) for name in _folders(folder)]
  deeper = [one for one in outer if any(inside(os.path.join(one, name)) for name in _folders(one))]
  if deeper:
    named = ", ".join(deeper[:4])
    raise InputError(f"{folder}: no {what} in its folders, but in folders inside of these; wanted one of {named}")
  raise InputError(f"{folder}: no {what} in its class folders, so there is nothing to read")


def _check_target(target: Path, format: str) -> None:
  """InputError where lists lie there that no scan has written."""
  there = [name for name in _names(format) if (target / name).exists()]
  foreign = sorted(set(there) - set(_written(target)))
  if foreign:
    raise InputError(f"{target} holds {', '.join(foreign)}, which no scan has written; wanted another output folder")


def _names(format: str) -> list[str]:
  return [*(f"{split}.{format}" for split in SPLITS), "labels.txt", "damaged.txt", "statistics.json"]


def _written(target: Path) -> list[str]:
  """The files that an earlier scan says it has written there."""
  try:
    found = json.loads((target / "statistics.json").read_text("utf-8"))
    return [str(name) for name in found["written"]]
  except (OSError, ValueError, KeyError, TypeError):
    return []


def _opened(source: str, label: int) -> Scanned:
  size = 0
  try:
    size = os.path.getsize(source)
    with Video(source) as video:
      seconds = float(video.times[-1] - video.times[0]) + 1 / video.fps
      return Scanned(source, label, size, video.num_frames, seconds, (video.width, video.height))
  except MediaError as error:
    return Scanned(source, label, size, error=str(error).replace("\n", " "))
  except OSError as error:
    return Scanned(source, label, size, error=f"{source}: {error.strerror or 'cannot be opened'}")


def _seen(template: str, source: str, label: int) -> Scanned:
  """A folder of frames; one whose images do not follow each other from the first on is damaged."""
  try:
    with os.scandir(source) as entries:
      sizes = {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    with FrameFolder(Record(source, source, label, template=template)) as folder:
      parts = [  # text, then "x" or "y" of flow, or the number
        re.escape(text) + ("" if field is None else r"\d+" if form else "[xy]")
        for text, field, form, _ in string.Formatter().parse(template)
      ]
      images = sum(bool(re.fullmatch("".join(parts), name)) for name in sizes)
      images //= 2 if folder.channels == 2 else 1  # of flow x and y
      if images > folder.num_frames:
        raise MediaError(f"{source}: {images} images, of which {folder.num_frames} follow each other from number 1 on")
      folder.read([0, folder.num_frames - 1])
      return Scanned(source, label, sum(sizes.values()), folder.num_frames, size=(folder.width, folder.height))
  except (MediaError, InputError) as error:
    return Scanned(source, label, 0, error=str(error).replace("\n", " "))
  except OSError as error:
    return Scanned(source, label, 0, error=f"{source}: {error.strerror or 'cannot be read'}")


def _spread(values: Iterable[float]) -> dict[str, float]:
  ordered = sorted(values)
  middle = ordered[len(ordered) // 2]
  return {"sum": sum(ordered), "min": ordered[0], "median": middle, "max": ordered[-1]}


def _statistics(classes: tuple[str, ...], lists: dict, whole: list[Scanned], damaged: tuple[Scanned, ...]) -> dict:
  sizes = collections.Counter(f"{one.size[0]}x{one.size[1]}" for one in whole)
  per_class = {
    name: {split: sum(one.label == label for one in members) for split, members in lists.items()}
    | {"damaged": sum(one.label == label for one in damaged)}
    for label, name in enumerate(classes)
  }
  return {
    "videos": len(whole),
    "damaged": len(damaged),
    "frames": _spread(one.frames for one in whole),
    "seconds": _spread(round(one.seconds, 3) for one in whole),
    "bytes": _spread(one.bytes for one in whole),
    "sizes": dict(sizes.most_common()),
    "classes": per_class,
  }
