"""TSN, ResNet-50, 8 segments, HMDB51 (split 1), RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x8_50e_hmdb51_mit_rgb.py --workdir=DIR \\
    --config.data.root=HMDB51 --config.init.folder=TSN_MIT

Accuracy wanted: top-1 54.25 %, top-5 83.86 %, as MMAction2 0.9.0 gives (8 segments, the central crop). TSN_MIT is the
model folder that `tsn_r50_1x1x6_100e_mit_rgb` gives.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "as published": {
    "top1": 54.25,
    "top5": 83.86,
    "checkpoint": "tsn_r50_1x1x8_50e_hmdb51_mit_rgb_20201123-01526d41.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x8", 51, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 256, duration(epochs=50)  # 8 devices x 32
  recipes.train_views(c, recipes.segments(8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(8), 256)
  recipes.published_views(c, recipes.segments(8), "center_crop", 256, average="score")
  recipes.sgd(c, 0.025)
  recipes.steps_at(c, 20, 40)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
