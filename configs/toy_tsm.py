"""A tiny TSM (110,000 parameters) on the toy set.  Temporal Shift Module, arXiv:1811.08383.

python -m launch.data toy DIR/toy
python -m launch.train --config=configs/toy_tsm.py --workdir=DIR/tsm --config.data.root=DIR/toy

Accuracy wanted: top-1 of 95 % or more on the test list (100.0 % with seeds 0, 1 and 2), after some minutes on two
cores; chance is 12.5 %, and 50 % is what the shape alone gives.  `--config=configs/toy_tsm.py:short` is a minute's run
that shows that the loss falls; `toy_tsm.py:own` is for other videos: folders per class, and no table of the toy
classes; `toy_tsm.py:tfds` trains from ArrayRecord shards in a TFDS folder, which this makes:

python -m launch.data build DIR/toy/train.txt DIR/toy/val.txt DIR/toy/test.txt DIR/toy_tfds --labels DIR/toy/labels.txt
"""

from jaction.configs.base import base, duration, preprocessing

# The class seen in a mirror, and played backwards: left right up down growing shrinking clockwise anticlockwise.
# A test holds these against the set's own tables.
FLIP, REVERSE = (1, 0, 2, 3, 4, 5, 7, 6), (1, 0, 3, 2, 5, 4, 7, 6)
# Measured here, seeds 0, 1 and 2 alike: what `jaction reproduce --row toy_tsm` compares with.
PUBLISHED = {"test": {"top1": 100.0, "list": "test.txt", "checkpoint": "the model folder of a run"}}
GREY = {"mean": (127.5, 127.5, 127.5), "std": (63.75, 63.75, 63.75)}


def get_config(form: str = ""):
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsm_tiny_1x1x8", 8, {"dropout": 0.1}
  c.batch_size = 16
  c.duration = duration(epochs=28)
  segments = {"num_clips": 8, "frames_per_view": 8, **GREY}
  c.preprocessing.train = preprocessing(
    **segments,
    steps=("resize", "random_crop", "flip", "reverse"),
    settings={
      "resize": {"size": 72},
      "random_crop": {"size": 64},
      "flip": {"labels": FLIP},
      "reverse": {"labels": REVERSE},
    },
  )
  c.preprocessing.test = preprocessing(
    **segments, steps=("resize", "center_crop"), settings={"resize": {"size": 72}, "center_crop": {"size": 64}}
  )
  c.preprocessing.published = c.preprocessing.test.copy_and_resolve_references()
  c.optimizer.name, c.optimizer.weight_decay = "adamw", 1e-2
  c.schedule.name, c.schedule.lr, c.schedule.warmup = "cosine", 4e-3, duration(epochs=1)
  c.eval.every, c.checkpoint.every, c.log.every_steps = duration(epochs=2), duration(epochs=1), 20
  c.data.labels, c.data.cache_mb = "labels.txt", 1024
  if form == "short":
    c.duration, c.schedule.warmup, c.eval.every = duration(steps=80), duration(steps=10), duration(steps=40)
    c.checkpoint.every, c.log.every_steps = duration(steps=40), 10
  elif form == "own":
    c.model.num_classes, c.data.train, c.data.val, c.data.labels = 2, "train", "val", ""
    c.preprocessing.train.steps = ("resize", "random_crop", "flip")
    settings = {"resize": {"size": 72}, "random_crop": {"size": 64}, "flip": {"ratio": 0.5}}
    c.preprocessing.train.settings = settings  # ratio 0 where left and right are classes
  elif form == "tfds":
    c.data.format, c.data.train, c.data.val, c.data.labels = "tfds", "train", "val", "label.labels.txt"
  elif form:
    raise ValueError(f"toy configs have the forms short, own and tfds; got {form!r}")
  return c.lock()
