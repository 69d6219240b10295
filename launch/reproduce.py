"""A published figure, measured here: real weights, a real dataset, the protocol of that row of the zoo.

  jaction reproduce --row slowonly_r50_4x16x1_256e_kinetics400_rgb:256p \\
      --checkpoint slowonly_r50_256p_4x16x1_256e_kinetics400_rgb_20200820-bea7701f.pth --data KINETICS
"""

import argparse
import dataclasses
import importlib
import json
import os
import pathlib
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from jaction.batches import evaluation_batches
from jaction.clips.multihot import MultiHot
from jaction.clips.preprocessing import Preprocessing
from jaction.converters import from_torch
from jaction.converters.names import num_classes
from jaction.converters.reader import read_checkpoint_file
from jaction.errors import CheckpointError, InputError, nearest
from jaction.folders import load_folder
from jaction.launch import cli
from jaction.launch.train import names, packaged, parse_config
from jaction.metrics.classification import mean_class_accuracy, top_k_accuracy
from jaction.metrics.multilabel import summary
from jaction.models import create_model
from jaction.predict.scoring import make_predict_step, score_batches
from jaction.records import READERS, read_records

NOT_METRICS = ("checkpoint", "crop", "list", "num_clips", "twice_sample")
SAME = {"mAP": ("mean_average_precision", "mmit_mean_average_precision")}  # as the zoo writes it: ours


def main(argv: list[str]) -> None:
  """Prints published / here / difference for one row."""
  parser = argparse.ArgumentParser(
    "jaction reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--row", help="a config, and behind a colon the row of its PUBLISHED where it has several")
  parser.add_argument("--rows", action="store_true", help="list every row with its figures, and stop")
  parser.add_argument("--checkpoint", help="the .pth file, or a model folder")
  parser.add_argument("--data", help="the dataset's folder; its validation list is in it")
  parser.add_argument("--list", help="the list of the videos, in --data (default: as the config says)")
  parser.add_argument("--format", choices=["auto", *READERS], help="of the list (default: as the config says)")
  parser.add_argument("--batch-size", type=int, default=1, help="videos at once (default 1: these have many views)")
  parser.add_argument("--max-views", type=int, help="views that go through the network at once (default: all)")
  parser.add_argument("--threads", type=int, default=2, help="that decode (default 2)")
  parser.add_argument("--output", help="a JSON file for the figures")
  args = parser.parse_args(argv)
  if args.rows:
    _print_rows()
    return
  for name in ("row", "checkpoint", "data"):
    if getattr(args, name) is None:
      raise InputError(f"--{name} is missing{'; --rows lists them' if name == 'row' else ''}")
  for name, value, least in (("batch-size", args.batch_size, 1), ("threads", args.threads, 0)):
    if value < least:
      raise InputError(f"--{name}={value}: wanted {least} or more")
  if args.output and not pathlib.Path(args.output).absolute().parent.is_dir():  # said before hours of work
    raise InputError(f"--output={args.output}: there is no folder {pathlib.Path(args.output).parent}")

  config_name, key, published = find_row(args.row)
  config = parse_config([f"--config={config_name}"]).to_dict()
  preprocessing = protocol(config, published)
  model, variables = _model(config, args.checkpoint)
  multi = config["data"]["multi_label"]
  videos = args.list or published.get("list") or config["data"]["val"]
  records = read_records(
    pathlib.Path(args.data) / videos,
    format=args.format or config["data"]["format"],
    root=args.data,
    num_classes=config["model"]["num_classes"],
    template=config["data"]["template"] or preprocessing.template,
  )
  if not multi and any(record.label is None for record in records):
    raise InputError(f"{videos} has videos with several labels or none; wanted one each")
  console, began = Console(), time.perf_counter()
  console.print(f"{config_name}, {key}: {len(records)} videos, {describe(preprocessing)}", highlight=False)
  step = make_predict_step(model, preprocessing, max_views=args.max_views)
  columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
  with Progress(*columns, console=console, transient=True) as bar:
    task = bar.add_task("videos", total=len(records))
    prepare = MultiHot(preprocessing, config["model"]["num_classes"]) if multi else preprocessing
    batches = evaluation_batches(records, prepare, batch_size=args.batch_size, threads=args.threads)
    scores = score_batches(step, variables, batches, progress=lambda n: bar.advance(task, n))
  rows = compare(published, figures(scores.scores, scores.labels))
  table = Table("metric", "published", "here", "difference")
  for name, wanted, found in rows:
    table.add_row(name, f"{wanted:.2f} %", f"{found:.2f} %", f"{found - wanted:+.2f}")
  console.print(table)
  console.print(f"{time.perf_counter() - began:.0f} s; weights: {args.checkpoint}", highlight=False, soft_wrap=True)
  if args.output:
    facts = {"row": f"{config_name}:{key}", "videos": len(records), "preprocessing": preprocessing.to_json()}
    facts["figures"] = {name: {"published": wanted, "here": found} for name, wanted, found in rows}
    pathlib.Path(args.output).write_text(json.dumps(facts, indent=1) + "\n")


