"""SlowFast, ResNet-50, 4x16x1, Kinetics-400, RGB, video files, for testing.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowfast_r50_video_inference_4x16x1_256e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. A test alone in MMAction2.
"""

from jaction.configs import slowfast_r50_4x16x1_256e_kinetics400_rgb

PUBLISHED = {}


def get_config():
  return slowfast_r50_4x16x1_256e_kinetics400_rgb.get_config()
