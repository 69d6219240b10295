"""SlowFast, maximum over time, focal loss, ResNet-50, 8 x 8 and 32 x 2, AVA v2.2, from Kinetics-400.  SlowFast
Networks, arXiv:1812.03982.

python -m launch.train \\
    --config=configs/slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb.py \\
    --workdir=DIR --config.data.root=AVA --config.init.folder=RECOGNIZER

Accuracy wanted: frame mAP 26.8 %, as MMAction2 0.24.1 gives for
slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb-345618cd.pth.
"""

from jaction.configs.detection import COSINE, ava


def get_config():
  c = ava("slowfast_temporal_max_r50_8x8x1_ava", 32, 2, batch_size=48, lr=0.075, **COSINE)
  c.detection.focal_alpha, c.detection.focal_gamma = 3.0, 1.0
  return c.lock()
