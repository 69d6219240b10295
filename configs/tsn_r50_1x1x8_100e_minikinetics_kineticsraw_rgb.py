"""TSN, ResNet-50, 8 segments, Mini-Kinetics-200 and the untrimmed videos, RGB.  OmniSource, arXiv:2003.13042.

python -m launch.train --config=configs/tsn_r50_1x1x8_100e_minikinetics_kineticsraw_rgb.py --workdir=DIR \\
    --config.data.root=MINIKINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment (its table of Mini-Kinetics is of 3 segments and of
4x16 frames). MINIKINETICS holds train.txt, val.txt and kineticsraw.json; every second clip is of the latter. RESNET50
is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes, tsn_r50_1x1x8_100e_minikinetics_rgb

PUBLISHED = {}


def get_config():
  c = tsn_r50_1x1x8_100e_minikinetics_rgb.get_config().unlock()
  c.data.mix.kineticsraw = recipes.also("kineticsraw.json", format="untrimmed_list")
  return c.lock()
