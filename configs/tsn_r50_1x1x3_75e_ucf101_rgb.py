"""TSN, ResNet-50, 3 segments, UCF101 (split 1), RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x3_75e_ucf101_rgb.py --workdir=DIR \\
    --config.data.root=UCF101 --config.init.folder=RESNET50

Accuracy wanted: top-1 83.03 %, top-5 96.78 %, as MMAction2 0.9.0 gives (25 segments, 3 crops). RESNET50 is a model
folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "as published": {"top1": 83.03, "top5": 96.78, "checkpoint": "tsn_r50_1x1x3_75e_ucf101_rgb_20201023-d85ab600.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x3", 101, {"dropout": 0.4, "std": 0.001}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 256, duration(epochs=75)  # 8 devices x 32
  recipes.train_views(c, recipes.segments(3), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(3), 256)
  recipes.published_views(c, recipes.segments(25), "three_crop", 256, average="score")
  recipes.sgd(c, 0.00128, decay=0.0005)
  c.schedule.name = "constant"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
