"""I3D, ResNet-50, 32 frames at stride 2, Kinetics-400, RGB, video files.  arXiv:1705.07750.

python -m launch.train --config=configs/i3d_r50_video_32x2x1_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 72.85 %, top-5 90.75 %, as MMAction2 0.9.0 gives (10 clips, 3 crops). Lists of videos and of
folders of frames are told apart by what they hold. RESNET50 is a model folder with ImageNet weights (`python -m
converters.convert --inflate`).
"""

from jaction.configs import i3d_r50_32x2x1_100e_kinetics400_rgb

PUBLISHED = {
  "as published": {
    "top1": 72.85,
    "top5": 90.75,
    "checkpoint": "i3d_r50_video_32x2x1_100e_kinetics400_rgb_20200826-e31c6f52.pth",
  },
}


def get_config():
  return i3d_r50_32x2x1_100e_kinetics400_rgb.get_config()
