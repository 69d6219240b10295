"""TSN, ResNet-18, 8 segments, the event tags of HVU, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r18_1x1x8_100e_hvu_event_rgb.py --workdir=DIR \\
    --config.data.root=HVU --config.init.folder=RESNET18

Accuracy wanted: mAP 63.7 % (videos of short side 256), as MMAction2 0.9.0 gives (25 segments, 3 crops). RESNET18 is a
model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "256p": {"mAP": 63.7, "checkpoint": "tsn_r18_1x1x8_100e_hvu_event_rgb_20201027-dea8cd71.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r18_1x1x8", 69, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 256, duration(epochs=100)  # 8 devices x 32
  recipes.train_views(c, recipes.segments(8), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(8), 256, average="score")
  recipes.published_views(c, recipes.segments(25), "three_crop", 256, average="score")
  recipes.sgd(c, 0.01)
  recipes.steps_at(c, 40, 80)
  c.data.multi_label, c.data.train, c.data.val = True, "hvu_event_train.json", "hvu_event_val.json"
  c.loss.name, c.loss.weight, c.eval.metric = "binary_cross_entropy", 333.0, "mean_average_precision"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
