"""JSON and JSON Lines -> `Record`s: what MMAction2 keeps in JSON, and the same objects one a line.

| members | what it is |
|---|---|
| `filename`, `label` | a video file, or an image where the name ends as one |
| `frame_dir`, `total_frames`, `label` and perhaps `offset` | a folder of images |
| `audio_path`, `total_frames`, `label` | a wave file, or features where the name ends in .npy |
| `video_dir`, `label`, `num_clips`, `positive_clip_inds` | the positive clips of an untrimmed video |

A label is a number, or a list of numbers. A file in which every list holds exactly one number is a single-label set,
as in MMAction2; `multi_label_json` takes every label as a list.
"""

import os
from collections.abc import Iterator
from typing import Any

from jaction.errors import InputError
from jaction.records.paths import join
from jaction.records.record import Record
from jaction.records.text import Entry, file_name, member, read_json_rows, shown, whole
from jaction.records.text_lists import Row, folder_record, sound_record
from jaction.records.untrimmed import from_entry

IMAGE_SUFFIXES = frozenset(".bmp .jpeg .jpg .png .ppm .tif .tiff .webp".split())
SOURCES = ("filename", "frame_dir", "audio_path", "video_dir")


def json_rows(path: str, base: str, template: str) -> Iterator[Row]:
  """Records with a single label where the whole file allows it, else with labels."""
  entries = list(read_json_rows(path))
  labels = [entry.value.get("label") for entry in entries if isinstance(entry.value, dict)]
  several = any(isinstance(label, list) and len(label) != 1 for label in labels)
  for entry in entries:
    yield from _records(entry, base, template, several)


def multi_label_json_rows(path: str, base: str, template: str) -> Iterator[Row]:
  for entry in read_json_rows(path):
    yield from _records(entry, base, template, True)


def source_record(entry: Entry, base: str, template: str, label: int | None, labels: tuple[int, ...]) -> Record:
  """The record of an object that names a file or a folder of images."""
  where, value = entry.where, entry.value
  source = next((name for name in SOURCES if isinstance(value, dict) and name in value), None)
  if source is None:
    raise InputError(f"{where}: {shown(value)}; an object with one of {', '.join(SOURCES)} was wanted")
  name = file_name(value[source], source, where)
  suffix = os.path.splitext(name)[1].lower()
  if source == "filename":
    kind = "image" if suffix in IMAGE_SUFFIXES else "video"
    return Record(name, join(base, name), label, labels, kind=kind)
  frames = whole(member(value, "total_frames", where), "total_frames", where)
  if source == "audio_path":
    return sound_record(where, base, name, frames, "features" if suffix == ".npy" else "audio", label, labels)
  offset = whole(value.get("offset", 0), "offset", where)
  return folder_record(where, base, name, offset, frames, template, label, labels)


def _records(entry: Entry, base: str, template: str, several: bool) -> Iterator[Row]:
  if isinstance(entry.value, dict) and "video_dir" in entry.value:
    video = from_entry(entry, base)
    for index in video.positive:
      yield entry.where, video.clip(index)
    return
  given: Any = member(entry.value, "label", entry.where)
  labels = [whole(label, "label", entry.where) for label in (given if isinstance(given, list) else [given])]
  label = None if several else labels[0]
  yield entry.where, source_record(entry, base, template, label, tuple(labels) if several else ())
