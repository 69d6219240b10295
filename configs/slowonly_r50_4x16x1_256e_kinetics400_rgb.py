"""SlowOnly, ResNet-50, 4 frames at stride 16, Kinetics-400, RGB, from scratch.  SlowFast Networks, arXiv:1812.03982.

python -m launch.train --config=configs/slowonly_r50_4x16x1_256e_kinetics400_rgb.py --workdir=DIR \\
    --config.data.root=KINETICS

Accuracy wanted: top-1 72.76 %, top-5 90.51 % (videos of short side 256; 10 clips x 3 crops of 256), as MMAction2 0.9.0
gives for the config of the same name.  KINETICS holds train.txt and val.txt (lines of `path label`).  Evaluation while
training takes one clip and the central crop.
"""

from jaction.configs.base import base, duration, preprocessing


def get_config():
  c = base()
  c.model.name, c.model.num_classes, c.model.fields = "slowonly_r50_4x16x1", 400, {"dropout": 0.5}
  c.batch_size = 64  # 8 devices x 8
  c.duration = duration(epochs=256)
  clip = {"clip_len": 4, "frame_interval": 16}
  c.preprocessing.train = preprocessing(
    **clip,
    steps=("resize", "random_resized_crop", "flip"),
    settings={"resize": {"size": 256}, "random_resized_crop": {"size": 224}, "flip": {"ratio": 0.5}},
  )
  c.preprocessing.test = preprocessing(
    **clip, steps=("resize", "center_crop"), settings={"resize": {"size": 256}, "center_crop": {"size": 224}}
  )
  c.optimizer.name, c.optimizer.momentum, c.optimizer.weight_decay, c.optimizer.clip_norm = "sgd", 0.9, 1e-4, 40.0
  c.schedule.name, c.schedule.lr, c.schedule.by_epoch = "cosine", 0.1, True
  c.eval.every, c.eval.batch_size, c.checkpoint.every = duration(epochs=8), 64, duration(epochs=1)
  c.data.threads = 16
  return c.lock()
