"""SlowFast with context, ResNet-50, 4 x 16 and 32 x 2, AVA v2.1, from Kinetics-400.  SlowFast Networks,
arXiv:1812.03982.

python -m launch.train --config=configs/slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 25.4 %, as MMAction2 0.24.1 gives for
slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_20201222-f4d209c9.pth.
"""

from jaction.configs.detection import ava


def get_config():
  c = ava("slowfast_context_r50_4x16x1_ava", 32, 2, batch_size=144, lr=0.1125)
  return c.lock()
