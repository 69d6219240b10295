"""I3D, ResNet-50, 32 frames at stride 2, Kinetics-400, RGB.  Quo Vadis, arXiv:1705.07750; Non-local, arXiv:1711.07971.

python -m launch.train --config=configs/i3d_r50_lazy_32x2x1_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 72.32 %, top-5 90.72 % (videos of 340 x 256); top-1 73.24 %, top-5 90.99 % (videos of short side
256), as MMAction2 0.9.0 gives (10 clips, 3 crops). "Lazy" is how MMAction2 crops before it resizes; here every
pipeline does what its steps say. RESNET50 is a model folder with ImageNet weights (`python -m converters.convert
--inflate`).
"""

from jaction.configs import i3d_r50_32x2x1_100e_kinetics400_rgb

PUBLISHED = {
  "340x256": {
    "top1": 72.32,
    "top5": 90.72,
    "checkpoint": "i3d_r50_fast_32x2x1_100e_kinetics400_rgb_20200612-000e4d2a.pth",
  },
  "256p": {
    "top1": 73.24,
    "top5": 90.99,
    "checkpoint": "i3d_r50_fast_256p_32x2x1_100e_kinetics400_rgb_20200817-4e90d1d5.pth",
  },
}


def get_config():
  return i3d_r50_32x2x1_100e_kinetics400_rgb.get_config()
