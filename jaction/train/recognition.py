"""Recognition: trimmed videos, images or sounds with one class or several each."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaction.batches import Batches
from jaction.clips.multihot import MultiHot, known_classes, several
from jaction.clips.preprocessing import Preprocessing
from jaction.clips.sets import BySet, of_set
from jaction.errors import InputError
from jaction.faults import Fault
from jaction.metrics.classification import confusion_matrix, mean_class_accuracy, top_k_accuracy
from jaction.metrics.multilabel import summary as multi_label_summary
from jaction.models import create_model
from jaction.order import Order, balanced, mixed, repeated, shuffled, weighted
from jaction.predict.scoring import Scores, make_predict_step, mean_binary_loss, mean_loss, score_batches
from jaction.records import Record, class_names, paths, read_label_map, read_records, read_weights
from jaction.train.checks import (
  check_label_tables,
  check_loss,
  check_metric,
  check_metric_is_defined,
  check_modality,
)
from jaction.train.classification import blending, classification, normalized_clips


class Recognition:
  """What `Experiment` asks of a task, whichever it is; raises InputError for whatever in the config does not fit.

  Attributes:
    model: the network; its `inputs` say what it takes.
    channels: of its input.
    fields: what create_model was given beside the name; they go into the model folder.
    labels: the classes' names, or ().
    records, order, epoch: what is trained on; which of it stands where; how many places are an epoch.
    val_records: what is evaluated; may be empty.
    prepare: {"train", "test"}: (record, rng, cache) -> arrays of one row.
    metric: which of the numbers of `evaluate` says which step is the best; None without evaluation.
    objective: train.step.Task.
    inputs: batch -> what the model takes.
    blend: see train.step; None: nothing is blended.
    preprocessing: of the model folder, as JSON can hold it.
    about: what else the folder's `source` says.
    confusion: counts of (true class, predicted class) of the last evaluation, where a record has one class; None else.
  """

  confusion: np.ndarray | None = None

  def __init__(self, config: Mapping[str, Any], mesh: Mesh):
    self.config, data, model = config, config["data"], config["model"]
    self.fields = {"num_classes": model["num_classes"], **model["fields"]}
    self.model = create_model(model["name"], **self.fields)
    preprocess = {kind: Preprocessing.from_json(config["preprocessing"][kind]) for kind in ("train", "test")}
    self.channels, self._template = preprocess["train"].channels, preprocess["train"].template
    self._average = preprocess["test"].average
    self._multi_label, self._categories = data["multi_label"], tuple(row[:2] for row in config["loss"]["categories"])
    mix = {name: data["mix"][name]["preprocessing"] for name in sorted(data["mix"])}
    parts = [preprocess["train"], *(of_set(own, name, preprocess["train"]) for name, own in mix.items())]
    for name, own in mix.items():
      check_label_tables({f"mix.{name}": own}, model["num_classes"])
    self.prepare = dict(preprocess)
    if self._multi_label:
      self.prepare = {kind: MultiHot(p, model["num_classes"]) for kind, p in preprocess.items()}
      parts = [MultiHot(part, model["num_classes"]) for part in parts]
    self.prepare["train"] = BySet(tuple(parts)) if any(mix.values()) else parts[0]
    check_loss(config)
    check_metric(config)
    check_modality(preprocess, sound=len(self.model.clip) == 2)
    check_label_tables(config["preprocessing"], model["num_classes"])
    if data["val"] and self._average == "none":
      raise InputError('preprocessing.test.average="none" leaves a video without one score: wanted prob or score')
    self._root = os.path.expanduser(data["root"])
    self._weights: list[Sequence[float]] = []  # of the sets that have some
    try:
      self.labels = self._labels()
      self.records, self.order, self.epoch = self._training_set()
    except InputError as error:
      if data["root"]:
        raise
      hint = "data.root is not set: --config.data.root=FOLDER says where lists and labels lie"
      raise InputError(f"{error} ({hint})") from error
    self.val_records = self._records(data["val"], data["format"]) if data["val"] else []
    self.metric = config["eval"]["metric"] if data["val"] else None
    if self.metric and self._multi_label:
      check_metric_is_defined(self.metric, self.val_records, self._categories)

    loss = dict(config["loss"])
    if loss["name"] == "class_balanced_focal":
      loss["samples"] = np.bincount([r.label for r in self.records], minlength=model["num_classes"])
    self.objective = classification(loss.pop("name"), **loss)
    self.inputs = normalized_clips(*(tuple(config["preprocessing"]["train"][key]) for key in ("mean", "std")))
    self.blend = blending(config["blending"], model["num_classes"])
    self.preprocessing = preprocess["test"].to_json()
    self.about = {"multi_label": True, "categories": list(self._categories)} if self._multi_label else {}
    views = config["eval"]["max_views"] or None
    self._predict = make_predict_step(self.model, preprocess["test"], mesh, max_views=views)

  def _path(self, name: str) -> str:
    return paths.join(self._root, os.path.expanduser(name))

  def _training_set(self) -> tuple[list[Record], Order, int]:
    """All records to train on, which of them stands where, and how many places hold one epoch of data.train."""
    data = self.config["data"]
    first = {"list": data["train"], **{key: data[key] for key in ("format", "share", "balance", "weights")}}
    sets = [first, *(data["mix"][name] for name in sorted(data["mix"]))]
    found = [
      [replace(record, set=i) if i else record for record in self._records(one["list"], one["format"])]
      for i, one in enumerate(sets)
    ]
    orders = [self._order(one, records, i) for i, (one, records) in enumerate(zip(sets, found, strict=True))]
    shares, sizes = [one["share"] for one in sets], [len(records) for records in found]
    times, size = data["repeats"], self.config["batch_size"]
    if size % times:
      raise InputError(f"data.repeats={times} does not divide batch_size={size}")
    order = repeated(mixed(orders, sizes, shares), times)
    return [r for records in found for r in records], order, times * -(-sizes[0] * sum(shares) // shares[0])

  def _order(self, one: Mapping[str, Any], records: Sequence[Record], stream: int) -> Order:
    """Of one of the sets that are trained on."""
    seed, weights, balance = self.config["seed"], one.get("weights"), one["balance"]
    if weights and balance != 1:
      raise InputError(f"weights={weights!r} and balance={balance}: both say how often a video is drawn; wanted one")
    if weights:
      drawn = read_weights(self._path(weights), len(records))
      self._weights.append(drawn)
      return weighted(drawn, seed, stream=stream)
    if balance != 1:
      return balanced([record.label for record in records], balance, seed, stream=stream)
    return shuffled(len(records), seed, stream=stream)

  def _records(self, name: str, format: str) -> list[Record]:
    records = read_records(
      self._path(name),
      format=format,
      root=self._root or None,
      template=self.config["data"]["template"] or self._template,
      num_classes=self.config["model"]["num_classes"],
      classes=self.labels or None,
      **({"categories": dict(self._categories)} if self._categories else {}),
    )
    if self._multi_label:
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
      labels = class_names(path) if os.path.isdir(path) else ()
    if labels and len(labels) != classes:
      shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
      raise InputError(
        f"{path} names {len(labels)} classes ({shown}), model.num_classes is {classes}: wanted the same number"
      )
    return labels

  def facts(self) -> dict[str, Any]:
    """What a resumed run must find again: how many videos it trains on, and a digest of ids, labels, frames, order."""
    labels = [[*record.labels, *record.known] if self._multi_label else record.label for record in self.records]
    rows: list[Any] = [[r.id, label, r.frames, r.offset] for r, label in zip(self.records, labels, strict=True)]
    digest = hashlib.sha256(json.dumps(rows + self._weights).encode()).hexdigest()
    return {"videos": len(self.records), "digest": digest, "labels": list(self.labels)}

  def evaluate(
    self, nets: Sequence[Mapping[str, Any]], batches: Batches
  ) -> tuple[list[dict[str, float]], Sequence[Fault]]:
    """For each of the variables in `nets` its metrics over the batches; what of them could not be read."""

    def predict_all(variables, clips):  # the scores of the nets side by side: one reading of the videos serves them
      return jnp.concatenate([self._predict(each, clips) for each in variables], axis=-1)

    result = score_batches(predict_all, nets, batches)
    parts = np.split(result.scores, len(nets), axis=-1)
    if not self._multi_label:
      classes = range(parts[0].shape[1])
      self.confusion = confusion_matrix(parts[0].argmax(axis=1), result.labels, classes=classes)
    return [self._metrics(result._replace(scores=scores)) for scores in parts], result.faults

  def _metrics(self, result: Scores) -> dict[str, float]:
    if self._multi_label:
      records = [self.val_records[number] for number in result.index]
      known = known_classes(records, result.labels.shape[1]) if self._categories else None
      metrics = {"loss": mean_binary_loss(result.scores, result.labels)}
      return metrics | multi_label_summary(result.scores, result.labels, self._categories, known)
    tops = top_k_accuracy(result.scores, result.labels, (1, 5) if result.scores.shape[1] >= 5 else (1,))
    metrics = {"loss": mean_loss(result.scores, result.labels, self._average)}
    metrics |= dict(zip(("top1", "top5"), tops, strict=False))
    metrics["mean_class_accuracy"] = mean_class_accuracy(result.scores, result.labels)
    return metrics
