"""TSN, ResNet-50, 8 segments, ActivityNet 1.3 by videos, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_320p_1x1x8_50e_activitynet_video_rgb.py --workdir=DIR \\
    --config.data.root=ACTIVITYNET --config.init.folder=TSN_KINETICS

Accuracy wanted: top-1 73.97 %, top-5 93.46 % (videos of 340 x 256), as MMAction2 0.9.0 gives (25 segments, 3 crops).
TSN_KINETICS is the model folder that `tsn_r50_320p_1x1x8_100e_kinetics400_rgb` gives.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {
    "top1": 73.97,
    "top5": 93.46,
    "checkpoint": "tsn_r50_320p_1x1x8_50e_activitynet_video_rgb_20200804-9e15687e.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x8", 200, {"dropout": 0.8}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=50)  # 8 devices x 8
  recipes.train_views(c, recipes.segments(8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(8), 256)
  recipes.published_views(c, recipes.segments(25), "three_crop", 256, average="score")
  recipes.sgd(c, 0.001)
  recipes.steps_at(c, 20, 40)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
