"""SlowOnly, ResNet-50, 8 frames at stride 8, Kinetics-600, RGB, video files, from scratch.  arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r50_video_8x8x1_256e_kinetics600_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS600

Accuracy wanted: top-1 77.5 %, top-5 93.7 % (videos of short side 256), as MMAction2 0.9.0 gives (10 clips, 3 crops).
The original tests videos of short side 256 as they are; the resize here leaves those unchanged.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {
    "top1": 77.5,
    "top5": 93.7,
    "checkpoint": "slowonly_r50_video_8x8x1_256e_kinetics600_rgb_20201015-81e5153e.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_8x8x1", 600, {"dropout": 0.5}
  c.batch_size, c.duration = 96, duration(epochs=256)  # 8 devices x 12
  recipes.train_views(c, recipes.clips(8, 8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(8, 8), 256)
  recipes.published_views(c, recipes.clips(8, 8, 10), "three_crop", 256)
  recipes.sgd(c, 0.15)
  c.schedule.name = "cosine"
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
