"""TSN, ResNet-50, 8 segments of 5 frames of flow, ActivityNet 1.3 by clips.  arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_320p_1x1x8_150e_activitynet_clip_flow.py --workdir=DIR \\
    --config.data.root=ACTIVITYNET --config.init.folder=TSN_FLOW

Accuracy wanted: top-1 59.51 %, top-5 82.69 % (videos of 340 x 256), as MMAction2 0.9.0 gives (25 segments, 10 crops).
TSN_FLOW is the model folder that `tsn_r50_320p_1x1x8_110e_kinetics400_flow` gives.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "340x256": {
    "top1": 59.51,
    "top5": 82.69,
    "checkpoint": "tsn_r50_320p_1x1x8_150e_activitynet_clip_flow_20200804-8622cf38.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x8", 200, {"dropout": 0.8}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 64, duration(epochs=150)  # 8 devices x 8
  recipes.train_views(c, recipes.segments(8, clip_len=5, **recipes.STACKED_FLOW), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.segments(8, clip_len=5, **recipes.STACKED_FLOW), 224)
  recipes.published_views(c, recipes.segments(25, clip_len=5, **recipes.STACKED_FLOW), "ten_crop", 224, average="score")
  recipes.sgd(c, 0.001)
  recipes.steps_at(c, 60, 120)
  c.data.template = "flow_{}_{:05d}.jpg"
  c.data.format = "frame_list_offset"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
