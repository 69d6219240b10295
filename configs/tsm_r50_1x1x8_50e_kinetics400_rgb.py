"""TSM, ResNet-50, 8 segments, Kinetics-400, RGB.  Temporal Shift Module, arXiv:1811.08383.

python -m launch.train --config=configs/tsm_r50_1x1x8_50e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS --config.init.folder=RESNET50

Accuracy wanted: top-1 70.59 %, top-5 89.52 % (videos of short side 256; 8 segments, central crop), as MMAction2 0.9.0
gives for the config of the same name.  KINETICS holds train.txt and val.txt (lines of `path label`); RESNET50 is a
model folder with ImageNet weights for the backbone.
"""

from jaction.configs.base import base, duration, preprocessing


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "tsm_r50_1x1x8", 400, {"dropout": 0.5}
  c.init.reinit = ("params/head",)  # ImageNet has other classes
  c.batch_size = 64  # 8 devices x 8
  c.duration = duration(epochs=50)
  segments = {"num_clips": 8, "frames_per_view": 8}
  c.preprocessing.train = preprocessing(
    **segments,
    steps=("resize", "multi_scale_crop", "flip"),
    settings={
      "resize": {"size": 256},
      "multi_scale_crop": {
        "size": 224,
        "scales": (1.0, 0.875, 0.75, 0.66),
        "max_wh_scale_gap": 1,
        "num_fixed_crops": 13,
      },
      "flip": {"ratio": 0.5},
    },
  )
  c.preprocessing.test = preprocessing(
    **segments, steps=("resize", "center_crop"), settings={"resize": {"size": 256}, "center_crop": {"size": 224}}
  )
  c.optimizer.name, c.optimizer.momentum, c.optimizer.weight_decay, c.optimizer.clip_norm = "sgd", 0.9, 1e-4, 20.0
  # TSMOptimizerConstructor with fc_lr5: the classifier learns faster; biases and batch norm do not decay.
  c.optimizer.groups = (
    ("head/*/kernel", 5.0, 1.0),
    ("head/*/bias", 10.0, 0.0),
    ("*/scale", 1.0, 0.0),
    ("*/bias", 1.0, 0.0),
  )
  c.schedule.name, c.schedule.lr, c.schedule.by_epoch = "step", 0.01, True
  c.schedule.milestones = (20, 40)
  c.eval.every, c.eval.batch_size, c.checkpoint.every = duration(epochs=5), 64, duration(epochs=1)
  c.data.threads = 16
  return c.lock()
