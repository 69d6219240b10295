"""TPN on TSM, ResNet-50, 8 segments, Something-Something V1, RGB.  Temporal Pyramid Network, arXiv:2004.03548.

python -m launch.train --config=configs/tpn_tsm_r50_1x1x8_150e_sthv1_rgb.py --workdir=DIR \\
    --config.data.root=STHV1 --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. The auxiliary head joins the loss with weight 0.5.
Classes that tell left from right change places under the mirror; the original mirrored them as they were. RESNET50 is
a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tpn_tsm_r50_1x1x8", 174, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=150)  # 8 devices x 8
  recipes.train_views(
    c,
    recipes.segments(8),
    recipes.RESIZED_CROP,
    resize=None,
    flip={"labels": recipes.swapped(174, recipes.MIRRORED_V1)},
    jitter=True,
  )
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(16, 8), "three_crop", 256, average="score")
  recipes.sgd(c, 0.01, decay=0.0005, clip_norm=20.0, nesterov=True)
  recipes.steps_at(c, 75, 125)
  c.data.template = "{:05d}.jpg"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
