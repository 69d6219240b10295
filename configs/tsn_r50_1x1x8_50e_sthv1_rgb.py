"""TSN, ResNet-50, 8 segments, Something-Something V1, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x8_50e_sthv1_rgb.py --workdir=DIR \\
    --config.data.root=STHV1 --config.init.folder=RESNET50

Accuracy wanted: top-1 18.55 %, top-5 44.8 % (videos of height 100), as MMAction2 0.9.0 gives (8 segments, 10 crops).
Classes that tell left from right change places under the mirror; the original mirrored them as they were. RESNET50 is
a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "100h": {"top1": 18.55, "top5": 44.8, "checkpoint": "tsn_r50_1x1x8_50e_sthv1_rgb_20200618-061b9195.pth"},
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
    flip={"labels": recipes.swapped(174, recipes.MIRRORED_V1)},
  )
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(8), "ten_crop", 224, average="score")
  recipes.sgd(c, 0.02, decay=0.0005, clip_norm=20.0)
  recipes.steps_at(c, 20, 40)
  c.data.template = "{:05d}.jpg"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
