"""Data sets: `jaction data toy` makes the small set that the demo trains on."""

import argparse
import sys
import time

from rich.console import Console
from rich.progress import Progress

from jaction.errors import InputError, nearest
from jaction.launch import cli
from jaction.records.toy import TOY_CLASSES, make_toy_set


def toy(argv: list[str]) -> None:
  """Makes the toy set, finishes a half-made one, or finds it complete."""
  parser = argparse.ArgumentParser(
    "jaction data toy",
    description="Real H.264 videos, made here: four pairs of classes that differ by the direction of time alone.",
  )
  parser.add_argument("output", help="the folder; an interrupted set in it is finished")
  parser.add_argument(
    "--videos", type=int, nargs=3, metavar=("TRAIN", "VAL", "TEST"), default=(640, 160, 240), help="640 160 240"
  )
  parser.add_argument("--seed", type=int, default=0, help="another seed, other videos (default 0)")
  parser.add_argument("--hard", action="store_true", help="clutter, noise and moving backgrounds")
  parser.add_argument("--processes", type=int, default=2, help="that work at it; the videos do not depend on it")
  args = parser.parse_args(argv)
  if args.seed < 0:
    raise InputError(f"--seed is {args.seed}; wanted 0 or more")
  began, console = time.perf_counter(), Console()
  with Progress(console=console, transient=True) as bar:
    task = bar.add_task("making videos", total=None)
    made = make_toy_set(
      args.output,
      videos=tuple(args.videos),
      seed=args.seed,
      hard=args.hard,
      processes=args.processes,
      progress=lambda done, total: bar.update(task, completed=done, total=total),
    )
  train, val, test = made.videos
  console.print(
    f"{made.folder}: {train} training, {val} validation and {test} test videos of {len(TOY_CLASSES)} classes, "
    f"{made.size / 1e6:.0f} MB; {made.made} made now, in {time.perf_counter() - began:.0f} s\n"
    f"lists   train.txt val.txt test.txt (path label), the same as .csv, *_shape.txt (the pair alone), by_class/\n"
    f"next    jaction train --config=toy_tsm --workdir=runs/toy_tsm --config.data.root={made.folder}",
    highlight=False,
    soft_wrap=True,
  )


COMMANDS = {"toy": toy}


def main(argv: list[str]) -> None:
  """`jaction data NAME ...`."""
  name, *rest = argv or ["--help"]
  if name in ("--help", "-h"):
    print(
      "usage: jaction data COMMAND ...\n\n  toy   make the toy set\n\n`jaction data COMMAND --help` tells its flags."
    )
    return
  if name not in COMMANDS:
    raise InputError(f"no data command {name!r}; there is {', '.join(COMMANDS)}.{nearest(name, COMMANDS)}")
  COMMANDS[name](rest)


if __name__ == "__main__":
  sys.exit(cli.run(main))