def find_row(given: str) -> tuple[str, str, dict[str, Any]]:
  """(config, key, row of its PUBLISHED) for "config" or "config:key"; InputError where that is none, or several."""
  name, _, key = given.partition(":")
  found = packaged(name)
  if found is None:
    raise InputError(f"--row={given}: no config of this name.{nearest(name, names())}")
  config, form = found
  rows = published_rows(config)
  if not rows and (task := importlib.import_module(f"jaction.configs.{config}").get_config().task) != "recognition":
    raise InputError(f"--row={given}: a config of {task}; reproduce measures recognition alone")
  if not rows:
    raise InputError(f"--row={given}: nothing is published for {config}")
  key = key or form or (next(iter(rows)) if len(rows) == 1 else "")
  if key not in rows:
    shown = ", ".join(f"{config}:{k}" for k in rows)
    raise InputError(f"--row={given}: {'several rows' if not key else 'no such row'}; wanted one of {shown}")
  full = f"{config}:{form or key.split(',')[0]}" if _has_forms(config) else config
  return full, key, rows[key]


def published_rows(config: str) -> dict[str, dict[str, Any]]:
  """PUBLISHED of a packaged config of recognition; of others, and where there is none, {}."""
  module = importlib.import_module(f"jaction.configs.{config}")
  rows = getattr(module, "PUBLISHED", {})
  return rows if rows and module.get_config().task == "recognition" else {}


def _has_forms(config: str) -> bool:
  """Whether its argument says how large the videos are on disk."""
  return any(importlib.import_module(f"jaction.configs.{config}").get_config.__defaults__ or ())


def protocol(config: dict[str, Any], row: dict[str, Any]) -> Preprocessing:
  """The config's published preprocessing, with what the row says otherwise."""
  base = Preprocessing.from_json(config["preprocessing"]["published"])
  changes = {name: row[name] for name in ("num_clips", "twice_sample") if name in row}
  if "crop" in row:
    (crop, size), settings = row["crop"], base.to_json()["settings"]
    settings.pop(base.steps[-1])
    changes |= {"steps": (*base.steps[:-1], crop), "settings": settings | {crop: {"size": size}}}
  return dataclasses.replace(base, **changes)


def describe(preprocessing: Preprocessing) -> str:
  """The protocol in a line."""
  p = preprocessing
  kind = f"{p.num_clips} x {p.clip_len} frames" + (f" at stride {p.frame_interval}" if p.frame_interval > 1 else "")
  twice = ", twice" if p.twice_sample else ""
  steps = ", ".join(f"{step} {p.settings.get(step, {}).get('size', '')}".strip() for step in p.steps)
  mean = {"prob": "mean of the probabilities", "score": "mean of the scores"}.get(p.average, "no averaging")
  return f"{p.sampler} {kind}{twice}, {steps or 'no crop'}, {mean}"


def figures(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
  """Each metric of scores [N,K] with labels [N], or rows of 0 and 1 [N,K], as a fraction."""
  if labels.ndim == 2:
    return summary(scores, labels)
  tops = top_k_accuracy(scores, labels, (1, 5))
  return {"top1": tops[0], "top5": tops[1], "mean_class_accuracy": mean_class_accuracy(scores, labels)}


def compare(published: dict[str, Any], here: dict[str, float]) -> list[tuple[str, float, float]]:
  """(metric, published, here), both in per cent, for each figure of the row."""
  rows = []
  for name, wanted in published.items():
    if name not in NOT_METRICS:
      ours = next((n for n in (name, *SAME.get(name, ())) if n in here), None)
      if ours is None:
        raise InputError(f"the row has {name}, which cannot be measured here: there are {', '.join(here)}")
      rows.append((name, float(wanted), 100 * float(here[ours])))
  return rows


def _model(config: dict[str, Any], path: str) -> tuple[Any, Any]:
  """The config's network with the weights at `path`."""
  name, classes = config["model"]["name"], config["model"]["num_classes"]
  if os.path.isdir(path):
    folder = load_folder(path)
    own = int(folder.fields["num_classes"])
    if (folder.name, own) != (name, classes):
      raise InputError(f"{path} is a {folder.name} with {own} classes; the row wants {name} with {classes}")
    if folder.reinitialized:
      raise InputError(f"{path}: {', '.join(folder.reinitialized)} hold first values; a figure would mean nothing")
    return folder.model, folder.variables
  file = read_checkpoint_file(path)
  try:
    own = num_classes(file.weights)
    if own != classes:
      raise InputError(f"{path} tells {own} classes apart; the row wants {classes}")
    model = create_model(name, num_classes=classes)
    return model, from_torch(file.weights, model)
  except CheckpointError as error:
    raise CheckpointError(f"{path} as {name}: {error}") from error


def _print_rows() -> None:
  for name in names():
    for key, row in published_rows(name).items():
      values = "  ".join(f"{metric} {value}" for metric, value in row.items() if metric not in NOT_METRICS)
      print(f"{name}:{key}\n    {values}  {row['checkpoint']}")


if __name__ == "__main__":
  sys.exit(cli.run(main))
