"""What the configs of detection share: clips around key frames, AVA's files and schedules."""

from typing import Any

import ml_collections

from jaction.configs.base import MEAN, STD, base, duration

COSINE = {"version": "v2.2", "epochs": 10, "cosine": True}
NON_LOCAL = {"weight_decay": 1e-6, "nesterov": True, "epochs": 10, "milestones": (4, 6, 8), "warmup_ratio": 0.01}


def key_frames(
  *,
  clip_len: int,
  frame_interval: int,
  steps: tuple[str, ...],
  settings: dict[str, dict],
  mean: tuple[float, ...] = MEAN,
  std: tuple[float, ...] = STD,
  target_fps: float = 0.0,
  max_boxes: int = 32,
) -> ml_collections.ConfigDict:
  """What jaction.clips.key_frames.KeyFrames reads."""
  return ml_collections.ConfigDict(
    {
      "clip_len": clip_len,
      "frame_interval": frame_interval,
      "steps": steps,
      "settings": settings,
      "mean": mean,
      "std": std,
      "target_fps": target_fps,
      "max_boxes": max_boxes,
    }
  )


def ava(
  name: str,
  clip_len: int,
  frame_interval: int,
  *,
  version: str = "v2.1",
  batch_size: int,
  lr: float,
  weight_decay: float = 1e-5,
  nesterov: bool = False,
  epochs: int = 20,
  milestones: tuple[int, ...] = (10, 15),
  cosine: bool = False,
  warmup: ml_collections.ConfigDict | None = None,
  warmup_ratio: float = 0.1,
) -> ml_collections.ConfigDict:
  """AVA's files under data.root, as MMAction2 lays them out: annotations/ and rawframes/ (30 a second from 900 s)."""
  c = base()
  c.task, c.model.name, c.model.num_classes = "detection", name, 81
  c.batch_size, c.duration = batch_size, duration(epochs=epochs)
  files = "annotations/ava"
  c.data.train, c.data.val = f"{files}_train_{version}.csv", f"{files}_val_{version}.csv"
  c.data.labels = f"{files}_action_list_{version}{'_for_activitynet_2018' if version == 'v2.1' else ''}.pbtxt"
  c.detection.media, c.detection.start, c.detection.fps = "rawframes", 900.0, 30.0
  for split in ("train", "val"):
    c.detection[f"{split}_exclude"] = f"{files}_{split}_excluded_timestamps_{version}.csv"
    c.detection[f"{split}_proposals"] = f"{files}_dense_proposals_{split}.FAIR.recall_93.9.pkl"
  clip: dict[str, Any] = {"clip_len": clip_len, "frame_interval": frame_interval}
  c.preprocessing.train = key_frames(
    **clip,
    steps=("random_rescale", "random_crop", "flip"),
    settings={"random_rescale": {"scales": (256, 320)}, "random_crop": {"size": 256}, "flip": {"ratio": 0.5}},
  )
  # The whole frame; batches of one, since videos differ in shape.
  c.preprocessing.test = key_frames(**clip, steps=("resize",), settings={"resize": {"size": 256}}, max_boxes=128)
  c.preprocessing.published = c.preprocessing.test.copy_and_resolve_references()
  c.optimizer.name, c.optimizer.momentum, c.optimizer.weight_decay = "sgd", 0.9, weight_decay
  c.optimizer.nesterov, c.optimizer.clip_norm = nesterov, 40.0
  c.schedule.lr, c.schedule.reference_batch = lr, batch_size
  c.schedule.name = "cosine" if cosine else "step"
  c.schedule.milestones, c.schedule.by_epoch = () if cosine else milestones, not cosine
  c.schedule.warmup = duration(epochs=2 if cosine else 5) if warmup is None else warmup
  c.schedule.warmup_ratio = warmup_ratio
  c.init.reinit = ("params/head",)  # init.folder: a recognizer's of the same backbone, trained on Kinetics
  c.eval.every, c.eval.batch_size, c.eval.metric = duration(epochs=1), 1, "mAP"
  c.checkpoint.every, c.log.every_steps = duration(epochs=1), 20
  return c
