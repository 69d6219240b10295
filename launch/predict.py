"""The most probable classes of single videos: a table, JSON, or drawn into the videos."""

import argparse
import json
import os
import pathlib
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from jaction.errors import InputError
from jaction.launch import cli
from jaction.predict.draw import annotate
from jaction.predict.predictor import Predictor
from jaction.records import Record

ENDINGS = (
  ".mp4",
  ".avi",
  ".mkv",
  ".mov",
  ".webm",
  ".m4v",
  ".mpg",
  ".mpeg",
  ".flv",
  ".ts",
  ".wmv",
  ".3gp",
)  # in folders
BAR = 24  # characters of a full bar


def main(argv: list[str]) -> None:
  """Scores videos and shows the best classes of each."""
  parser = argparse.ArgumentParser("jaction predict", description=__doc__)
  parser.add_argument("videos", nargs="+", help="video files, or folders of them")
  parser.add_argument("--model", required=True, help="a model folder, or the workdir of a training")
  parser.add_argument("--top", type=int, default=5, help="classes shown of each video (default 5)")
  parser.add_argument("--json", help="write the result to this file; - is standard output, and then nothing else is")
  parser.add_argument("--draw", help="write annotated videos: an mp4 for one video, a folder for several")
  parser.add_argument("--clips", type=int, help="clips, or segments, of each video (default: as the model says)")
  parser.add_argument("--crops", type=int, help="1, 3 or 10 crops of each clip (default: as the model says)")
  args = parser.parse_args(argv)
  if args.top < 1:
    raise InputError(f"--top is {args.top}; wanted at least 1")
  paths = find_videos(args.videos)
  if args.draw and len(paths) > 1 and pathlib.Path(args.draw).suffix == ".mp4":
    raise InputError(f"--draw {args.draw} is one file for {len(paths)} videos; wanted a folder")
  drawings = _drawings(args.draw, paths) if args.draw else []
  if args.json and args.json != "-" and not pathlib.Path(args.json).absolute().parent.is_dir():
    raise InputError(f"--json {args.json}: there is no such folder")  # told before the work is done
  predictor = Predictor(args.model, clips=args.clips, crops=args.crops)
  records = [Record(id=str(path), source=str(path.resolve())) for path in paths]
  shares = predictor.probabilities(predictor.score(records, batch_size=1))

  console = Console(stderr=args.json == "-")
  found = []
  for number, (path, share) in enumerate(zip(paths, shares, strict=True)):
    best = np.argsort(-share, kind="stable")[: args.top]
    lines = [(predictor.labels[k], float(share[k])) for k in best]
    found.append(
      {
        "video": str(path),
        "top": [{"label": n, "class": int(k), "probability": p} for k, (n, p) in zip(best, lines, strict=True)],
      }
    )
    table = Table(title=str(path), title_justify="left")
    for column in ("class", "probability", ""):
      table.add_column(column, justify="right" if column == "probability" else "left")
    for label, probability in lines:
      table.add_row(label, f"{probability:.1%}", "█" * round(BAR * probability))
    console.print(table)
    if args.draw:
      console.print(f"drawn: {annotate(path, drawings[number], lines[:3])}", highlight=False, soft_wrap=True)
  if args.json:
    text = json.dumps(found, indent=1) + "\n"
    if args.json == "-":
      sys.stdout.write(text)
    else:
      pathlib.Path(args.json).write_text(text)


def find_videos(names: list[str]) -> list[pathlib.Path]:
  """The files that are named, and the videos in folders that are named, in their order."""
  found = []
  for name in names:
    if not name:
      raise InputError("a video's name is empty; wanted a file or a folder")
    path = pathlib.Path(name).expanduser()
    if path.is_dir():
      inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
      if not inside:
        raise InputError(f"{name} is a folder without videos; wanted files ending in {', '.join(ENDINGS)}")
      found += inside
    elif path.is_file():
      found.append(path)
    else:
      raise InputError(f"{name}: there is no such file or folder")
  return found


def _drawings(target: str, paths: list[pathlib.Path]) -> list[pathlib.Path]:
  """Where each drawing goes; videos of one name in several folders keep the folders that tell them apart."""
  out = pathlib.Path(target)
  if len(paths) == 1 and out.suffix == ".mp4":
    return [out]
  if out.suffix and not out.is_dir():
    raise InputError(f"--draw {target}: drawings are mp4 files; wanted a name ending in .mp4, or a folder")
  names = [path.stem for path in paths]
  if len(set(names)) < len(names):
    shared = pathlib.Path(os.path.commonpath([path.resolve().parent for path in paths]))
    names = [str(path.resolve().relative_to(shared).with_suffix("")) for path in paths]
    if len(set(names)) < len(names):  # a.mp4 beside a.avi
      names = [str(path.resolve().relative_to(shared)) for path in paths]
  return [out / f"{name}.annotated.mp4" for name in names]


if __name__ == "__main__":
  sys.exit(cli.run(main))
