"""SlowOnly with a feature bank (maximum), ResNet-50, 4 frames at stride 16, AVA v2.1, from Kinetics-400.  Long-Term
Feature Banks, arXiv:1812.05038.

python -m launch.train --config=configs/lfb_max_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 22.15 %, as MMAction2 0.24.1 gives for
lfb_max_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb_20210301-37efcd15.pth.  The bank: docs/detection.md.
"""

from jaction.configs.detection import ava


def get_config():
  c = ava("lfb_slowonly_r50_4x16x1_ava", 4, 16, batch_size=96, lr=0.15)
  c.model.fields = {"operator": "max"}
  c.detection.bank = "bank.npz"
  return c.lock()
