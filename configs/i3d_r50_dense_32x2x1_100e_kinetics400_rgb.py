"""I3D, ResNet-50, 32 frames at stride 2 of a drawn window, Kinetics-400, RGB.  arXiv:1705.07750.

python -m launch.train --config=configs/i3d_r50_dense_32x2x1_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 72.77 %, top-5 90.57 % (videos of 340 x 256); top-1 73.48 %, top-5 91.0 % (videos of short side
256), as MMAction2 0.9.0 gives (10 windows, 3 crops). RESNET50 is a model folder with ImageNet weights (`python -m
converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {
    "top1": 72.77,
    "top5": 90.57,
    "checkpoint": "i3d_r50_dense_32x2x1_100e_kinetics400_rgb_20200616-2bbb4361.pth",
  },
  "256p": {
    "top1": 73.48,
    "top5": 91.0,
    "checkpoint": "i3d_r50_dense_256p_32x2x1_100e_kinetics400_rgb_20200725-24eb54cc.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "i3d_r50_dense_32x2x1", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=100)  # 8 devices x 8
  recipes.train_views(c, recipes.clips(32, 2, sampler="dense"), recipes.multi_scale_crop((1.0, 0.8), 0))
  recipes.test_views(c, recipes.clips(32, 2, sampler="dense"), 224)
  recipes.published_views(c, recipes.clips(32, 2, sampler="dense"), "three_crop", 256)
  recipes.sgd(c, 0.01)
  recipes.steps_at(c, 40, 80)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
