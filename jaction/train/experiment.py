"""What a config builds: the data, the model, the step, and how often what is done."""

import hashlib
import json
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaction import folders
from jaction.batches import Batches, Processes, evaluation_batches, training_batches
from jaction.checkpoints import Checkpoints
from jaction.clips.multihot import MultiHot, known_classes, several
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.faults import BadFiles, check_on_error
from jaction.metrics.classification import mean_class_accuracy, top_k_accuracy
from jaction.metrics.multilabel import summary as multi_label_summary
from jaction.models import create_model, frozen_leaves, initialize
from jaction.order import Order, balanced, mixed, shuffled
from jaction.predict.scoring import Scores, make_predict_step, mean_binary_loss, mean_loss, score_batches
from jaction.records import FrameCache, Record, class_names, read_label_map, read_records
from jaction.train.checks import (
  check_label_tables,
  check_loss,
  check_metric,
  check_metric_is_defined,
  check_modality,
  check_numbers,
  check_parts,
)
from jaction.train.log import Log
from jaction.train.mesh import check_batch_size, make_mesh, whole
from jaction.train.optim import check_patterns, depth_factors, leaf_paths, leaving, make_optimizer, scaled
from jaction.train.precise import make_statistics
from jaction.train.schedules import in_steps, make_schedule, rate_scale
from jaction.train.state import TrainState, new_state
from jaction.train.step import blending, classification, make_train_step


