"""SlowFast, ResNet-50, 8 x 8 and 32 x 2, AVA v2.1, from Kinetics-400.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 25.5 %, as MMAction2 0.24.1 gives for
slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb_20201217-ae225e97.pth.
"""

from jaction.configs.detection import ava


def get_config():
  c = ava("slowfast_r50_8x8x1_ava", 32, 2, batch_size=80, lr=0.075)
  return c.lock()
