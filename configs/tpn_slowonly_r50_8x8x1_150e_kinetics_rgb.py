"""TPN on SlowOnly, ResNet-50, 8 frames at stride 8, Kinetics-400, RGB, from scratch.  arXiv:2004.03548.

python -m launch.train --config=configs/tpn_slowonly_r50_8x8x1_150e_kinetics_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 73.1 %, top-5 91.03 % (videos of short side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
The auxiliary head joins the loss with weight 0.5. The colour jitter is the one of MMAction2 0.17, which mended that of
0.9.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "320p": {"top1": 73.1, "top5": 91.03, "checkpoint": "tpn_slowonly_r50_8x8x1_150e_kinetics_rgb_20200910-b796d7a0.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tpn_slowonly_r50_8x8x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 64, duration(epochs=150)  # 8 devices x 8
  recipes.train_views(c, recipes.clips(8, 8), recipes.RESIZED_CROP, resize=None, jitter=True)
  recipes.test_views(c, recipes.clips(8, 8), 224)
  recipes.published_views(c, recipes.clips(8, 8, 10), "three_crop", 256)
  recipes.sgd(c, 0.01, nesterov=True)
  recipes.steps_at(c, 75, 125)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
