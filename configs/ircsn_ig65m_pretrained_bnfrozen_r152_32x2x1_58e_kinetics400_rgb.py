"""ir-CSN-152, batch norm frozen, 32 frames at stride 2, Kinetics-400, RGB, pretrained on IG-65M.  arXiv:1904.02811.

python -m launch.train --config=configs/ircsn_ig65m_pretrained_bnfrozen_r152_32x2x1_58e_kinetics400_rgb.py \\
    --workdir=DIR --config.data.root=KINETICS --config.init.folder=CSN_IG65M

Accuracy wanted: top-1 82.76 %, top-5 95.68 % (videos of short side 320), as MMAction2 0.9.0 gives (10 clips, 3 crops).
The normalisation is that of MMAction2 0.18, which corrected that of 0.9. CSN_IG65M is the converted
`ircsn_from_scratch_r152_ig65m_20200807-771c4135.pth`.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "320p": {
    "top1": 82.76,
    "top5": 95.68,
    "checkpoint": "ircsn_ig65m_pretrained_bnfrozen_r152_32x2x1_58e_kinetics400_rgb_20200812-9037a758.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "ircsn_bnfrozen_r152_32x2x1", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # other classes
  c.batch_size, c.duration = 24, duration(epochs=58)  # 8 devices x 3
  recipes.train_views(c, recipes.clips(32, 2, **recipes.CSN), recipes.RESIZED_CROP)
  recipes.test_views(c, recipes.clips(32, 2, **recipes.CSN), 224)
  recipes.published_views(c, recipes.clips(32, 2, 10, **recipes.CSN), "three_crop", 256)
  recipes.sgd(c, 0.000125)
  recipes.steps_at(c, 32, 48)
  c.schedule.warmup, c.schedule.warmup_ratio = duration(epochs=16), 0.1
  recipes.housekeeping(c, evaluate=5)
  return c.lock()
