"""Preparation of sets of trimmed clips: official annotation files -> lists of videos, or of folders of frames.

Each function takes the folder of annotations and the `Output`, whose media it looks the videos up in.
"""

import os
import re
from pathlib import Path

from jaction.errors import InputError
from jaction.records.prepare_files import Output, annotation, cell, csv_lines, csv_table, first_of, label_of
from jaction.records.text import (
  file_name,
  json_entries,
  member,
  numbered_lines,
  read_json_rows,
  read_text,
  real,
  shown,
  whole,
)


def ucf101(folder: Path, out: Output) -> None:
  """classInd.txt, trainlist01.txt ... testlist03.txt -> train_1 ... test_3. Labels count from 0."""
  classes = _numbered_classes(annotation(folder, "classInd.txt"))
  for at in (1, 2, 3):
    for split in ("train", "test"):
      rows = []
      for where, line in numbered_lines(annotation(folder, f"{split}list{at:02d}.txt")):
        name = line.split()[0]
        rows.append(([name], label_of(name.partition("/")[0], classes, where)))
      out.clips(f"{split}_{at}", rows)
  out.labels(sorted(classes, key=classes.__getitem__))


def hmdb51(folder: Path, out: Output) -> None:
  """CLASS_test_split1.txt ... (1 is train, 2 is test, 0 is neither) -> train_1 ... test_3. Classes are sorted."""
  files = sorted(folder.glob("*_test_split1.txt")) or sorted(folder.glob("*/*_test_split1.txt"))
  names = sorted(path.name.removesuffix("_test_split1.txt") for path in files)
  if not names:
    raise InputError(f"{folder}: there is no CLASS_test_split1.txt in it; HMDB51's split files were wanted")
  for at in (1, 2, 3):
    rows: dict[str, list] = {"1": [], "2": [], "0": []}
    for label, name in enumerate(names):
      for where, line in numbered_lines(files[0].parent / f"{name}_test_split{at}.txt"):
        video, _, use = line.rpartition(" ")
        if use not in rows or not video:
          raise InputError(f"{where}: {shown(line)}; a video and 0, 1 or 2 were wanted")
        rows[use].append(([f"{name}/{video.strip()}"], label))
    out.clips(f"train_{at}", rows["1"])
    out.clips(f"test_{at}", rows["2"])
  out.labels(names)


def kinetics(folder: Path, out: Output) -> None:
  """kinetics_train.csv, _val.csv and, where it has labels, _test.csv -> train, val, test.

  A clip is looked for as CLASS/ID_START_END, ID_START_END (six digits each) and ID. Classes are sorted as MMAction2
  sorts them, with underscores for blanks.
  """
  tables = {}
  for split, names in (("train", ("train",)), ("val", ("val", "validate")), ("test", ("test",))):
    files = [f"{head}{name}.csv" for name in names for head in ("kinetics_", "", f"{folder.name}_")]
    path = annotation(folder, *files) if split != "test" else first_of(folder, *files)
    if path is not None:
      tables[split] = csv_table(path, "youtube_id", "time_start", "time_end")
  labels = {row.get("label", "").replace('"', "") for _, row in tables["train"]} - {""}
  if not labels:
    raise InputError(f"{folder}: the training csv has no labels")
  names = sorted(labels, key=lambda name: name.replace(" ", "_"))
  classes = {name.replace(" ", "_"): label for label, name in enumerate(names)}
  for split, table in tables.items():
    rows = []
    for where, row in table:
      if split == "test" and not row.get("label"):
        continue
      name = row.get("label", "").replace('"', "")
      clip = clip_name(row["youtube_id"], row["time_start"], row["time_end"], where)
      label = label_of(name.replace(" ", "_"), classes, where)
      rows.append(([f"{name}/{clip}", f"{name.replace(' ', '_')}/{clip}", clip, row["youtube_id"]], label))
    if rows:
      out.clips(split, rows)
  out.labels(names)


def clip_name(video: str, start: str, end: str, where: str, scale: int = 1) -> str:
  """ID_000012_000022, the seconds times `scale`."""
  times = [int(real(time, "time", where) * scale) for time in (start, end)]
  return f"{video}_{times[0]:06d}_{times[1]:06d}"


def something_v1(folder: Path, out: Output) -> None:
  """something-something-v1-{labels,train,validation}.csv (id;class) -> train, val."""
  _semicolons(folder, out, "something-something-v1-")


def jester(folder: Path, out: Output) -> None:
  """jester-v1-{labels,train,validation}.csv (id;class) -> train, val."""
  _semicolons(folder, out, "jester-v1-")


