"""SSN: which of a video's proposals hold an action, learned from frames (arXiv:1704.06228)."""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaction import losses_localization as losses
from jaction.batches import Batches, of_all_processes, spread
from jaction.clips import ssn as sampling
from jaction.clips.clip import Clip
from jaction.clips.device import normalize
from jaction.clips.preprocessing import Preprocessing
from jaction.clips.sampling import proposal_sample_frames
from jaction.clips.transforms import STEPS
from jaction.errors import InputError, MediaError
from jaction.faults import Fault
from jaction.metrics.detection import THUMOS, Detections, Truth, average_precision
from jaction.models import create_model
from jaction.models.ssn import SSN, denormalize
from jaction.order import shuffled
from jaction.predict import structured
from jaction.records import Record, open_frames, read_label_map
from jaction.records.frames import FrameCache
from jaction.records.ssn import ProposalVideo, read_proposals
from jaction.train.checks import check_own_metric
from jaction.train.step import Task

METRICS = tuple(f"map@{threshold:.1f}" for threshold in THUMOS)


class Piece(NamedTuple):
  """Frames [first, first + piece) of those that the test looks at of a video: long videos go through in pieces."""

  id: str
  video: ProposalVideo
  first: int


class StructuredSegments:
  """The attributes and methods that `Experiment` asks for; see recognition.Recognition."""

  blend = None

  def __init__(self, config: Mapping[str, Any], mesh: Mesh):
    self.config, data, own, model = config, config["data"], config["localization"], config["model"]
    self.fields = {"num_classes": model["num_classes"], **model["fields"]}
    self.model = create_model(model["name"], **self.fields)
    if not isinstance(self.model, SSN):
      raise InputError(f"task='ssn' with model.name={model['name']!r}; wanted ssn_r50 or ssn_tiny")
    forms = {kind: Preprocessing.from_json(config["preprocessing"][kind]) for kind in ("train", "test")}
    self.channels, self.classes = forms["train"].channels, self.fields["num_classes"]
    self._root = pathlib.Path(os.path.expanduser(data["root"]))
    self.labels = read_label_map(self._root / data["labels"]) if data["labels"] else ()
    self.records = sampling.annotated(self._videos(data["train"]))
    if not self.records:
      raise InputError(f"{self._root / data['train']}: no video with instances to train on")
    pools = [sampling.pools(video) for video in self.records]
    whole = sampling.joined(pools)
    # All zeros where every positive proposal has the same target: the deviation is a divisor.
    try:
      self.normalizers = np.maximum(sampling.normalizers(whole.positive), [[-np.inf], [1e-6]])
    except InputError as error:
      raise InputError(f"{self._root / data['train']}: {error}") from None
    for kind in ("incomplete", "background"):
      if not getattr(whole, kind):
        raise InputError(f"{self._root / data['train']}: no {kind} proposals in the whole list")
    self.order, self.epoch = shuffled(len(self.records), config["seed"]), len(self.records)
    self._val = sampling.annotated(self._videos(data["val"])) if data["val"] else []
    if data["val"] and not self._val:
      raise InputError(f"{self._root / data['val']}: no video with instances to evaluate; data.val may be ''")
    self._interval, self._piece = own["test_interval"], own["piece"]
    self.val_records = [
      Piece(f"{video.id}:{first}", video, first)
      for video in self._val
      for first in range(0, len(sampling.test_frames(video.frames, self._interval)), self._piece)
    ]
    self.metric = config["eval"]["metric"] if data["val"] else None
    if self.metric is not None:
      check_own_metric(config, "SSN", METRICS)
    media, val_media = (Media(str(self._root / own[k]), data["template"]) for k in ("media", "val_media"))
    segments = self.model.head.segments
    self.prepare = {
      "train": Train(
        media, forms["train"], dict(zip(self.records, pools, strict=True)), whole, self.normalizers, segments
      ),
      "test": Test(val_media if own["val_media"] else media, forms["test"], self._interval, self._piece),
    }
    self.objective = _objective()
    train, test = forms["train"], forms["test"]
    self.inputs = lambda batch: (normalize(batch["clips"], train.mean, train.std), None, batch["scales"])
    self.preprocessing = test.to_json()
    self.about = {"task": "ssn", "regression": self.normalizers.tolist(), "test_interval": self._interval}
    self._see = spread(
      lambda variables, batch: self.model.apply(
        variables, normalize(batch["clips"], test.mean, test.std), None, None, return_features=True
      ),
      mesh,
    )
    self._head = jax.jit(  # of one video at a time, the same in all processes
      lambda params, x, ticks, scales: self.model.head.apply({"params": params}, x, ticks, scales, train=False),
      out_shardings=NamedSharding(mesh, PartitionSpec()),
    )

  def _videos(self, name: str) -> list[ProposalVideo]:
    path = self._root / name
    videos = read_proposals(path, normalized=self.config["localization"]["normalized"])
    twice = [name for name, count in collections.Counter(video.id for video in videos).items() if count > 1]
    if twice:
      raise InputError(f"{path}: {twice[0]!r} is there twice")
    for video in videos:
      for one in (*video.instances, *video.proposals):
        if one.label > self.classes:
          raise InputError(f"{path}: {video.id!r} has class {one.label}; model.num_classes={self.classes} ends there")
    return videos

  def facts(self) -> dict[str, Any]:
    """What a resumed run must find again: how many videos it trains on, and a digest of their proposals."""
    rows = json.dumps([dataclasses.astuple(video) for video in self.records])
    return {"videos": len(self.records), "digest": hashlib.sha256(rows.encode()).hexdigest()}

  def evaluate(
    self, nets: Sequence[Mapping[str, Any]], batches: Batches
  ) -> tuple[list[dict[str, float]], Sequence[Fault]]:
    """For each of the variables in `nets` THUMOS's mAP at tIoU 0.1 to 0.9; a video of which a piece cannot be read is
    left out."""
    seen: list[dict[str, dict[int, np.ndarray]]] = [{} for _ in nets]
    with batches:
      for batch in batches:
        rows = of_all_processes({name: batch[name] for name in ("index", "mask")})
        for number, variables in enumerate(nets):
          features = np.asarray(self._see(variables, {"clips": batch["clips"]}))
          for at in np.flatnonzero(rows["mask"]):
            piece = self.val_records[int(rows["index"][at])]
            seen[number].setdefault(piece.video.id, {})[piece.first] = features[at]
      faults = batches.take_faults()
    return [self._score(variables, found) for variables, found in zip(nets, seen, strict=True)], faults

  def _score(self, variables: Mapping[str, Any], seen: Mapping[str, Mapping[int, np.ndarray]]) -> dict[str, float]:
    most = max((len(video.proposals) for video in self._val), default=1)
    truth, found = [], []
    for number, video in enumerate(self._val):
      count = len(sampling.test_frames(video.frames, self._interval))
      pieces = seen.get(video.id, {})
      if set(range(0, count, self._piece)) - set(pieces):
        continue
      truth += [(number, p.label - 1, p.start / video.frames, p.end / video.frames) for p in video.instances]
      x = np.concatenate([pieces[first] for first in sorted(pieces)])[:count]
      rows = np.array([(p.start, p.end) for p in video.proposals], np.float32).reshape(-1, 2) / video.frames
      found += [(number, *row) for row in self._detect(variables, x, rows, most)]
    own, wanted = np.array(found, np.float64).reshape(-1, 5), np.array(truth, np.float64).reshape(-1, 4)
    ap = average_precision(
      Truth(wanted[:, 0].astype(int), wanted[:, 1].astype(int), wanted[:, 2:]),
      Detections(own[:, 0].astype(int), own[:, 1].astype(int), own[:, 2:4], own[:, 4]),
      self.classes,
      THUMOS,
    )
    # The reference's mean is nan where a class is detected that the list does not have: no number to choose a step by.
    there = np.unique(wanted[:, 1].astype(int))
    values = ap[:, there].mean(axis=1) if len(there) else np.zeros(len(THUMOS))
    return dict(zip(METRICS, map(float, values), strict=True))

  def _detect(self, variables: Mapping[str, Any], x: np.ndarray, rows: np.ndarray, most: int):
    """(class, start, end, score) of each detection of a video; x [T, C], rows [R, 2] in [0, 1]."""
    ticks, scales = sampling.test_stages(rows, len(x))
    padding = ((0, most - len(rows)), (0, 0))  # one shape a length of video, not one a number of proposals too
    out = self._head(variables["params"]["head"], x[None], np.pad(ticks, padding)[None], np.pad(scales, padding)[None])
    out = {name: np.asarray(value[0])[: len(rows)] for name, value in out.items()}
    moves = np.asarray(denormalize(out["regression"], self.normalizers))
    own = self.config["localization"]
    by_class = structured.detections(
      rows, out["activity"], out["completeness"], moves, top_k=own["top_k"], threshold=own["nms_threshold"]
    )
    return [(label, *one[:3]) for label, each in enumerate(by_class) for one in each]


