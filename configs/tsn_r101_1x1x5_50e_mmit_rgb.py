"""TSN, ResNet-101, 5 segments, Multi-Moments in Time, RGB, several labels a video.  arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r101_1x1x5_50e_mmit_rgb.py --workdir=DIR \\
    --config.data.root=MMIT --config.init.folder=RESNET101

Accuracy wanted: mAP 61.09 % (videos of short side 256), as MMAction2 0.9.0 gives (5 segments, the whole frame). The
original tests the whole frame at short side 256, whose width varies; here it is the central square of 256. RESNET101
is a model folder with ImageNet weights.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {"mAP": 61.09, "checkpoint": "tsn_r101_1x1x5_50e_mmit_rgb_20200618-642f450d.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r101_1x1x5", 313, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 128, duration(epochs=50)  # 8 devices x 16
  recipes.train_views(c, recipes.segments(5), recipes.multi_scale_crop())
  recipes.test_views(c, recipes.segments(5), 224, average="score")
  recipes.published_views(c, recipes.segments(5), "center_crop", 256, average="score")
  recipes.sgd(c, 0.01, clip_norm=20.0, groups=recipes.TSM_GROUPS)
  recipes.steps_at(c, 20, 40)
  c.data.multi_label, c.data.format = True, "multi_label_list"
  c.loss.name, c.loss.weight = "binary_cross_entropy", 160.0
  c.eval.metric = "mmit_mean_average_precision"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
