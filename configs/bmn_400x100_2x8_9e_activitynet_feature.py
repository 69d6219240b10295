"""BMN on ActivityNet features of 100 steps.  Boundary-Matching Network, arXiv:1907.09702.

python -m launch.train --config=configs/bmn_400x100_2x8_9e_activitynet_feature.py --workdir=DIR \\
    --config.data.root=ACTIVITYNET

Accuracy wanted: AUC 67.22 %, AR@100 75.28 % (MMAction2 0.9.0, features cuhk_mean_100, two GPUs of 8 videos each).
"""

from jaction.configs.base import base, duration

PUBLISHED = {"cuhk_mean_100": {"auc": 67.22, "ar100": 75.28}}


def get_config():
  c = base()
  c.task = "localization"
  c.model.name, c.model.num_classes = "bmn_400x100", 1
  c.data.train, c.data.val = "anet_anno_train.json", "anet_anno_val.json"
  c.data.features = "activitynet_feature_cuhk/csv_mean_100"
  c.batch_size, c.duration = 16, duration(epochs=9)
  c.optimizer.name, c.optimizer.weight_decay = "adam", 1e-4
  c.schedule.name, c.schedule.lr, c.schedule.by_epoch = "step", 1e-3, True
  c.schedule.milestones = (7,)
  c.eval.every, c.eval.metric, c.checkpoint.every = duration(epochs=1), "auc", duration(epochs=1)
  return c.lock()
