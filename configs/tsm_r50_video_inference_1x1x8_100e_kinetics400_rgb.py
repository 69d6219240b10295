"""TSM, ResNet-50, 8 segments, Kinetics-400, RGB, video files, for testing.  Temporal Shift Module, arXiv:1811.08383.

python -m launch.train --config=configs/tsm_r50_video_inference_1x1x8_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. A test alone in MMAction2. RESNET50 is a model
folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import tsm_r50_video_1x1x8_50e_kinetics400_rgb

PUBLISHED = {}


def get_config():
  return tsm_r50_video_1x1x8_50e_kinetics400_rgb.get_config()
