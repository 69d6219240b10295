"""A tiny SSN on the untrimmed toy set.  Structured Segment Networks, arXiv:1704.06228.

docs/localization.md has the command that makes the set, its proposals (sliding windows) among it.

python -m launch.train --config=configs/toy_ssn.py --workdir=DIR/ssn --config.data.root=DIR/untrimmed

Accuracy wanted: a THUMOS mAP@0.5 of 30 % or more; seed 0 had 36.6 % after its 24 epochs, and 2.6 % on
exchanged_proposals.txt, the same videos with proposals of others.  Single frames do not tell apart the two directions
of a class, so that about half of what is possible is what appearance alone can give.
"""

from jaction.configs.base import base, duration, preprocessing

GREY = {"mean": (127.5, 127.5, 127.5), "std": (63.75, 63.75, 63.75)}


def get_config(form: str = ""):
  c = base()
  c.task = "ssn"
  c.model.name, c.model.num_classes = "ssn_tiny", 8
  c.data.train, c.data.val, c.data.labels = "train_proposals.txt", "val_proposals.txt", "labels.txt"
  c.localization.test_interval = 4
  views = preprocessing(
    num_clips=9, frames_per_view=9, **GREY, steps=("center_crop",), settings={"center_crop": {"size": 64}}
  )
  c.preprocessing.train, c.preprocessing.test = views, views.copy_and_resolve_references()
  c.batch_size, c.duration = 8, duration(epochs=24)
  c.optimizer.name, c.optimizer.weight_decay = "adamw", 1e-2
  c.schedule.name, c.schedule.lr, c.schedule.warmup = "cosine", 4e-3, duration(epochs=1)
  c.eval.every, c.eval.batch_size, c.eval.metric = duration(epochs=8), 8, "map@0.5"
  c.checkpoint.every, c.log.every_steps = duration(epochs=8), 20
  if form == "short":
    c.duration, c.schedule.warmup, c.eval.every = duration(steps=8), duration(steps=2), duration(steps=8)
    c.checkpoint.every, c.log.every_steps = duration(steps=8), 2
  elif form:
    raise ValueError(f"toy_ssn has the form short; got {form!r}")
  return c.lock()
