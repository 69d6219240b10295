"""SlowOnly, ResNet-50, 8 frames at stride 8, Mini-Kinetics-200 and images that a search engine found, RGB.

OmniSource, arXiv:2003.13042.

python -m launch.train --config=configs/slowonly_r50_8x8x1_256e_minikinetics_googleimage_rgb.py --workdir=DIR \\
    --config.data.root=MINIKINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment (its table of Mini-Kinetics is of 3 segments and of
4x16 frames). MINIKINETICS holds train.txt, val.txt and googleimage.txt; every second clip is of the latter.
"""

from jaction.configs import recipes, slowonly_r50_8x8x1_256e_minikinetics_rgb

PUBLISHED = {}


def get_config():
  c = slowonly_r50_8x8x1_256e_minikinetics_rgb.get_config().unlock()
  c.data.mix.googleimage = recipes.also("googleimage.txt", format="image_list", balance=0.5)
  return c.lock()
