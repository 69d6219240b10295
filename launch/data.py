"""Data sets: `jaction data toy` makes the small set that the demo trains on, `scan` and `prepare` make lists."""

import argparse
import sys
import time

from rich.console import Console
from rich.progress import Progress

from jaction.errors import InputError, nearest
from jaction.launch import ava, build, check, cli, digest, show
from jaction.records.lists import TEMPLATE
from jaction.records.prepare import DATASETS
from jaction.records.prepare import prepare as prepare_dataset
from jaction.records.scan import WRITERS
from jaction.records.scan import scan as scan_folder
from jaction.records.toy import TOY_CLASSES, make_toy_set
from jaction.records.toy_actors import ACTIONS, make_toy_actors
from jaction.records.toy_untrimmed import make_untrimmed_set


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


def toy_actors(argv: list[str]) -> None:
  """Makes the toy set of detection: videos of several actors, in AVA's own formats."""
  parser = argparse.ArgumentParser(
    "jaction data toy-actors", description="Small videos of several moving shapes, with boxes and actions of each."
  )
  parser.add_argument("output", help="a new folder")
  parser.add_argument("--videos", type=int, nargs=2, metavar=("TRAIN", "VAL"), default=(240, 48), help="240 48")
  parser.add_argument("--seed", type=int, default=0, help="another seed, other videos (default 0)")
  args = parser.parse_args(argv)
  console = Console()
  with Progress(console=console, transient=True) as bar:
    task = bar.add_task("making videos", total=None)
    folder = make_toy_actors(
      args.output,
      videos=tuple(args.videos),
      seed=args.seed,
      progress=lambda done, total: bar.update(task, completed=done, total=total),
    )
  console.print(
    f"{folder}: {args.videos[0]} training and {args.videos[1]} validation videos, {len(ACTIONS)} actions\n"
    f"next    jaction train --config=toy_ava --workdir=runs/toy_ava --config.data.root={folder}",
    highlight=False,
    soft_wrap=True,
  )


def scan(argv: list[str]) -> None:
  """Makes lists, a label map and statistics from a folder of videos per class."""
  parser = argparse.ArgumentParser(
    "jaction data scan",
    description="Opens every video of a folder per class and writes train, val and test lists (a seeded split, class by"
    " class), labels.txt, statistics.json and damaged.txt.",
  )
  parser.add_argument("folder", help="holds a folder of videos per class")
  parser.add_argument("--output", help="where to write; the folder itself by default")
  parser.add_argument("--val", type=float, default=0.1, help="share of each class for validation (default 0.1)")
  parser.add_argument("--test", type=float, default=0.1, help="share of each class for the test (default 0.1)")
  parser.add_argument("--seed", type=int, default=0, help="another seed, another split (default 0)")
  parser.add_argument("--format", choices=WRITERS, default="txt", help="of the lists (default txt)")
  parser.add_argument("--frames", action="store_true", help="the videos are folders of images")
  parser.add_argument("--template", default=TEMPLATE, help=f"names of those images (default {TEMPLATE})")
  parser.add_argument("--threads", type=int, default=4, help="files opened at once (default 4)")
  args = parser.parse_args(argv)
  if args.template != TEMPLATE and not args.frames:
    raise InputError(f"--template={args.template} names the images of --frames, which is missing")
  console = Console()
  with Progress(console=console, transient=True) as bar:
    task = bar.add_task("opening videos", total=None)
    done = scan_folder(
      args.folder,
      args.output,
      val=args.val,
      test=args.test,
      seed=args.seed,
      format=args.format,
      threads=args.threads,
      frames=args.frames,
      template=args.template,
      progress=lambda count, total: bar.update(task, completed=count, total=total),
    )
  facts, splits = done.statistics, ", ".join(f"{count} {name}" for name, count in done.splits.items())
  frames, seconds = facts["frames"], facts["seconds"]
  console.print(
    f"{done.folder}: {facts['videos']} videos of {len(done.classes)} classes ({splits}), {len(done.damaged)} damaged\n"
    f"frames   {frames['min']} to {frames['max']}, median {frames['median']}\n"
    + (
      f"seconds  {seconds['min']:.2f} to {seconds['max']:.2f}, median {seconds['median']:.2f},"
      f" {seconds['sum'] / 3600:.2f} h in all\n"
      if seconds["sum"]
      else ""
    )
    + f"sizes    {', '.join(f'{size} ({count})' for size, count in list(facts['sizes'].items())[:4])}",
    highlight=False,
    soft_wrap=True,
  )
  for one in done.damaged[:10]:
    console.print(f"damaged  {one.error}", highlight=False, soft_wrap=True, markup=False)
  if len(done.damaged) > 10:
    console.print(f"damaged  and {len(done.damaged) - 10} more, see damaged.txt", highlight=False)


