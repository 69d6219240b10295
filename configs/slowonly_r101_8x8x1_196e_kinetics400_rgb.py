"""SlowOnly, ResNet-101, 8 frames at stride 8, Kinetics-400, RGB, from scratch.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r101_8x8x1_196e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r101_8x8x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 64, duration(epochs=196)  # 8 devices x 8
  recipes.train_views(c, recipes.clips(8, 8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(8, 8), 224)
  recipes.published_views(c, recipes.clips(8, 8, 10), "three_crop", 256)
  recipes.sgd(c, 0.1)
  c.schedule.name = "cosine"
  c.schedule.warmup, c.schedule.warmup_ratio = duration(epochs=34), 0.1
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
