"""SlowFast with ACRN, ResNet-50, 8 x 8 and 32 x 2, AVA v2.1, from Kinetics-400.  Actor-Centric Relation Network,
arXiv:1807.10982.

python -m launch.train --config=configs/slowfast_acrn_kinetics_pretrained_r50_8x8x1_cosine_10e_ava_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 27.1 %, as MMAction2 0.24.1 gives for
slowfast_acrn_kinetics_pretrained_r50_8x8x1_cosine_10e_ava_rgb-49b07bf2.pth.
"""

from jaction.configs.detection import COSINE, ava


def get_config():
  c = ava("slowfast_acrn_r50_8x8x1_ava", 32, 2, batch_size=48, lr=0.075, **COSINE | {"version": "v2.1"})
  c.init.reinit = ("params/head", "params/neck", "batch_stats/neck")
  return c.lock()
