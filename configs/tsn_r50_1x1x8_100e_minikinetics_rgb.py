"""TSN, ResNet-50, 8 segments, Mini-Kinetics-200, RGB: the baseline of OmniSource.  OmniSource, arXiv:2003.13042.

python -m launch.train --config=configs/tsn_r50_1x1x8_100e_minikinetics_rgb.py --workdir=DIR \\
    --config.data.root=MINIKINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment (its table of Mini-Kinetics is of 3 segments and of
4x16 frames). RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x8", 200, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 96, duration(epochs=100)  # 8 devices x 12
  recipes.train_views(c, recipes.segments(8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(8), 256)
  recipes.published_views(c, recipes.segments(25), "three_crop", 256, average="score")
  recipes.sgd(c, 0.00375)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
