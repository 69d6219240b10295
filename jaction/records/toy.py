"""The toy set: small real H.264 videos, made here, whose four pairs of classes differ by the direction of time alone.

Left and right, up and down, growing and shrinking, clockwise and anticlockwise: a net that sees single frames can name
the shape, which gives the pair, and has to guess the direction (`toy_render` says why).  The set is the same for one
seed, whatever the number of processes; the files are equal byte for byte where numpy, PyAV and its x264 are the same.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from jaction.errors import InputError
from jaction.records import toy_render

VERSION = 1  # raised whenever the same seed would give other videos
SPLITS = ("train", "val", "test")
TOY_CLASSES = ("left", "right", "up", "down", "growing", "shrinking", "clockwise", "anticlockwise")
TOY_SHAPES = ("disc", "square", "flower", "propeller")
SHAPE_LABELS = tuple(label // 2 for label in range(len(TOY_CLASSES)))
FLIP_LABELS = (1, 0, 2, 3, 4, 5, 7, 6)  # the class of the picture seen in a mirror
REVERSE_LABELS = (1, 0, 3, 2, 5, 4, 7, 6)  # the class of the video played backwards
FRAME_FOLDERS = 16  # how many test videos are also written as folders of JPEG pictures
TICKS = 30000  # a second, in the files' clock: every rate of toy_render is a whole number of ticks a frame


@dataclass(frozen=True)
class ToySet:
  """What `make_toy_set` leaves: the folder, videos per split, how many were made by this call, bytes of all videos."""

  folder: Path
  videos: tuple[int, int, int]
  made: int
  size: int


@dataclass(frozen=True)
class _Item:
  """One video to be: its split, number and label, and where it goes."""

  split: int
  index: int
  label: int
  path: Path
  frames: Path | None  # the folder of its pictures, for the few that have one


def scene(split: int, index: int, *, seed: int = 0, hard: bool = False) -> toy_render.Scene:
  """The toy video number `index` of a split (0 train, 1 val, 2 test) before encoding; its class is index % 8."""
  rng = np.random.default_rng((VERSION, seed, int(hard), split, index))
  return toy_render.draw_scene(rng, index % len(TOY_CLASSES), hard=hard)


def write_scene(path: str | os.PathLike, drawn: toy_render.Scene) -> None:
  """Encodes a scene as H.264 in mp4: presentation times, rotation tag and B-frames included; one encoder thread.

  A picture with a rotation tag is stored turned, so that what a player shows is what was drawn.
  """
  with av.open(os.fspath(path), "w", format="mp4") as container:
    rate = Fraction(len(drawn.times) - 1) / Fraction(float(drawn.times[-1])).limit_denominator(TICKS)
    options = {"preset": "veryfast", "crf": str(drawn.crf), "g": str(drawn.keyframes), "threads": "1"}
    # Macroblock trees, as x264 core 165 weighs them with B-frames, give other bytes on each run, one thread or not.
    options["x264-params"] = "mbtree=0"
    stream = container.add_stream("libx264", rate=rate.limit_denominator(1001), options=options)
    turned = drawn.rotation in (90, 270)
    stream.width, stream.height = (drawn.height, drawn.width) if turned else (drawn.width, drawn.height)
    stream.pix_fmt = drawn.chroma
    stream.codec_context.thread_count = 1  # slices and look-ahead of more threads would change the bytes
    stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
    if drawn.rotation:
      stream.set_display_rotation(drawn.rotation)
    for picture, time in zip(drawn.frames(), drawn.times, strict=True):
      stored = np.ascontiguousarray(np.rot90(picture, -drawn.rotation // 90))
      frame = av.VideoFrame.from_ndarray(stored, format="rgb24").reformat(format=drawn.chroma)
      frame.pts, frame.time_base = round(float(time) * TICKS), Fraction(1, TICKS)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make_toy_set(
  out: str | os.PathLike,
  *,
  videos: tuple[int, int, int] = (640, 160, 240),
  seed: int = 0,
  hard: bool = False,
  processes: int = 2,
  progress: Callable[[int, int], None] | None = None,
) -> ToySet:
  """Makes the toy set in folder `out`, or finishes it, or finds it complete and returns at once.

  videos: how many of train, val and test; the classes take turns, so that multiples of 8 are balanced.
  seed: another seed, other videos.  hard: clutter, noise and moving backgrounds.
  processes: how many work at it; the videos do not depend on it.
  progress: called as progress(done, total) in the calling thread.

  The folder then holds videos/{train,val,test}/*.mp4; lists `path label` {split}.txt, the same as {split}.csv with a
  header, and {split}_shape.txt with the label of the shape alone; labels.txt and shape_labels.txt; by_class/{split}/
  {class}/ (links to the same files); frames/ with some test videos as JPEG folders and test_frames.txt (`folder
  frames label`); toy.json with the settings.  Each file appears whole or not at all.
  InputError: the folder holds something else, or a toy set of other settings; the counts make no sense.
  """
  folder = Path(out).expanduser().resolve()
  counts = tuple(int(count) for count in videos)
  if len(counts) != len(SPLITS) or min(counts) < 0 or not sum(counts):
    raise InputError(f"videos is {videos}: wanted three counts (train, val, test), not negative, not all 0")
  if processes < 1:
    raise InputError(f"processes is {processes}: wanted 1 or more")
  settings = {
    "version": VERSION,
    "seed": int(seed),
    "hard": bool(hard),
    "videos": dict(zip(SPLITS, counts, strict=True)),
  }
  items = _items(folder, counts)
  complete = _check_folder(folder, settings)
  todo = [item for item in items if not _is_made(item)]
  if not (complete and not todo):
    _write(folder / "toy.json", json.dumps({**settings, "complete": False}, indent=2))
    _make_all(todo, len(items), int(seed), bool(hard), processes, progress)
    _write_lists(folder, items)
    _write(folder / "toy.json", json.dumps({**settings, "complete": True}, indent=2))
  return ToySet(folder, counts, len(todo), sum(item.path.stat().st_size for item in items))


def _items(folder: Path, counts: tuple[int, ...]) -> list[_Item]:
  items = []
  for split, (name, count) in enumerate(zip(SPLITS, counts, strict=True)):
    for index in range(count):
      video = f"{name}_{index:05d}"
      frames = folder / "frames" / video if name == "test" and index < FRAME_FOLDERS else None
      items.append(_Item(split, index, index % len(TOY_CLASSES), folder / "videos" / name / f"{video}.mp4", frames))
  return items


def _check_folder(folder: Path, settings: dict) -> bool:
  """Whether the folder already says that it is complete under these settings; InputError where it is another's."""
  if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
    return False
  if not folder.is_dir():
    raise InputError(f"{folder} is a file; the toy set wants a folder")
  try:
    found = json.loads((folder / "toy.json").read_text())
    complete = found.pop("complete")
  except FileNotFoundError:
    raise InputError(f"{folder} is not empty and holds no toy set; choose an empty or a new folder") from None
  except (ValueError, KeyError, AttributeError):
    raise InputError(f"{folder}/toy.json is damaged; remove the folder or choose another") from None
  different = [
    f"{key} {found.get(key)} there, {value} asked for" for key, value in settings.items() if found.get(key) != value
  ]
  if different:
    raise InputError(f"{folder} holds another toy set ({'; '.join(different)}); choose another folder or remove it")
  return complete


def _is_made(item: _Item) -> bool:
  return item.path.is_file() and (item.frames is None or item.frames.is_dir())


def _make_all(todo: list[_Item], total: int, seed: int, hard: bool, workers: int, progress) -> None:
  for parent in {item.path.parent for item in todo} | {item.frames.parent for item in todo if item.frames}:
    parent.mkdir(parents=True, exist_ok=True)
  with ThreadPoolExecutor(workers) as pool:
    jobs = [pool.submit(_make, item, seed, hard) for item in todo]
    for done, job in enumerate(as_completed(jobs), total - len(todo) + 1):
      job.result()
      if progress:
        progress(done, total)


def _make(item: _Item, seed: int, hard: bool) -> None:
  drawn = scene(item.split, item.index, seed=seed, hard=hard)
  part = item.path.with_name(f".{item.path.name}.{os.getpid()}.part")
  if item.frames is not None and not item.frames.is_dir():
    shelf = item.frames.with_name(f".{item.frames.name}.{os.getpid()}.part")
    shelf.mkdir()
    for number, picture in enumerate(drawn.frames(), 1):
      av.VideoFrame.from_ndarray(picture, format="rgb24").save(shelf / f"img_{number:05d}.jpg")
    os.replace(shelf, item.frames)
  write_scene(part, drawn)
  os.replace(part, item.path)


def _write_lists(folder: Path, items: Iterable[_Item]) -> None:
  _write(folder / "labels.txt", "".join(f"{name}\n" for name in TOY_CLASSES))
  _write(folder / "shape_labels.txt", "".join(f"{name}\n" for name in TOY_SHAPES))
  for split, name in enumerate(SPLITS):
    rows = [(item.path.relative_to(folder).as_posix(), item.label) for item in items if item.split == split]
    _write(folder / f"{name}.txt", "".join(f"{path} {label}\n" for path, label in rows))
    _write(folder / f"{name}_shape.txt", "".join(f"{path} {SHAPE_LABELS[label]}\n" for path, label in rows))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("path", "label"), *rows])
    _write(folder / f"{name}.csv", table.getvalue())
  folders = [item for item in items if item.frames is not None]
  lines = [f"frames/{item.frames.name} {len(list(item.frames.iterdir()))} {item.label}\n" for item in folders]
  _write(folder / "test_frames.txt", "".join(lines))
  for item in items:
    link = folder / "by_class" / SPLITS[item.split] / TOY_CLASSES[item.label] / item.path.name
    if not link.exists():
      link.parent.mkdir(parents=True, exist_ok=True)
      _link(item.path, link)


def _link(source: Path, target: Path) -> None:
  try:
    os.link(source, target)
  except OSError:  # a file system without hard links
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.copyfile(source, part)
    os.replace(part, target)


def _write(path: Path, text: str) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(f".{path.name}.{os.getpid()}.part")
  part.write_text(text, encoding="utf-8")
  os.replace(part, path)
