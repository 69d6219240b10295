"""Lists that people need written: text, CSV, JSON Lines and label maps, all of which `read_records` reads back."""

import csv
import json
import os
from collections.abc import Iterable, Sequence

from jaction.errors import InputError

Labels = int | Sequence[int]


def write_video_list(path: str | os.PathLike, rows: Iterable[tuple[str, Labels]]) -> None:
  """Writes `path label [label ...]` lines that `read_records` reads back, whatever blanks a path holds."""
  _write(path, (f"{_quoted(name, label)} {_numbers(label)}" for name, label in rows))


def write_frame_list(path: str | os.PathLike, rows: Iterable[tuple[str, int, Labels]]) -> None:
  """Writes `folder frames label [label ...]` lines, which are a `frame_list` or a `frame_multi_label_list`."""
  _write(path, (f"{_quoted(name, label)} {int(frames)} {_numbers(label)}" for name, frames, label in rows))


def write_csv(path: str | os.PathLike, rows: Iterable[tuple[str, int]]) -> None:
  """Writes a CSV file with the header path,label that `read_records` reads back. Order is kept."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("path", "label"))
    writer.writerows((name, int(label)) for name, label in rows)


def write_jsonl(path: str | os.PathLike, rows: Iterable[tuple[str, Labels]]) -> None:
  """Writes JSON Lines with the members filename and label: a number, or a list of numbers where several are given."""
  plain = ((name, int(label) if isinstance(label, int) else [int(one) for one in label]) for name, label in rows)
  _write(path, (json.dumps({"filename": name, "label": label}, ensure_ascii=False) for name, label in plain))


def write_frame_jsonl(path: str | os.PathLike, rows: Iterable[tuple[str, int, Labels]]) -> None:
  """As `write_jsonl`, of folders of images: the members frame_dir, total_frames and label."""
  plain = ((name, int(n), int(at) if isinstance(at, int) else [int(one) for one in at]) for name, n, at in rows)
  objects = ({"frame_dir": name, "total_frames": n, "label": label} for name, n, label in plain)
  _write(path, (json.dumps(one, ensure_ascii=False) for one in objects))


def write_json_rows(path: str | os.PathLike, objects: Iterable[dict]) -> None:
  """Writes a JSON list with one object a line, so that an error can name the line."""
  text = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in objects)
  _write(path, ["[", *([text] if text else []), "]"])


def write_label_map(path: str | os.PathLike, names: Iterable[str]) -> None:
  """Writes one class name a line, which `read_label_map` reads back."""
  names = list(names)
  check_class_names(names)
  _write(path, names)


def check_class_names(names: Sequence[str]) -> None:
  """InputError for one that cannot stand in a label map."""
  wrong = [name for name in names if not name.strip() or name != name.strip() or any(c in name for c in "\r\n")]
  odd = [name for name in names if name != name.encode(errors="replace").decode()]
  if odd:
    raise InputError(f"the class name {odd[0]!r} is no UTF-8, so that no label map can hold it; rename it")
  if wrong:
    raise InputError(
      f"the class name {wrong[0]!r} cannot stand in a label map: blank, or with outer blanks or a line end"
    )


def _write(path: str | os.PathLike, lines: Iterable[str]) -> None:
  text = "".join(f"{line}\n" for line in lines)
  with open(path, "w", encoding="utf-8", newline="\n") as file:
    file.write(text)


def _numbers(label: Labels) -> str:
  return str(int(label)) if not isinstance(label, Sequence) else " ".join(str(int(one)) for one in label)


def check_path(name: str) -> None:
  """InputError for one that cannot stand in a text list."""
  if not name.strip() or any(c in name for c in '"\n\r\0'):
    raise InputError(
      f"a list cannot hold the path {name!r}: blank, or with a quote or a line end in it; use CSV or JSON"
    )


def _quoted(name: str, label: Labels) -> str:
  check_path(name)
  several = isinstance(label, Sequence)  # "take 2" could be read as a path and a label
  return f'"{name}"' if name != name.strip() or (several and len(name.split()) > 1) else name
