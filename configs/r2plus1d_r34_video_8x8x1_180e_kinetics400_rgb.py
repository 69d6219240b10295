"""R(2+1)D, ResNet-34, 8 frames at stride 8, Kinetics-400, RGB, video files, from scratch.  arXiv:1711.11248.

python -m launch.train --config=configs/r2plus1d_r34_video_8x8x1_180e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 67.3 %, top-5 87.8 % (videos of short side 256), as MMAction2 0.9.0 gives (10 clips, 3 crops).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {
    "top1": 67.3,
    "top5": 87.8,
    "checkpoint": "r2plus1d_r34_video_8x8x1_180e_kinetics400_rgb_20200826-ab35a529.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "r2plus1d_r34_8x8x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 128, duration(epochs=180)  # 8 devices x 16
  recipes.train_views(c, recipes.clips(8, 8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(8, 8), 224)
  recipes.published_views(c, recipes.clips(8, 8, 10), "three_crop", 256)
  recipes.sgd(c, 0.2)
  c.schedule.name = "cosine"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
