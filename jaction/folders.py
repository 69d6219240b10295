"""A model in a folder: `model.json`, which people can read, and the weights beside it in one .npz.

model.json names the file of weights, and is written last, in one step: whatever moment a save dies at, the folder holds
the earlier model or the new one, or no model at all; never a mixture.
"""

import fnmatch
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from jaction.errors import CheckpointError, InputError, nearest
from jaction.models import create_model
from jaction.models.fuse import fused_shapes, is_fused

FORMAT = 1
SHOWN = 30  # lines of one error
KEYS = {  # of model.json, with what each must be
  "name": str,
  "fields": dict,
  "labels": list,
  "preprocessing": dict | None,
  "reinitialized": list,
  "source": dict | None,
  "weights": dict,
}


@dataclass(frozen=True)
class Report:
  """Paths ("params/head/fc/kernel") of the leaves that `merge` took from the weights, and of those it left."""

  loaded: tuple[str, ...]
  reinitialized: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFolder:
  """A model and all that its folder says of it."""

  model: nn.Module
  variables: dict  # {"params": ..., "batch_stats": ...}, numpy arrays
  name: str
  fields: dict[str, Any]  # what create_model was given beside the name, num_classes among it
  labels: tuple[str, ...] = ()  # of the classes; () where unknown
  preprocessing: dict | None = None  # for jaction.clips.Preprocessing.from_json
  reinitialized: tuple[str, ...] = ()  # leaves that hold initial values: scores mean nothing before training
  source: dict | None = field(default=None)  # where the weights come from


def load(path: str | os.PathLike) -> tuple[nn.Module, dict]:
  """(model, variables) of a model folder, or of the best model in a training work directory."""
  folder = load_folder(path)
  return folder.model, folder.variables


def save_model(
  folder: str | os.PathLike,
  *,
  name: str,
  fields: Mapping[str, Any],
  variables: Mapping[str, Any],
  labels: Iterable[str] = (),
  preprocessing: Mapping[str, Any] | None = None,
  source: Mapping[str, Any] | None = None,
  reinitialized: Iterable[str] = (),
) -> None:
  """Writes a model that `load` opens; a model that is there already is replaced, in one step.

  name, fields: what create_model makes the model from (`num_classes` is one of the fields).  variables: of training, or
  of `jaction.models.fuse`, which load as they are.  labels: a name for each class, or none.  Raises InputError where
  labels and classes differ in number, CheckpointError where the disk refuses (the earlier model then stays as it was).
  """
  folder, labels, fields = Path(folder), list(labels), dict(fields)
  classes = fields.get("num_classes", 400)
  if labels and len(labels) != classes:
    raise InputError(f"{len(labels)} labels for a model of {classes} classes")
  flat = {path: np.asarray(leaf) for path, leaf in _flat(variables).items()}
  strange = [f"{path} ({leaf.dtype})" for path, leaf in flat.items() if leaf.dtype.kind not in "fiubcV"]
  if strange:
    raise InputError(f"leaves without numbers cannot be saved: {', '.join(strange[:SHOWN])}")
  odd = {path: leaf.dtype.name for path, leaf in flat.items() if leaf.dtype.isbuiltin != 1}  # bfloat16: unknown to .npz
  flat = {path: leaf.view(f"u{leaf.itemsize}") if path in odd else leaf for path, leaf in flat.items()}
  weights = f"weights-{_digest(flat)}.npz"
  try:
    facts = {
      "format": FORMAT,
      "name": name,
      "fields": fields,
      "labels": labels,
      "preprocessing": None if preprocessing is None else dict(preprocessing),
      "reinitialized": sorted(reinitialized),
      "source": None if source is None else dict(source),
      "weights": {
        "file": weights,
        "leaves": len(flat),
        "parameters": sum(leaf.size for path, leaf in flat.items() if path.startswith("params/")),
        "dtypes": odd,
        "fused": is_fused(variables),  # batch norms folded: for inference alone
      },
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
  except (TypeError, ValueError) as error:
    raise InputError(f"fields, preprocessing and source must be what JSON can hold: {error}") from error
  try:
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / weights, lambda file: np.savez(file, **flat))  # type: ignore[arg-type]
    _write(folder / "model.json", lambda file: file.write(text.encode()))
  except OSError as error:
    raise CheckpointError(f"{folder}: cannot be saved: {error.strerror or error}; what was there stays") from error
  for stale in (*folder.glob("weights-*.npz"), *folder.glob("*.part")):  # of earlier models, of saves that were killed
    if stale.name != weights:
      stale.unlink(missing_ok=True)


