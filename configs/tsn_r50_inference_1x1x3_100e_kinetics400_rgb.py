"""TSN, ResNet-50, Kinetics-400, RGB, for testing.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_inference_1x1x3_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. A test alone in MMAction2: 25 segments, 3 crops.
RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import recipes, tsn_r50_1x1x3_100e_kinetics400_rgb

PUBLISHED = {}


def get_config():
  c = tsn_r50_1x1x3_100e_kinetics400_rgb.get_config().unlock()
  recipes.published_views(c, recipes.segments(25), "three_crop", 256, average="score")
  return c.lock()
