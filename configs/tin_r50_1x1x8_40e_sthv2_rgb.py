"""TIN, ResNet-50, 8 segments, Something-Something V2, RGB.  Temporal Interlacing Network, arXiv:2001.06499.

python -m launch.train --config=configs/tin_r50_1x1x8_40e_sthv2_rgb.py --workdir=DIR \\
    --config.data.root=STHV2 --config.init.folder=RESNET50

Accuracy wanted: top-1 56.7 %, top-5 83.62 % (videos of height 240), as MMAction2 0.9.0 gives (8 segments, the central
crop). RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "240h": {"top1": 56.7, "top5": 83.62, "checkpoint": "tin_r50_1x1x8_40e_sthv2_rgb_20200912-b27a7337.pth"},
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
  c.schedule.name = "cosine"
  c.schedule.by_epoch = False
  c.schedule.warmup, c.schedule.warmup_ratio = duration(epochs=1), 0.1
  c.data.template = "{:05d}.jpg"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