def load_folder(path: str | os.PathLike) -> ModelFolder:
  """The model in a folder with all that is known of it.

  path: what save_model or `converters.convert` wrote, or a training work directory (its `model/` is opened).  Raises
  CheckpointError where it is missing, unfinished, damaged, of another format, or its weights do not fit the model.
  """
  folder = _find(Path(path))
  facts = _facts(folder)
  fields: dict[str, Any] = {
    key: tuple(value) if isinstance(value, list) else value for key, value in facts["fields"].items()
  }
  flat = _weights(folder, facts["weights"])
  try:
    model = create_model(facts["name"], **fields)
  except InputError as error:
    raise CheckpointError(f"{folder}/model.json: {error}") from error
  try:
    shapes, channels = shapes_for(model, flat)
    if facts["weights"].get("fused", False):
      shapes = fused_shapes(model, shapes, *model.inputs(channels))
    variables, _ = merge(unflatten_dict(flat, sep="/"), shapes)
    variables.setdefault("batch_stats", {})  # fused, it has none
  except CheckpointError as error:
    raise CheckpointError(f"{folder}: its weights are not those of {facts['name']}: {error}") from error
  return ModelFolder(
    model=model,
    variables=variables,
    name=facts["name"],
    fields=fields,
    labels=tuple(facts["labels"]),
    preprocessing=facts["preprocessing"],
    reinitialized=tuple(facts["reinitialized"]),
    source=facts["source"],
  )


def merge(weights: Mapping[str, Any], into: Mapping[str, Any], *, reinit: Iterable[str] = ()) -> tuple[dict, Report]:
  """(variables, report): the tree `into` with its leaves taken from `weights`.

  into: arrays, or shapes (jax.eval_shape) where nothing is left at its initial value.  reinit: paths, or beginnings of
  paths such as "params/head" or "params/backbone/*/interlace", whose leaves stay as they are in `into`, whatever
  `weights` has there; a * stands for any part of a path.  Every leaf that
  is missing, unexpected, of another shape or dtype is in one CheckpointError; a `reinit` that names nothing is an
  InputError.
  """
  want, have = _flat(into), _flat(weights)
  reinit = [prefix.strip("/") for prefix in reinit]

  def begins(path: str, prefix: str) -> bool:
    return fnmatch.fnmatchcase(path, prefix) or fnmatch.fnmatchcase(path, prefix + "/*")

  def left(path: str) -> bool:
    return any(begins(path, prefix) for prefix in reinit)

  for prefix in reinit:
    under = [path for path in want if begins(path, prefix)]
    if not under:
      parents = {"/".join(path.split("/")[:n]) for path in want for n in range(1, path.count("/") + 2)}
      raise InputError(f"nothing to re-initialise at {prefix!r}.{nearest(prefix, sorted(parents))}")
    if any(isinstance(want[path], jax.ShapeDtypeStruct) for path in under):
      raise InputError(f"no initial values for {prefix!r}: `into` holds shapes there, want arrays")
  problems = []
  for path, leaf in want.items():
    if left(path):
      continue
    if path not in have:
      problems.append(f"{path} {leaf.shape}: missing in the weights")
    elif np.shape(have[path]) != leaf.shape:
      problems.append(f"{path}: the weights have {np.shape(have[path])}, the model {leaf.shape}")
    elif have[path].dtype != leaf.dtype:
      problems.append(f"{path}: the weights are {have[path].dtype}, the model's are {leaf.dtype}")
  for path, leaf in have.items():
    if path not in want and not left(path):
      problems.append(f"{path} {np.shape(leaf)}: the model has no such leaf.{nearest(path, want, n=1)}")
  if problems:
    shown = problems[:SHOWN] + [f"and {len(problems) - SHOWN} more"] * (len(problems) > SHOWN)
    raise CheckpointError(f"{len(problems)} difference(s) between weights and model:\n  " + "\n  ".join(shown))
  out = {path: leaf if left(path) else have[path] for path, leaf in want.items()}
  kept = tuple(path for path in want if left(path))
  return unflatten_dict(out, sep="/"), Report(tuple(path for path in want if not left(path)), kept)


def _flat(tree: Any) -> dict[str, Any]:
  """{"params/head/fc/kernel": leaf, ...}"""
  return flatten_dict(tree, sep="/")


