"""What an MMAction2 config says, in the keys of a jaction config, and the known faults of the originals in it."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jaction.converters.config_faults import known_faults
from jaction.converters.config_network import network
from jaction.converters.config_pipelines import (
  PHASES,
  at,
  dataset_of,
  kind_of,
  modality_of,
  pipeline_of,
  views,
)
from jaction.converters.config_values import MISSING
from jaction.errors import InputError

OPTIMIZERS = {"SGD": "sgd", "Adam": "adam", "AdamW": "adamw"}
RENAMED = {"lr": "schedule.lr", "momentum": "optimizer.momentum", "nesterov": "optimizer.nesterov"} | {
  key: f"optimizer.{key}" for key in ("weight_decay", "eps")
}
DATASETS = (  # what a path says -> what names of configs say; the first match counts
  ("mini[-_]?kinetics", "minikinetics"),
  ("(kinetics|k)[-_]?(400|600|700)", r"kinetics\2"),
  ("(sth|ssv|something)\\D{0,24}([12])", r"sthv\2"),
  ("hvu", "hvu"),
  ("gym", "gym99"),
  ("mmit", "mmit"),
  ("ucf", "ucf101"),
  ("hmdb", "hmdb51"),
  ("activitynet|anet", "activitynet"),
  ("(^|[/_])mit([/_]|$)", "mit"),
  ("kinetics", "kinetics400"),
)
HINTS = (  # parts of names that say how a config differs from another with the same facts
  *("video", "inference", "test", "lazy", "fp16", "imagenet_pretrained", "activitynet_clip", "activitynet_video"),
  *("hmdb51_imagenet", "hmdb51_kinetics400", "hmdb51_mit"),
)
CATEGORY = re.compile("action|attribute|concept|event|object|scene")


class Facts(NamedTuple):
  """What was understood.

  values: {jaction key: value}; `preprocessing.PHASE.settings` is a dict of dicts.  faults: (beginning of the keys, what
  is wrong in the original); ours differs there on purpose.  remarks: what has no key.  dataset: as names of configs say
  it, "" if unknown.  disk: the size of the videos on disk, as paths say it.  hints: words that a name would have.
  """

  values: dict[str, Any]
  faults: tuple[tuple[str, str], ...]
  remarks: tuple[str, ...]
  dataset: str
  disk: str
  hints: frozenset[str]
  per_gpu: int


def facts(values: Mapping[str, Any], *, gpus: int = 8) -> Facts:
  """Restates the values of `read_config`; an InputError where there is no model, or one of no form that is known."""
  if not isinstance(values.get("model"), Mapping):
    raise InputError("the config has no model=dict(...): wanted a config of MMAction2")
  try:
    return _facts(values, gpus)
  except (TypeError, ValueError, AttributeError, ArithmeticError) as error:  # values of any type may stand anywhere
    raise InputError(f"the config holds a value of a type that none of MMAction2's has: {error}") from error


def _facts(values: Mapping[str, Any], gpus: int) -> Facts:
  model, remarks, found = values["model"], [], {}
  head, modality, name = at(model, "cls_head"), modality_of(values), network(values)
  if name:
    found["model.name"] = name
  else:
    remarks.append(f"model: {kind_of(at(model, 'backbone')) or kind_of(model) or 'a network'} is not known here")
  for key, theirs in (("model.num_classes", "num_classes"), ("model.fields.dropout", "dropout_ratio")):
    if at(head, theirs) is not None:
      found[key] = at(head, theirs)
  if at(head, "label_smooth_eps"):
    found["loss.label_smoothing"] = head["label_smooth_eps"]
  modern = any(key in values for key in ("optim_wrapper", "train_dataloader", "test_dataloader", "param_scheduler"))
  segments = kind_of(model) in ("Recognizer2D", "")
  for theirs, ours in PHASES.items():
    options = {"segments": segments, "modern": modern, "modality": modality, "remarks": remarks}
    part = views(pipeline_of(values, theirs), theirs, **options)
    if part and modality != "spectrogram":
      part = _normalised_by_model(model) | part
    found |= {f"preprocessing.{ours}.{key}": value for key, value in part.items()}
  average = _average(values, segments)
  if average and "preprocessing.published.sampler" in found:
    found["preprocessing.published.average"] = average
  found |= _optimizer(values, remarks)
  epochs, steps = _length(values)
  found |= {"duration.epochs": float(epochs)} if epochs else {"duration.steps": steps} if steps else {}
  found |= _schedule(values, epochs, found.get("schedule.lr") or 0, remarks)
  per_gpu = at(values, "data", "videos_per_gpu") or at(values, "train_dataloader", "batch_size") or 0
  per_gpu = per_gpu if isinstance(per_gpu, int) and per_gpu > 0 else 0
  if per_gpu and any(key in found for key in ("schedule.lr", "duration.epochs")):
    found["batch_size"] = per_gpu * gpus
  for key in ("load_from", "resume_from"):
    if values.get(key):
      remarks.append(f"{key} = {values[key]!r:.120}: convert it (jaction convert) and name it by --config.init.folder")
  pretrained = at(model, "backbone", "pretrained") or at(model, "pretrained")
  if pretrained:
    remarks.append(f"backbone weights {pretrained!r:.120}: convert them and name them by --config.init.folder")
  if isinstance(at(values, "data", "train"), list | tuple):
    remarks.append("data.train is a list of sets: only the first is compared")
  texts = list(_texts(values))
  faults = known_faults(values, found, modality, modern, _dataset(texts))
  disk = next((size for size in ("340x256", "320p", "256p") if any(size in text for text in texts)), "")
  found = {key: value for key, value in found.items() if value is not MISSING}
  hints = _hints(values, texts, modern)
  return Facts(found, tuple(faults), tuple(dict.fromkeys(remarks)), _dataset(texts), disk, hints, per_gpu)


def _average(values: Mapping[str, Any], segments: bool) -> Any:
  """Of the views' scores; where a 2-D network is said to have none, its head averages the segments."""
  places = (at(values, "model", "test_cfg"), values.get("test_cfg"), at(values, "model", "cls_head"))
  said = [place["average_clips"] for place in places if isinstance(place, Mapping) and "average_clips" in place]
  return said[0] or ("score" if segments and said[0] is None else None) if said else None


