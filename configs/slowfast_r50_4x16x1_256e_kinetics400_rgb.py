"""SlowFast, ResNet-50, 32 frames at stride 2 (4 slow, 32 fast), Kinetics-400, RGB, from scratch.  arXiv:1812.03982.

python -m launch.train --config=configs/slowfast_r50_4x16x1_256e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 74.75 %, top-5 91.73 % (videos of short side 256); top-1 75.64 %, top-5 92.3 % (videos of short
side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {
    "top1": 74.75,
    "top5": 91.73,
    "checkpoint": "slowfast_r50_256p_4x16x1_256e_kinetics400_rgb_20200728-145f1097.pth",
  },
  "320p": {"top1": 75.64, "top5": 92.3, "checkpoint": "slowfast_r50_4x16x1_256e_kinetics400_rgb_20200704-bcde7ed7.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowfast_r50_4x16x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 64, duration(epochs=256)  # 8 devices x 8
  recipes.train_views(c, recipes.clips(32, 2), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(32, 2), 224)
  recipes.published_views(c, recipes.clips(32, 2, 10), "three_crop", 256)
  recipes.sgd(c, 0.1)
  c.schedule.name = "cosine"
  c.schedule.warmup, c.schedule.warmup_ratio = duration(epochs=34), 0.1
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
