"""TSN, ResNet-50, 8 segments, HMDB51 (split 1), RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x8_50e_hmdb51_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=HMDB51 --config.init.folder=TSN_KINETICS

Accuracy wanted: top-1 56.08 %, top-5 84.31 %, as MMAction2 0.9.0 gives (8 segments, the central crop). TSN_KINETICS is
the model folder that `tsn_r50_320p_1x1x8_100e_kinetics400_rgb` gives at 256p.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "as published": {
    "top1": 56.08,
    "top5": 84.31,
    "checkpoint": "tsn_r50_1x1x8_50e_hmdb51_kinetics400_rgb_20201123-7f84701b.pth",
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
