"""What a config may say of numbers, labels and metrics, looked at before anything is made."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError, nearest
from jaction.records import Record

SINGLE = ("top1", "top5", "mean_class_accuracy")  # what eval.metric may be with one label a video
SEVERAL = ("mean_average_precision", "mmit_mean_average_precision", "top1", "top5")  # and with several

PER_SET = ("share", "balance")
DRAWING = {"share": 1, "balance": 1.0, "weights": "", "repeats": 1}  # how often which video: data.<key>, what is plain
# dotted key -> (least, what it must be below or None, whether whole)
NUMBERS = {
  "seed": (0, 2**63, True),
  "batch_size": (1, None, True),
  "accumulate": (1, None, True),
  "mesh.model": (1, None, True),
  "multigrid.divisor": (1, None, True),
  "localization.test_interval": (1, None, True),
  "localization.piece": (1, None, True),
  "localization.top_k": (1, None, True),
  "localization.nms_threshold": (0, 1, False),
  "model.num_classes": (1, None, True),
  "model.fields.dropout": (0, 1, False),
  "data.threads": (0, None, True),
  "data.processes": (0, None, True),
  "data.recycle": (0, None, True),
  "data.timeout": (0, None, False),
  "data.max_errors": (0, None, False),
  "data.prefetch": (0, None, True),
  "data.cache_mb": (0, None, False),
  "data.share": (1, None, True),
  "data.repeats": (1, None, True),
  "data.balance": (0, None, False),
  "loss.label_smoothing": (0, 1, False),
  "loss.weight": (0, None, False),
  "loss.beta": (0, 1, False),
  "loss.gamma": (0, None, False),
  "blending.alpha": (0, None, False),
  "blending.probability": (0, None, False),
  "optimizer.momentum": (0, 1, False),
  "optimizer.b1": (0, 1, False),
  "optimizer.b2": (0, 1, False),
  "optimizer.eps": (0, None, False),
  "optimizer.weight_decay": (0, None, False),
  "optimizer.clip_norm": (0, None, False),
  "optimizer.layer_decay": (0, None, False),
  "optimizer.trust": (0, None, False),
  "optimizer.ema": (0, 1, False),
  "schedule.lr": (0, None, False),
  "schedule.final_lr": (0, None, False),
  "schedule.gamma": (0, None, False),
  "schedule.warmup_ratio": (0, None, False),
  "schedule.reference_batch": (0, None, True),
  "schedule.interval": (0, None, False),
  "divergence.loss": (0, None, False),
  "divergence.limit": (0, None, True),
  "checkpoint.minutes": (0, None, False),
  "log.watchdog": (0, None, False),
  "eval.batch_size": (1, None, True),
  "eval.max_views": (0, None, True),
  "eval.precise_norm": (0, None, True),
  "checkpoint.keep": (1, None, True),
  "log.every_steps": (1, None, True),
  "log.seconds": (0, None, False),
}


def check_numbers(config: Mapping[str, Any]) -> None:
  """Raises InputError for a number out of its range, or none at all; keys that a model has not are left out."""
  sets = {f"data.mix.{name}.{key}": NUMBERS[f"data.{key}"] for name in config["data"]["mix"] for key in PER_SET}
  for key, (least, below, whole) in (NUMBERS | sets).items():
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


def check_plain(config: Mapping[str, Any]) -> None:
  """Raises InputError for what only task recognition does, where another would leave it out without a word."""
  found = {
    "blending.name": (config["blending"]["name"], ""),
    **{f"data.{key}": (config["data"][key], plain) for key, plain in DRAWING.items()},
    "data.mix": (sorted(config["data"]["mix"]), []),
  }
  for key, (value, plain) in found.items():
    if value != plain:
      raise InputError(f"{key}={value!r} with task={config['task']!r}: wanted {plain!r}, only recognition has it")


def check_parts(config: Mapping[str, Any], devices: int) -> None:
  """Raises InputError where a batch does not split into `accumulate` parts, or a blending or loss does not go along."""
  parts, size, loss = config["accumulate"], config["batch_size"], config["loss"]["name"]
  if size % (parts * devices):
    raise InputError(
      f"accumulate={parts}: batch_size={size} does not split into so many parts over {devices} devices; wanted a "
      f"multiple of {parts * devices}, such as {-(-size // (parts * devices)) * parts * devices}"
    )
  grid = config["multigrid"]["long"] or config["multigrid"]["short"]
  if loss == "hvu" and (parts > 1 or grid or config["blending"]["name"]):
    raise InputError(
      f"accumulate={parts}, blending.name={config['blending']['name']!r}, multigrid {'on' if grid else 'off'}: the "
      "loss hvu averages over the rows of a whole batch that have tags, as they are; wanted 1, '' and off"
    )


def check_label_tables(preprocessing: Mapping[str, Any], classes: int) -> None:
  """Raises InputError where a step's table of labels (such as flip's) is one of another number of classes."""
  for kind, settings in preprocessing.items():
    for step, values in settings.get("settings", {}).items():  # none where published is empty
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


def metric_names(config: Mapping[str, Any], *, multi_label: bool) -> tuple[str, ...]:
  """What eval.metric may be, with one label a video or several."""
  names: Sequence[str] = SINGLE
  if multi_label:
    categories = [f"{name}_mAP" for name, *_ in config["loss"]["categories"]]
    names = (*SEVERAL, *categories, *(["categories_mAP"] if categories else []))
  names = [name for name in names if name != "top5" or config["model"]["num_classes"] >= 5]
  return (*names, *(f"ema_{name}" for name in names if config["optimizer"]["ema"]))


def check_own_metric(config: Mapping[str, Any], what: str, names: Sequence[str]) -> None:
  """Raises InputError where eval.metric is none of `names`, the metrics of `what`, nor one of averaged weights."""
  name, averaged = config["eval"]["metric"], config["optimizer"]["ema"] > 0
  if name.startswith("ema_") and name.removeprefix("ema_") in names and not averaged:
    raise InputError(f"eval.metric={name!r} wants optimizer.ema above 0")
  known = (*names, *(f"ema_{one}" for one in names if averaged))
  if name not in known:
    raise InputError(f"eval.metric={name!r}: {what} has {', '.join(known)}.{nearest(name, known)}")


def check_profile(steps: Sequence[int], total: int) -> None:
  """Raises InputError where log.profile is neither () nor a first and a last step of the run's `total`."""
  whole = len(steps) == 2 and all(type(n) is int for n in steps)
  if steps and not (whole and 1 <= steps[0] <= steps[1] and steps[0] <= total):
    raise InputError(
      f"log.profile={tuple(steps)!r}: wanted two steps of the run's {total}, first and last, such as (10, 15); () for "
      "none"
    )


