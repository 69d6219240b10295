"""X3D-S, 13 frames at stride 6, Kinetics-400, RGB.  X3D, arXiv:2004.04730.

python -m launch.train --config=configs/x3d_s_13x6x1_facebook_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 72.7 % (10 views); top-1 73.2 % (30 views), as MMAction2 0.9.0 gives; PUBLISHED says what each
row tests. MMAction2 gives a test alone, of weights that Facebook trained; the training here is the one that the paper
describes (sec. 4): from scratch, 256 epochs, a batch of 1024, half a cosine from 1.6 behind 8000 steps of warm-up.
"""

from jaction.configs import recipes
from jaction.configs.base import base, duration

PUBLISHED = {
  "10 views": {"top1": 72.7, "checkpoint": "x3d_s_facebook_13x6x1_kinetics400_rgb_20201027-623825a0.pth"},
  "30 views": {
    "top1": 73.2,
    "crop": ("three_crop", 192),
    "checkpoint": "x3d_s_facebook_13x6x1_kinetics400_rgb_20201027-623825a0.pth",
  },
}


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "x3d_s_13x6x1", 400, {"dropout": 0.5}
  c.batch_size, c.duration = 1024, duration(epochs=256)  # 128 devices x 8
  recipes.train_views(c, recipes.clips(13, 6, **recipes.FACEBOOK), ("random_resized_crop", {"size": 160}))
  recipes.test_views(c, recipes.clips(13, 6, **recipes.FACEBOOK), 160, resize=192)
  recipes.published_views(c, recipes.clips(13, 6, 10, **recipes.FACEBOOK), "center_crop", 192, resize=192)
  recipes.sgd(c, 1.6, decay=5e-5, clip_norm=0.0)
  c.schedule.name, c.schedule.by_epoch = "cosine", False
  c.schedule.warmup, c.schedule.warmup_ratio = duration(steps=8000), 0.01
  recipes.housekeeping(c, evaluate=8)
  return c.lock()
