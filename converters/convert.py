"""`python -m converters.convert`: a PyTorch checkpoint to a folder that `jaction.load` opens, and back."""

import argparse
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from rich.console import Console
from rich.table import Table

from jaction.converters import from_torch, inflate, to_torch
from jaction.converters.engine import IGNORED
from jaction.converters.inflation import CLASSIFIER
from jaction.converters.names import num_classes, reversed_channels
from jaction.converters.reader import Checkpoint, read_checkpoint_file
from jaction.converters.tables_localization import fields_of, has_classes
from jaction.converters.writer import write_checkpoint
from jaction.errors import CheckpointError, InputError
from jaction.folders import Report, load_folder, merge, save_model, shapes_for
from jaction.models.inflation import FORMS
from jaction.models.variants import create_model, variant
from jaction.records.lists import read_label_map

SHOWN = 10  # names of each kind


def main(argv: list[str]) -> int:
  parser = argparse.ArgumentParser(prog="convert", description=__doc__)
  parser.add_argument("--model", metavar="NAME", help="the network, as jaction.list_models() names it")
  parser.add_argument("--checkpoint", required=True, help="a PyTorch file; with --to-torch a model folder")
  parser.add_argument("--output", required=True, help="the folder to write; with --to-torch the .pth")
  parser.add_argument("--num-classes", type=int, help="another count than the checkpoint's: the last layer starts anew")
  parser.add_argument("--labels", metavar="FILE", help="the names of the classes, one a line")
  parser.add_argument("--to-torch", action="store_true", help="write the folder's weights as a PyTorch state dict")
  parser.add_argument("--layout", help="with --to-torch: whose names (the model's own toolbox)")
  parser.add_argument(
    "--inflate",
    nargs="?",
    const=FORMS[0],
    choices=FORMS,
    help="the checkpoint is torchvision's ImageNet ResNet: into the middle of 3-D kernels, or spread over them",
  )
  parser.add_argument("--channels", type=int, help="with --inflate: of the input, such as 2 or 10 of optical flow")
  parser.add_argument("--overwrite", action="store_true", help="replace what is at --output")
  args = parser.parse_args(argv)
  output = Path(args.output)
  taken = output.exists() and (args.to_torch or not output.is_dir() or any(output.iterdir()))
  if taken and not args.overwrite:
    raise InputError(f"{output}: exists already; give another --output, or --overwrite to replace it")
  if args.channels is not None and args.inflate is None:
    raise InputError("--channels goes with --inflate; other checkpoints say it themselves")
  if args.to_torch:
    if args.inflate is not None:
      raise InputError("--inflate says nothing together with --to-torch")
    if args.num_classes is not None or args.labels is not None:
      raise InputError("--num-classes and --labels say nothing together with --to-torch: the folder has its own")
    to_file(args.checkpoint, output, layout=args.layout, name=args.model)
  elif args.model is None:
    raise InputError("--model is missing: the network that the checkpoint is for, such as tsm_r50_1x1x8")
  else:
    labels = () if args.labels is None else read_label_map(args.labels)
    if args.inflate is None:
      to_folder(args.checkpoint, output, name=args.model, classes=args.num_classes, labels=labels)
    else:
      channels = variant(args.model).shape[-1] if args.channels is None else args.channels
      options = {"classes": args.num_classes, "labels": labels, "form": args.inflate, "channels": channels}
      inflate_to_folder(args.checkpoint, output, name=args.model, **options)
  return 0


def to_folder(
  checkpoint: str | os.PathLike,
  output: str | os.PathLike,
  *,
  name: str,
  classes: int | None = None,
  labels: tuple[str, ...] = (),
) -> Report:
  """Converts a PyTorch file into a model folder, prints what became of each part, and returns the load report.

  classes: None for as many as the checkpoint has; another count leaves the layers that depend on it at initial values.
  Where the published weights take blue, green, red (Variant.bgr), the folder's take red, green, blue.
  """
  row = variant(name)
  file = read_checkpoint_file(checkpoint)
  try:
    own = num_classes(file.weights) if has_classes(create_model(name)) else 1
    classes = own if classes is None else classes
    if labels and len(labels) != classes:
      raise InputError(f"{len(labels)} labels for {classes} classes")
    model = create_model(name, num_classes=own, **fields_of(name, file.weights))
    variables = from_torch(file.weights, model)
    variables = reversed_channels(variables) if row.bgr else variables
  except CheckpointError as error:
    raise CheckpointError(f"{file.path} as {name}: {error}") from error
  report = Report(tuple(flatten_dict(variables, sep="/")))
  if classes != own:
    variables, report = _with_classes(variables, create_model(name, num_classes=classes))
  save_model(
    output,
    name=name,
    fields={"num_classes": classes, **fields_of(name, file.weights)},
    variables=variables,
    labels=labels,
    preprocessing=row.preprocessing_for(shapes_for(model, flatten_dict(variables, sep="/"))[1]),
    source=_source(file),
    reinitialized=report.reinitialized,
  )
  why = f"{own} classes in the checkpoint, {classes} wanted: train before use"
  _print(name, file, variables, report, why, classes)
  Console(highlight=False, soft_wrap=True).print(f"saved to {output}: open it with jaction.load({str(output)!r})")
  return report