def check_metric(config: Mapping[str, Any]) -> None:
  """Raises InputError where eval.metric is not known, or is one of the other kind of labels."""
  name, multi_label = config["eval"]["metric"], config["data"]["multi_label"]
  known, others = (metric_names(config, multi_label=kind) for kind in (multi_label, not multi_label))
  if name in known:
    return
  if name in others:
    raise InputError(
      f"eval.metric={name!r} is one of data.multi_label={not multi_label}, and that is {multi_label}; wanted one of "
      f"{', '.join(known)}"
    )
  raise InputError(f"eval.metric={name!r} is not known; wanted one of {', '.join(known)}.{nearest(name, known)}")


def check_loss(config: Mapping[str, Any]) -> None:
  """Raises InputError for a loss that does not fit the labels, or whose classes are not the model's."""
  loss, several, classes = config["loss"], config["data"]["multi_label"], config["model"]["num_classes"]
  wanted = (
    ("binary_cross_entropy", "hvu") if several else ("cross_entropy", "binary_cross_entropy", "class_balanced_focal")
  )
  if (
    loss["name"] in ("cross_entropy", "binary_cross_entropy", "class_balanced_focal", "hvu")
    and loss["name"] not in wanted
  ):
    raise InputError(f"loss.name={loss['name']!r} with data.multi_label={several}: wanted {' or '.join(wanted)}")
  sets = [config["data"], *config["data"].get("mix", {}).values()]
  if several and any(one.get("balance", 1) != 1 for one in sets):
    raise InputError(
      "data.balance draws by the label of a video, and with data.multi_label=True it has several: wanted 1"
    )
  if loss["class_weights"] and len(loss["class_weights"]) != classes:
    raise InputError(
      f"loss.class_weights has {len(loss['class_weights'])} numbers for {classes} classes: wanted as many"
    )
  if not all(isinstance(w, int | float) and w >= 0 for w in loss["class_weights"]):
    raise InputError(f"loss.class_weights={loss['class_weights']}: wanted numbers of 0 or more")
  for category in loss["categories"]:
    if len(category) != 3 or not isinstance(category[0], str) or category[1] < 1 or category[2] < 0:
      raise InputError(f"loss.categories: {category!r}; wanted (name, how many classes, weight) each")
  total = sum(category[1] for category in loss["categories"])
  if loss["categories"] and total != classes:
    raise InputError(f"loss.categories have {total} classes and model.num_classes is {classes}: wanted as many")
  average = config["preprocessing"]["test"]["average"]
  if several and average == "prob":
    raise InputError(
      'preprocessing.test.average="prob" makes the classes of a video compete (a softmax), and with '
      'data.multi_label=True a video has several: wanted "score"'
    )


def check_metric_is_defined(name: str, records: Sequence[Record], categories: Sequence[tuple[str, int]]) -> None:
  """Raises InputError where the mean that eval.metric names would be over nothing, or over a video without labels."""
  bare = next((record for record in records if not record.labels), None)
  if name == "mmit_mean_average_precision" and bare:
    raise InputError(f"eval.metric={name!r}: {bare.id} of data.val has no label, and the mean is over videos with one")
  start, seen = 0, {label for record in records for label in record.labels}
  for category, count in categories:
    if name == f"{category}_mAP" and seen.isdisjoint(range(start, start + count)):
      raise InputError(f"eval.metric={name!r}: no video of data.val has a label of {category}")
    start += count
  if not seen:
    raise InputError(f"eval.metric={name!r}: no video of data.val has any label")
