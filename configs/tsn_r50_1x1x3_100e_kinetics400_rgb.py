"""TSN, ResNet-50, 3 segments, Kinetics-400, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x3_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 70.6 %, top-5 89.26 % (videos of 340 x 256); top-1 70.42 %, top-5 89.03 % (videos of short side
256), as MMAction2 0.9.0 gives (25 segments, 10 crops). RESNET50 is a model folder with ImageNet weights (`python -m
converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {"top1": 70.6, "top5": 89.26, "checkpoint": "tsn_r50_1x1x3_100e_kinetics400_rgb_20200614-e508be42.pth"},
  "256p": {"top1": 70.42, "top5": 89.03, "checkpoint": "tsn_r50_256p_1x1x3_100e_kinetics400_rgb_20200725-22592236.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x3", 400, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 256, duration(epochs=100)  # 8 devices x 32
  recipes.train_views(c, recipes.segments(3), recipes.multi_scale_crop())
  recipes.test_views(c, recipes.segments(3), 224)
  recipes.published_views(c, recipes.segments(25), "ten_crop", 224, average="score")
  recipes.sgd(c, 0.01)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
