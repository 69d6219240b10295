"""Detection: what each person of a clip does, learned from AVA-style key frames."""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaction.batches import Batches
from jaction.clips.device import normalize
from jaction.clips.key_frames import Boxed, KeyFrames
from jaction.errors import InputError, nearest
from jaction.faults import Fault
from jaction.losses import actions
from jaction.metrics.boxes import box_recall_precision
from jaction.models import create_model, variant
from jaction.order import shuffled
from jaction.predict.actions import make_box_step, score_boxes
from jaction.records.ava import check_actions, read_ava_labels
from jaction.records.feature_bank import Bank, Banked
from jaction.records.key_frames import ClipRecord, action_names, read_key_frames
from jaction.train.box_metrics import evaluate_boxes
from jaction.train.step import Task

METRICS = ("mAP",)


class Detection:
  """What `jaction.train.experiment.Experiment` asks of a task; see `Recognition` for its attributes."""

  blend = None

  def __init__(self, config: Mapping[str, Any], mesh: Mesh):
    self.config, data, own = config, config["data"], config["detection"]
    if variant(config["model"]["name"]).task != "detection":
      raise InputError(f"task='detection' with model.name={config['model']['name']!r}; wanted a name that ends in _ava")
    self.fields = {"num_classes": config["model"]["num_classes"], **config["model"]["fields"]}
    self.model = create_model(config["model"]["name"], **self.fields)
    self.classes = self.fields["num_classes"]
    self._first = 1 if self.model.head.background else 0  # the column of action 1
    _check_metric(config)
    forms = {kind: KeyFrames.from_json(config["preprocessing"][kind]) for kind in ("train", "test")}
    self.channels, self._root = 3, os.path.expanduser(data["root"])
    names = read_ava_labels(self._path(data["labels"])) if data["labels"] else {}
    wanted = tuple(own["classes"]) or None
    if wanted and names:
      check_actions(wanted, names)
    count = self.classes - self._first
    if wanted and len(wanted) != count:
      raise InputError(
        f"detection.classes names {len(wanted)} actions, model.num_classes={self.classes} has room for {count}: wanted "
        f"model.num_classes={len(wanted) + self._first}"
      )
    if names and not wanted and max(names) > count:
      raise InputError(
        f"{data['labels']} has action {max(names)}, model.num_classes={self.classes} ends at {count}: wanted "
        f"{max(names) + self._first}"
      )
    self._judged = range(1, count + 1) if wanted or not names else sorted(names)
    self.labels = action_names(names, count + 1, wanted)[1 - self._first :] if names else ()
    self.records = self._records("train")
    self.records = [record for record in self.records if record.key.boxes]
    self.val_records = self._records("val") if data["val"] else []
    self.order, self.epoch = shuffled(len(self.records), config["seed"]), len(self.records)
    most = max((len(record.detected[0]) for record in self.val_records), default=1)
    if most > forms["test"].max_boxes:
      raise InputError(f"preprocessing.test.max_boxes={forms['test'].max_boxes}: a frame of {data['val']} has {most}")
    self.prepare = {
      kind: Boxed(form, self.classes, kind == "train", own["overlap"], self._first) for kind, form in forms.items()
    }
    if bank_shape := getattr(self.model.neck, "bank_shape", None):
      if not own["bank"]:
        raise InputError(f"{config['model']['name']} wants detection.bank, a file that `jaction detect bank` makes")
      bank = Bank(self._path(own["bank"]), bank_shape, seconds=own["bank_seconds"])
      self.prepare = {kind: Banked(prepare, bank) for kind, prepare in self.prepare.items()}
    elif own["bank"]:
      raise InputError(f"detection.bank is set, and {config['model']['name']} has no feature bank; wanted an lfb_ name")
    self.metric = config["eval"]["metric"] if data["val"] else None
    self.objective = box_actions(
      multi_label=own["multi_label"],
      focal_gamma=own["focal_gamma"],
      focal_alpha=own["focal_alpha"],
      background=bool(self._first),
    )
    train, test = forms["train"], forms["test"]
    self.inputs = box_inputs(train.mean, train.std)
    self.preprocessing = test.to_json()
    self.about = {"task": "detection", "multi_label": own["multi_label"]}
    self._step = make_box_step(self.model, test.mean, test.std, multi_label=own["multi_label"], mesh=mesh)

  def _path(self, name: str) -> pathlib.Path:
    return pathlib.Path(self._root) / pathlib.Path(name).expanduser()

  def _records(self, split: str) -> list[ClipRecord]:
    data, own = self.config["data"], self.config["detection"]
    exclude, proposals = own[f"{split}_exclude"], own[f"{split}_proposals"]
    return read_key_frames(
      self._path(data[split]),
      self._path(own["media"]),
      exclude=self._path(exclude) if exclude else None,
      proposals=self._path(proposals) if proposals else None,
      num_classes=self.classes + 1 - self._first,
      classes=tuple(own["classes"]) or None,
      min_score=own["min_score"],
      start=own["start"],
      fps=own["fps"],
      **({"template": data["template"]} if data["template"] else {}),
    )

  def facts(self) -> dict[str, Any]:
    """What a resumed run must find again: how many key frames it trains on, and a digest of boxes and actions."""
    rows = json.dumps([[r.id, r.key.boxes, r.key.labels, len(r.key.proposals)] for r in self.records])
    digest = hashlib.sha256(rows.encode()).hexdigest()
    return {"key_frames": len(self.records), "digest": digest, "labels": list(self.labels)}

  def evaluate(
    self, nets: Sequence[Mapping[str, Any]], batches: Batches
  ) -> tuple[list[dict[str, float]], Sequence[Fault]]:
    """For each of the variables in `nets` the frame mAP, and "ap_NAME" of each action that occurs."""
    found = score_boxes(self._step, nets, batches)
    results = []
    for one in found:
      threshold = self.config["detection"]["threshold"]
      value, per_class = evaluate_boxes(self.val_records, one, self._judged, first=self._first, threshold=threshold)
      name = lambda k: self.labels[k - 1 + self._first] if self.labels else f"action {k}"  # noqa: E731
      results.append({"mAP": value} | {f"ap_{name(k)}": ap for k, ap in per_class.items() if not np.isnan(ap)})
    return results, found[0].faults if found else ()


