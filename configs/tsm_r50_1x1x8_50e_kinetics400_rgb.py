"""TSM, ResNet-50, 8 segments, Kinetics-400, RGB.  Temporal Shift Module, arXiv:1811.08383.

python -m launch.train --config=configs/tsm_r50_1x1x8_50e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 70.24 %, top-5 89.56 % (videos of 340 x 256); top-1 70.59 %, top-5 89.52 % (videos of short side
256), as MMAction2 0.9.0 gives (8 segments, the central crop). RESNET50 is a model folder with ImageNet weights
(`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {"top1": 70.24, "top5": 89.56, "checkpoint": "tsm_r50_1x1x8_50e_kinetics400_rgb_20200607-af7fb746.pth"},
  "256p": {"top1": 70.59, "top5": 89.52, "checkpoint": "tsm_r50_256p_1x1x8_50e_kinetics400_rgb_20200726-020785e2.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsm_r50_1x1x8", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=50)  # 8 devices x 8
  recipes.train_views(c, recipes.segments(8), recipes.multi_scale_crop(places=13))
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(8), "center_crop", 224)
  recipes.sgd(c, 0.01, clip_norm=20.0, groups=recipes.TSM_GROUPS)
  recipes.steps_at(c, 20, 40)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
