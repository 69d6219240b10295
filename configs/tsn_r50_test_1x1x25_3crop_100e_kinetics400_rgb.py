"""TSN, ResNet-50, Kinetics-400, RGB: the test of 25 segments x 3 crops.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_test_1x1x25_3crop_100e_kinetics400_rgb.py:320p --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. A test alone in MMAction2; it trains as
tsn_r50_1x1x3_100e_kinetics400_rgb does. The form says which videos KINETICS holds: 256p, 320p or 340x256. RESNET50 is
a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes, tsn_r50_1x1x3_100e_kinetics400_rgb

PUBLISHED = {}


def get_config(form: str = "256p"):
  recipes.check_form(form, ("256p", "320p", "340x256"))
  c = tsn_r50_1x1x3_100e_kinetics400_rgb.get_config().unlock()
  recipes.published_views(c, recipes.segments(25), "three_crop", 256, average="score")
  return c.lock()
