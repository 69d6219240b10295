"""TSN, ResNet-50, on mel bands of 2 seconds, Kinetics-400, sound.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_64x1x1_100e_kinetics400_audio.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. Lists have `path frames label`, the paths of .wav
files. The original pads bands for rows; that is mended.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_audio", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 2560, duration(epochs=100)  # 8 devices x 320
  recipes.sound_views(
    c,
    recipes.clips(64, 1),
    recipes.clips(64, 1),
    {"cut": {"length": 32000}, "amplify": {"ratio": 1.5}, "mel": {"rows": 128}},
  )
  recipes.sgd(c, 0.1)
  c.schedule.name, c.data.format = "cosine", "audio_list"
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
