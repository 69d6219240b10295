"""R(2+1)D, ResNet-34, 8 frames at stride 8, Kinetics-400, RGB, video files, for testing.  arXiv:1711.11248.

python -m launch.train --config=configs/r2plus1d_r34_video_inference_8x8x1_180e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. A test alone in MMAction2.
"""

from jaction.configs import r2plus1d_r34_video_8x8x1_180e_kinetics400_rgb

PUBLISHED = {}


def get_config():
  return r2plus1d_r34_video_8x8x1_180e_kinetics400_rgb.get_config()
