"""A picture of what a config takes from its videos, and how that looks to the network."""

import argparse
import os
import pathlib

from jaction.clips.preprocessing import Preprocessing
from jaction.clips.sets import of_set
from jaction.errors import InputError
from jaction.launch.train import parse_config
from jaction.predict.sheet import draw_sheet, sample
from jaction.records import paths, read_label_map, read_records

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
KINDS = {"train": "train", "test": "val", "published": "val"}  # preprocessing -> the list it is used on


def show(argv: list[str]) -> None:
  """Writes a contact sheet: for each video the frames that are sampled, their numbers, and where they lie in it."""
  parser = argparse.ArgumentParser("jaction data show", description=__doc__)
  parser.add_argument("--output", default="sheet.png", help="the picture (default sheet.png)")
  parser.add_argument("--kind", default="train", choices=KINDS, help="which preprocessing (default train)")
  parser.add_argument("--set", metavar="NAME", help="of data.mix, whose list and transforms are shown, instead")
  parser.add_argument("--videos", type=int, default=4, help="how many (default 4)")
  parser.add_argument("--first", type=int, default=0, help="place of the first one in the list (default 0)")
  parser.add_argument("--views", type=int, default=6, help="of each video at most (default 6)")
  args, rest = parser.parse_known_args(argv)
  for name, value, least in (("videos", args.videos, 1), ("first", args.first, 0), ("views", args.views, 1)):
    if value < least:
      raise InputError(f"--{name}={value}: wanted {least} or more")
  output = pathlib.Path(args.output)
  if output.suffix.lower() not in PICTURES:
    raise InputError(f"--output={args.output}: wanted a name that ends in {', '.join(PICTURES)}")
  config = parse_config(rest)
  if config is None:
    raise InputError("--config is missing: wanted a path, or the name of a packaged config, and --config.data.root")
  config = config.to_dict()
  if config["task"] != "recognition":
    others = {"detection": ": `jaction data show-ava` draws boxes"}
    raise InputError(
      f"task={config['task']!r}: only recognition's clips are shown here{others.get(config['task'], '')}"
    )
  if not config["preprocessing"][args.kind]:
    raise InputError(f"this config has no preprocessing.{args.kind}")
  preprocessing, data = Preprocessing.from_json(config["preprocessing"][args.kind]), config["data"]
  listed, format = data[KINDS[args.kind]], data["format"]
  if args.set is not None:
    if args.kind != "train" or args.set not in data["mix"]:
      sets = ", ".join(sorted(data["mix"])) or "none"
      raise InputError(f"--set={args.set} with --kind={args.kind}: data.mix, which is trained on, has {sets}")
    listed, format = (data["mix"][args.set][key] for key in ("list", "format"))
    preprocessing = of_set(data["mix"][args.set]["preprocessing"], args.set, preprocessing)
  root = os.path.expanduser(data["root"])
  path = paths.join(root, listed)
  labels = read_label_map(paths.join(root, data["labels"])) if data["labels"] else ()
  records = read_records(
    path,
    format=format,
    root=root or None,
    template=data["template"] or preprocessing.template,
    classes=labels or None,
  )
  chosen = list(enumerate(records))[args.first : args.first + args.videos]
  if not chosen:
    raise InputError(f"--first={args.first}: the list has {len(records)} videos, numbered from 0")
  samples = []
  for place, record in chosen:
    key = [config["seed"], 1, place] if args.kind == "train" else None
    samples.append(sample(record, preprocessing, key=key, labels=labels, max_views=args.views))
  draw_sheet(samples, output)
  print(f"{args.output}: {len(samples)} videos of {path}, preprocessing.{args.kind}")
  if data["mix"] and args.set is None and args.kind == "train":
    print(f"further sets: --set {' | '.join(sorted(data['mix']))}")
