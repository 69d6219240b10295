"""SlowOnly, ResNet-50, 8 frames at stride 8, Mini-Kinetics-200, RGB: the baseline of OmniSource.  arXiv:2003.13042.

python -m launch.train --config=configs/slowonly_r50_8x8x1_256e_minikinetics_rgb.py --workdir=DIR \\
    --config.data.root=MINIKINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment (its table of Mini-Kinetics is of 3 segments and of
4x16 frames).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_8x8x1", 200, {"dropout": 0.5}
  c.batch_size, c.duration = 96, duration(epochs=256)  # 8 devices x 12
  recipes.train_views(c, recipes.clips(8, 8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(8, 8), 256)
  recipes.published_views(c, recipes.clips(8, 8, 10), "three_crop", 256)
  recipes.sgd(c, 0.15)
  c.schedule.name = "cosine"
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
