"""TSN, ResNet-50, 16 segments, Something-Something V1, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x16_50e_sthv1_rgb.py --workdir=DIR \\
    --config.data.root=STHV1 --config.init.folder=RESNET50

Accuracy wanted: top-1 15.77 %, top-5 39.85 % (videos of height 100), as MMAction2 0.9.0 gives (8 segments, the central
crop). Classes that tell left from right change places under the mirror; the original mirrored them as they were.
RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "100h": {"top1": 15.77, "top5": 39.85, "checkpoint": "tsn_r50_1x1x16_50e_sthv1_rgb_20200614-7e2fe4f1.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x16", 174, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 32, duration(epochs=50)  # 8 devices x 4
  recipes.train_views(
    c,
    recipes.segments(16),
    recipes.multi_scale_crop(places=13),
    flip={"labels": recipes.swapped(174, recipes.MIRRORED_V1)},
  )
  recipes.test_views(c, recipes.segments(16), 224)
  recipes.published_views(c, recipes.segments(8), "center_crop", 224, average="score")
  recipes.sgd(c, 0.01, decay=0.0005, clip_norm=20.0)
  recipes.steps_at(c, 20, 40)
  c.data.template = "{:05d}.jpg"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
