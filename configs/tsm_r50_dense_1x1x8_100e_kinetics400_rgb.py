"""TSM, ResNet-50, 8 frames of a drawn window, Kinetics-400, RGB.  Temporal Shift Module, arXiv:1811.08383.

python -m launch.train --config=configs/tsm_r50_dense_1x1x8_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 72.9 %, top-5 90.44 % (videos of 340 x 256); top-1 73.38 %, top-5 91.02 % (videos of short side
256), as MMAction2 0.9.0 gives (10 windows, the central crop). RESNET50 is a model folder with ImageNet weights
(`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {
    "top1": 72.9,
    "top5": 90.44,
    "checkpoint": "tsm_r50_dense_1x1x8_100e_kinetics400_rgb_20200626-91a54551.pth",
  },
  "256p": {
    "top1": 73.38,
    "top5": 91.02,
    "checkpoint": "tsm_r50_dense_256p_1x1x8_100e_kinetics400_rgb_20200727-e1e0c785.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsm_r50_dense_1x1x8", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=100)  # 8 devices x 8
  recipes.train_views(c, recipes.segments(8, sampler="dense"), recipes.multi_scale_crop(places=13))
  recipes.test_views(c, recipes.segments(8, sampler="dense"), 224)
  recipes.published_views(c, recipes.segments(8, sampler="dense"), "center_crop", 224)
  recipes.sgd(c, 0.02, clip_norm=20.0, groups=recipes.TSM_GROUPS)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
