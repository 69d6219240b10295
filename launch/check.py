"""Reads every file of a list to its end, and copies videos into a form that is quick to sample from."""

import argparse
import collections
import json
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from jaction.errors import InputError
from jaction.records import READERS, Record, read_label_map, read_records, write_jsonl
from jaction.records.check import check_record
from jaction.records.clean import clean_path, write_clean
from jaction.records.lists import list_format
from jaction.records.paths import parent
from jaction.records.reencode import Copy, reencode
from jaction.records.supervised import Outcome, supervised


def check(argv: list[str]) -> int:
  """Reads every file; writes a list without the bad ones, and a report.  Exit status 1 where there are bad ones."""
  parser = argparse.ArgumentParser(
    "jaction data check",
    description="Decodes every frame of every file of a list, each in a process of its own that may crash or hang.",
  )
  _list_flags(parser)
  parser.add_argument("--output", required=True, help="a folder for the clean list and report.json")
  parser.add_argument("--seconds", type=float, default=120.0, help="for one file at most (default 120)")
  args = parser.parse_args(argv)
  records, console, output = _records(args), Console(), pathlib.Path(args.output)
  target = clean_path(args.list, output, list_format(args.list, args.format, args.root))
  _check_output(output, args.list, target)
  outcomes = _run(console, "reading", check_record, records, args.processes, args.seconds)
  bad = {o.index: o.error for o in outcomes if o.error is not None}
  output.mkdir(parents=True, exist_ok=True)
  good = [o.value for o in outcomes if o.error is None]
  report = {
    "list": os.fspath(args.list),
    "files": len(records),
    "bad": [{"id": records[i].id, "source": records[i].source, "error": error} for i, error in sorted(bad.items())],
    "frames": sum(one.frames for one in good),
    "sizes": dict(collections.Counter(f"{one.width}x{one.height}" for one in good).most_common()),
  }
  (output / "report.json").write_text(json.dumps(report, indent=1) + "\n")
  kept = [i for i in range(len(records)) if i not in bad]
  clean = write_clean(args.list, records, kept, output, **_reading(args)) if kept else None
  if clean is None:
    said = "no list, of shards there is none; " if kept else "no list, as nothing is left of it; "
  else:
    said = f"{clean} ({_how_to_read(args, clean)}), "
  console.print(
    f"{args.list}: {len(records)} files, {len(bad)} bad; {report['frames']} frames\n"
    f"written: {said}{output / 'report.json'}",
    highlight=False,
    soft_wrap=True,
  )
  _print_bad(console, records, bad)
  return 1 if bad else 0


def copy(argv: list[str]) -> int:
  """Makes the copies; those that are there already are left.  Exit status 1 where some could not be made."""
  parser = argparse.ArgumentParser(
    "jaction data reencode",
    description="Short-GOP H.264 copies of a list's videos, at most --short-side pixels; started again it goes on.",
  )
  _list_flags(parser)
  parser.add_argument("--output", required=True, help="a folder for the copies and their list, LIST.jsonl")
  parser.add_argument("--short-side", type=int, default=256, help="in pixels; 0: as it is (default 256)")
  parser.add_argument("--gop", type=int, default=8, help="frames from one keyframe to the next (default 8)")
  parser.add_argument("--crf", type=int, default=18, help="0 (exact) to 51 (worst) (default 18)")
  parser.add_argument("--seconds", type=float, default=1800.0, help="for one file at most (default 1800)")
  args = parser.parse_args(argv)
  for name, value, least, most in (
    ("short-side", args.short_side, 0, 10_000),
    ("gop", args.gop, 1, 10_000),
    ("crf", args.crf, 0, 51),
  ):
    if not least <= value <= most:
      raise InputError(f"--{name}={value}: wanted {least} to {most}")
  records, console, output = _records(args), Console(), pathlib.Path(args.output)
  odd = next((record for record in records if record.template is not None or record.kind != "video"), None)
  if odd:
    raise InputError(f"{args.list}: {odd.id} is no video file; wanted videos alone")
  if records[0].stored is not None:
    raise InputError(f"{args.list}: holds shards; wanted a list of the videos, of whose copies shards can be built")
  names = targets(records)
  listed = output / f"{pathlib.PurePath(args.list.rstrip('/')).stem}.jsonl"
  settings = {"short_side": args.short_side, "gop": args.gop, "crf": args.crf}
  for record, name in zip(records, names, strict=True):
    if os.path.realpath(output / name) == os.path.realpath(record.source):
      raise InputError(f"--output={output}: {record.source} would be its own copy; wanted another folder")
  own = _same_settings(output, settings, listed)
  jobs = [Copy(r.source, os.fspath(output / name), own=own, **settings) for r, name in zip(records, names, strict=True)]
  outcomes = _run(console, "copying", reencode, jobs, args.processes, args.seconds)
  bad = {o.index: o.error for o in outcomes if o.error is not None}
  kept = [i for i in range(len(records)) if i not in bad]
  if kept:
    write_jsonl(listed, ((names[i], _label(records[i])) for i in kept))
  before, after = (sum(o.value[i] for o in outcomes if o.error is None) for i in range(2))
  console.print(
    f"{len(kept)} of {len(records)} videos, {before / 1e6:.2f} MB -> {after / 1e6:.2f} MB\n"
    f"written: {listed if kept else 'no list, as there is no copy'}",
    highlight=False,
    soft_wrap=True,
  )
  _print_bad(console, records, bad)
  return 1 if bad else 0