@dataclasses.dataclass(frozen=True)
class Media:
  """Where the videos of a proposal file are: their names under `folder`; with a template folders of images."""

  folder: str
  template: str

  def read(self, video: ProposalVideo, frames: np.ndarray, cache: FrameCache | None) -> np.ndarray:
    """uint8 [N, H, W, 3].  MediaError for a video with fewer frames than the file says; one or two may lack."""
    source = os.path.join(self.folder, video.id)
    kept = {"template": self.template, "frames": video.frames} if self.template else {}
    with open_frames(Record(video.id, source, **kept)) as opened:
      if opened.num_frames < video.frames - 2:
        raise MediaError(f"{source}: {opened.num_frames} frames; its proposals are of {video.frames}")
      unique, inverse = np.unique(np.minimum(frames, opened.num_frames - 1), return_inverse=True)
      return opened.read(unique)[inverse]


def _views(form: Preprocessing, frames: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
  """[N, H, W, C] -> uint8 [1, N, H, W, C]."""
  clip = Clip(frames)
  for step in form.steps:
    clip = STEPS[step](clip, rng, **form.settings.get(step, {}))
  return np.ascontiguousarray(clip.frames)[None]


@dataclasses.dataclass(frozen=True)
class Train:
  """(video, rng, cache) -> {"clips" uint8 [1, R * segments, H, W, 3], "scales" [R, 2], "classes" [R], "target" [R, 2]}.

  Of R = 8 proposals: a positive one, six incomplete, one of background; of any video where this one lacks a kind."""

  media: Media
  form: Preprocessing
  pools: Mapping[ProposalVideo, sampling.Pools]
  whole: sampling.Pools
  normalizers: np.ndarray
  segments: tuple[int, ...] = (2, 5, 2)

  def __call__(
    self, video: ProposalVideo, rng: np.random.Generator | None = None, cache: FrameCache | None = None
  ) -> dict[str, Any]:
    picked = sampling.sample(self.pools[video], self.whole, rng=rng)
    before, body, behind = self.segments
    frames, scales, labels, targets = [], [], [], []
    for own, one, kind in picked:
      chosen = proposal_sample_frames(
        own.frames, [(one.start, one.end)], clip_len=1,
        body_segments=body, aug_segments=(before, behind), aug_ratio=0.5, rng=rng,
      )  # fmt: skip
      frames.append(self.media.read(own, chosen, cache))
      scales.append(sampling.stage_scales(one.start, one.end, own.frames)[1])
      labels.append(0 if kind == 2 else one.label)
      target = (np.array(sampling.targets(own, one)) - self.normalizers[0]) / self.normalizers[1]
      targets.append(target if kind == 0 else np.zeros(2))
    return {
      "clips": np.concatenate([_views(self.form, each, rng) for each in frames], axis=1),
      "scales": np.array(scales, np.float32),
      "classes": np.array(labels, np.int32),
      "target": np.array(targets, np.float32),
    }


@dataclasses.dataclass(frozen=True)
class Test:
  """(piece, rng, cache) -> {"clips" uint8 [1, piece, H, W, 3]}; behind the video's last frame that one again."""

  media: Media
  form: Preprocessing
  interval: int
  piece: int

  def __call__(
    self, record: Piece, rng: np.random.Generator | None = None, cache: FrameCache | None = None
  ) -> dict[str, Any]:
    frames = sampling.test_frames(record.video.frames, self.interval)[record.first : record.first + self.piece]
    padded = np.pad(frames, (0, self.piece - len(frames)), mode="edge")
    return {"clips": _views(self.form, self.media.read(record.video, padded, cache), None)}


def _objective() -> Task:
  def part(name):
    return lambda out, batch: losses.ssn(out, {"label": batch["classes"], "target": batch["target"]})[name]

  return Task(part("loss"), {name: part(name) for name in ("activity", "completeness", "regression")})
