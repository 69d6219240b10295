"""Localization from features: BMN, and BSN's two networks."""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaction import losses_localization as losses
from jaction.batches import Batches, of_all_processes, spread
from jaction.clips import boundaries
from jaction.errors import InputError, MediaError
from jaction.faults import Fault
from jaction.metrics.proposals import average_recall
from jaction.models import create_model
from jaction.models.bmn import BMN
from jaction.models.bsn import PEM, TEM
from jaction.order import shuffled
from jaction.predict import proposals
from jaction.records.activitynet import AnnotatedVideo, read_activitynet
from jaction.records.features import find_features, read_features
from jaction.train.checks import check_own_metric
from jaction.train.step import Task


class Item(NamedTuple):
  """One video: its id, file of features (or candidates), seconds these cover, segments [n, 2] in seconds."""

  id: str
  source: str
  seconds: float
  segments: np.ndarray


class Localization:
  """The attributes and methods that `Experiment` asks for; see recognition.Recognition."""

  def __init__(self, config: Mapping[str, Any], mesh: Mesh):
    self.config, data, model = config, config["data"], config["model"]
    self.fields = {"num_classes": model["num_classes"], **model["fields"]}
    self.model = create_model(model["name"], **self.fields)
    if not isinstance(self.model, BMN | TEM | PEM):
      raise InputError(f"model.name={model['name']!r} is no localizer on features (bmn_400x100, bsn_tem_400x100, ...)")
    self.channels = self.model.feat_dim
    self._root, self._folder = os.path.expanduser(data["root"]), data["features"]
    videos = read_activitynet(self._path(data["train"]))
    self.labels = ()  # proposals have no classes
    self.records = self._items(videos)
    if not self.records:
      raise InputError(f"{self._path(data['train'])}: no video with segments to train on")
    self.order, self.epoch = shuffled(len(self.records), config["seed"]), len(self.records)
    self.val_records = self._items(read_activitynet(self._path(data["val"]))) if data["val"] else []
    self.metric = config["eval"]["metric"] if data["val"] else None
    known = METRICS[type(self.model)]
    if self.metric is not None:
      check_own_metric(config, f"a {type(self.model).__name__}", known)
    prepare = Prepare(type(self.model).__name__, getattr(self.model, "temporal_dim", self.model_proposals))
    self.prepare = {"train": prepare, "test": prepare}
    self.objective, self.blend = OBJECTIVES[type(self.model)](config["localization"]), None
    self.preprocessing, self.about = None, {"task": "localization", **self._seen()}
    self._apply = spread(lambda variables, batch: self.model.apply(variables, batch["features"]), mesh)

  @property
  def model_proposals(self) -> int:
    return getattr(self.model, "proposals", 0)

  def inputs(self, batch: Mapping[str, jax.Array]) -> tuple[Any, ...]:
    return (batch["features"],)

  def _path(self, name: str) -> pathlib.Path:
    return pathlib.Path(self._root) / pathlib.Path(name).expanduser()

  def _items(self, videos: Sequence[AnnotatedVideo]) -> list[Item]:
    folder = self._path(self._folder)
    return [item_of(video, find_features(folder, video.id)) for video in videos if video.segments]

  def _seen(self) -> dict[str, int]:
    """How the features were made, where their files say so: for `localize`, which must make its own alike."""
    source = self.records[0].source
    seen = read_features(source) if source.endswith(".npz") and not isinstance(self.model, PEM) else None
    kept = {} if seen is None else {"window": seen.window, "stride": seen.stride}
    return {name: value for name, value in kept.items() if value is not None}

  def facts(self) -> dict[str, Any]:
    """What a resumed run must find again: how many videos it trains on, and a digest of ids and segments."""
    rows = json.dumps([[item.id, item.segments.tolist()] for item in self.records])
    return {"videos": len(self.records), "digest": hashlib.sha256(rows.encode()).hexdigest()}

  def evaluate(
    self, nets: Sequence[Mapping[str, Any]], batches: Batches
  ) -> tuple[list[dict[str, float]], Sequence[Fault]]:
    """For each of the variables in `nets` the loss and, for BMN and PEM, AUC and AR@1, 10, 100 of its proposals."""
    sums, found = [[] for _ in nets], [{} for _ in nets]
    faults: list[Fault] = []
    with batches:
      for own in batches:
        batch = of_all_processes({name: rows for name, rows in own.items() if name != "features"})
        mask = np.asarray(batch["mask"], bool)
        for number, variables in enumerate(nets):
          out = self._apply(variables, {"features": own["features"]})
          host = jax.tree.map(np.asarray, out)
          row = np.asarray(self.objective.loss(host, batch))
          sums[number].append((row[mask].sum(), mask.sum()))
          for at in np.flatnonzero(mask):
            item = self.val_records[int(batch["index"][at])]
            given = jax.tree.map(lambda x, at=at: x[at], host)
            rows = {name: np.asarray(value[at]) for name, value in batch.items()}
            if (decoded := decode(self.model, given, rows)) is not None:
              found[number][item.id] = proposals.in_seconds(decoded, item.seconds, suppress=suppression(self.model))
      faults = batches.take_faults()
    out = []
    for each, rows in zip(sums, found, strict=True):
      metrics = {"loss": float(sum(one for one, _ in each) / max(sum(count for _, count in each), 1))}
      if rows:
        truth = {item.id: item.segments for item in self.val_records if item.id in rows}
        recall = average_recall(truth, rows)
        metrics |= {"auc": recall.auc / 100, "ar1": recall.at(1), "ar10": recall.at(10), "ar100": recall.at(100)}
      out.append(metrics)
    return out, faults