def targets(records: Sequence[Record]) -> list[str]:
  """Where each copy goes, under the output: its id with the suffix .mp4; InputError where two would be one."""
  names = []
  for record in records:
    name = pathlib.PurePath(record.id)
    if name.is_absolute() or ".." in name.parts:
      name = pathlib.PurePath(*[part for part in name.parts if part not in ("..", name.anchor)])
    names.append(name.with_suffix(".mp4").as_posix())
  sources: dict[str, str] = {}
  for record, name in zip(records, names, strict=True):
    if sources.setdefault(name, record.source) != record.source:
      raise InputError(f"{sources[name]} and {record.source} would both be copied to {name}; rename one")
  return names


def _label(record: Record) -> Any:
  return record.labels if record.label is None else record.label


def _list_flags(parser: argparse.ArgumentParser) -> None:
  parser.add_argument("list", help="the videos: `path label` lines, a CSV, a folder per class, ...")
  parser.add_argument("--format", default="auto", choices=["auto", *READERS], help="of the list (default auto)")
  parser.add_argument("--root", help="where paths in the list start (default: the list's folder)")
  parser.add_argument("--template", default="", help="names of the images in folders of frames")
  parser.add_argument("--labels", help="a file of the classes' names, by which a folder per class is numbered")
  parser.add_argument("--processes", type=int, default=2, help="files read at once (default 2)")


def _records(args: argparse.Namespace) -> list[Record]:
  if args.processes < 1 or not 0 < args.seconds < math.inf:
    raise InputError(f"--processes={args.processes} --seconds={args.seconds}: wanted 1 or more, above 0")
  return read_records(args.list, check=False, **_reading(args))


def _reading(args: argparse.Namespace) -> dict[str, Any]:
  template = {"template": args.template} if args.template else {}
  classes = {"classes": read_label_map(args.labels)} if args.labels else {}
  return {"format": args.format, "root": args.root, **template, **classes}


def _how_to_read(args: argparse.Namespace, clean: pathlib.Path) -> str:
  if os.path.isdir(args.list):
    return "whole paths; labels " + ("as in --labels" if args.labels else "by the sorted names of the folders")
  before, after = (
    list_format(os.fspath(path), args.format, args.root or parent(args.list)) for path in (args.list, clean)
  )
  return "paths as in the list: --root stays" + ("" if before == after else f"; --format {before}")


def _check_output(output: pathlib.Path, path: str, target: pathlib.Path | None) -> None:
  """InputError where something lies at the places of the list and the report that no check of this list has written."""
  if output.exists() and not output.is_dir():
    raise InputError(f"--output={output}: is a file, a folder was wanted")
  report = output / "report.json"
  if target is not None and target.name == report.name:
    raise InputError(f"{path}: would be written beside a report of its own name; rename the list")
  try:
    again = json.loads(report.read_text("utf-8"))["list"] == os.fspath(path)
  except (OSError, ValueError, KeyError, TypeError):
    again = False
  there = [one.name for one in (report, target) if one is not None and one.exists()]
  if there and not again:
    raise InputError(f"--output={output} holds {', '.join(there)}, not of a check of {path}; wanted another folder")


def _same_settings(output: pathlib.Path, settings: dict[str, int], listed: pathlib.Path) -> bool:
  """Writes the settings into the folder of copies; whether it was one before.

  InputError where it holds copies of other settings, or is no folder of copies and has something in the list's place.
  """
  path = output / "reencode.json"
  output.mkdir(parents=True, exist_ok=True)
  own = path.exists()
  if own and (found := json.loads(path.read_text())) != settings:
    raise InputError(f"{output} holds copies made with {found}, not {settings}; wanted another --output")
  if not own and listed.exists():
    raise InputError(f"{listed}: is there already, in a folder without copies; wanted another --output")
  path.write_text(json.dumps(settings) + "\n")
  return own


def _run(
  console: Console, what: str, function: Callable, items: Sequence[Any], processes: int, seconds: float
) -> list[Outcome]:
  columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
  found = []
  with Progress(*columns, console=console, transient=True) as bar:
    task = bar.add_task(what, total=len(items))
    for outcome in supervised(function, items, processes=processes, seconds=seconds):
      found.append(outcome)
      bar.advance(task)
  return sorted(found, key=lambda outcome: outcome.index)


def _print_bad(console: Console, records: Sequence[Record], bad: dict[int, str]) -> None:
  for index, error in sorted(bad.items())[:10]:
    console.print(f"bad  {records[index].id}: {error}", highlight=False, soft_wrap=True, markup=False)
  if len(bad) > 10:
    console.print(f"bad  and {len(bad) - 10} more", highlight=False)
