"""SlowOnly, ResNet-50, 4 frames at stride 16, Kinetics-400, flow.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r50_4x16x1_256e_kinetics400_flow.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50_FLOW

Accuracy wanted: top-1 61.79 %, top-5 83.62 % (videos of short side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
RESNET50_FLOW is a model folder with ImageNet weights whose first kernel is averaged over the channels (`python -m
converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "320p": {
    "top1": 61.79,
    "top5": 83.62,
    "checkpoint": "slowonly_r50_4x16x1_256e_kinetics400_flow_20200704-decb8568.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_4x16x1", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 192, duration(epochs=256)  # 8 devices x 24
  recipes.train_views(c, recipes.clips(4, 16, **recipes.FLOW), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(4, 16, **recipes.FLOW), 224)
  recipes.published_views(c, recipes.clips(4, 16, 10, **recipes.FLOW), "three_crop", 256)
  recipes.sgd(c, 0.06)
  c.schedule.name = "cosine"
  c.schedule.warmup, c.schedule.warmup_ratio = duration(epochs=34), 0.1
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
