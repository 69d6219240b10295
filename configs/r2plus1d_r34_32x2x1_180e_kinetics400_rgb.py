"""R(2+1)D, ResNet-34, 32 frames at stride 2, Kinetics-400, RGB, from scratch.  arXiv:1711.11248.

python -m launch.train --config=configs/r2plus1d_r34_32x2x1_180e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 74.6 %, top-5 91.59 % (videos of short side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "320p": {"top1": 74.6, "top5": 91.59, "checkpoint": "r2plus1d_r34_32x2x1_180e_kinetics400_rgb_20200618-63462eb3.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "r2plus1d_r34_32x2x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 48, duration(epochs=180)  # 8 devices x 6
  recipes.train_views(c, recipes.clips(32, 2), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(32, 2), 224)
  recipes.published_views(c, recipes.clips(32, 2, 10), "three_crop", 256)
  recipes.sgd(c, 0.075)
  c.schedule.name = "cosine"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
