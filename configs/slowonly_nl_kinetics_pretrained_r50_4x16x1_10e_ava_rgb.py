"""SlowOnly with non-local blocks, ResNet-50, 4 frames at stride 16, AVA v2.1, from Kinetics-400.  SlowFast Networks,
arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 21.75 %, as MMAction2 0.24.1 gives for
slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb_20210316-959829ec.pth.
"""

from jaction.configs.base import duration
from jaction.configs.detection import NON_LOCAL, ava


def get_config():
  c = ava("slowonly_nl_r50_4x16x1_ava", 4, 16, batch_size=96, lr=0.3, **NON_LOCAL, warmup=duration(steps=800))
  return c.lock()