def something_v2(folder: Path, out: Output) -> None:
  """something-something-v2-{labels,train,validation}.json -> train, val; a template's brackets are not in its class."""
  head = "something-something-v2-"
  path = annotation(folder, f"{head}labels.json", "labels.json")
  entries = json_entries(path, read_text(path), "{")
  classes = {entry.key or "": whole(entry.value, "label", entry.where) for entry in entries}
  for split, name in (("train", "train"), ("val", "validation")):
    rows = []
    for entry in read_json_rows(annotation(folder, f"{head}{name}.json", f"{name}.json")):
      where = entry.where
      template = file_name(member(entry.value, "template", where), "template", where)
      video = file_name(str(member(entry.value, "id", where)), "id", where)
      rows.append(([video], label_of(template.replace("[", "").replace("]", ""), classes, where)))
    out.clips(split, rows)
  out.labels(_ordered(classes, path))


def moments(folder: Path, out: Output) -> None:
  """moments_categories.txt (name,number), trainingSet.csv, validationSet.csv (CLASS/file,...) -> train, val."""
  classes = _moment_classes(folder)
  for split, name in (("train", "trainingSet.csv"), ("val", "validationSet.csv")):
    lines = csv_lines(annotation(folder, name))
    rows = [([video], label_of(os.path.dirname(video), classes, where)) for where, (video, *_) in lines]
    out.clips(split, rows)
  out.labels(_ordered(classes, folder))


def multi_moments(folder: Path, out: Output) -> None:
  """trainingSet.csv, validationSet.csv (file,label,label,...) -> train, val with several labels a video."""
  path = first_of(folder, "moments_categories.txt", "mmit_categories.txt")
  for split, name in (("train", "trainingSet.csv"), ("val", "validationSet.csv")):
    rows = []
    for where, (video, *labels) in csv_lines(annotation(folder, name)):
      numbers = [whole(label, "label", where) for label in labels if label]
      if not numbers or min(numbers) < 0:
        raise InputError(f"{where}: {shown(labels)}; at least one label, 0 or more, was wanted")
      rows.append(([video], tuple(numbers)))
    out.clips(split, rows)
  if path is not None:
    out.labels(_ordered(_moment_classes(folder), path))


def gym99(folder: Path, out: Output) -> None:
  """gym99_train_element_v1.1.txt, gym99_val_element.txt (clip label) -> train, val; gym99_categories.txt names them."""
  files = {
    "train": ("gym99_train_org.txt", "gym99_train_element_v1.1.txt", "gym99_train_element_v1.0.txt", "gym99_train.txt"),
    "val": ("gym99_val_org.txt", "gym99_val_element.txt", "gym99_val.txt"),
  }
  for split, names in files.items():
    rows = []
    for where, line in numbered_lines(annotation(folder, *names)):
      if len(line.split()) != 2:
        raise InputError(f"{where}: {shown(line)}; a clip and its label were wanted")
      rows.append(([line.split()[0]], whole(line.split()[1], "label", where)))
    out.clips(split, rows)
  path = first_of(folder, "gym99_categories.txt")
  if path is not None:
    classes = {}
    for where, line in numbered_lines(path):
      match = re.match(r"Clabel:\s*(\d+);.*?;\s*(?:Glabel:[^;]*;)?\s*(.+)", line)
      if match is None:
        raise InputError(f"{where}: {shown(line)}; `Clabel: 0; set: 1; Glabel: 1; name` was wanted")
      classes[match[2]] = whole(match[1], "label", where)
    out.labels(_ordered(classes, path))


def _numbered_classes(path: Path) -> dict[str, int]:
  """`1 Name` lines."""
  classes = {}
  for where, line in numbered_lines(path):
    if len(line.split()) != 2:
      raise InputError(f"{where}: {shown(line)}; a number and a class were wanted")
    classes[line.split()[1]] = whole(line.split()[0], "number", where) - 1
  _ordered(classes, path)
  return classes


def _moment_classes(folder: Path) -> dict[str, int]:
  path = annotation(folder, "moments_categories.txt", "mmit_categories.txt")
  found = {}
  for where, line in numbered_lines(path):
    name, _, number = line.rpartition(",")
    found[name] = whole(number, "label", where)
  return found


def _semicolons(folder: Path, out: Output, head: str) -> None:
  names = [line for _, line in numbered_lines(annotation(folder, f"{head}labels.csv"))]
  classes = {name: label for label, name in enumerate(names)}
  for split, name in (("train", "train"), ("val", "validation")):
    lines = csv_lines(annotation(folder, f"{head}{name}.csv"), delimiter=";", quotes=False)
    rows = [([row[0]], label_of(cell(row, 1, "class", where), classes, where)) for where, row in lines]
    out.clips(split, rows)
  out.labels(names)


def _ordered(classes: dict[str, int], path: object) -> list[str]:
  """The names in label order; InputError where the labels are not 0, 1, 2, ..."""
  names = sorted(classes, key=classes.__getitem__)
  wrong = [name for label, name in enumerate(names) if classes[name] != label]
  if wrong:
    raise InputError(f"{path}: class {shown(wrong[0])} has label {classes[wrong[0]]}; labels 0, 1, 2, ... were wanted")
  return names
