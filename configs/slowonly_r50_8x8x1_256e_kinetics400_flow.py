"""SlowOnly, ResNet-50, 8 frames at stride 8, Kinetics-400, flow.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r50_8x8x1_256e_kinetics400_flow.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50_FLOW

Accuracy wanted: top-1 65.76 %, top-5 86.25 % (videos of short side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
The original stops after 196 epochs, and so does this. RESNET50_FLOW is a model folder with ImageNet weights whose
first kernel is averaged over the channels (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "320p": {
    "top1": 65.76,
    "top5": 86.25,
    "checkpoint": "slowonly_r50_8x8x1_256e_kinetics400_flow_20200704-6b384243.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_8x8x1", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 96, duration(epochs=196)  # 8 devices x 12
  recipes.train_views(c, recipes.clips(8, 8, **recipes.FLOW), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(8, 8, **recipes.FLOW), 224)
  recipes.published_views(c, recipes.clips(8, 8, 10, **recipes.FLOW), "three_crop", 256)
  recipes.sgd(c, 0.06)
  c.schedule.name = "cosine"
  c.schedule.warmup, c.schedule.warmup_ratio = duration(epochs=34), 0.1
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
