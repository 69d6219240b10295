"""TSN, ResNet-50, 3 segments, Kinetics-400, RGB: resized crops of videos of three sizes on disk.  arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_randomresizedcrop_1x1x3_100e_kinetics400_rgb.py:320p --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 69.8 %, top-5 89.06 % (videos of short side 256); top-1 70.48 %, top-5 89.89 % (videos of short
side 256, 3 crops); top-1 70.44 %, top-5 89.23 % (videos of short side 320); top-1 70.91 %, top-5 89.51 % (videos of
short side 320, 3 crops); top-1 70.11 %, top-5 89.01 % (videos of 340 x 256); top-1 69.95 %, top-5 89.02 % (videos of
340 x 256, 3 crops), as MMAction2 0.9.0 gives; PUBLISHED says what each row tests. The form says which videos KINETICS
holds: 256p, 320p or 340x256. RESNET50 is a model folder with ImageNet weights (`python -m converters.convert
--inflate`).
"""

from jaction.configs import recipes, tsn_r50_320p_1x1x3_100e_kinetics400_rgb

PUBLISHED = {
  "256p": {
    "top1": 69.8,
    "top5": 89.06,
    "crop": ("ten_crop", 224),
    "checkpoint": "tsn_r50_256p_randomresize_1x1x3_100e_kinetics400_rgb_20200817-ae7963ca.pth",
  },
  "256p, 3 crops": {
    "top1": 70.48,
    "top5": 89.89,
    "checkpoint": "tsn_r50_256p_randomresize_1x1x3_100e_kinetics400_rgb_20200817-ae7963ca.pth",
  },
  "320p": {
    "top1": 70.44,
    "top5": 89.23,
    "crop": ("ten_crop", 224),
    "checkpoint": "tsn_r50_320p_1x1x3_100e_kinetics400_rgb_20200702-cc665e2a.pth",
  },
  "320p, 3 crops": {
    "top1": 70.91,
    "top5": 89.51,
    "checkpoint": "tsn_r50_320p_1x1x3_100e_kinetics400_rgb_20200702-cc665e2a.pth",
  },
  "340x256": {
    "top1": 70.11,
    "top5": 89.01,
    "checkpoint": "tsn_r50_randomresizedcrop_340x256_1x1x3_100e_kinetics400_rgb_20200725-88cb325a.pth",
  },
  "340x256, 3 crops": {
    "top1": 69.95,
    "top5": 89.02,
    "crop": ("three_crop", 256),
    "checkpoint": "tsn_r50_randomresizedcrop_340x256_1x1x3_100e_kinetics400_rgb_20200725-88cb325a.pth",
  },
}


def get_config(form: str = "256p"):
  recipes.check_form(form, ("256p", "320p", "340x256"))
  c = tsn_r50_320p_1x1x3_100e_kinetics400_rgb.get_config().unlock()
  if form == "340x256":  # the others are tested with three crops of 256
    recipes.published_views(c, recipes.segments(25), "ten_crop", 224, average="score")
  return c.lock()
