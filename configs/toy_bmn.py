"""A small BMN on the untrimmed toy set.  Boundary-Matching Network, arXiv:1907.09702.

docs/localization.md has the commands that make the set and its features.

python -m launch.train --config=configs/toy_bmn.py --workdir=DIR/bmn --config.data.root=DIR/untrimmed

Accuracy wanted: AUC of 80 or more on the validation videos.
"""

from jaction.configs.base import base, duration


def get_config(form: str = ""):
  c = base()
  c.task = "localization"
  c.model.name, c.model.num_classes = "bmn_400x100", 1
  c.model.fields = {
    "temporal_dim": 64, "feat_dim": 64, "num_samples": 16, "hidden_1d": 64, "hidden_2d": 32, "hidden_3d": 64,
  }  # fmt: skip
  c.data.train, c.data.val = "train.json", "val.json"
  c.batch_size, c.duration = 8, duration(epochs=30)
  c.optimizer.name, c.optimizer.weight_decay = "adamw", 1e-3
  c.schedule.name, c.schedule.lr, c.schedule.warmup = "cosine", 2e-3, duration(epochs=1)
  c.eval.every, c.eval.batch_size, c.eval.metric = duration(epochs=5), 8, "auc"
  c.checkpoint.every, c.log.every_steps = duration(epochs=5), 20
  if form == "short":
    c.duration, c.schedule.warmup, c.eval.every = duration(steps=8), duration(steps=2), duration(steps=8)
    c.checkpoint.every, c.log.every_steps = duration(steps=8), 2
  elif form:
    raise ValueError(f"toy_bmn has the form short; got {form!r}")
  return c.lock()
