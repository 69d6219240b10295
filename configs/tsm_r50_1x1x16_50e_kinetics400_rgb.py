"""TSM, ResNet-50, 16 segments, Kinetics-400, RGB.  Temporal Shift Module, arXiv:1811.08383.

python -m launch.train --config=configs/tsm_r50_1x1x16_50e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 72.09 %, top-5 90.37 % (videos of 340 x 256); top-1 71.89 %, top-5 90.73 % (videos of short side
256), as MMAction2 0.9.0 gives (16 segments, the central crop). RESNET50 is a model folder with ImageNet weights
(`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {
    "top1": 72.09,
    "top5": 90.37,
    "checkpoint": "tsm_r50_340x256_1x1x16_50e_kinetics400_rgb_20201011-2f27f229.pth",
  },
  "256p": {"top1": 71.89, "top5": 90.73, "checkpoint": "tsm_r50_256p_1x1x16_50e_kinetics400_rgb_20201010-85645c2a.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsm_r50_1x1x16", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 48, duration(epochs=50)  # 8 devices x 6
  recipes.train_views(c, recipes.segments(16), recipes.multi_scale_crop(places=13))
  recipes.test_views(c, recipes.segments(16), 224)
  recipes.published_views(c, recipes.segments(16), "center_crop", 224)
  recipes.sgd(c, 0.0075, clip_norm=20.0, groups=recipes.TSM_GROUPS)
  recipes.steps_at(c, 20, 40)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
