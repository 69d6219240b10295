"""Annotation files -> `Record`s.

Text lists have one video a line, fields divided by blanks, as MMAction2 writes them:

| format | a line |
|---|---|
| `video_list` | `path label` |
| `multi_label_list` | `path label [label ...]` |
| `frame_list` | `folder frames label` |
| `frame_list_offset` | `folder offset frames label` |
| `frame_multi_label_list` | `folder frames label [label ...]` |
| `image_list` | `path label` |
| `audio_list` | `path frames label`; .wav is added where it is missing |
| `audio_feature_list` | `path frames label`; .npy is added where it is missing |
| `untrimmed_list` | `folder label clips [positive ...]`, see `untrimmed`; each positive clip is a record |

The numbers are read from the end of the line and the path is what stands before them, so it may hold blanks. Where
the count of labels varies, a path that ends in a blank and a number ("take 2") cannot be told from its labels and must
stand in double quotes; any path may. `csv` has the columns path and label (with that header, in any order, or without
one), `folder` is a folder of videos per class, numbered as `classes` says, or in sorted order. `json` and
`multi_label_json` are a JSON list or JSON Lines (`json_lists`), `hvu` is the JSON of `hvu`.

Sets whose videos lie in ArrayRecord shards have no list: `tfds` is a split of a TFDS folder ("folder/train", or TFDS's
name, see `tfds_folder`), which "auto" knows by its files, `array_record` is shards alone ("folder/train.array_record").

Lists and videos may lie in an object store: a path with a scheme ("gs://bucket/train.txt") is read through fsspec.

Sets that are no list of clips have readers of their own: `activitynet`, `ssn`, `ava`, `untrimmed`.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from jaction.errors import InputError, nearest
from jaction.records.array_records import SUFFIX, array_record_rows
from jaction.records.frames import is_flow
from jaction.records.hvu import HVU_CATEGORIES, hvu_rows
from jaction.records.json_lists import IMAGE_SUFFIXES, json_rows, multi_label_json_rows
from jaction.records.paths import absolute, exists, is_remote, parent
from jaction.records.record import Record
from jaction.records.text import read_lines, shown
from jaction.records.text_lists import AUDIO_SUFFIXES, TEXT_READERS, Row, split_rows
from jaction.records.tfds_folder import is_tfds, tfds_rows
from jaction.records.untrimmed import untrimmed_rows

VIDEO_SUFFIXES = frozenset(".3gp .avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv .y4m".split())
TEMPLATE = "img_{:05d}.jpg"


def read_records(
  path: str | os.PathLike,
  *,
  format: str = "auto",
  root: str | os.PathLike | None = None,
  template: str = TEMPLATE,
  first: int = 1,
  num_classes: int | None = None,
  classes: Sequence[str] | None = None,
  categories: Mapping[str, int] = HVU_CATEGORIES,
  check: bool = True,
) -> list[Record]:
  """Reads an annotation file, or a folder of classes.

  Args:
    path: the list, CSV file, or (for `folder`) the folder that holds one folder per class.
    format: a name in READERS, or "auto": a folder is `folder`, `.csv` with commas is `csv`, `.json` and `.jsonl` are
      `json`, a list of video files is `video_list` or `multi_label_list`, of images `image_list`, of .wav files
      `audio_list`, a list of folders with two numbers a line is `frame_list`; the others must be named.
    root: what relative paths are relative to; the list's own folder by default.
    template: names of the images in a frame folder; image i is `template.format(i)`.
    first: number in the name of a frame folder's first image.
    num_classes: labels must be below it; None: not checked.
    classes: the classes' names in label order, by which the folders of `folder` are numbered; not every class needs a
      folder. None: the folders themselves, sorted. Lists, which hold numbers, do not look at it.
    categories: for `hvu`, how many tags each category has, in the order of the classes.
    check: whether each video file or frame folder must exist now (one stat a line); False leaves it to decoding, as for
      remote ones.

  Returns at least one Record, in the order of the file. Raises InputError, which says "path:line", for a missing file,
  a line with too few fields, a label that is no number or outside the classes, a class folder that `classes` does not
  name, an empty list.
  """
  path = os.fspath(path)
  format = list_format(path, format, root)
  check_template(template)
  base = absolute(os.fspath(root)) if root is not None else parent(path)
  if format not in STORED and (format == "folder") != os.path.isdir(path):
    raise InputError(f"{path}: format {format!r} wants a {'folder' if format == 'folder' else 'file'}, this is not one")
  if format == "folder":
    rows = list(_folder(path, base, template, classes))
  elif format == "hvu":
    rows = list(hvu_rows(path, base, template, categories))
  else:
    rows = list(READERS[format](path, base, template))
  if not rows:
    wanted = (
      f"no videos ({' '.join(sorted(VIDEO_SUFFIXES))}) in its class folders" if format == "folder" else "no lines"
    )
    raise InputError(f"{path}: {wanted}, so there is nothing to read")
  for where, record in rows:
    for label in record.labels if record.label is None else (record.label,):
      if not 0 <= label < (MOST_CLASSES if num_classes is None else num_classes):
        top = f"to {(MOST_CLASSES if num_classes is None else num_classes) - 1}"
        raise InputError(f"{where}: label {label} is outside the classes, which are numbered from 0 {top}")
  if check and format != "folder" and format not in STORED:
    _check_sources(rows)
  records = [record for _, record in rows]
  return records if first == 1 else [r if r.template is None else dataclasses.replace(r, first=first) for r in records]


def list_format(path: str, format: str = "auto", root: str | os.PathLike | None = None) -> str:
  """The format of a list, which for "auto" is what `read_records` says; InputError where it is unknown or missing."""
  if format != "auto" and format not in READERS:
    raise InputError(f"unknown format {format!r} of {path}.{nearest(format, READERS)} There are {', '.join(READERS)}.")
  format = _stored_format(path) if format == "auto" else format
  if format not in STORED and not exists(path):
    raise InputError(
      f"{path}: there is no such file (an annotation list, a CSV file or a folder of classes was wanted)"
    )
  base = absolute(os.fspath(root)) if root is not None else parent(path)
  return _guess(path, base) if format == "auto" else format


def by_class(records: Sequence[Record]) -> dict[int, list[Record]]:
  """The records of each label of a single-label set, classes in the order in which they first come."""
  found: dict[int, list[Record]] = {}
  for record in records:
    if record.label is None:
      raise InputError(f"{record.id}: has no single label, by which classes could be told apart")
    found.setdefault(record.label, []).append(record)
  return found


def read_label_map(path: str | os.PathLike) -> tuple[str, ...]:
  """The class names in a file with one name a line; the first line is label 0."""
  lines = read_lines(path)
  while lines and not lines[-1]:
    lines.pop()
  if not lines:
    raise InputError(f"{path}: no class names in it")
  if "" in lines:
    raise InputError(f"{path}:{lines.index('') + 1}: an empty line between class names would shift the labels after it")
  return tuple(lines)


def read_weights(path: str | os.PathLike, count: int) -> tuple[float, ...]:
  """How often each record of a list is to be drawn, beside the others: `count` numbers of 0 or more, one a line."""
  lines = read_lines(path)
  while lines and not lines[-1]:
    lines.pop()
  weights = []
  for number, line in enumerate(lines, 1):
    try:
      weights.append(float(line))
    except ValueError:
      raise InputError(f"{path}:{number}: {shown(line)} is no number, a weight was wanted") from None
    if not 0 <= weights[-1] < math.inf:
      raise InputError(f"{path}:{number}: a weight of {shown(line)}; wanted a number of 0 or more")
  if len(weights) != count:
    raise InputError(f"{path}: {len(weights)} weights for {count} records; wanted one a line, in the order of the list")
  if not any(weights):
    raise InputError(f"{path}: all weights are 0; wanted one above 0 at least")
  return tuple(weights)


def class_names(folder: str | os.PathLike) -> tuple[str, ...]:
  """The classes of a folder-per-class set, in label order: the names, sorted, of its folders that hold a video.

  Hidden folders are left out, and so are those without a video, such as the __MACOSX of an unpacked archive.
  """
  with os.scandir(folder) as entries:
    names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
  return tuple(name for name in names if videos_in(os.path.join(folder, name)))


def videos_in(folder: str) -> list[str]:
  """The names of the videos in a folder, sorted, hidden ones left out."""
  names = sorted(os.listdir(folder))
  return [n for n in names if os.path.splitext(n)[1].lower() in VIDEO_SUFFIXES and not n.startswith(".")]


def _folder(path: str, base: str, template: str, classes: Sequence[str] | None = None) -> Iterator[Row]:
  found = class_names(path)
  known = found if classes is None else tuple(classes)
  for name in found:
    if name not in known:
      raise InputError(
        f"{os.path.join(path, name)}: there is no class {name!r} among the {len(known)} known ones; wanted folders "
        f"named as the classes are.{nearest(name, known) or ' They are: ' + ', '.join(known[:8])}"
      )
    for file in videos_in(os.path.join(path, name)):
      source = os.path.join(os.path.abspath(path), name, file)
      yield source, Record(f"{name}/{file}", source, known.index(name))


READERS: dict[str, Callable[..., Iterator[Row]]] = {
  **TEXT_READERS,
  "untrimmed_list": untrimmed_rows,
  "json": json_rows,
  "multi_label_json": multi_label_json_rows,
  "hvu": hvu_rows,
  "folder": _folder,
  "tfds": tfds_rows,
  "array_record": array_record_rows,
}
MOST_CLASSES = 1 << 31  # labels are int32 in a batch
STORED = ("tfds", "array_record")  # videos in shards, not in files


def _stored_format(path: str) -> str:
  if is_remote(path):
    return "auto"
  if SUFFIX in os.path.basename(path):
    return "array_record"
  return "tfds" if is_tfds(path) and not os.path.isfile(path) else "auto"


def _guess(path: str, base: str) -> str:
  if os.path.isdir(path):
    return "folder"
  if os.path.splitext(path)[1].lower() in (".json", ".jsonl"):
    return "json"
  lines = [line for line in read_lines(path) if line]
  if os.path.splitext(path)[1].lower() == ".csv" and any("," in line for line in lines[:1]):
    return "csv"
  rows = list(split_rows(path, "path label [label ...]", 1, more=True))
  if not rows:
    return "video_list"  # which says that it is empty
  counts = {len(values) for _, _, values in rows}
  name = rows[0][1]
  suffix = os.path.splitext(name)[1].lower()
  source = os.path.join(base, name)
  if counts == {2} and suffix in AUDIO_SUFFIXES.values() and not os.path.isdir(source):
    return "audio_list" if suffix == AUDIO_SUFFIXES["audio"] else "audio_feature_list"
  if counts == {1} and suffix in IMAGE_SUFFIXES and not os.path.isdir(source):
    return "image_list"
  if os.path.isfile(source) or (suffix in VIDEO_SUFFIXES and not os.path.isdir(source)):
    return "video_list" if counts == {1} else "multi_label_list"
  if counts == {2}:
    return "frame_list"
  if counts == {1}:
    return "video_list"
  raise InputError(
    f"{path}: lists folders with {sorted(counts)} numbers a line, which may be frame_list_offset or "
    "frame_multi_label_list; say which by `format`"
  )


def check_template(template: str) -> None:
  try:
    parts = ("x",) if is_flow(template) else ()
    usable = template.format(*parts, 1) != template.format(*parts, 2)
  except (ValueError, IndexError, KeyError):
    usable = False
  if not usable:
    raise InputError(
      f"the template {template!r} gives no file name for a frame number; one like {TEMPLATE!r} was wanted"
    )


def _check_sources(rows: list[Row]) -> None:
  missing = []
  for where, record in rows:
    there = os.path.isfile if record.template is None else os.path.isdir
    if not is_remote(record.source) and not there(record.source):
      missing.append((where, record))
  if missing:
    where, record = missing[0]
    kind = "folder of frames" if record.template is not None else f"{record.kind} file"
    more = f" ({len(missing)} of {len(rows)} are missing)" if len(missing) > 1 else ""
    raise InputError(
      f"{where}: there is no {kind} {record.source}{more}; relative paths are relative to `root`, by default the "
      "list's folder"
    )
