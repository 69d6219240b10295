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
from jaction.records import READERS, Record, read_records, write_jsonl
from jaction.records.check import check_record
from jaction.records.clean import write_clean
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
  records, console = _records(args), Console()
  outcomes = _run(console, "reading", check_record, records, args.processes, args.seconds)
  bad = {o.index: o.error for o in outcomes if o.error is not None}
  output = pathlib.Path(args.output)
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
  good_ones = [i for i in range(len(records)) if i not in bad]
  clean = write_clean(args.list, records, good_ones, output, **_reading(args))
  if clean is None:
    said = "no list, of shards there is none without some of their records: build them again without these; "
  else:
    said = f"{clean} ({'whole paths' if os.path.isdir(args.list) else 'paths as in the list: --root stays'}), "
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
  parser.add_argument("--output", required=True, help="a folder for the copies and their list, videos.jsonl")
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
  settings = {"short_side": args.short_side, "gop": args.gop, "crf": args.crf}
  for record, name in zip(records, names, strict=True):
    if os.path.realpath(output / name) == os.path.realpath(record.source):
      raise InputError(f"--output={output}: {record.source} would be its own copy; wanted another folder")
  _same_settings(output, settings)
  jobs = [Copy(r.source, os.fspath(output / name), **settings) for r, name in zip(records, names, strict=True)]
  outcomes = _run(console, "copying", reencode, jobs, args.processes, args.seconds)
  bad = {o.index: o.error for o in outcomes if o.error is not None}
  kept = [i for i in range(len(records)) if i not in bad]
  write_jsonl(output / "videos.jsonl", ((names[i], _label(records[i])) for i in kept))
  before, after = (sum(o.value[i] for o in outcomes if o.error is None) for i in range(2))
  console.print(
    f"{len(kept)} of {len(records)} videos, {before / 1e6:.2f} MB -> {after / 1e6:.2f} MB\n"
    f"written: {output / 'videos.jsonl'}",
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
  parser.add_argument("--processes", type=int, default=2, help="files read at once (default 2)")


def _records(args: argparse.Namespace) -> list[Record]:
  if args.processes < 1 or not 0 < args.seconds < math.inf:
    raise InputError(f"--processes={args.processes} --seconds={args.seconds}: wanted 1 or more, above 0")
  return read_records(args.list, check=False, **_reading(args))


def _reading(args: argparse.Namespace) -> dict[str, Any]:
  template = {"template": args.template} if args.template else {}
  return {"format": args.format, "root": args.root, **template}


def _same_settings(output: pathlib.Path, settings: dict[str, int]) -> None:
  """Writes the settings into the folder of copies; InputError where it holds copies of other ones."""
  path = output / "reencode.json"
  output.mkdir(parents=True, exist_ok=True)
  if path.exists() and (found := json.loads(path.read_text())) != settings:
    raise InputError(f"{output} holds copies made with {found}, not {settings}; wanted another --output")
  path.write_text(json.dumps(settings) + "\n")


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
