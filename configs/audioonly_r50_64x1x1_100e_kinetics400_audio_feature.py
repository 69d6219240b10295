"""AudioOnly, ResNet-50, on 128 rows of mel features, Kinetics-400, sound.  arXiv:2001.08740.

python -m launch.train --config=configs/audioonly_r50_64x1x1_100e_kinetics400_audio_feature.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. Lists have `path frames label`, the paths of .npy
features.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "audioonly_r50", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 1280, duration(epochs=100)  # 8 devices x 160
  recipes.sound_views(c, recipes.clips(64, 1), recipes.clips(64, 1, 10), {"cut": {"length": 128}})
  recipes.sgd(c, 2.0)
  c.schedule.name, c.data.format = "cosine", "audio_feature_list"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