def box_inputs(mean: Sequence[float], std: Sequence[float]):
  """What a detector takes of a batch: its uint8 clips, normalised, boxes, mask, and a bank where there is one."""

  def inputs(batch):
    bank = (batch["bank"], batch["bank_mask"]) if "bank" in batch else ()
    return normalize(batch["clips"], mean, std), batch["boxes"], batch["box_mask"], *bank

  return inputs


def box_actions(
  *, multi_label: bool = True, focal_gamma: float = 0.0, focal_alpha: float = 1.0, background: bool = True
) -> Task:
  """AVA's objective: each box with an action weighs the same, whichever clip it is of; see `jaction.losses.actions`.

  The metrics are recalls and precisions of a clip's boxes, averaged over clips.
  """

  def rows(scores, batch):
    scores, labels = scores.reshape(-1, scores.shape[-1]), batch["label"].reshape(-1, scores.shape[-1])
    if not background:  # a column for nobody, which the loss leaves out
      scores, labels = (jnp.pad(x, ((0, 0), (1, 0))) for x in (scores, labels))
    return scores, labels

  def both(scores, batch):
    losses, counts = actions(
      *rows(scores, batch), multi_label=multi_label, focal_gamma=focal_gamma, focal_alpha=focal_alpha
    )
    counts = counts.reshape(batch["box_mask"].shape) * batch["box_mask"]
    return losses.reshape(counts.shape), counts

  def loss(scores, batch):
    losses, counts = both(scores, batch)
    return (losses * counts).sum(axis=1)

  def of(name):
    def metric(scores, batch):
      found, valid = box_recall_precision(*rows(scores, batch), ks=(3, 5), multi_label=multi_label)
      valid = valid.reshape(batch["box_mask"].shape) & batch["box_mask"]
      values = found[name].reshape(valid.shape) * valid
      return values.sum(axis=1) / jnp.maximum(valid.sum(axis=1), 1)

    return metric

  names = [f"{what}@{at}" for at in ("0.5", "top3", "top5") for what in ("recall", "precision")]
  return Task(loss, {name: of(name) for name in names}, lambda scores, batch: both(scores, batch)[1].sum(axis=1))


def _check_metric(config: Mapping[str, Any]) -> None:
  metric = config["eval"]["metric"]
  if metric.removeprefix("ema_") not in METRICS:
    raise InputError(
      f"eval.metric={metric!r} is not one of detection; wanted mAP or ema_mAP.{nearest(metric, METRICS)}"
    )
  if metric.startswith("ema_") and not config["optimizer"]["ema"]:
    raise InputError("eval.metric='ema_mAP' wants optimizer.ema above 0")
