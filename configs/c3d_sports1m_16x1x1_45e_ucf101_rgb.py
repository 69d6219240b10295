"""C3D, 16 neighbouring frames, UCF101 (split 1), RGB, pretrained on Sports-1M.  arXiv:1412.0767.

python -m launch.train --config=configs/c3d_sports1m_16x1x1_45e_ucf101_rgb.py --workdir=DIR \\
    --config.data.root=UCF101 --config.init.folder=C3D_SPORTS1M

Accuracy wanted: top-1 83.27 %, top-5 95.9 %, as MMAction2 0.9.0 gives (10 clips, the central crop). C3D_SPORTS1M is
the converted `c3d_sports1m_pretrain_20201016-dcc47ddc.pth`.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "128x171": {"top1": 83.27, "top5": 95.9, "checkpoint": "c3d_sports1m_16x1x1_45e_ucf101_rgb_20201021-26655025.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "c3d_16x1x1", 101, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 240, duration(epochs=45)  # 8 devices x 30
  norm = {"mean": (104.0, 117.0, 128.0), "std": (1.0, 1.0, 1.0)}
  recipes.train_views(c, recipes.clips(16, 1, **norm), ("random_crop", {"size": 112}), resize=(128, 171))
  recipes.test_views(c, recipes.clips(16, 1, **norm), 112, resize=(128, 171))
  recipes.published_views(c, recipes.clips(16, 1, 10, **norm), "center_crop", 112, resize=(128, 171), average="score")
  recipes.sgd(c, 0.001, decay=0.0005)
  recipes.steps_at(c, 20, 40)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
