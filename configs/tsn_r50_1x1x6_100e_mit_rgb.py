"""TSN, ResNet-50, 6 segments, Moments in Time, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x6_100e_mit_rgb.py --workdir=DIR \\
    --config.data.root=MIT --config.init.folder=RESNET50

Accuracy wanted: top-1 26.84 %, top-5 51.6 % (videos of short side 256), as MMAction2 0.9.0 gives (6 segments, 3
crops). RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {"top1": 26.84, "top5": 51.6, "checkpoint": "tsn_r50_1x1x6_100e_mit_rgb_20200618-d512ab1b.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x6", 339, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 128, duration(epochs=100)  # 8 devices x 16
  recipes.train_views(c, recipes.segments(6), recipes.multi_scale_crop((1.0, 0.8), 0))
  recipes.test_views(c, recipes.segments(6), 224)
  recipes.published_views(c, recipes.segments(6), "three_crop", 256, average="score")
  recipes.sgd(c, 0.005)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
