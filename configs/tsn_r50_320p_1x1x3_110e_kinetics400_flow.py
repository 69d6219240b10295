"""TSN, ResNet-50, 3 segments of 5 frames of flow, Kinetics-400.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_320p_1x1x3_110e_kinetics400_flow.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50_FLOW

Accuracy wanted: top-1 55.7 %, top-5 79.85 % (videos of short side 320), as MMAction2 0.9.0 gives (25 segments, 10
crops). The original lacks the ten input channels and normalises flow as RGB; neither is copied. RESNET50_FLOW is a
model folder with ImageNet weights whose first kernel is averaged over the channels (`python -m converters.convert
--inflate`).
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "320p": {"top1": 55.7, "top5": 79.85, "checkpoint": "tsn_r50_320p_1x1x3_110e_kinetics400_flow_20200705-3036bab6.pth"},
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x3", 400, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 256, duration(epochs=110)  # 8 devices x 32
  recipes.train_views(c, recipes.segments(3, clip_len=5, **recipes.STACKED_FLOW), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(3, clip_len=5, **recipes.STACKED_FLOW), 224)
  recipes.published_views(c, recipes.segments(25, clip_len=5, **recipes.STACKED_FLOW), "ten_crop", 224, average="score")
  recipes.sgd(c, 0.005)
  recipes.steps_at(c, 70, 100)
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
