"""I3D, ResNet-50, 32 frames at stride 2, Kinetics-400, RGB, video files, for testing.  arXiv:1705.07750.

python -m launch.train --config=configs/i3d_r50_video_inference_32x2x1_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: MMAction2 0.9.0 publishes none for this experiment. A test alone in MMAction2: one clip, 3 crops.
RESNET50 is a model folder with ImageNet weights (`python -m converters.convert --inflate`).
"""

from jaction.configs import i3d_r50_32x2x1_100e_kinetics400_rgb, recipes

PUBLISHED = {}


def get_config():
  c = i3d_r50_32x2x1_100e_kinetics400_rgb.get_config().unlock()
  recipes.published_views(c, recipes.clips(32, 2), "three_crop", 256)
  return c.lock()
