"""TIN on a trained TSM, ResNet-50, 8 segments, Kinetics-400, RGB.  Temporal Interlacing Network, arXiv:2001.06499.

python -m launch.train --config=configs/tin_tsm_finetune_r50_1x1x8_50e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=TSM_KINETICS

Accuracy wanted: top-1 70.89 %, top-5 89.89 % (videos of short side 256), as MMAction2 0.9.0 gives (8 segments, the
central crop). TSM_KINETICS is the model folder that `tsm_r50_1x1x8_50e_kinetics400_rgb` gives.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {
    "top1": 70.89,
    "top5": 89.89,
    "checkpoint": "tin_tsm_finetune_r50_1x1x8_50e_kinetics400_rgb_20200810-4a146a70.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tin_tsm_r50_1x1x8", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 48, duration(epochs=50)  # 8 devices x 6
  recipes.train_views(c, recipes.segments(8), recipes.multi_scale_crop(places=13))
  recipes.test_views(c, recipes.segments(8), 224)
  recipes.published_views(c, recipes.segments(8), "center_crop", 224, average="score")
  recipes.sgd(c, 0.01, clip_norm=20.0, groups=recipes.TSM_GROUPS)
  recipes.steps_at(c, 20, 40)
  c.init.reinit = ("params/backbone/*/interlace",)  # what TIN has and TSM has not
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
