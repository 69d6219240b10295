"""TSN, ResNet-50, 3 segments, Kinetics-400, RGB.  Temporal Segment Networks, arXiv:1608.00859.

python -m launch.train --config=configs/tsn_r50_1x1x3_100e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 70.42 %, top-5 89.03 % (videos of short side 256; 25 segments x 10 crops), as MMAction2 0.9.0
gives for the config of the same name.  KINETICS holds train.txt and val.txt (lines of `path label`); RESNET50 is a
model folder with ImageNet weights for the backbone.  Evaluation while training takes 3 segments and the central crop.
"""

from jaction.configs.base import base, duration, preprocessing


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsn_r50_1x1x3", 400, {"dropout": 0.4}
  c.init.reinit = ("params/head",)  # ImageNet has other classes
  c.batch_size = 256  # 8 devices x 32
  c.duration = duration(epochs=100)
  segments = {"num_clips": 3, "frames_per_view": 3}
  c.preprocessing.train = preprocessing(
    **segments,
    steps=("resize", "multi_scale_crop", "flip"),
    settings={
      "resize": {"size": 256},
      "multi_scale_crop": {"size": 224, "scales": (1.0, 0.875, 0.75, 0.66), "max_wh_scale_gap": 1},
      "flip": {"ratio": 0.5},
    },
  )
  c.preprocessing.test = preprocessing(
    **segments, steps=("resize", "center_crop"), settings={"resize": {"size": 256}, "center_crop": {"size": 224}}
  )
  c.optimizer.name, c.optimizer.momentum, c.optimizer.weight_decay, c.optimizer.clip_norm = "sgd", 0.9, 1e-4, 40.0
  c.schedule.name, c.schedule.lr, c.schedule.by_epoch = "step", 0.01, True
  c.schedule.milestones = (40, 80)
  c.eval.every, c.eval.batch_size, c.checkpoint.every = duration(epochs=5), 64, duration(epochs=1)
  c.data.threads = 16
  return c.lock()
