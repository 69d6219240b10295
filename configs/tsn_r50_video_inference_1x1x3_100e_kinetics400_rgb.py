"""TSN, ResNet-50, Kinetics-400, RGB, video files, for testing.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_video_inference_1x1x3_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. A test alone in MMAction2: 25 segments, 10 crops,
mean of the probabilities. RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import tsn_r50_video_320p_1x1x3_100e_kinetics400_rgb

PUBLISHED = {}


def get_config():
  c = tsn_r50_video_320p_1x1x3_100e_kinetics400_rgb.get_config().unlock()
  c.preprocessing.published.average = "prob"
  return c.lock()
