"""A list without some of its records, in the form that it has: what is kept stays word for word."""

import csv
import io
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

from jaction.errors import InputError
from jaction.records.lists import STORED, list_format, read_records
from jaction.records.paths import parent
from jaction.records.record import Record
from jaction.records.text import numbered_lines, read_json_rows, read_text
from jaction.records.text_lists import csv_header, split_rows
from jaction.records.untrimmed import from_entry
from jaction.records.writers import write_json_rows, write_jsonl

Unit = tuple[int, Callable[[Sequence[int]], str]]  # how many records a line has, and the line with some of them


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
  if target.exists() and os.path.exists(path) and target.samefile(path):
    raise InputError(f"--output={output} is where the list itself lies; wanted another folder")
  part = target.with_name(f".part-{target.name}")
  try:
    _write(path, format, good, part)
    if good:
      _compare(part, [records[i] for i in good], format, path, options)
    os.replace(part, target)
  finally:
    part.unlink(missing_ok=True)
  return target


def clean_path(path: str, output: pathlib.Path, format: str) -> pathlib.Path | None:
  """Where `write_clean` writes; None of shards."""
  if format in STORED:
    return None
  return output / ("clean.jsonl" if format == "folder" else os.path.basename(path))


def _write(path: str, format: str, good: Sequence[int], target: pathlib.Path) -> None:
  if format in ("json", "multi_label_json", "hvu") or path.lower().endswith((".json", ".jsonl")):
    entries = [json.loads(text) for text in _kept(_objects(path), good)]
    if read_text(path).lstrip(" \t\n").startswith("{"):
      target.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries), encoding="utf-8")
    else:
      write_json_rows(target, entries)
    return
  head, units = csv_units(path) if format == "csv" else ("", _lines(path, format))
  text = head + "".join(f"{line}\n" for line in _kept(units, good))
  with open(target, "w", encoding="utf-8", newline="\n") as file:
    file.write(text)


def _kept(units: Iterator[Unit], good: Sequence[int]) -> Iterator[str]:
  """The lines that have some of the good records, with these alone."""
  wanted, start = set(good), 0
  for count, line in units:
    kept = [i for i in range(count) if start + i in wanted]
    start += count
    if kept or not count:  # a video of which no clip is a record stays
      yield line(kept)


def _lines(path: str, format: str) -> Iterator[Unit]:
  if format != "untrimmed_list":
    for _, line in numbered_lines(path):
      yield 1, lambda kept, line=line: line
    return
  rows = split_rows(path, "folder label clips [positive ...]", 2, more=True)
  for (_, line), (_, _, (_, _, *positive)) in zip(numbered_lines(path), rows, strict=True):
    stem = line.rsplit(None, len(positive))[0] if positive else line
    yield len(positive), lambda kept, stem=stem, positive=positive: " ".join([stem, *(str(positive[i]) for i in kept)])


def csv_units(path: str) -> tuple[str, Iterator[Unit]]:
  """The header's line, if there is one, and the rows."""

  def written(row: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue().removesuffix("\n")

  rows = [row for row in csv.reader(io.StringIO(read_text(path), newline="")) if any(cell.strip() for cell in row)]
  named = csv_header(rows) is not None
  lines = ((1, lambda kept, row=row: written(row)) for row in (rows[1:] if named else rows))
  return f"{written(rows[0])}\n" if named else "", lines


def _objects(path: str) -> Iterator[Unit]:
  """JSON's entries, as JSON."""
  for entry in read_json_rows(path):
    if isinstance(entry.value, dict) and "video_dir" in entry.value:
      positive = from_entry(entry, "").positive
      some = lambda kept, value=entry.value, positive=positive: (  # noqa: E731
        {**value, "positive_clip_inds": [positive[i] for i in kept]}
      )
      yield len(positive), lambda kept, some=some: json.dumps(some(kept))
    else:
      yield 1, lambda kept, value=entry.value: json.dumps(value)


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