class Experiment:
  """Built from the plain dict of a config; raises InputError for whatever in it does not fit."""

  def __init__(self, config: Mapping[str, Any]):
    self.config, data = config, config["data"]
    check_numbers(config)
    check_on_error(data["on_error"])
    self.root = os.path.expanduser(data["root"])
    self.mesh, self.batch_size = make_mesh(), config["batch_size"]
    check_batch_size("batch_size", self.batch_size, self.mesh)
    check_parts(config, self.mesh.devices.size)
    check_batch_size("eval.batch_size", config["eval"]["batch_size"], self.mesh)
    self.model = create_model(
      config["model"]["name"], num_classes=config["model"]["num_classes"], **config["model"]["fields"]
    )
    self.preprocess = {kind: Preprocessing.from_json(config["preprocessing"][kind]) for kind in ("train", "test")}
    self.multi_label, self.categories = data["multi_label"], tuple(row[:2] for row in config["loss"]["categories"])
    self.prepare = dict(self.preprocess)  # what makes batches of records
    if self.multi_label:
      self.prepare = {kind: MultiHot(p, config["model"]["num_classes"]) for kind, p in self.preprocess.items()}
    check_loss(config)
    check_metric(config)
    check_modality(self.preprocess, sound=len(self.model.clip) == 2)
    check_label_tables(config["preprocessing"], config["model"]["num_classes"])
    self.has_val = bool(data["val"])
    if self.has_val and self.preprocess["test"].average == "none":
      raise InputError('preprocessing.test.average="none" leaves a video without one score: wanted prob or score')
    self.labels = self._labels()
    self.records, self.order, self.epoch = self._training_set()
    self.val_records = self._records(data["val"], data["format"]) if self.has_val else []
    self.cache = FrameCache(int(data["cache_mb"] * 2**20)) if data["cache_mb"] else None
    self.metric = config["eval"]["metric"] if self.has_val else None
    if self.has_val and self.multi_label:
      check_metric_is_defined(self.metric, self.val_records, self.categories)

    sizes = {"batch_size": self.batch_size, "examples": self.epoch}
    self.total = in_steps(config["duration"], what="duration", **sizes)
    self.eval_every = in_steps(config["eval"]["every"], what="eval.every", optional=True, **sizes)
    self.save_every = in_steps(config["checkpoint"]["every"], what="checkpoint.every", optional=True, **sizes)
    warmup = in_steps(config["schedule"]["warmup"], what="schedule.warmup", optional=True, **sizes)
    self.schedule = make_schedule(config["schedule"], total=self.total, warmup=warmup, **sizes)
    self.optimizer = make_optimizer(config["optimizer"])
    own = config["optimizer"]
    if own["groups"] or own["no_decay"] or own["layer_decay"] != 1:
      paths = leaf_paths(self._shapes()["params"])
      check_patterns(own, paths)
      if own["layer_decay"] != 1:
        self.optimizer = scaled(depth_factors(paths, own["layer_decay"]), self.optimizer)
    if frozen := frozen_leaves(self.model, self._input()):
      self.optimizer = leaving(frozen, self.optimizer)
    loss = dict(config["loss"])
    if loss["name"] == "class_balanced_focal":
      loss["samples"] = np.bincount([r.label for r in self.records], minlength=config["model"]["num_classes"])
    task = classification(loss.pop("name"), **loss)
    mean, std = (tuple(config["preprocessing"]["train"][key]) for key in ("mean", "std"))
    shared = {"seed": config["seed"], "mean": mean, "std": std}
    self.step = make_train_step(
      self.model,
      task,
      self.optimizer,
      self.mesh,
      accumulate=config["accumulate"],
      blend=blending(config["blending"], config["model"]["num_classes"]),
      ema=own["ema"],
      **shared,
    )
    self.statistics = make_statistics(self.model, self.mesh, **shared) if config["eval"]["precise_norm"] else None
    views = config["eval"]["max_views"] or None
    self.predict = make_predict_step(self.model, self.preprocess["test"], self.mesh, max_views=views)

  def _path(self, name: str) -> pathlib.Path:
    return pathlib.Path(self.root) / pathlib.Path(name).expanduser()

  def _training_set(self) -> tuple[list[Record], Order, int]:
    """All records to train on, which of them stands where, and how many places hold one epoch of data.train."""
    data, seed = self.config["data"], self.config["seed"]
    first = {"list": data["train"], "format": data["format"], "share": data["share"], "balance": data["balance"]}
    sets = [first, *(data["mix"][name] for name in sorted(data["mix"]))]
    found = [self._records(one["list"], one["format"]) for one in sets]
    orders = [
      shuffled(len(records), seed, stream=i)
      if one["balance"] == 1
      else balanced([record.label for record in records], one["balance"], seed, stream=i)
      for i, (one, records) in enumerate(zip(sets, found, strict=True))
    ]
    shares, sizes = [one["share"] for one in sets], [len(records) for records in found]
    order = mixed(orders, sizes, shares)
    return [record for records in found for record in records], order, -(-sizes[0] * sum(shares) // shares[0])

  def _records(self, name: str, format: str) -> list[Record]:
    records = read_records(
      self._path(name),
      format=format,
      root=self.root or None,
      template=self.config["data"]["template"] or self.preprocess["train"].template,
      num_classes=self.config["model"]["num_classes"],
      classes=self.labels or None,
      **({"categories": dict(self.categories)} if self.categories else {}),
    )
    if self.multi_label:
      return [several(record) for record in records]
    odd = next((record for record in records if record.label is None), None)
    if odd:
      raise InputError(
        f"{self._path(name)}: {odd.id} has several labels or none ({odd.labels}); the loss "
        f"{self.config['loss']['name']} wants one label each. Where a number in a path was taken for a label, put the "
        "path in double quotes; where videos do have several labels, set data.multi_label"
      )
    return records

  def _labels(self) -> tuple[str, ...]:
    """The classes' names: of the label file, else of the folders to train on; none for lists without label file."""
    data, classes = self.config["data"], self.config["model"]["num_classes"]
    path = self._path(data["labels"] or data["train"])
    if data["labels"]:
      labels = read_label_map(path)
    else:
      labels = class_names(path) if path.is_dir() else ()
    if labels and len(labels) != classes:
      shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
      raise InputError(
        f"{path} names {len(labels)} classes ({shown}), model.num_classes is {classes}: wanted the same number"
      )
    return labels

  def facts(self) -> dict[str, Any]:
    """What a resumed run must find again: how many videos it trains on, and a digest of ids, labels, frames, order."""
    labels = [[*record.labels, *record.known] if self.multi_label else record.label for record in self.records]
    rows = json.dumps([[r.id, label, r.frames, r.offset] for r, label in zip(self.records, labels, strict=True)])
    digest = hashlib.sha256(rows.encode()).hexdigest()
    return {"videos": len(self.records), "digest": digest, "labels": list(self.labels)}

  def _input(self) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, 1, *self.model.clip, self.preprocess["train"].channels), jnp.float32)

  def _shapes(self) -> dict[str, Any]:
    """The model's variables as shapes and dtypes."""
    return jax.eval_shape(self.model.init, jax.random.key(0), self._input())

  def first_state(self) -> TrainState:
    """The state before step 0, on the devices: drawn from the seed, or from the folder that init.folder names."""
    init = self.config["init"]
    variables = initialize(self.model, self._input(), seed=self.config["seed"])
    if init["folder"]:
      source = folders.load_folder(os.path.expanduser(init["folder"]))
      variables, report = folders.merge(source.variables, variables, reinit=tuple(init["reinit"]))
      print(f"{init['folder']}: {report}")
    return jax.device_put(self._new_state(variables), whole(self.mesh))

  def _new_state(self, variables: Mapping[str, Any]) -> TrainState:
    return new_state(variables, self.optimizer, ema=self.config["optimizer"]["ema"] > 0)

  def restore(self, checkpoints: Checkpoints) -> TrainState:
    """The last saved state, on the devices."""
    template = jax.eval_shape(lambda variables: self._new_state(variables).tree(), self._shapes())
    return jax.device_put(TrainState(**checkpoints.restore(template)), whole(self.mesh))

  def training_batches(self, start: int, stop: int | None = None) -> Batches:
    """The batches of the steps from `start` up to `stop`, by default to the last."""
    return training_batches(
      self.records,
      self.prepare["train"],
      batch_size=self.batch_size,
      start_step=start,
      stop_step=self.total if stop is None else stop,
      order=self.order,
      seed=self.config["seed"],
      on_error=self.config["data"]["on_error"],
      **self._loading(),
    )

  def _loading(self) -> dict[str, Any]:
    data = self.config["data"]
    processes = Processes(data["processes"], data["recycle"], data["timeout"])
    return {"threads": data["threads"], "processes": processes, "prefetch": data["prefetch"], "cache": self.cache}

  def bad_files(self, folder: pathlib.Path, start: int) -> BadFiles:
    return BadFiles(folder / "bad_files.jsonl", limit=self.config["data"]["max_errors"], start=start)

  def note_bad(self, batches: Batches, bad: BadFiles, step: int) -> int:
    """Writes what could not be read for the batches of training given until now, the last for `step`; how many."""
    count, ids = 0, [record.id for record in self.records] if self.config["data"]["on_error"] != "raise" else []
    for fault in batches.take_faults():
      count += bad.add([fault], ids, step=step, epoch=fault.place // self.epoch, videos=self.epoch)
    return count

  def settled(self, state: TrainState, done: int) -> TrainState:
    """The state with the statistics of its norms taken anew (eval.precise_norm), over the batches of the next steps;
    it depends on the state and the step alone, so that a resumed run comes to the same."""
    if self.statistics is None:
      return state
    kept = [state.variables, *([state.ema] if state.ema else [])]
    found = []
    for variables in kept:
      with self.training_batches(done, done + self.config["eval"]["precise_norm"]) as batches:
        found.append(self.statistics(variables, batches, done))
    average = {**state.ema, "batch_stats": found[1]} if state.ema else state.ema
    return state.replace(batch_stats=found[0], ema=average)

  def describe(self) -> list[str]:
    """What a run says first: its learning rate, and what else is not as people may think."""
    settings, lines = self.config["schedule"], []
    rate, scale = (
      f"learning rate {settings['lr'] * rate_scale(settings, self.batch_size):.6g}",
      settings["reference_batch"],
    )
    given = (
      f" = {settings['lr']:g} x {self.batch_size} / {scale} (schedule.reference_batch)" if scale else ", as written"
    )
    lines.append(f"{rate}{given}; schedule {settings['name']}, {self.total} steps")
    if (parts := self.config["accumulate"]) > 1:
      size = self.batch_size // parts
      lines.append(f"accumulate={parts}: a step goes through in parts of {size} clips; each is a batch to batch norm")
    return lines

  def evaluate(self, state: TrainState, log: Log, done: int, bad: BadFiles) -> dict[str, float]:
    """Loss and accuracies on the validation list, which are logged too; of the videos that can be read.

    Where the state has averaged parameters, theirs are there too, with the prefix "ema_".
    """
    began = time.perf_counter()
    batches = evaluation_batches(
      self.val_records,
      self.prepare["test"],
      batch_size=self.config["eval"]["batch_size"],
      # One video is never scored by another.
      on_error="raise" if self.config["data"]["on_error"] == "raise" else "skip",
      **self._loading(),
    )
    nets = {"": state.variables} | ({"ema_": state.ema} if state.ema else {})

    def predict_all(variables, clips):  # the scores of the nets side by side: one reading of the videos serves them
      return jnp.concatenate([self.predict(each, clips) for each in variables], axis=-1)

    result = score_batches(predict_all, list(nets.values()), batches)
    ids, epoch = [record.id for record in self.val_records], done * self.batch_size // self.epoch
    faults = bad.add(result.faults, ids, step=done, epoch=epoch, videos=len(ids), kind="val")
    metrics = {}
    for prefix, scores in zip(nets, np.split(result.scores, len(nets), axis=-1), strict=True):
      metrics |= {
        f"{prefix}{name}": float(value) for name, value in self._metrics(result._replace(scores=scores)).items()
      }
    metrics |= {"bad_files": float(faults)} if faults else {}
    log.evaluation(done, metrics, time.perf_counter() - began)
    return metrics

  def _metrics(self, result: Scores) -> dict[str, float]:
    if self.multi_label:
      records = [self.val_records[number] for number in result.index]
      known = known_classes(records, result.labels.shape[1]) if self.categories else None
      metrics = {"loss": mean_binary_loss(result.scores, result.labels)}
      return metrics | multi_label_summary(result.scores, result.labels, self.categories, known)
    tops = top_k_accuracy(result.scores, result.labels, (1, 5) if result.scores.shape[1] >= 5 else (1,))
    metrics = {"loss": mean_loss(result.scores, result.labels, self.preprocess["test"].average)}
    metrics |= dict(zip(("top1", "top5"), tops, strict=False))
    metrics["mean_class_accuracy"] = mean_class_accuracy(result.scores, result.labels)
    return metrics

  def export(self, checkpoints: Checkpoints, folder: pathlib.Path) -> dict[str, float]:
    """Writes model/ from the best checkpoint (without evaluation: the last); gives the metrics of last and best.

    The weights are the averaged ones where eval.metric is one of theirs; "weights" of the folder's source says which.
    """
    last = checkpoints.latest()
    best = checkpoints.best() or last
    shapes = {"batch_stats": {}} | self._shapes()
    averages = self.config["eval"]["metric"].startswith("ema_")
    variables = checkpoints.restore({"ema": shapes}, best)["ema"] if averages else checkpoints.restore(shapes, best)
    model, metrics = self.config["model"], checkpoints.metrics(best)
    kind = {"multi_label": True, "categories": list(self.categories)} if self.multi_label else {}
    folders.save_model(
      folder / "model",
      name=model["name"],
      fields={"num_classes": model["num_classes"], **model["fields"]},
      variables=variables,
      labels=self.labels,
      preprocessing=self.preprocess["test"].to_json(),
      source={
        "workdir": str(folder),
        "step": best,
        "metrics": metrics,
        "weights": "ema" if averages else "raw",
        **kind,
      },
    )
    return {"step": last, **checkpoints.metrics(last), "best_step": best} | {f"best_{k}": v for k, v in metrics.items()}