METRICS = {BMN: ("auc", "ar1", "ar10", "ar100", "loss"), PEM: ("auc", "ar1", "ar10", "ar100", "loss"), TEM: ("loss",)}


def item_of(video: AnnotatedVideo, source: str) -> Item:
  """InputError, which names the video, for a segment that ends before it begins."""
  rows = np.array([(one.start, one.end) for one in video.segments], np.float64).reshape(-1, 2)
  for one in video.segments:
    if one.end <= one.start:
      raise InputError(f"video {video.id!r}: the segment {one.start} to {one.end} ends before it begins")
  if video.feature_seconds <= 0:
    raise InputError(f"video {video.id!r}: its features cover {video.feature_seconds} seconds")
  return Item(video.id, source, video.feature_seconds, rows)


def suppression(model: Any) -> dict[str, float]:
  """The arguments of soft-NMS in MMAction2's configs."""
  return proposals.SOFT_NMS["pem" if isinstance(model, PEM) else "bmn"]


def decode(model: Any, out: Any, rows: Mapping[str, np.ndarray]) -> np.ndarray | None:
  """Proposals of one video, [N, 3] in [0, 1]; None from TEM, which gives none."""
  if isinstance(model, BMN):
    return proposals.decode_bmn(out["confidence"], out["start"], out["end"])
  if isinstance(model, PEM):
    there = rows["there"].astype(bool)
    return np.column_stack([rows["candidate"][there, :2], (rows["candidate"][:, 2] * out)[there]])
  return None


class Prepare:
  """(item, rng, cache) -> the arrays of one row: features and targets."""

  def __init__(self, kind: str, size: int):
    self.kind, self.size = kind, size

  def __call__(self, item: Item, rng: np.random.Generator | None = None, cache: Any = None) -> dict[str, Any]:
    if self.kind == "PEM":
      return self._candidates(item) | {"draw": self._seed(rng)}
    features = boundaries.rescale(read_features(item.source).features, self.size)
    unit = boundaries.unit_segments(item.segments, item.seconds)
    if self.kind == "TEM":
      return {"features": features, **boundaries.tem_targets(unit, self.size)}
    return {"features": features, **boundaries.bmn_targets(unit, self.size), "draw": self._seed(rng)}

  def _seed(self, rng: np.random.Generator | None) -> np.int32:
    return np.int32(0 if rng is None else rng.integers(2**31))

  def _candidates(self, item: Item) -> dict[str, Any]:
    """What launch.bsn wrote: the best candidates, and zeros in place of those there are not."""
    try:
      with np.load(item.source, allow_pickle=False) as arrays:
        features, rows = arrays["features"], arrays["candidates"]
    except (OSError, KeyError, ValueError) as error:
      raise MediaError(f"{item.source}: no candidates and features of BSN: {error}") from error
    count = min(len(features), self.size)
    out = {"features": np.zeros((self.size, features.shape[1]), np.float32), "overlap": np.zeros(self.size, np.float32)}
    out |= {"candidate": np.zeros((self.size, 3), np.float32), "there": np.zeros(self.size, np.float32)}
    out["features"][:count], out["there"][:count] = features[:count], 1
    out["candidate"][:count] = np.column_stack([rows[:count, :2], rows[:count, 4]])
    out["overlap"][:count] = rows[:count, 5]
    return out


def _draws(batch: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
  """Two uniform numbers for each overlap."""
  shape = batch["overlap"].shape[1:]

  def one(seed):
    a, b = jax.random.split(jax.random.key(seed))
    return jax.random.uniform(a, shape), jax.random.uniform(b, shape)

  return jax.vmap(one)(batch["draw"])


def _bmn(_: Mapping[str, Any]) -> Task:
  def part(name):
    return lambda out, batch: losses.bmn(out, batch, _draws(batch))[name]

  return Task(part("loss"), {name: part(name) for name in ("tem", "pem_reg", "pem_cls")})


def _tem(_: Mapping[str, Any]) -> Task:
  def part(name):
    return lambda out, batch: losses.tem(out, batch)[name]

  return Task(lambda out, batch: sum(losses.tem(out, batch).values()), {n: part(n) for n in ("action", "start", "end")})


def _pem(settings: Mapping[str, Any]) -> Task:
  low, balanced = settings["pem_low_temporal_iou_threshold"], settings["pem_balanced"]
  if not 0 <= low < 0.6:
    raise InputError(
      f"localization.pem_low_temporal_iou_threshold={low}: an overlap of at least 0 and below 0.6, from where on a "
      "proposal is high, was wanted (MMAction2 0.9's 2.2 was meant as 0.2)"
    )

  def loss(out, batch):
    there = batch["there"] * batch["mask"][:, None]
    return losses.pem(out, batch["overlap"], there, draws=_draws(batch) if balanced else None, low=low)

  return Task(loss, {})


OBJECTIVES = {BMN: _bmn, TEM: _tem, PEM: _pem}