def _normalised_by_model(model: Mapping[str, Any]) -> dict[str, Any]:
  """1.x: the model's data_preprocessor; `to_rgb` only undoes a decoder's order."""
  part = at(model, "data_preprocessor")
  part = part or {}
  return {key: tuple(map(float, part[key])) for key in ("mean", "std") if isinstance(part.get(key), list | tuple)}


def _optimizer(values: Mapping[str, Any], remarks: list[str]) -> dict[str, Any]:
  wrapper = values.get("optim_wrapper") or {}
  optimizer = at(wrapper, "optimizer") or values.get("optimizer")
  if not isinstance(optimizer, Mapping):
    return {}
  found: dict[str, Any] = {}
  kind = kind_of(optimizer)
  if kind in OPTIMIZERS:
    found["optimizer.name"] = OPTIMIZERS[kind]
  else:
    remarks.append(f"the optimizer {kind or 'without a type'} is not known here")
  if kind == "SGD":  # torch's defaults
    found |= {"optimizer.momentum": 0.0, "optimizer.nesterov": False}
  found["optimizer.weight_decay"] = 0.01 if kind == "AdamW" else 0.0
  found |= {ours: optimizer[key] for key, ours in RENAMED.items() if key in optimizer}
  betas = optimizer.get("betas")
  if isinstance(betas, list | tuple) and len(betas) == 2:
    found |= {"optimizer.b1": betas[0], "optimizer.b2": betas[1]}
  hook = at(values, "optimizer_config") or at(values, "default_hooks", "optimizer")
  clip = at(wrapper, "clip_grad") or at(hook, "grad_clip")
  found["optimizer.clip_norm"] = (
    MISSING if MISSING in _entries(wrapper, hook, clip) else float(at(clip, "max_norm") or 0)
  )
  if at(clip, "norm_type") not in (None, 2):
    remarks.append(f"the gradient is clipped by another norm than the Euclidean: {clip['norm_type']!r:.20}")
  constructor = at(wrapper, "constructor") or optimizer.get("constructor") or ""
  paramwise = at(wrapper, "paramwise_cfg") or optimizer.get("paramwise_cfg")
  if constructor.startswith("TSM"):
    rest = (("*/scale", 1.0, 0.0), ("*/bias", 1.0, 0.0))
    first = ("head/*/kernel", 5.0, 1.0), ("head/*/bias", 10.0, 0.0)
    found["optimizer.groups"] = first + rest if at(paramwise, "fc_lr5") else (("head/*/bias", 2.0, 0.0), *rest)
  elif constructor or paramwise:
    remarks.append(f"parameter groups by {constructor or 'paramwise_cfg'}: see optimizer.groups")
  else:
    found["optimizer.groups"] = ()
  return found


