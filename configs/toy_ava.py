"""A tiny SlowOnly detector (170,000 parameters) on the toy set of actors.  SlowFast Networks, arXiv:1812.03982.

python -m launch.data toy-actors DIR/actors
python -m launch.train --config=configs/toy_ava.py --workdir=DIR/ava --config.data.root=DIR/actors

Wanted: a frame mAP of 0.8 or more on the validation videos, after some minutes on two cores; docs/detection.md has what
was measured.  `--config=configs/toy_ava.py:short` is a minute's run that shows that the loss falls.
"""

from jaction.configs.base import base, duration
from jaction.configs.detection import key_frames

GREY = {"mean": (127.5, 127.5, 127.5), "std": (63.75, 63.75, 63.75)}


def get_config(form: str = ""):
  c = base()
  c.task, c.model.name, c.model.num_classes = "detection", "slowonly_tiny_8x2x1_ava", 7
  c.batch_size, c.duration = 16, duration(epochs=10)
  clip = {"clip_len": 8, "frame_interval": 2, "max_boxes": 8, **GREY}
  crop = {"size": (96, 64), "area_range": (0.6, 1.0), "aspect_ratio_range": (1.2, 1.9)}
  c.preprocessing.train = key_frames(**clip, steps=("random_resized_crop",), settings={"random_resized_crop": crop})
  c.preprocessing.test = key_frames(**clip, steps=("resize",), settings={"resize": {"size": (96, 64)}})
  c.data.train, c.data.val, c.data.labels, c.data.cache_mb = "train.csv", "val.csv", "actions.pbtxt", 256
  c.detection.media = "videos"
  for split in ("train", "val"):
    c.detection[f"{split}_exclude"] = f"{split}_excluded.csv"
    c.detection[f"{split}_proposals"] = f"proposals_{split}.npz"
  c.optimizer.name, c.optimizer.weight_decay = "adamw", 1e-2
  c.schedule.name, c.schedule.lr, c.schedule.warmup = "cosine", 4e-3, duration(epochs=1)
  c.eval.every, c.checkpoint.every, c.log.every_steps = duration(epochs=2), duration(epochs=2), 20
  c.eval.metric = "mAP"
  if form == "short":
    c.duration, c.schedule.warmup, c.eval.every = duration(steps=40), duration(steps=5), duration(steps=40)
    c.checkpoint.every, c.log.every_steps = duration(steps=40), 10
  elif form:
    raise ValueError(f"toy_ava has the form short; got {form!r}")
  return c.lock()
