"""`jaction data build`: lists of videos become a TFDS folder of ArrayRecord shards."""

import argparse
import os
import re
import time

from rich.console import Console
from rich.progress import Progress

from jaction.errors import InputError
from jaction.records.build import build_set
from jaction.records.lists import READERS, TEMPLATE, read_label_map, read_records


def build(argv: list[str]) -> int:
  """Builds a set, finishes an interrupted one, or finds it complete; 1 where a file was missing or damaged."""
  parser = argparse.ArgumentParser(
    "jaction data build",
    description="Stores the videos of lists, as they are, in ArrayRecord shards of a TFDS folder, which training reads"
    " with data.format=tfds. An interrupted build is finished by the same command; done shards are kept. Files that"
    " are missing or damaged are left out and listed in manifest-SPLIT.json; the exit status is then 1.",
  )
  parser.add_argument("lists", nargs="+", help="each becomes the split that its name says: train.txt is train")
  parser.add_argument("output", help="the folder; splits of earlier builds stay in it")
  parser.add_argument("--format", default="auto", choices=["auto", *READERS], help="of the lists (default auto)")
  parser.add_argument("--root", help="where paths in the lists start (default: the list's folder)")
  parser.add_argument("--template", default=TEMPLATE, help=f"names of images in folders of frames (default {TEMPLATE})")
  parser.add_argument("--split", help="another name for the split, of a single list")
  parser.add_argument("--name", help="of the set (default: the folder's)")
  parser.add_argument("--labels", help="a file of the classes' names, one a line")
  parser.add_argument("--shard-mb", type=float, default=256, help="megabytes that a shard aims at (default 256)")
  parser.add_argument(
    "--verify", action="store_true", help="read the shards that are there, and make those again that are damaged"
  )
  parser.add_argument("--workers", type=int, default=2, help="that read, check and write (default 2)")
  args = parser.parse_args(argv)
  if args.split and len(args.lists) > 1:
    raise InputError(f"--split names the split of one list, {len(args.lists)} came")
  classes = read_label_map(args.labels) if args.labels else ()
  splits = {}
  for path in args.lists:
    split = args.split or os.path.splitext(os.path.basename(path.rstrip("/")))[0]
    if not re.fullmatch(r"[A-Za-z]\w*", split):
      raise InputError(
        f"{path}: {split!r} cannot name a split (letters, digits and _, a letter first); --split names it"
      )
    if split in splits:
      raise InputError(f"{path}: another list gives the split {split!r} too")
    splits[split] = read_records(
      path,
      format=args.format,
      root=args.root,
      template=args.template,
      num_classes=len(classes) or None,
      classes=classes or None,
      check=False,
    )
  began, console = time.perf_counter(), Console()
  with Progress(console=console, transient=True) as bar:
    task = bar.add_task("writing shards", total=None)
    built = build_set(
      splits,
      args.output,
      name=args.name,
      classes=classes,
      shard_mb=args.shard_mb,
      workers=args.workers,
      verify=args.verify,
      progress=lambda done, total: bar.update(task, completed=done, total=total),
    )
  lines = [
    f"{built.folder}: {built.shards} shards, {built.size / 1e6:.0f} MB; {built.made} written now, in "
    f"{time.perf_counter() - began:.0f} s"
  ]
  for split, count in built.counts.items():
    lines.append(
      f"{split:<12}{count['stored']} of {count['listed']} videos stored, {count['missing']} missing, "
      f"{count['damaged']} damaged"
    )
  first = next(iter(built.counts))
  lines.append(f"next        --config.data.root={built.folder} --config.data.format=tfds --config.data.train={first}")
  console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
  return int(any(count["missing"] or count["damaged"] for count in built.counts.values()))
