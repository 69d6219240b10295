"""SlowOnly with non-local blocks, ResNet-50, 8 frames at stride 8, AVA v2.1, from Kinetics-400.  SlowFast Networks,
arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 23.79 %, as MMAction2 0.24.1 gives for
slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb_20210316-5742e4dd.pth.
"""

from jaction.configs.base import duration
from jaction.configs.detection import NON_LOCAL, ava


def get_config():
  c = ava("slowonly_nl_r50_8x8x1_ava", 8, 8, batch_size=96, lr=0.15, **NON_LOCAL, warmup=duration(steps=1600))
  return c.lock()
