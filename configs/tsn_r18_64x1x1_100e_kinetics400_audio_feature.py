"""TSN, ResNet-18, on 128 rows of mel features, Kinetics-400, sound.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r18_64x1x1_100e_kinetics400_audio_feature.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 19.7 %, top-5 35.75 %, as MMAction2 0.9.0 gives (1 piece). Lists have `path frames label`, the
paths of .npy features. With tsn_r50_video_320p_1x1x3 MMAction2 gives top-1 71.5 %.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "audio": {
    "top1": 19.7,
    "top5": 35.75,
    "checkpoint": "tsn_r18_64x1x1_100e_kinetics400_audio_feature_20201012-bf34df6c.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r18_audio", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 2560, duration(epochs=100)  # 8 devices x 320
  recipes.sound_views(c, recipes.clips(64, 1), recipes.clips(64, 1), {"cut": {"length": 128}})
  recipes.sgd(c, 0.1)
  c.schedule.name, c.data.format = "cosine", "audio_feature_list"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
