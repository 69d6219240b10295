"""TSN, ResNet-50, 8 frames of a drawn window, Kinetics-400, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_dense_1x1x8_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 70.77 %, top-5 89.3 % (videos of 340 x 256), as MMAction2 0.9.0 gives (10 windows, the central
crop). RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {
    "top1": 70.77,
    "top5": 89.3,
    "checkpoint": "tsn_r50_dense_1x1x8_100e_kinetics400_rgb_20200606-e925e6e3.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_dense_1x1x8", 400, {"dropout": 0.5, "std": 0.001}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 96, duration(epochs=100)  # 8 devices x 12
  recipes.train_views(c, recipes.segments(8, sampler="dense"), recipes.multi_scale_crop(places=13))
  recipes.test_views(c, recipes.segments(8, sampler="dense"), 224)
  recipes.published_views(c, recipes.segments(8, sampler="dense"), "center_crop", 224, average="score")
  recipes.sgd(c, 0.005)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
