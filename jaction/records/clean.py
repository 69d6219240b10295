"""A list without some of its records, in the form that it has: what is kept stays word for word."""

import csv
import io
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from jaction.errors import InputError
from jaction.records.lists import STORED, list_format, read_records
from jaction.records.paths import parent
from jaction.records.record import Record
from jaction.records.text import numbered_lines, read_json_rows, read_text
from jaction.records.text_lists import csv_header, split_rows
from jaction.records.untrimmed import from_entry
from jaction.records.writers import write_json_rows, write_jsonl


def write_clean(
  path: str, records: Sequence[Record], good: Sequence[int], output: pathlib.Path, *, format: str = "auto", **options
) -> pathlib.Path | None:
  """Writes the list at `path`, of which `records` were read, with the records numbered `good` alone, into `output`.

  A list keeps its name and its form, and paths in it stay as they are: what they start from (`root`) stays too.  Of a
  folder of classes it is clean.jsonl, of whole paths.  Of shards there is none: None.  `format` and `options` are those
  of `read_records`.  The list is read back: InputError where that gives other records, or where the list itself would
  be overwritten; then nothing is left behind.
  """
  format = list_format(path, format, options.get("root"))
  target = clean_path(path, output, format)
  if target is None:
    return None
  if format == "folder":
    write_jsonl(target, ((records[i].source, _label(records[i])) for i in good))
    return target
  part = target.with_name(f".part-{target.name}")
  try:
    _write(path, format, _Good(good), part)
    if good:
      _compare(part, [records[i] for i in good], format, path, options)
    os.replace(part, target)
  finally:
    part.unlink(missing_ok=True)
  return target


def clean_path(path: str, output: pathlib.Path, format: str) -> pathlib.Path | None:
  """Where `write_clean` writes; None of shards.  InputError where that is the list itself."""
  if format in STORED:
    return None
  target = output / ("clean.jsonl" if format == "folder" else os.path.basename(path))
  if target.exists() and os.path.exists(path) and target.samefile(path):
    raise InputError(f"--output={output} is where the list itself lies; wanted another folder")
  return target


class _Good:
  """Which of the records are good, asked for in their order."""

  def __init__(self, numbers: Sequence[int]):
    self._numbers, self._at = set(numbers), 0

  def next(self, count: int = 1) -> list[int]:
    """Of the next `count` records those that are good, counted from 0."""
    start, self._at = self._at, self._at + count
    return [i for i in range(count) if start + i in self._numbers]


def _write(path: str, format: str, good: _Good, target: pathlib.Path) -> None:
  if format in ("json", "multi_label_json", "hvu") or path.lower().endswith((".json", ".jsonl")):
    entries = list(_objects(path, good))
    if not read_text(path).lstrip(" \t\n").startswith("{"):
      write_json_rows(target, entries)
      return
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
  elif format == "csv":
    lines = list(_rows(path, good))
  elif format == "untrimmed_list":
    lines = list(_untrimmed(path, good))
  else:
    lines = [line for _, line in numbered_lines(path) if good.next()]
  with open(target, "w", encoding="utf-8", newline="\n") as file:
    file.writelines(f"{line}\n" for line in lines)


def _untrimmed(path: str, good: _Good) -> Iterator[str]:
  """Lines with their good clips; a video of which no clip is a record stays."""
  rows = split_rows(path, "folder label clips [positive ...]", 2, more=True)
  for (_, line), (_, _, (_, _, *positive)) in zip(numbered_lines(path), rows, strict=True):
    kept = [str(positive[i]) for i in good.next(len(positive))]
    if not positive:
      yield line
    elif kept:
      yield " ".join([line.rsplit(None, len(positive))[0], *kept])


def _rows(path: str, good: _Good) -> Iterator[str]:
  """CSV's header, if there is one, and its good rows."""
  rows = [row for row in csv.reader(io.StringIO(read_text(path), newline="")) if any(cell.strip() for cell in row)]
  headed = csv_header(rows) is not None
  for number, row in enumerate(rows):
    if (headed and number == 0) or good.next():
      text = io.StringIO()
      csv.writer(text, lineterminator="\n").writerow(row)
      yield text.getvalue().removesuffix("\n")


def _objects(path: str, good: _Good) -> Iterator[Any]:
  """JSON's objects; those of untrimmed videos with their good clips."""
  for entry in read_json_rows(path):
    if isinstance(entry.value, dict) and "video_dir" in entry.value:
      positive = from_entry(entry, "").positive
      kept = [positive[i] for i in good.next(len(positive))]
      if kept or not positive:
        yield {**entry.value, "positive_clip_inds": kept}
    elif good.next():
      yield entry.value


def _compare(part: pathlib.Path, wanted: Sequence[Record], format: str, path: str, options: dict) -> None:
  options = {**options, "root": options.get("root") or parent(path), "check": False}
  found = read_records(part, format=format, **options)
  plain = lambda r: (r.id, r.source, _label(r), r.frames, r.offset, r.template, r.kind, r.known)  # noqa: E731
  differ = [i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if plain(a) != plain(b)]
  if differ or len(found) != len(wanted):
    first = wanted[min([*differ, len(found)])] if differ or len(found) < len(wanted) else found[len(wanted)]
    raise InputError(f"{path}: cannot be written without its bad files, {first.id} would be read otherwise; no list")


def _label(record: Record) -> int | tuple[int, ...]:
  """One label of several is that label: where all have one, a list of them is read as of single labels."""
  if record.label is not None:
    return record.label
  return record.labels[0] if len(record.labels) == 1 else record.labels
