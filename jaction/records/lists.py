"""Annotation files -> `Record`s, and back.

Text lists have one video a line, fields divided by blanks, as MMAction2 writes them:

| format | a line |
|---|---|
| `video_list` | `path label` |
| `multi_label_list` | `path label [label ...]` |
| `frame_list` | `folder frames label` |
| `frame_list_offset` | `folder offset frames label` |
| `frame_multi_label_list` | `folder frames label [label ...]` |

The numbers are read from the end of the line and the path is what stands before them, so it may hold blanks. Where
the count of labels varies, a path that ends in a blank and a number ("take 2") cannot be told from its labels and must
stand in double quotes; any path may. `csv` has the columns path and label (with that header, in any order, or without
one), `folder` is a folder of videos per class, numbered as `classes` says, or in sorted order.
"""

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from jaction.errors import InputError, nearest
from jaction.records.record import Record

VIDEO_SUFFIXES = frozenset(".3gp .avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv .y4m".split())
TEMPLATE = "img_{:05d}.jpg"

Row = tuple[str, Record]  # where it was read ("list.txt:3"), and what


def read_records(
  path: str | os.PathLike,
  *,
  format: str = "auto",
  root: str | os.PathLike | None = None,
  template: str = TEMPLATE,
  num_classes: int | None = None,
  classes: Sequence[str] | None = None,
  check: bool = True,
) -> list[Record]:
  """Reads an annotation file, or a folder of classes.

  Args:
    path: the list, CSV file, or (for `folder`) the folder that holds one folder per class.
    format: a name in READERS, or "auto": a folder is `folder`, `.csv` with commas is `csv`, a list of video files is
      `video_list` or `multi_label_list`, a list of folders with two numbers a line is `frame_list`; the other lists of
      folders cannot be told apart and must be named.
    root: what relative paths are relative to; the list's own folder by default.
    template: names of the images in a frame folder; image i is `template.format(i)`.
    num_classes: labels must be below it; None: not checked.
    classes: the classes' names in label order, by which the folders of `folder` are numbered; not every class needs a
      folder. None: the folders themselves, sorted. Lists, which hold numbers, do not look at it.
    check: whether each video file or frame folder must exist now (one stat a line); False leaves it to decoding.

  Returns at least one Record, in the order of the file. Raises InputError, which says "path:line", for a missing file,
  a line with too few fields, a label that is no number or outside the classes, a class folder that `classes` does not
  name, an empty list.
  """
  path = os.fspath(path)
  if format != "auto" and format not in READERS:
    raise InputError(f"unknown format {format!r} of {path}.{nearest(format, READERS)} There are {', '.join(READERS)}.")
  if not os.path.exists(path):
    raise InputError(
      f"{path}: there is no such file (an annotation list, a CSV file or a folder of classes was wanted)"
    )
  _check_template(template)
  base = os.path.abspath(root if root is not None else os.path.dirname(path) or ".")
  format = _guess(path, base) if format == "auto" else format
  if (format == "folder") != os.path.isdir(path):
    raise InputError(f"{path}: format {format!r} wants a {'folder' if format == 'folder' else 'file'}, this is not one")
  rows = list(_folder(path, base, template, classes) if format == "folder" else READERS[format](path, base, template))
  if not rows:
    wanted = (
      f"no videos ({' '.join(sorted(VIDEO_SUFFIXES))}) in its class folders" if format == "folder" else "no lines"
    )
    raise InputError(f"{path}: {wanted}, so there is nothing to read")
  for where, record in rows:
    for label in record.labels if record.label is None else (record.label,):
      if label < 0 or (num_classes is not None and label >= num_classes):
        top = "on" if num_classes is None else f"to {num_classes - 1}"
        raise InputError(f"{where}: label {label} is outside the classes, which are numbered from 0 {top}")
  if check and format != "folder":
    _check_sources(rows)
  return [record for _, record in rows]


def read_label_map(path: str | os.PathLike) -> tuple[str, ...]:
  """The class names in a file with one name a line; the first line is label 0."""
  lines = _lines(path)
  while lines and not lines[-1]:
    lines.pop()
  if not lines:
    raise InputError(f"{path}: no class names in it")
  if "" in lines:
    raise InputError(f"{path}:{lines.index('') + 1}: an empty line between class names would shift the labels after it")
  return tuple(lines)


