"""What the numbers of a config may be, looked at before anything is read or made."""

from collections.abc import Mapping
from typing import Any

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError

# dotted key -> (least, what it must be below or None, whether whole)
NUMBERS = {
  "seed": (0, 2**63, True),
  "batch_size": (1, None, True),
  "model.num_classes": (1, None, True),
  "model.fields.dropout": (0, 1, False),
  "data.threads": (0, None, True),
  "data.prefetch": (0, None, True),
  "data.cache_mb": (0, None, False),
  "loss.label_smoothing": (0, 1, False),
  "optimizer.momentum": (0, 1, False),
  "optimizer.b1": (0, 1, False),
  "optimizer.b2": (0, 1, False),
  "optimizer.eps": (0, None, False),
  "optimizer.weight_decay": (0, None, False),
  "optimizer.clip_norm": (0, None, False),
  "schedule.lr": (0, None, False),
  "schedule.final_lr": (0, None, False),
  "schedule.gamma": (0, None, False),
  "schedule.warmup_ratio": (0, None, False),
  "eval.batch_size": (1, None, True),
  "eval.max_views": (0, None, True),
  "checkpoint.keep": (1, None, True),
  "log.every_steps": (1, None, True),
  "log.seconds": (0, None, False),
}


def check_numbers(config: Mapping[str, Any]) -> None:
  """Raises InputError for a number out of its range, or none at all; keys that a model has not are left out."""
  for key, (least, below, whole) in NUMBERS.items():
    *folders, last = key.split(".")
    at = config
    for folder in folders:
      at = at[folder]
    if last not in at and folders == ["model", "fields"]:
      continue
    value = at[last]
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not least <= value < (float("inf") if below is None else below):
      wanted = f"{'a whole number' if whole else 'a number'}, {least} or more"
      raise InputError(f"{key}={value}: wanted {wanted}{'' if below is None else f', below {below}'}")


def check_label_tables(preprocessing: Mapping[str, Any], classes: int) -> None:
  """Raises InputError where a step's table of labels (such as flip's) is one of another number of classes."""
  for kind, settings in preprocessing.items():
    for step, values in settings["settings"].items():
      table = values.get("labels", ())
      if step in settings["steps"] and table and len(table) != classes:
        raise InputError(
          f"preprocessing.{kind}.settings.{step}.labels has {len(table)} entries and model.num_classes is {classes}: "
          f"it would change the labels of other classes. Wanted one entry a class, or no table, or no step {step} "
          "(of the toy configs, --config=toy_tsm:own has none)"
        )


def check_modality(preprocessing: Mapping[str, Preprocessing], *, sound: bool) -> None:
  """Raises InputError where training and test read records as different things, or a network as what it cannot see."""
  train, test = preprocessing["train"], preprocessing["test"]
  if (train.modality, train.channels) != (test.modality, test.channels):
    raise InputError(
      f"preprocessing.train.modality={train.modality!r} has {train.channels} channels and preprocessing.test.modality="
      f"{test.modality!r} has {test.channels}: wanted the same"
    )
  if sound != (train.modality == "spectrogram"):
    wanted = "spectrogram, as the network is one on sound" if sound else "rgb, flow or stacked_flow"
    raise InputError(f"preprocessing.train.modality={train.modality!r}: wanted {wanted}")