def _digest(flat: Mapping[str, np.ndarray]) -> str:
  digest = hashlib.blake2b(digest_size=6)
  for path, leaf in flat.items():
    digest.update(f"{path} {leaf.dtype} {leaf.shape}".encode())
    digest.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)
  return digest.hexdigest()


def _write(path: Path, put) -> None:
  """Calls put(file) on a file beside `path`, and renames it when all of it is on the disk."""
  part = path.with_name(path.name + ".part")
  try:
    with open(part, "wb") as file:
      put(file)
      file.flush()
      os.fsync(file.fileno())
    os.replace(part, path)
  except BaseException:
    part.unlink(missing_ok=True)
    raise


def _find(path: Path) -> Path:
  """The folder itself, or the one called `model` in it."""
  for folder in (path, path / "model"):
    if (folder / "model.json").is_file():
      return folder
  if path.is_file():
    raise CheckpointError(f"{path}: a file, want a model folder; a PyTorch file is made one by `jaction convert`")
  if not path.is_dir():
    raise CheckpointError(f"{path}: there is no such folder")
  if any(found for folder in (path, path / "model") for found in folder.glob("weights-*.npz*")):
    raise CheckpointError(f"{path}: weights without a model.json: a save that never ended; make the folder again")
  raise CheckpointError(f"{path}: no model.json in it (nor in {path}/model): no model was saved here")


def _facts(folder: Path) -> dict:
  """What model.json says, checked."""
  path = folder / "model.json"
  try:
    facts = json.loads(path.read_text("utf-8"))
  except (OSError, ValueError, RecursionError) as error:
    raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from error
  if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
    raise CheckpointError(f"{path}: no model description: want an object with a number under 'format'")
  if facts["format"] != FORMAT:
    raise CheckpointError(f"{path}: format {facts['format']}, want {FORMAT}: written by another version of jaction")
  for key, kind in KEYS.items():
    if key not in facts:
      raise CheckpointError(f"{path}: {key!r} is missing")
    if not isinstance(facts[key], kind):
      raise CheckpointError(f"{path}: {key!r} is a {type(facts[key]).__name__}, want {getattr(kind, '__name__', kind)}")
  if not all(isinstance(text, str) for key in ("labels", "reinitialized") for text in facts[key]):
    raise CheckpointError(f"{path}: 'labels' and 'reinitialized' must be lists of text")
  return facts


def _weights(folder: Path, facts: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """{path: array} of the .npz, checked against its checksums and the count of leaves."""
  name, dtypes = facts.get("file"), facts.get("dtypes", {})
  if not isinstance(name, str) or os.path.basename(name) != name or not isinstance(dtypes, dict):
    raise CheckpointError(f"{folder}/model.json: 'weights' names no file of the folder")
  try:
    with open(folder / name, "rb") as file, np.load(file, allow_pickle=False) as archive:
      flat = {path: archive[path] for path in archive.files}
    for path, dtype in dtypes.items():
      flat[path] = flat[path].view(getattr(ml_dtypes, dtype))
  except FileNotFoundError as error:
    raise CheckpointError(f"{folder}: its weights, {name}, are missing: copy the whole folder") from error
  except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
    raise CheckpointError(f"{folder}/{name}: damaged or truncated: {error}") from error
  if len(flat) != facts.get("leaves"):
    raise CheckpointError(f"{folder}/{name}: {len(flat)} leaves, model.json says {facts.get('leaves')}")
  return flat


def _shapes(model: Any, channels: int) -> dict:
  """The model's variables as shapes, without a computation."""
  return jax.eval_shape(model.init, jax.random.key(0), *model.inputs(channels))


def shapes_for(model: Any, flat: Mapping[str, np.ndarray]) -> tuple[dict, int]:
  """(the model's variables as shapes, input channels): as many channels (RGB 3, flow 2 or 10) as the weights
  {path: array} are made for, 3 where they do not tell."""
  if own := getattr(model, "feat_dim", 0):  # networks on features say it themselves
    return _shapes(model, own), own
  shapes = _shapes(model, 3)
  for path, leaf in _flat(shapes).items():
    have, want = np.shape(flat.get(path, 0)), leaf.shape
    if len(have) == len(want) > 2 and have != want and want[-2] % 3 == 0:  # a first kernel [..., a multiple of C, out]
      if have[:-2] == want[:-2] and have[-1] == want[-1] and have[-2] % (want[-2] // 3) == 0:
        channels = have[-2] // (want[-2] // 3)
        return _shapes(model, channels), channels
  return shapes, 3
