"""SlowFast, ResNet-50, 4x16x1, Kinetics-400, RGB, video files, from scratch.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowfast_r50_video_4x16x1_256e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 74.34 %, top-5 91.58 % (videos of short side 256), as MMAction2 0.9.0 gives (10 clips, 3 crops).
Lists of videos and of folders of frames are told apart by what they hold.
"""

from jaction.configs import slowfast_r50_4x16x1_256e_kinetics400_rgb

PUBLISHED = {
  "256p": {
    "top1": 74.34,
    "top5": 91.58,
    "checkpoint": "slowfast_r50_video_4x16x1_256e_kinetics400_rgb_20200826-f85b90c5.pth",
  },
}


def get_config():
  return slowfast_r50_4x16x1_256e_kinetics400_rgb.get_config()