def class_names(folder: str | os.PathLike) -> tuple[str, ...]:
  """The classes of a folder-per-class set, in label order: the names, sorted, of its folders that hold a video.

  Hidden folders are left out, and so are those without a video, such as the __MACOSX of an unpacked archive.
  """
  with os.scandir(folder) as entries:
    names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
  return tuple(name for name in names if _videos(os.path.join(folder, name)))


def _videos(folder: str) -> list[str]:
  """The names of the videos in a folder, sorted, hidden ones left out."""
  names = sorted(os.listdir(folder))
  return [n for n in names if os.path.splitext(n)[1].lower() in VIDEO_SUFFIXES and not n.startswith(".")]


def write_video_list(path: str | os.PathLike, rows: Iterable[tuple[str, int]]) -> None:
  """Writes `path label` lines that `read_records` reads back, whatever blanks a path holds. Order is kept."""
  text = "".join(f"{_quoted(name)} {int(label)}\n" for name, label in rows)
  with open(path, "w", encoding="utf-8", newline="\n") as file:
    file.write(text)


def write_csv(path: str | os.PathLike, rows: Iterable[tuple[str, int]]) -> None:
  """Writes a CSV file with the header path,label that `read_records` reads back. Order is kept."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("path", "label"))
    writer.writerows((name, int(label)) for name, label in rows)


def _lines(path: str | os.PathLike) -> list[str]:
  """Lines without ends, outer blanks or a byte order mark."""
  try:
    with open(path, encoding="utf-8-sig") as file:
      return [line.strip() for line in file]
  except UnicodeDecodeError as error:
    raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
  except OSError as error:
    raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _quoted(name: str) -> str:
  if not name or any(c in name for c in '"\n\r'):
    raise InputError(f"a list cannot hold the path {name!r}: empty, or with a quote or a line end in it; use CSV")
  return f'"{name}"' if name != name.strip() else name


def _rows(path: str, fields: str, numbers: int, more: bool) -> Iterator[tuple[str, str, list[int]]]:
  """(where, path, numbers) of each line that is not blank; with `more`, `numbers` is the least that a line may have."""
  for at, line in enumerate(_lines(path), 1):
    if not line:
      continue
    where = f"{path}:{at}"
    if line.startswith('"'):
      name, closed, rest = line[1:].partition('"')
      if not closed or not rest[:1].isspace():
        raise InputError(f"{where}: {line!r} begins with a quote, but no closing quote and a blank follow it")
      values = rest.split()
    elif more:  # every number at the end, but never the first field
      match = re.match(r"\S+(.*\s[^\s]*[^\s0-9+-][^\s]*)?", line)
      name = match[0] if match else line
      values = line[len(name) :].split()
    else:
      name, *values = line.rsplit(None, numbers)
    if len(values) < numbers or (len(values) > numbers and not more):
      raise InputError(f"{where}: {len(values)} field(s) after the path {name!r} in {line!r}; a line is `{fields}`")
    yield where, name, [_number(value, "field", where, line, fields) for value in values]


def _number(text: str, what: str, where: str, line: object, fields: str) -> int:
  if not re.fullmatch(r"[+-]?[0-9]+", text.strip()):
    raise InputError(f"{where}: {what} {text!r} is not a whole number, in {line!r}; a line is `{fields}`")
  return int(text)


def _video_list(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (label,) in _rows(path, "path label", 1, more=False):
    yield where, Record(name, os.path.join(base, name), label)


def _multi_label_list(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, labels in _rows(path, "path label [label ...]", 1, more=True):
    yield where, Record(name, os.path.join(base, name), labels=tuple(labels))


def _frame_list(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (frames, label) in _rows(path, "folder frames label", 2, more=False):
    yield where, _folder_record(where, base, name, 0, frames, template, label=label)


def _frame_list_offset(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (offset, frames, label) in _rows(path, "folder offset frames label", 3, more=False):
    yield where, _folder_record(where, base, name, offset, frames, template, label=label)


def _frame_multi_label_list(path: str, base: str, template: str) -> Iterator[Row]:
  for where, name, (frames, *labels) in _rows(path, "folder frames label [label ...]", 2, more=True):
    yield where, _folder_record(where, base, name, 0, frames, template, labels=tuple(labels))


def _folder_record(where, base, name, offset, frames, template, label=None, labels=()) -> Record:
  if frames < 1 or offset < 0:
    raise InputError(f"{where}: {frames} frames from offset {offset}; at least one frame, from 0 on, was wanted")
  return Record(name, os.path.join(base, name), label, labels, frames, offset, template)


def _csv(path: str, base: str, template: str) -> Iterator[Row]:
  try:
    with open(path, encoding="utf-8-sig", newline="") as file:
      reader = csv.reader(file)
      rows = [(f"{path}:{reader.line_num}", row) for row in reader if any(cell.strip() for cell in row)]
  except (UnicodeDecodeError, csv.Error, OSError) as error:
    raise InputError(f"{path}: cannot be read as CSV ({error})") from None
  header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
  named = "path" in header and "label" in header
  at, label_at = (header.index("path"), header.index("label")) if named else (0, 1)
  for where, row in rows[1:] if named else rows:
    if len(row) <= max(at, label_at) or not row[at].strip():
      raise InputError(f"{where}: no path or no label in {row}; the columns path and label were wanted")
    label = _number(row[label_at], "label", where, row, "path,label")
    yield where, Record(row[at], os.path.join(base, row[at]), label)


def _folder(path: str, base: str, template: str, classes: Sequence[str] | None = None) -> Iterator[Row]:
  found = class_names(path)
  known = found if classes is None else tuple(classes)
  for name in found:
    if name not in known:
      raise InputError(
        f"{os.path.join(path, name)}: there is no class {name!r} among the {len(known)} known ones; wanted folders "
        f"named as the classes are.{nearest(name, known) or ' They are: ' + ', '.join(known[:8])}"
      )
    for file in _videos(os.path.join(path, name)):
      source = os.path.join(os.path.abspath(path), name, file)
      yield source, Record(f"{name}/{file}", source, known.index(name))


READERS: dict[str, Callable[[str, str, str], Iterator[Row]]] = {
  "video_list": _video_list,
  "frame_list": _frame_list,
  "frame_list_offset": _frame_list_offset,
  "multi_label_list": _multi_label_list,
  "frame_multi_label_list": _frame_multi_label_list,
  "csv": _csv,
  "folder": _folder,
}


def _guess(path: str, base: str) -> str:
  if os.path.isdir(path):
    return "folder"
  lines = [line for line in _lines(path) if line]
  if os.path.splitext(path)[1].lower() == ".csv" and any("," in line for line in lines[:1]):
    return "csv"
  rows = list(_rows(path, "path label [label ...]", 1, more=True))
  if not rows:
    return "video_list"  # which says that it is empty
  counts = {len(values) for _, _, values in rows}
  name = rows[0][1]
  source = os.path.join(base, name)
  if os.path.isfile(source) or (os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES and not os.path.isdir(source)):
    return "video_list" if counts == {1} else "multi_label_list"
  if counts == {2}:
    return "frame_list"
  if counts == {1}:
    return "video_list"
  raise InputError(
    f"{path}: lists folders with {sorted(counts)} numbers a line, which may be frame_list_offset or "
    "frame_multi_label_list; say which by `format`"
  )


def _check_template(template: str) -> None:
  try:
    usable = template.format(1) != template.format(2)
  except (ValueError, IndexError, KeyError):
    usable = False
  if not usable:
    raise InputError(
      f"the template {template!r} gives no file name for a frame number; one like {TEMPLATE!r} was wanted"
    )


def _check_sources(rows: list[Row]) -> None:
  missing = []
  for where, record in rows:
    exists = os.path.isfile if record.template is None else os.path.isdir
    if not exists(record.source):
      missing.append((where, record))
  if missing:
    where, record = missing[0]
    kind = "video file" if record.template is None else "folder of frames"
    more = f" ({len(missing)} of {len(rows)} are missing)" if len(missing) > 1 else ""
    raise InputError(
      f"{where}: there is no {kind} {record.source}{more}; relative paths are relative to `root`, by default the "
      "list's folder"
    )
