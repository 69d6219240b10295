"""Text lists and CSV files -> `Record`s, each with the "path:line" it came from. `lists` tells of the formats."""

import csv
import functools
import io
import re
from collections.abc import Callable, Iterator

from jaction.errors import InputError
from jaction.records.paths import join
from jaction.records.record import Record
from jaction.records.text import numbered_lines, read_text, shown, whole

Row = tuple[str, Record]  # where it was read ("list.txt:3"), and what
AUDIO_SUFFIXES = {"audio": ".wav", "features": ".npy"}


def split_rows(path: str, fields: str, numbers: int, more: bool) -> Iterator[tuple[str, str, list[int]]]:
  """(where, path, numbers) of each line that is not blank; with `more`, `numbers` is the least that a line may have."""
  for where, line in numbered_lines(path):
    if line.startswith('"'):
      name, closed, rest = line[1:].partition('"')
      if not closed or not rest[:1].isspace():
        raise InputError(f"{where}: {shown(line)} begins with a quote, but no closing quote and a blank follow it")
      values = rest.split()
    elif more:  # every number at the end, but never the first field
      match = re.match(r"\S+(.*\s[^\s]*[^\s0-9+-][^\s]*)?", line)
      name = match[0] if match else line
      values = line[len(name) :].split()
    else:
      name, *values = line.rsplit(None, numbers)
    if len(values) < numbers or (len(values) > numbers and not more):
      found = f"{len(values)} field(s) after the path {shown(name)} in {shown(line)}"
      raise InputError(f"{where}: {found}; a line is `{fields}`")
    yield where, name, [number(value, "field", where, line, fields) for value in values]


def number(text: str, what: str, where: str, line: object, fields: str) -> int:
  """A whole number in a line that should read as `fields` says."""
  try:
    return whole(text, what, where)
  except InputError as error:
    raise InputError(f"{error}, in {shown(line)}; a line is `{fields}`") from None


def video_list_rows(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (label,) in split_rows(path, "path label", 1, more=False):
    yield where, Record(name, join(base, name), label)


def multi_label_list_rows(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, labels in split_rows(path, "path label [label ...]", 1, more=True):
    yield where, Record(name, join(base, name), labels=tuple(labels))


def image_list_rows(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (label,) in split_rows(path, "path label", 1, more=False):
    yield where, Record(name, join(base, name), label, kind="image")


def sound_rows(kind: str, path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (frames, label) in split_rows(path, "path frames label", 2, more=False):
    yield where, sound_record(where, base, name, frames, kind, label=label)


def sound_record(where, base, name, frames, kind, label=None, labels=()) -> Record:
  """`name` may lack the suffix of its kind; `frames` are those of the video that the sound belongs to."""
  if frames < 1:
    raise InputError(f"{where}: {frames} frames; at least one was wanted")
  file = name if name.endswith(AUDIO_SUFFIXES[kind]) else name + AUDIO_SUFFIXES[kind]
  return Record(name, join(base, file), label, labels, frames, kind=kind)


def frame_list_rows(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (frames, label) in split_rows(path, "folder frames label", 2, more=False):
    yield where, folder_record(where, base, name, 0, frames, template, label=label)


def frame_list_offset_rows(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (offset, frames, label) in split_rows(path, "folder offset frames label", 3, more=False):
    yield where, folder_record(where, base, name, offset, frames, template, label=label)


def frame_multi_label_list_rows(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (frames, *labels) in split_rows(path, "folder frames label [label ...]", 2, more=True):
    yield where, folder_record(where, base, name, 0, frames, template, labels=tuple(labels))


def folder_record(where, base, name, offset, frames, template, label=None, labels=()) -> Record:
  if frames < 1 or offset < 0:
    raise InputError(f"{where}: {frames} frames from offset {offset}; at least one frame, from 0 on, was wanted")
  return Record(name, join(base, name), label, labels, frames, offset, template)


def csv_rows(path: str, base: str, template: str) -> Iterator[Row]:
  reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
  try:
    rows = [(f"{path}:{reader.line_num}", row) for row in reader if any(cell.strip() for cell in row)]
  except csv.Error as error:
    raise InputError(f"{path}:{reader.line_num}: cannot be read as CSV ({error})") from None
  header = csv_header([row for _, row in rows[:1]])
  at, label_at = header or (0, 1)
  for where, row in rows[1:] if header else rows:
    if len(row) <= max(at, label_at) or not row[at].strip():
      raise InputError(f"{where}: no path or no label in {shown(row)}; the columns path and label were wanted")
    label = number(row[label_at], "label", where, row, "path,label")
    yield where, Record(row[at], join(base, row[at]), label)


def csv_header(rows: list[list[str]]) -> tuple[int, int] | None:
  """The columns of path and label, where the first row names them."""
  header = [cell.strip().lower() for cell in rows[0]] if rows else []
  return (header.index("path"), header.index("label")) if "path" in header and "label" in header else None


TEXT_READERS: dict[str, Callable[[str, str, str], Iterator[Row]]] = {
  "video_list": video_list_rows,
  "multi_label_list": multi_label_list_rows,
  "frame_list": frame_list_rows,
  "frame_list_offset": frame_list_offset_rows,
  "frame_multi_label_list": frame_multi_label_list_rows,
  "image_list": image_list_rows,
  "audio_list": functools.partial(sound_rows, "audio"),
  "audio_feature_list": functools.partial(sound_rows, "features"),
  "csv": csv_rows,
}
