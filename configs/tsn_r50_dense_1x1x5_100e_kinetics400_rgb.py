"""TSN, ResNet-50, 5 frames of a drawn window, Kinetics-400, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_dense_1x1x5_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 70.18 %, top-5 89.1 % (videos of 340 x 256), as MMAction2 0.9.0 gives (10 windows, the central
crop). RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {
    "top1": 70.18,
    "top5": 89.1,
    "checkpoint": "tsn_r50_dense_1x1x5_100e_kinetics400_rgb_20200627-a063165f.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x5", 400, {"dropout": 0.5, "std": 0.001}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 128, duration(epochs=100)  # 8 devices x 16
  recipes.train_views(c, recipes.segments(5, sampler="dense"), recipes.multi_scale_crop(places=13))
  recipes.test_views(c, recipes.segments(8, sampler="dense"), 224)
  recipes.published_views(c, recipes.segments(8, sampler="dense"), "center_crop", 224, average="score")
  recipes.sgd(c, 0.03, clip_norm=20.0)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