def inflate_to_folder(
  checkpoint: str | os.PathLike,
  output: str | os.PathLike,
  *,
  name: str,
  classes: int | None = None,
  labels: tuple[str, ...] = (),
  form: str = FORMS[0],
  channels: int = 3,
) -> Report:
  """Writes a model folder to begin training from: torchvision's ImageNet ResNet inflated (see `inflate`).

  classes: None for as many as there are labels, else 400.
  """
  row = variant(name)
  classes = (len(labels) or 400) if classes is None else classes
  if labels and len(labels) != classes:
    raise InputError(f"{len(labels)} labels for {classes} classes")
  file = read_checkpoint_file(checkpoint)
  try:
    variables, initial = inflate(file.weights, create_model(name, num_classes=classes), form=form, channels=channels)
  except CheckpointError as error:
    raise CheckpointError(f"{file.path} as {name}: {error}") from error
  report = Report(tuple(path for path in flatten_dict(variables, sep="/") if path not in initial), initial)
  save_model(
    output,
    name=name,
    fields={"num_classes": classes},
    variables=variables,
    labels=labels,
    preprocessing=row.preprocessing_for(channels),
    source=_source(file) | {"inflated": form},
    reinitialized=report.reinitialized,
  )
  _print(name, file, variables, report, "ImageNet has nothing for them: train before use", classes)
  Console(highlight=False, soft_wrap=True).print(f"saved to {output}: name it as init.folder of an experiment")
  return report


def to_file(
  folder: str | os.PathLike, output: str | os.PathLike, *, layout: str | None = None, name: str | None = None
) -> None:
  """Writes the weights of a model folder as a state dict that `torch.load` reads and strict loading takes.

  Where the published weights take blue, green, red (Variant.bgr), so do these.
  """
  model = load_folder(folder)
  if name is not None and name != model.name:
    raise InputError(f"{folder} holds a {model.name}, not a {name}")
  variables = reversed_channels(model.variables) if variant(model.name).bgr else model.variables
  state = to_torch(variables, model.model, layout=layout, strict_keys=True)
  output = Path(output)
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(output, state)
  except OSError as error:
    raise CheckpointError(f"{output}: cannot be written: {error.strerror or error}") from error
  console = Console(highlight=False, soft_wrap=True)
  console.print(f"{model.name}: {len(state)} tensors saved to {output}")
  if model.reinitialized:
    console.print(f"{len(model.reinitialized)} of them were never trained: {', '.join(model.reinitialized)}")


def _with_classes(variables: dict, model: Any) -> tuple[dict, Report]:
  """The variables in a model of another class count, whose own initial values fill the leaves that depend on it."""
  flat: dict[str, Any] = flatten_dict(variables, sep="/")
  shapes, channels = shapes_for(model, flat)
  want: dict[str, Any] = flatten_dict(shapes, sep="/")
  anew = [path for path, leaf in want.items() if path in flat and flat[path].shape != leaf.shape]

  def initial(key):  # XLA drops the rest of the initialisation and the network's pass with it
    zeros = (jnp.zeros(one.shape, one.dtype) for one in model.inputs(channels))
    values = flatten_dict(model.init(key, *zeros), sep="/")
    return {path: values[path] for path in anew}

  want |= jax.tree.map(np.asarray, jax.jit(initial)(jax.random.key(0)))
  return merge(variables, unflatten_dict(want, sep="/"), reinit=anew)


def _source(file: Checkpoint) -> dict:
  with open(file.path, "rb") as opened:
    digest = hashlib.file_digest(opened, "sha256").hexdigest()
  return {"checkpoint": os.path.basename(file.path), "sha256": digest, "kind": file.kind}


def _print(name: str, file: Checkpoint, variables: dict, report: Report, why: str, classes: int) -> None:
  """The load report: counts, then the names behind all but the ordinary ones."""
  flat: dict[str, Any] = flatten_dict(variables, sep="/")
  sizes = {path: np.size(leaf) for path, leaf in flat.items()}
  parameters = sum(size for path, size in sizes.items() if path.startswith("params/"))
  ignored = [key for key in file.weights if key.endswith(IGNORED)]
  left_out = [key for key in CLASSIFIER if key in file.weights]
  widened = [key for key, value in file.weights.items() if value.dtype != np.float32 and key not in set(ignored)]
  rows = {
    "loaded": (report.loaded, "from the checkpoint"),
    "re-initialised": (report.reinitialized, why),
    "ignored": (ignored, "batch counters, which no computation here reads"),
    "left out": (left_out, "the classifier of ImageNet"),
    "stored as float32": (widened, "other number types in the checkpoint"),
    "not arrays": (file.skipped, "entries of the state dict without numbers"),
    "not built": (file.inert, "classes the file refers to; nothing of it was run"),
  }
  table = Table(title=f"{name}: {parameters:,} parameters, {classes} classes", title_justify="left")
  for heading in ("", "count", "numbers", "what"):
    table.add_column(heading, justify="right" if heading in ("count", "numbers") else "left")
  for kind, (names, words) in rows.items():
    if names or kind in ("loaded", "re-initialised", "ignored"):
      numbers = f"{sum(sizes[path] for path in names):,}" if kind in ("loaded", "re-initialised") else ""
      table.add_row(kind, str(len(names)), numbers, words if names else "")
  console = Console(highlight=False, soft_wrap=True)
  console.print(f"{file.path} ({file.kind}, {len(file.weights)} arrays)")
  console.print(table)
  for kind, (names, _) in rows.items():
    if names and kind not in ("loaded", "ignored"):
      more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
      console.print(f"{kind}: {', '.join(names[:SHOWN])}{more}", markup=False)


if __name__ == "__main__":
  from jaction.launch import cli

  sys.exit(cli.run(main))
