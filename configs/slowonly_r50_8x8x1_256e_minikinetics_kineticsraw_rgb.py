"""SlowOnly, ResNet-50, 8 frames at stride 8, Mini-Kinetics-200 and the untrimmed videos, RGB.  arXiv:2003.13042.

python -m launch.train --config=configs/slowonly_r50_8x8x1_256e_minikinetics_kineticsraw_rgb.py --workdir=DIR \\
    --config.data.root=MINIKINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment (its table of Mini-Kinetics is of 3 segments and of
4x16 frames). MINIKINETICS holds train.txt, val.txt and kineticsraw.json; every second clip is of the latter.
"""

from jaction.configs import recipes, slowonly_r50_8x8x1_256e_minikinetics_rgb

PUBLISHED = {}


def get_config():
  c = slowonly_r50_8x8x1_256e_minikinetics_rgb.get_config().unlock()
  c.data.mix.kineticsraw = recipes.also("kineticsraw.json", format="untrimmed_list")
  return c.lock()
