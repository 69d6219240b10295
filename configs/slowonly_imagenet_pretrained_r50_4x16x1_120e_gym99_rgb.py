"""SlowOnly, ResNet-50, 4 frames at stride 16, GYM99, RGB.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_imagenet_pretrained_r50_4x16x1_120e_gym99_rgb.py --workdir=DIR \\
    --config.data.root=GYM --config.init.folder=RESNET50

Accuracy wanted: top-1 79.3 %, mean class accuracy 70.2 % (videos of short side 256), as MMAction2 0.9.0 gives (10
clips, 3 crops). The original has 400 classes; GYM99 has 99. RESNET50 is a model folder with ImageNet weights (`python
-m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {
    "top1": 79.3,
    "mean_class_accuracy": 70.2,
    "checkpoint": "slowonly_imagenet_pretrained_r50_4x16x1_120e_gym99_rgb_20201111-a9c34b54.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_4x16x1", 99, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 192, duration(epochs=120)  # 8 devices x 24
  recipes.train_views(c, recipes.clips(4, 16), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(4, 16), 256)
  recipes.published_views(c, recipes.clips(4, 16, 10), "three_crop", 256)
  recipes.sgd(c, 0.03)
  recipes.steps_at(c, 90, 110)
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
