"""Layers, parameters, operations and memory of a network, from its shapes alone: nothing is computed."""

import argparse
import collections
import math
import pathlib
import sys

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from rich.console import Console
from rich.table import Table

from jaction import folders
from jaction.errors import InputError
from jaction.flops import inputs_cost, model_cost
from jaction.launch import cli
from jaction.models import VARIANTS, create_model, list_models, variant


def main(argv: list[str]) -> None:
  """Prints what a name, or a folder, stands for."""
  parser = argparse.ArgumentParser("jaction inspect", description=__doc__)
  parser.add_argument("--list", action="store_true", help="the names of all models")
  parser.add_argument("--model", help="a model's name, a model folder, or the workdir of a training")
  parser.add_argument("--num-classes", type=int, help="of a name (default 400)")
  parser.add_argument("--depth", type=int, default=3, help="levels of the tree that rows stand for (default 3)")
  parser.add_argument("--leaves", action="store_true", help="every parameter with its shape")
  args = parser.parse_args(argv)
  if args.list:
    print("\n".join(list_models()))
    return
  if not args.model:
    raise InputError("--model is missing: wanted a name (see --list) or a folder")
  if args.depth < 1:
    raise InputError(f"--depth is {args.depth}; wanted at least 1")

  facts: dict[str, str] = {}
  if args.model in VARIANTS or not pathlib.Path(args.model).exists():
    name, fields = args.model, {} if args.num_classes is None else {"num_classes": args.num_classes}
    fields = {"num_classes": getattr(variant(name), "classes", 400)} | fields  # an unknown name is an error
  else:
    if args.num_classes is not None:
      raise InputError("--num-classes is for names; a folder knows its own")
    folder = folders.load_folder(args.model)
    name, fields = folder.name, folder.fields
    facts["folder"] = args.model
    if folder.labels:
      facts["labels"] = ", ".join(folder.labels[:8]) + (", ..." if len(folder.labels) > 8 else "")
    if folder.reinitialized:
      facts["not learned"] = ", ".join(folder.reinitialized)
    if folder.source:
      facts["source"] = str(folder.source)
  model, row = create_model(name, **fields), variant(name)
  clip, test, clips = _clip(row)
  inputs = model.inputs() if row.task != "recognition" else (jax.ShapeDtypeStruct(clips, np.float32),)
  variables = jax.eval_shape(model.init, jax.random.key(0), *inputs)
  leaves = flatten_dict(variables["params"], sep="/")
  cost = inputs_cost(model) if clips is None else model_cost(model, clips)
  params = sum(math.prod(leaf.shape) for leaf in leaves.values())
  facts = {
    "name": name,
    "paper": row.paper or "none: a small network of ours",
    "fields": ", ".join(f"{key}={value}" for key, value in fields.items()),
    "clip": clip,
    "parameters": f"{params:,}, {4 * params / 1e6:.1f} MB as float32",
    "operations": f"{cost.macs / 1e9:.3g} G multiply-accumulates a clip",
    "memory": f"{cost.peak_bytes / 1e6:.0f} MB of activations at once a clip, forward, float32 (estimated from shapes)",
    "test": test,
  } | facts

  console = Console()
  table = Table(show_header=False)
  for key, value in facts.items():
    table.add_row(key, value)
  console.print(table, highlight=False)
  console.print(_leaves(leaves) if args.leaves else _modules(leaves, cost.by_module, args.depth))


def _clip(row):
  """What goes in and how it is tested, in words, and the shape of clips, which localizers do not have."""
  if row.task == "localization":
    return row.takes, "see docs/localization.md", None
  frames, stride, side = row.clip
  sampling = f"{frames} segments" if row.segments else f"{frames} frames at stride {stride}"
  clip = f"{sampling}, {side} x {side} pixels" if len(row.shape) == 4 else f"{frames} frames of {side} mel bands"
  if row.task == "detection":
    return clip, f"1 clip around the key frame, whole frames, short side {row.short}", (1, *row.shape)
  return clip, _protocol(row), (1, 1, *row.shape)


def _protocol(row):
  kind, count, short, crop, sampling, *_ = row.views
  if kind == "spectrograms":
    return f"{count} {kind}"
  how = "" if sampling == "uniform" else f", {sampling} sampling"
  return f"{count} {kind}{how}, short side {short}, {crop.replace('_', ' ')}"


def _modules(leaves, macs, depth):
  """A row for each part of the tree, `depth` levels down."""
  parameters, operations = collections.Counter(), collections.Counter()
  for path, leaf in leaves.items():
    parameters["/".join(path.split("/")[:-1][:depth])] += math.prod(leaf.shape)
  for path, count in macs.items():
    operations["/".join(path.split("/")[:depth])] += count
  table = Table("module", title="layers")
  for column in ("parameters", "G multiply-accumulates"):
    table.add_column(column, justify="right")
  for path, count in parameters.items():
    table.add_row(path, f"{count:,}", f"{operations[path] / 1e9:.3f}")
  return table


def _leaves(leaves):
  table = Table("parameter", "shape", title="parameters")
  for path, leaf in leaves.items():
    table.add_row(path, " x ".join(map(str, leaf.shape)))
  return table


if __name__ == "__main__":
  sys.exit(cli.run(main))
