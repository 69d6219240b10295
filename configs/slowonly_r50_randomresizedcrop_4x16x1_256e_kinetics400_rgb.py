"""SlowOnly, ResNet-50, 4 frames at stride 16, Kinetics-400, RGB: resized crops of videos of three sizes on disk.

SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r50_randomresizedcrop_4x16x1_256e_kinetics400_rgb.py:320p \\
    --workdir=DIR --config.data.root=KINETICS

Accuracy wanted: top-1 72.76 %, top-5 90.51 % (videos of short side 256); top-1 73.02 %, top-5 90.77 % (videos of short
side 320); top-1 71.61 %, top-5 90.05 % (videos of 340 x 256), as MMAction2 0.9.0 gives (10 clips, 3 crops). The form
says which videos KINETICS holds: 256p, 320p or 340x256.
"""

from jaction.configs import recipes, slowonly_r50_4x16x1_256e_kinetics400_rgb

PUBLISHED = {
  "256p": {
    "top1": 72.76,
    "top5": 90.51,
    "checkpoint": "slowonly_r50_256p_4x16x1_256e_kinetics400_rgb_20200820-bea7701f.pth",
  },
  "320p": {
    "top1": 73.02,
    "top5": 90.77,
    "checkpoint": "slowonly_r50_4x16x1_256e_kinetics400_rgb_20200704-a69556c6.pth",
  },
  "340x256": {
    "top1": 71.61,
    "top5": 90.05,
    "checkpoint": "slowonly_r50_randomresizedcrop_340x256_4x16x1_256e_kinetics400_rgb_20200803-dadca1a3.pth",
  },
}


def get_config(form: str = "256p"):
  recipes.check_form(form, ("256p", "320p", "340x256"))
  c = slowonly_r50_4x16x1_256e_kinetics400_rgb.get_config().unlock()
  c.batch_size, c.schedule.lr = 128, 0.6  # 8 devices x 16
  return c.lock()
