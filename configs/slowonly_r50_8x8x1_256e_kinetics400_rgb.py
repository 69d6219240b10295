"""SlowOnly, ResNet-50, 8 frames at stride 8, Kinetics-400, RGB, from scratch.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r50_8x8x1_256e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 74.42 %, top-5 91.49 % (videos of short side 256); top-1 74.93 %, top-5 91.92 % (videos of short
side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {
    "top1": 74.42,
    "top5": 91.49,
    "checkpoint": "slowonly_r50_256p_8x8x1_256e_kinetics400_rgb_20200820-75851a7d.pth",
  },
  "320p": {"top1": 74.93, "top5": 91.92, "checkpoint": "slowonly_r50_8x8x1_256e_kinetics400_rgb_20200703-a79c555a.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_8x8x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 64, duration(epochs=256)  # 8 devices x 8
  recipes.train_views(c, recipes.clips(8, 8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(8, 8), 224)
  recipes.published_views(c, recipes.clips(8, 8, 10), "three_crop", 256)
  recipes.sgd(c, 0.1)
  c.schedule.name = "cosine"
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
