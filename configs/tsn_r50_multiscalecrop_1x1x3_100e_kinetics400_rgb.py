"""TSN, ResNet-50, 3 segments, Kinetics-400, RGB: multi-scale crops of videos of three sizes on disk.  arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_multiscalecrop_1x1x3_100e_kinetics400_rgb.py:320p --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 70.42 %, top-5 89.03 % (videos of short side 256); top-1 70.79 %, top-5 89.42 % (videos of short
side 256, 3 crops); top-1 70.32 %, top-5 89.25 % (videos of short side 320); top-1 70.54 %, top-5 89.39 % (videos of
short side 320, 3 crops); top-1 70.6 %, top-5 89.26 % (videos of 340 x 256); top-1 70.52 %, top-5 89.39 % (videos of
340 x 256, 3 crops), as MMAction2 0.9.0 gives; PUBLISHED says what each row tests. The form says which videos KINETICS
holds: 256p, 320p or 340x256. RESNET50 is a model folder with ImageNet weights (`python -m converters.convert
--inflate`).
"""

from jaction.configs import recipes, tsn_r50_1x1x3_100e_kinetics400_rgb

PUBLISHED = {
  "256p": {"top1": 70.42, "top5": 89.03, "checkpoint": "tsn_r50_256p_1x1x3_100e_kinetics400_rgb_20200725-22592236.pth"},
  "256p, 3 crops": {
    "top1": 70.79,
    "top5": 89.42,
    "crop": ("three_crop", 256),
    "checkpoint": "tsn_r50_256p_1x1x3_100e_kinetics400_rgb_20200725-22592236.pth",
  },
  "320p": {
    "top1": 70.32,
    "top5": 89.25,
    "checkpoint": "tsn_r50_multiscalecrop_320p_1x1x3_100e_kinetics400_rgb_20200725-9922802f.pth",
  },
  "320p, 3 crops": {
    "top1": 70.54,
    "top5": 89.39,
    "crop": ("three_crop", 256),
    "checkpoint": "tsn_r50_multiscalecrop_320p_1x1x3_100e_kinetics400_rgb_20200725-9922802f.pth",
  },
  "340x256": {"top1": 70.6, "top5": 89.26, "checkpoint": "tsn_r50_1x1x3_100e_kinetics400_rgb_20200614-e508be42.pth"},
  "340x256, 3 crops": {
    "top1": 70.52,
    "top5": 89.39,
    "crop": ("three_crop", 256),
    "checkpoint": "tsn_r50_1x1x3_100e_kinetics400_rgb_20200614-e508be42.pth",
  },
}


def get_config(form: str = "256p"):
  recipes.check_form(form, ("256p", "320p", "340x256"))
  return tsn_r50_1x1x3_100e_kinetics400_rgb.get_config()
