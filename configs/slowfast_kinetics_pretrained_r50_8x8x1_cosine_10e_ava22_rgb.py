"""SlowFast, ResNet-50, 8 x 8 and 32 x 2, AVA v2.2, from Kinetics-400.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 26.1 %, as MMAction2 0.24.1 gives for
slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb-b987b516.pth.
"""

from jaction.configs.detection import COSINE, ava


def get_config():
  c = ava("slowfast_r50_8x8x1_ava", 32, 2, batch_size=48, lr=0.075, **COSINE)
  return c.lock()