def _entries(*parts: Any) -> list[Any]:
  return [value for part in parts if isinstance(part, Mapping) for value in part.values()]


def _length(values: Mapping[str, Any]) -> tuple[float, int]:
  """(epochs, steps) of training; 0 for what is not said."""
  loop = at(values, "runner") or at(values, "train_cfg")
  epochs = at(values, "total_epochs") or at(loop, "max_epochs") or 0
  return epochs, at(values, "total_iters") or at(loop, "max_iters") or 0


def _schedule(values: Mapping[str, Any], epochs: float, lr: Any, remarks: list[str]) -> dict[str, Any]:
  old, new = values.get("lr_config"), values.get("param_scheduler")
  if isinstance(old, Mapping):
    return _policy(old, epochs, lr, remarks)
  if isinstance(new, Mapping):
    new = [new]
  return _schedulers([part for part in new if isinstance(part, Mapping)], lr, remarks) if new else {}


def _policy(config: Mapping[str, Any], epochs: float, lr: Any, remarks: list[str]) -> dict[str, Any]:
  """0.x: lr_config."""
  if MISSING in config.values():
    remarks.append("lr_config: parts of it could not be read, and it is not compared")
    return {}
  policy, by_epoch = str(config.get("policy", "")).lower(), bool(config.get("by_epoch", True))
  found: dict[str, Any] = {"schedule.by_epoch": by_epoch}
  if policy == "step":
    steps = config.get("step", ())
    every = isinstance(steps, int) and steps > 0  # a single number: again and again
    count = min(1000, math.ceil(epochs / steps)) if every else 0
    milestones = tuple(steps * i for i in range(1, count)) if every else tuple(steps)
    found |= {"schedule.name": "step" if milestones else "constant"}
    found |= {"schedule.milestones": milestones, "schedule.gamma": config.get("gamma", 0.1)} if milestones else {}
  elif policy.startswith("cosine"):
    least = config.get("min_lr")
    least = lr * config["min_lr_ratio"] if least is None and "min_lr_ratio" in config else least or 0
    found |= {"schedule.name": "cosine", "schedule.final_lr": float(least)}
  elif policy == "fixed":
    found["schedule.name"] = "constant"
  else:
    remarks.append(f"lr_config: the policy {policy!r:.40} is not known here")
    return {}
  length = config.get("warmup_iters", 0) if config.get("warmup") else 0
  found |= {"schedule.warmup.epochs": 0.0, "schedule.warmup.steps": 0}
  if length:
    in_epochs = config.get("warmup_by_epoch")
    found["schedule.warmup.epochs" if in_epochs else "schedule.warmup.steps"] = float(length) if in_epochs else length
    found["schedule.warmup_ratio"] = config.get("warmup_ratio", 0.1)
    if config["warmup"] != "linear":
      remarks.append(f"lr_config: the warm-up is {config['warmup']!r:.20}; here it is linear")
  return found


