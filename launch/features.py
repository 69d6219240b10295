"""`python -m launch.features`: a recognizer's features of a list of videos, one .npz with times each; resumable."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from jaction.errors import InputError, MediaError
from jaction.launch import cli
from jaction.predict.features import Extractor
from jaction.records import Record
from jaction.records.features import write_features


def main(argv: list[str]) -> int:
  """1 where a video could not be read."""
  parser = argparse.ArgumentParser(prog="features", description=__doc__)
  parser.add_argument("--model", required=True, metavar="FOLDER", help="a recognizer's model folder or work directory")
  parser.add_argument("--videos", required=True, metavar="FILE", help="a path a line, relative to the file's folder")
  parser.add_argument("--output", required=True, metavar="FOLDER", help="where the .npz go; those that are there stay")
  parser.add_argument("--window", type=int, default=16, help="frames that one feature sees (16)")
  parser.add_argument("--stride", type=int, help="frames between two features (as --window)")
  args = parser.parse_args(argv)
  listed = Path(args.videos)
  base = listed.resolve().parent
  paths = [base / line.strip() for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
  twice = sorted({path.stem for path in paths if [one.stem for one in paths].count(path.stem) > 1}) if paths else []
  if not paths or twice:
    raise InputError(f"{listed}: " + (f"two videos are called {twice[0]}" if twice else "no videos in it"))
  extractor = Extractor(args.model, window=args.window, stride=args.stride)
  output = Path(args.output)
  output.mkdir(parents=True, exist_ok=True)
  todo = [path for path in paths if not (output / f"{path.stem}.npz").exists()]
  console, bad = Console(stderr=True), []
  with Progress(console=console, transient=True) as bar:
    task = bar.add_task("features", total=len(todo))
    for path in todo:
      try:
        made = extractor(Record(path.stem, os.fspath(path)))
        write_features(output / f"{path.stem}.npz", made)
      except MediaError as error:
        bad.append(f"{path}: {error}")
      bar.advance(task)
  print(f"{output}: {len(todo) - len(bad)} made, {len(paths) - len(todo)} were there, {len(bad)} could not be read")
  for line in bad:
    print(line, file=sys.stderr)
  return 1 if bad else 0


if __name__ == "__main__":
  sys.exit(cli.run(main))
