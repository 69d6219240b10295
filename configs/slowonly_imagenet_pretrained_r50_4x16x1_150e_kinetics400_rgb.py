"""SlowOnly, ResNet-50, 4 frames at stride 16, Kinetics-400, RGB.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_imagenet_pretrained_r50_4x16x1_150e_kinetics400_rgb.py \\
    --workdir=DIR --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 73.39 %, top-5 91.12 % (videos of short side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "320p": {
    "top1": 73.39,
    "top5": 91.12,
    "checkpoint": "slowonly_imagenet_pretrained_r50_4x16x1_150e_kinetics400_rgb_20200912-1e8fc736.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_4x16x1", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=150)  # 8 devices x 8
  recipes.train_views(c, recipes.clips(4, 16), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(4, 16), 224)
  recipes.published_views(c, recipes.clips(4, 16, 10), "three_crop", 256)
  recipes.sgd(c, 0.01)
  recipes.steps_at(c, 90, 130)
  c.schedule.warmup, c.schedule.warmup_ratio = duration(epochs=10), 0.1
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
