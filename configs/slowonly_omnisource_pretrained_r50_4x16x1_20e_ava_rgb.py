"""SlowOnly, ResNet-50, 4 frames at stride 16, AVA v2.1, from OmniSource.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 21.8 %, as MMAction2 0.24.1 gives for
slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb_20201217-0c6d2e98.pth.
"""

from jaction.configs.detection import ava


def get_config():
  c = ava("slowonly_r50_4x16x1_ava", 4, 16, batch_size=128, lr=0.2)
  c.detection.threshold = 0.0
  return c.lock()
