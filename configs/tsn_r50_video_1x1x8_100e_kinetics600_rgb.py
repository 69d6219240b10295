"""TSN, ResNet-50, 8 segments, Kinetics-600, RGB, video files.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_video_1x1x8_100e_kinetics600_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS600 --config.init.folder=RESNET50

Accuracy wanted: top-1 74.8 %, top-5 92.3 % (videos of short side 256), as MMAction2 0.9.0 gives (25 segments, 3
crops). RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {"top1": 74.8, "top5": 92.3, "checkpoint": "tsn_r50_video_1x1x8_100e_kinetics600_rgb_20201015-4db3c461.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x8", 600, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 96, duration(epochs=100)  # 8 devices x 12
  recipes.train_views(c, recipes.segments(8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(25), "three_crop", 256, average="score")
  recipes.sgd(c, 0.00375)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
