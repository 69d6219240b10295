"""TSN, ResNet-50, 8 segments, Kinetics-700, RGB, video files.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_video_1x1x8_100e_kinetics700_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS700 --config.init.folder=RESNET50

Accuracy wanted: top-1 61.7 %, top-5 83.6 % (videos of short side 256), as MMAction2 0.9.0 gives (25 segments, 3
crops). RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {"top1": 61.7, "top5": 83.6, "checkpoint": "tsn_r50_video_1x1x8_100e_kinetics700_rgb_20201015-e381a6c7.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x8", 700, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 96, duration(epochs=100)  # 8 devices x 12
  recipes.train_views(c, recipes.segments(8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(25), "three_crop", 256, average="score")
  recipes.sgd(c, 0.00375)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
