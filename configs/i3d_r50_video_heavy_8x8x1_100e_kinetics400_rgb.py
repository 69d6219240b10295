"""I3D, ResNet-50 with temporal kernels in every block, 8 frames at stride 8, Kinetics-400, RGB, video files.

Quo Vadis, arXiv:1705.07750; Non-local, arXiv:1711.07971.

python -m launch.train --config=configs/i3d_r50_video_heavy_8x8x1_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. RESNET50 is a model folder with ImageNet weights
(`python -m converters.convert --inflate`).
"""

from jaction.configs import i3d_r50_heavy_8x8x1_100e_kinetics400_rgb

PUBLISHED = {}


def get_config():
  return i3d_r50_heavy_8x8x1_100e_kinetics400_rgb.get_config()
