"""TSN, ResNet-50, 8 segments, Mini-Kinetics-200 and all of OmniSource, RGB.  OmniSource, arXiv:2003.13042.

python -m launch.train --config=configs/tsn_r50_1x1x8_100e_minikinetics_omnisource_rgb.py --workdir=DIR \\
    --config.data.root=MINIKINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment (its table of Mini-Kinetics is of 3 segments and of
4x16 frames). Two of five clips are of train.txt, one each of webimage.txt, insvideo.txt and kineticsraw.json. RESNET50
is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes, tsn_r50_1x1x8_100e_minikinetics_rgb

PUBLISHED = {}


def get_config():
  c = tsn_r50_1x1x8_100e_minikinetics_rgb.get_config().unlock()
  c.data.share = 2
  c.data.mix.webimage = recipes.also("webimage.txt", format="image_list", balance=0.5)
  c.data.mix.insvideo = recipes.also("insvideo.txt", balance=0.5)
  c.data.mix.kineticsraw = recipes.also("kineticsraw.json", format="untrimmed_list")
  return c.lock()
