"""TSM, ResNet-101, 8 segments, Something-Something V2, RGB.  Temporal Shift Module, arXiv:1811.08383.

python -m launch.train --config=configs/tsm_r101_1x1x8_50e_sthv2_rgb.py --workdir=DIR \\
    --config.data.root=STHV2 --config.init.folder=RESNET101

Accuracy wanted: top-1 58.59 %, top-5 85.07 % (1 clip, 1 crop); top-1 61.51 %, top-5 86.9 % (2 clips, 3 crops), as
MMAction2 0.9.0 gives; PUBLISHED says what each row tests. No mirror: some classes tell left from right. RESNET101 is a
model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "1 clip, 1 crop": {"top1": 58.59, "top5": 85.07, "checkpoint": "tsm_r101_1x1x8_50e_sthv2_rgb_20201010-98cdedb8.pth"},
  "2 clips, 3 crops": {
    "top1": 61.51,
    "top5": 86.9,
    "twice_sample": True,
    "crop": ("three_crop", 256),
    "checkpoint": "tsm_r101_1x1x8_50e_sthv2_rgb_20201010-98cdedb8.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsm_r101_1x1x8", 174, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=50)  # 8 devices x 8
  recipes.train_views(c, recipes.segments(8), recipes.multi_scale_crop(places=13), flip={})
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(8), "center_crop", 224)
  recipes.sgd(c, 0.01, decay=0.0005, clip_norm=20.0, groups=recipes.TSM_GROUPS)
  recipes.steps_at(c, 20, 40)
  c.data.template = "{:05d}.jpg"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
