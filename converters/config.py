"""`python -m converters.config FILE.py`: an MMAction2 config, restated as the nearest packaged one and the differences.

The file is read, never run.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from jaction.converters.config_compare import Row, differences, flags, nearest_config, packaged_configs
from jaction.converters.config_facts import Facts, facts
from jaction.converters.config_output import config_text
from jaction.converters.config_reader import Config, read_config
from jaction.errors import InputError
from jaction.launch.train import keys, parse_config
from jaction.models.variants import list_models

WIDTH = 46  # of a value in the table
SHOWN = 20  # places that were not read
EPILOG = "exit status: 0, whether or not anything differs; 2 where the file cannot be read"


def main(argv: list[str]) -> int:
  parser = argparse.ArgumentParser(prog="config", description=__doc__, epilog=EPILOG)
  parser.add_argument("file", metavar="FILE.py", help="a config of MMAction2, 0.x or 1.x, with its _base_ files beside")
  parser.add_argument("--against", metavar="NAME[:FORM]", help="compare with this config, not with the nearest")
  parser.add_argument("--gpus", type=int, default=8, help="that its batch counts for (default 8, as in the originals)")
  parser.add_argument(
    "--output", metavar="FILE.py", help="write a jaction config: the nearest with the differences set"
  )
  parser.add_argument("--overwrite", action="store_true", help="replace what is at --output")
  args = parser.parse_args(argv)
  if args.gpus < 1:
    raise InputError(f"--gpus={args.gpus}: wanted at least 1")
  output = None if args.output is None else Path(args.output)
  if output is not None and (output.suffix != ".py" or output.exists() and not args.overwrite):
    wanted = "wanted a name that ends in .py" if output.suffix != ".py" else "exists already; --overwrite replaces it"
    raise InputError(f"{output}: {wanted}")
  config = read_config(args.file)
  if output is not None and output.resolve() in config.files:
    raise InputError(f"{output}: is one of the files that are read")
  try:
    found = facts(config.values, gpus=args.gpus)
  except InputError as error:
    unread = "".join(f"\n  {line}" for line in _unread(config))
    raise InputError(f"{args.file}: {error}{unread}") from error
  ranked = [] if args.against else nearest_config(found, packaged_configs(found.disk), Path(args.file).stem)
  name = args.against or ranked[0][1]
  rows = differences(found, keys(parse_config([f"--config={name}"])))
  print("\n".join(_report(args.file, config, found, name, [near for _, near in ranked[1:4]], rows)))
  if output is not None:
    _write(output, config_text(Path(args.file).name, name, found.values, rows, list_models("*")))
    print(f"\nwritten to {output}: python -m launch.train --config={shlex.quote(str(output))} --workdir=DIR")
  return 0


def _report(file: str, config: Config, found: Facts, name: str, others: list[str], rows: list[Row]) -> list[str]:
  said = [str(found.values.get("model.name", "a network that is not known here"))]
  if "model.num_classes" in found.values:
    said.append(f"{found.values['model.num_classes']} classes")
  said += [found.dataset] if found.dataset else []
  bases = len(config.files) - 1
  lines = [f"{file}{f' and {bases} files of its _base_' if bases else ''}: {_plain(', '.join(said))}"]
  lines.append(f"nearest: {name}" + (f"   (then {', '.join(others)})" if others else ""))
  lines.append(f"facts compared: {len(found.values)}, of which {len(rows)} differ")
  made = flags(name, rows)
  if rows:
    lines += ["", *_table([("key", "theirs", "ours"), *((r.key, _cell(r.theirs), _cell(r.ours)) for r in rows)])]
  faults = dict.fromkeys(why for _, why in found.faults)
  if faults:
    lines += ["", "Faults of the original, which ours does not copy:", *(f"  {why}" for why in faults)]
  known = "model.name" in found.values and not any(row.key == "model.name" for row in rows)
  lines += ["", "The same experiment here:" if known else "Nearest to it here, which is another network:"]
  command = ["python -m launch.train", f"--config={name}", "--workdir=DIR", "--config.data.root=DATA"]
  lines.append(" \\\n      ".join(["  " + command[0], *command[1:], *map(shlex.quote, made.values())]))
  kept = [row.key for row in rows if row.key not in made and not row.fault]
  if kept:
    lines += ["", "No flag can say these; --output writes a config that does where a network here has them:"]
    lines += [f"  {key}" for key in kept]
  if found.remarks:
    lines += ["", "Understood, but without a key here:", *(f"  {_plain(text)}" for text in found.remarks)]
  if config.unread:
    lines += ["", f"Not read ({len(config.unread)}):", *(f"  {line}" for line in _unread(config))]
  return lines


def _unread(config: Config) -> list[str]:
  lines = [_plain(f"{Path(place.file).name}:{place.line}: {place.text}   ({place.why})") for place in config.unread]
  more = len(lines) - SHOWN
  return lines[:SHOWN] + ([f"and {more} more"] if more > 0 else [])


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
  widths = [max(len(row[i]) for row in rows) for i in range(2)]
  return [f"  {key:<{widths[0]}}  {theirs:<{widths[1]}}  {ours}" for key, theirs, ours in rows]


def _cell(value: Any) -> str:
  text = _plain(value if isinstance(value, str) else repr(value))
  return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def _plain(text: str) -> str:
  """Without control characters, which a terminal would obey."""
  return "".join(c if c.isprintable() else "?" for c in text)


def _write(path: Path, text: str) -> None:
  """All of the file or nothing."""
  part = path.with_name(f".{path.name}.{os.getpid()}.part")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
  except OSError as error:
    part.unlink(missing_ok=True)
    raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


if __name__ == "__main__":
  from jaction.launch import cli

  sys.exit(cli.run(main))
