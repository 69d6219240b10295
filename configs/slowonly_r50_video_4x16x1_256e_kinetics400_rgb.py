"""SlowOnly, ResNet-50, 4 frames at stride 16, Kinetics-400, RGB, video files, from scratch.  arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r50_video_4x16x1_256e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 72.9 %, top-5 90.82 % (videos of short side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "320p": {
    "top1": 72.9,
    "top5": 90.82,
    "checkpoint": "slowonly_r50_video_320p_4x16x1_256e_kinetics400_rgb_20201014-c9cdc656.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_4x16x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 192, duration(epochs=256)  # 8 devices x 24
  recipes.train_views(c, recipes.clips(4, 16), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(4, 16), 224)
  recipes.published_views(c, recipes.clips(4, 16, 10), "three_crop", 256)
  recipes.sgd(c, 0.3)
  c.schedule.name = "cosine"
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
