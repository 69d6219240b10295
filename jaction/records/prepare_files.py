"""What every dataset's preparation shares: finding annotation files, finding the media they name, writing lists."""

import csv
import dataclasses
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaction.errors import InputError, nearest
from jaction.records.lists import TEMPLATE, VIDEO_SUFFIXES
from jaction.records.scan import placed
from jaction.records.text import read_text, shown
from jaction.records.writers import Labels, write_frame_list, write_label_map, write_video_list


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
  """A video file, or a folder of images: its absolute path, and how many images it has (0 for a file)."""

  path: str
  frames: int = 0


class Media:
  """The videos under a folder, or with `frames` the folders of images in it, found by name.

  A name is a path relative to the folder, or the last part of one where only one file has it; suffixes of videos do not
  matter, since copies are often stored in another container.
  """

  def __init__(self, folder: str | os.PathLike, *, frames: bool = False, template: str = TEMPLATE):
    if not os.path.isdir(folder):
      raise InputError(f"{folder}: there is no such folder (one that holds the videos, or the frames, was wanted)")
    self.folder, self.frames = os.path.abspath(folder), frames
    self._by_path: dict[str, Found] = {}
    self._by_name: dict[str, list[Found]] = {}
    before, _, after = template.partition("{")
    after = after.partition("}")[2]
    for place, folders, files in os.walk(self.folder):
      folders.sort()
      if frames:
        images = sum(name.startswith(before) and name.endswith(after) for name in files)
        if images:
          self._add(place, Found(place, images))
        continue
      for name in sorted(files):
        stem, suffix = os.path.splitext(os.path.join(place, name))
        if suffix.lower() in VIDEO_SUFFIXES:
          self._add(stem, Found(stem + suffix))

  def _add(self, stem: str, found: Found) -> None:
    self._by_path.setdefault(os.path.relpath(stem, self.folder), found)
    self._by_name.setdefault(os.path.basename(stem), []).append(found)

  def __len__(self) -> int:
    return len(self._by_path)

  def find(self, *names: str) -> Found | None:
    """The first of the names that is there, or None."""
    for name in names:
      stem, suffix = os.path.splitext(name)
      for key in (name, stem) if suffix.lower() in VIDEO_SUFFIXES else (name,):
        if key in self._by_path:
          return self._by_path[key]
        alike = self._by_name.get(os.path.basename(key), [])
        if len(alike) == 1:
          return alike[0]
    return None


class Output:
  """The folder that is written to, and how many videos each list found and missed."""

  def __init__(self, folder: str | os.PathLike, media: Media):
    self.folder, self.media = Path(folder), media
    self.folder.mkdir(parents=True, exist_ok=True)
    self.counts: dict[str, tuple[int, int]] = {}
    self.missing: list[str] = []
    self.classes: tuple[str, ...] = ()

  def found(self, name: str, rows: Iterable[tuple[Sequence[str], Any]]) -> list[tuple[str, Found, Any]]:
    """(first name, file, fact) of each (names, fact) whose file is there; the rest is counted as missing."""
    kept, missing = [], 0
    for names, fact in rows:
      file = self.media.find(*names)
      if file is None:
        missing += 1
        self.missing.append(f"{name}\t{names[0]}")
      else:
        kept.append((names[0], file, fact))
    self.counts[name] = (len(kept), missing)
    return kept

  def clips(self, name: str, rows: Iterable[tuple[Sequence[str], Labels]]) -> None:
    """Writes `name`.txt, a list of videos or of folders of frames."""
    kept = self.found(name, rows)
    path = self.folder / f"{name}.txt"
    if self.media.frames:
      write_frame_list(path, [(self.place(file), file.frames, label) for _, file, label in kept])
    else:
      write_video_list(path, [(self.place(file), label) for _, file, label in kept])

  def count(self, name: str, wanted: Sequence, there: Sequence) -> None:
    """Counts records, of which each has an `id`, that were looked up in another way."""
    known = {one.id for one in there}
    self.missing += [f"{name}\t{one.id}" for one in wanted if one.id not in known]
    self.counts[name] = (len(there), len(wanted) - len(there))

  def place(self, file: Found) -> str:
    """How a list names the file."""
    return placed(file.path, self.folder)

  def labels(self, names: Sequence[str]) -> None:
    """Writes labels.txt."""
    self.classes = tuple(names)
    write_label_map(self.folder / "labels.txt", names)


def annotation(folder: Path, *names: str) -> Path:
  """The first of the files that is there, in the folder or one below; InputError naming them all."""
  found = first_of(folder, *names)
  if found is None:
    raise InputError(f"{folder}: there is no {' or '.join(names)} in it; the official annotation files were wanted")
  return found


def first_of(folder: Path, *names: str) -> Path | None:
  """The first of the files that is there, in the folder or one below it, or None."""
  for name in names:
    for place in (folder / name, *sorted(folder.glob(f"*/{name}"))):
      if place.is_file():
        return place
  return None


def csv_lines(path: Path, *, delimiter: str = ",", quotes: bool = True) -> list[tuple[str, list[str]]]:
  """("path:line", cells without outer blanks) of each line of a csv that is not blank."""
  quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
  reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, quoting=quoting)
  try:
    return [(f"{path}:{reader.line_num}", [c.strip() for c in row]) for row in reader if any(c.strip() for c in row)]
  except csv.Error as error:
    raise InputError(f"{path}:{reader.line_num}: cannot be read as CSV ({error})") from None


def csv_table(path: Path, *columns: str) -> list[tuple[str, dict[str, str]]]:
  """("path:line", {column: cell}) of each line below the header, names of columns in lower case."""
  lines = csv_lines(path)
  header = [cell.lower() for cell in lines[0][1]] if lines else []
  lacking = [name for name in columns if name not in header]
  if lacking:
    raise InputError(f"{path}:1: no column {', '.join(lacking)}; the header is {shown(','.join(header))}")
  for where, row in lines[1:]:
    if len(row) < len(header):
      raise InputError(f"{where}: {len(row)} cells under a header of {len(header)}")
  return [(where, dict(zip(header, row, strict=False))) for where, row in lines[1:]]


def cell(row: Sequence[str], at: int, what: str, where: str) -> str:
  """row[at]; InputError where the row is shorter."""
  if len(row) <= at or not row[at]:
    raise InputError(f"{where}: no {what} in {shown(list(row))}")
  return row[at]


def label_of(name: str, classes: dict[str, int], where: str) -> int:
  """The number of a class."""
  if name not in classes:
    raise InputError(f"{where}: no class {shown(name)} among {len(classes)}.{nearest(name, classes)}")
  return classes[name]
