"""TIN, ResNet-50, 8 segments, Something-Something V1, RGB.  Temporal Interlacing Network, arXiv:2001.06499.

python -m launch.train --config=configs/tin_r50_1x1x8_40e_sthv1_rgb.py --workdir=DIR \\
    --config.data.root=STHV1 --config.init.folder=RESNET50

Accuracy wanted: top-1 44.25 %, top-5 73.94 % (videos of height 100), as MMAction2 0.9.0 gives (8 segments, the central
crop). RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "100h": {"top1": 44.25, "top5": 73.94, "checkpoint": "tin_r50_1x1x8_40e_sthv1_rgb_20200729-4a33db86.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tin_r50_1x1x8", 174, {"dropout": 0.8}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 48, duration(epochs=40)  # 8 devices x 6
  recipes.train_views(c, recipes.segments(8), recipes.multi_scale_crop(), flip={})
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(8), "center_crop", 224, average="score")
  recipes.sgd(c, 0.02, decay=0.0005, clip_norm=20.0, groups=recipes.TSM_GROUPS)
  c.schedule.name, c.schedule.final_lr = "cosine", 0.01
  c.schedule.warmup, c.schedule.warmup_ratio = duration(epochs=1), 0.1
  c.data.template = "{:05d}.jpg"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