def _schedulers(parts: list[Mapping[str, Any]], lr: Any, remarks: list[str]) -> dict[str, Any]:
  """1.x: param_scheduler."""
  found: dict[str, Any] = {"schedule.warmup.epochs": 0.0, "schedule.warmup.steps": 0, "schedule.name": "constant"}
  if any(MISSING in part.values() for part in parts):
    remarks.append("param_scheduler: parts of it could not be read, and it is not compared")
    return {}
  for part in parts:
    kind, by_epoch = kind_of(part), part.get("by_epoch", True)
    if kind == "LinearLR" and (part.get("begin", 0) == 0) and part.get("end"):
      end = part["end"]
      found["schedule.warmup.epochs" if by_epoch else "schedule.warmup.steps"] = float(end) if by_epoch else end
      found["schedule.warmup_ratio"] = part.get("start_factor", 1 / 3)
      if by_epoch and not part.get("convert_to_iter_based"):
        remarks.append("param_scheduler: the warm-up rises between epochs; here it rises with every step")
    elif kind in ("MultiStepLR", "CosineAnnealingLR"):
      found["schedule.by_epoch"] = bool(by_epoch) and not part.get("convert_to_iter_based", False)
      if kind == "MultiStepLR":
        found |= {"schedule.name": "step", "schedule.milestones": tuple(part.get("milestones", ()))}
        found["schedule.gamma"] = part.get("gamma", 0.1)
      else:
        least = part.get("eta_min")
        least = lr * part["eta_min_ratio"] if least is None and part.get("eta_min_ratio") else least or 0
        found |= {"schedule.name": "cosine", "schedule.final_lr": float(least)}
      if kind == "CosineAnnealingLR" and part.get("begin", 0):
        remarks.append(f"param_scheduler: the cosine begins at epoch {part['begin']}; here it spans the whole training")
    elif kind != "ConstantLR":
      remarks.append(f"param_scheduler: {kind or 'an entry without a type'} is not known here")
  return found


def _hints(values: Mapping[str, Any], texts: list[str], modern: bool) -> frozenset[str]:
  """Words out of HINTS: what names of configs say beyond the facts."""
  found, dataset = set(), _dataset(texts)
  if any(kind_of(dataset_of(values, phase)) == "VideoDataset" for phase in PHASES) and not modern:
    found.add("video")
  if not pipeline_of(values, "train"):
    found |= {"inference", "test"}
  if any(at(step, "lazy") for step in pipeline_of(values, "train")):
    found.add("lazy")
  if values.get("fp16") is not None:
    found.add("fp16")
  backbone = at(values, "model", "backbone")
  if at(backbone, "pretrained") and kind_of(backbone).startswith("ResNet3d"):
    found.add("imagenet_pretrained")
  if dataset == "hmdb51":
    found.add(f"hmdb51_{_dataset([str(values.get('load_from') or '').lower()]) or 'imagenet'}")
  if dataset == "activitynet":
    found |= {f"activitynet_{kind}" for kind in ("clip", "video") if any(f"{kind}" in text for text in texts)}
  return frozenset(found)


def _texts(values: Mapping[str, Any]) -> Iterable[str]:
  """What names the data: lists and folders, those of training first."""
  for phase in PHASES:
    part = dataset_of(values, phase)
    folders = part.get("data_prefix")
    for text in (part.get("ann_file"), *(folders.values() if isinstance(folders, Mapping) else [folders])):
      if isinstance(text, str):
        yield text.lower()
  for key, value in values.items():
    if isinstance(value, str) and key.startswith(("ann_file", "data_root", "dataset")):
      yield value.lower()


def _dataset(texts: list[str]) -> str:
  for text in texts:
    for pattern, name in DATASETS:
      if match := re.search(pattern, text):
        kind = CATEGORY.search(text)
        return match.expand(name) + (f"_{kind.group()}" if name == "hvu" and kind else "")
  return ""
