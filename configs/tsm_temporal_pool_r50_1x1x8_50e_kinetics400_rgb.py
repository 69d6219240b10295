"""TSM, ResNet-50 with a temporal pool, 8 segments, Kinetics-400, RGB.  Temporal Shift Module, arXiv:1811.08383.

python -m launch.train --config=configs/tsm_temporal_pool_r50_1x1x8_50e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. RESNET50 is a model folder with ImageNet weights
(`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsm_temporal_pool_r50_1x1x8", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=50)  # 8 devices x 8
  recipes.train_views(c, recipes.segments(8), recipes.multi_scale_crop(places=13))
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(8), "center_crop", 224)
  recipes.sgd(c, 0.01, clip_norm=20.0, groups=recipes.TSM_GROUPS)
  recipes.steps_at(c, 20, 40)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
