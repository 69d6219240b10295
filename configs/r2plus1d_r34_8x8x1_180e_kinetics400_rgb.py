"""R(2+1)D, ResNet-34, 8 frames at stride 8, Kinetics-400, RGB, from scratch.  arXiv:1711.11248.

python -m launch.train --config=configs/r2plus1d_r34_8x8x1_180e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 67.3 %, top-5 87.65 % (videos of short side 256); top-1 68.68 %, top-5 88.36 % (videos of short
side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {
    "top1": 67.3,
    "top5": 87.65,
    "checkpoint": "r2plus1d_r34_256p_8x8x1_180e_kinetics400_rgb_20200729-aa94765e.pth",
  },
  "320p": {"top1": 68.68, "top5": 88.36, "checkpoint": "r2plus1d_r34_8x8x1_180e_kinetics400_rgb_20200618-3fce5629.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "r2plus1d_r34_8x8x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 64, duration(epochs=180)  # 8 devices x 8
  recipes.train_views(c, recipes.clips(8, 8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(8, 8), 224)
  recipes.published_views(c, recipes.clips(8, 8, 10), "three_crop", 256)
  recipes.sgd(c, 0.1)
  c.schedule.name = "cosine"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
