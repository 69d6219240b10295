"""TSN, ResNet-50, 8 segments, Something-Something V2, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x8_50e_sthv2_rgb.py --workdir=DIR \\
    --config.data.root=STHV2 --config.init.folder=RESNET50

Accuracy wanted: top-1 32.97 %, top-5 63.62 % (videos of height 240), as MMAction2 0.9.0 gives (8 segments, 10 crops).
Classes that tell left from right change places under the mirror; the original mirrored them as they were. RESNET50 is
a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "240h": {"top1": 32.97, "top5": 63.62, "checkpoint": "tsn_r50_1x1x8_50e_sthv2_rgb_20200915-f3b381a5.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x8", 174, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 128, duration(epochs=50)  # 8 devices x 16
  recipes.train_views(
    c,
    recipes.segments(8),
    recipes.multi_scale_crop(places=13),
    flip={"labels": recipes.swapped(174, recipes.MIRRORED_V2)},
  )
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(8), "ten_crop", 224, average="score")
  recipes.sgd(c, 0.02)
  recipes.steps_at(c, 20, 40)
  c.data.template = "{:05d}.jpg"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