def prepare(argv: list[str]) -> None:
  """Turns a dataset's official annotation files into lists."""
  parser = argparse.ArgumentParser(
    "jaction data prepare",
    description="The official annotation files of a dataset -> lists of the videos that are there.",
  )
  parser.add_argument("name", help=", ".join(DATASETS))
  parser.add_argument("annotations", help="the folder of the official annotation files")
  parser.add_argument("media", help="the folder of the videos, or of the folders of frames")
  parser.add_argument("output", help="where to write")
  parser.add_argument("--frames", action="store_true", help="the media are folders of images")
  parser.add_argument("--template", default=TEMPLATE, help=f"names of those images (default {TEMPLATE})")
  args = parser.parse_args(argv)
  if args.template != TEMPLATE and not args.frames:
    raise InputError(f"--template={args.template} names the images of --frames, which is missing")
  done = prepare_dataset(
    args.name, args.annotations, args.media, args.output, frames=args.frames, template=args.template
  )
  print(f"{done.folder}: {args.name}, {done.media} {'folders of frames' if args.frames else 'videos'} in {args.media}")
  for name, (found, missing) in done.counts.items():
    print(f"  {name:<16}{found:>8} found {missing:>8} missing")
  if done.expected is not None and done.classes and len(done.classes) != done.expected:
    print(f"  {len(done.classes)} classes, where the published set has {done.expected}")
  if any(missing for _, missing in done.counts.values()):
    print("  missing.txt names what is missing")


def untrimmed(argv: list[str]) -> None:
  """Makes the untrimmed toy set, or finishes it."""
  parser = argparse.ArgumentParser(
    "jaction data untrimmed",
    description="Videos of about 40 seconds in which some of the toy set's actions happen, and when: for localization.",
  )
  parser.add_argument("output", help="the folder; an interrupted set in it is finished")
  parser.add_argument("--videos", type=int, nargs=2, metavar=("TRAIN", "VAL"), default=(160, 40), help="160 40")
  parser.add_argument("--seed", type=int, default=0, help="another seed, other videos (default 0)")
  parser.add_argument("--processes", type=int, default=2, help="that work at it; the videos do not depend on it")
  args = parser.parse_args(argv)
  if args.seed < 0:
    raise InputError(f"--seed is {args.seed}; wanted 0 or more")
  with Progress(transient=True) as bar:
    task = bar.add_task("making videos", total=None)
    folder = make_untrimmed_set(
      args.output,
      videos=tuple(args.videos),
      seed=args.seed,
      processes=args.processes,
      progress=lambda done, total: bar.update(task, completed=done, total=total),
    )
  print(f"{folder}: {args.videos[0]} training and {args.videos[1]} validation videos: train.json val.json videos.txt")


COMMANDS = {
  "toy": toy,
  "toy-actors": toy_actors,
  "untrimmed": untrimmed,
  "scan": scan,
  "prepare": prepare,
  "check": check.check,
  "reencode": check.copy,
  "show": show.show,
  "digest": digest.digest,
  "build": build.build,
  "check-ava": ava.check,
  "show-ava": ava.show,
  "import-boxes": ava.convert,
  "bank": ava.bank,
  "evaluate-ava": ava.evaluate,
}


def main(argv: list[str]) -> int | None:
  """`jaction data NAME ...`."""
  name, *rest = argv or ["--help"]
  if name in ("--help", "-h"):
    print(
      "usage: jaction data COMMAND ...\n\n"
      "  toy      make the toy set\n"
      "  toy-actors  make the toy set of detection: several actors in each video, in AVA's formats\n"
      "  untrimmed  long toy videos, for localization\n"
      "  scan     lists, split, label map and statistics from a folder of videos per class\n"
      "  prepare  lists from a dataset's official annotation files\n"
      "  check    read every file to its end; a clean list and a report\n"
      "  reencode copies with short side N and a keyframe every few frames\n"
      "  build    lists to ArrayRecord shards in a TFDS folder\n"
      "  show     a picture of what a config takes from its videos\n"
      "  digest   one number for the clips that a config trains on, to compare machines by\n"
      "  check-ava    every fault of an AVA-style set: file, line, what\n"
      "  show-ava     a picture of annotated key frames\n"
      "  import-boxes annotations of COCO or CVAT into AVA's form\n"
      "  bank         the feature bank of an AVA-style set\n"
      "  evaluate-ava frame mAP and per-action AP of a result file or a detector\n\n"
      "`jaction data COMMAND --help` tells its flags."
    )
    return 0
  if name not in COMMANDS:
    raise InputError(f"no data command {name!r}; there is {', '.join(COMMANDS)}.{nearest(name, COMMANDS)}")
  return COMMANDS[name](rest)


if __name__ == "__main__":
  sys.exit(cli.run(main))
