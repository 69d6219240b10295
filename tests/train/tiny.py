"""A config of a few dozen quick steps, and a set of picture folders for it: what the tests of training train."""

import pathlib

import cv2
import numpy as np

from jaction.configs.base import base, duration, preprocessing

CLASSES = 4


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsm_tiny_1x1x8", CLASSES, {"dropout": 0.2}
  c.batch_size, c.duration = 8, duration(steps=48)
  segments = {"num_clips": 8, "frames_per_view": 8, "mean": (127.5,) * 3, "std": (63.75,) * 3}
  c.preprocessing.train = preprocessing(
    **segments, steps=("random_crop", "flip"), settings={"random_crop": {"size": 16}, "flip": {"ratio": 0.5}}
  )
  c.preprocessing.test = preprocessing(**segments, steps=("center_crop",), settings={"center_crop": {"size": 16}})
  c.optimizer.name, c.optimizer.weight_decay = "adamw", 1e-2
  c.schedule.lr, c.schedule.warmup = 3e-3, duration(steps=4)
  c.eval.every, c.eval.batch_size, c.checkpoint.every = duration(steps=16), 8, duration(steps=3)
  c.log.every_steps, c.log.seconds, c.log.tensorboard, c.log.curves = 6, 0.5, False, False
  c.data.format = "frame_list"
  return c.lock()


def make_set(folder: pathlib.Path, counts=(("train", 20), ("val", 11))) -> pathlib.Path:
  """Folders of 9 pictures of 20 x 20 pixels; the class is the colour that a square has."""
  rng = np.random.default_rng(0)
  colours = np.array([[255, 40, 40], [40, 255, 40], [40, 40, 255], [220, 220, 40]])
  for split, count in counts:
    lines = []
    for number in range(count):
      label, place = number % CLASSES, folder / f"{split}_{number:02d}"
      place.mkdir(parents=True)
      for frame in range(9):
        picture = rng.integers(0, 120, (20, 20, 3))
        picture[4 + frame // 2 : 14, 6:15] = colours[label]
        cv2.imwrite(str(place / f"img_{frame + 1:05d}.jpg"), picture.astype(np.uint8))
      lines.append(f"{place.name} 9 {label}\n")
    (folder / f"{split}.txt").write_text("".join(lines))
  return folder
