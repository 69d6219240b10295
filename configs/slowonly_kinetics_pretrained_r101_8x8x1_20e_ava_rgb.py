"""SlowOnly, ResNet-101, 8 frames at stride 8, AVA v2.1, from Kinetics-400.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 24.6 %, as MMAction2 0.24.1 gives for
slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb_20201217-1c9b4117.pth.
"""

from jaction.configs.detection import ava


def get_config():
  c = ava("slowonly_r101_8x8x1_ava", 8, 8, batch_size=96, lr=0.075)
  return c.lock()
