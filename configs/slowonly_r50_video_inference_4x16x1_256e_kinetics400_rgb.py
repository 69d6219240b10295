"""SlowOnly, ResNet-50, 4 frames at stride 16, Kinetics-400, RGB, video files, for testing.  arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r50_video_inference_4x16x1_256e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. A test alone in MMAction2.
"""

from jaction.configs import slowonly_r50_video_4x16x1_256e_kinetics400_rgb

PUBLISHED = {}


def get_config():
  return slowonly_r50_video_4x16x1_256e_kinetics400_rgb.get_config()
