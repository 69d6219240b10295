"""SSN, ResNet-50, THUMOS14, RGB.  Structured Segment Networks, arXiv:1704.06228.

python -m launch.train --config=configs/ssn_r50_450e_thumos14_rgb_train.py --workdir=DIR \\
    --config.data.root=THUMOS14 --config.init.folder=RESNET50

Accuracy wanted: mAP@0.3 29.37 %, mAP@0.4 22.15 %, mAP@0.5 15.69 % (MMAction2 0.9.0, eight GPUs of one video each;
ssn_r50_450e_thumos14_rgb_20201012-1920ab16.pth), on the test list of ssn_r50_450e_thumos14_rgb_test.py.  RESNET50 is
the converted ImageNet checkpoint.
"""

from jaction.configs.base import base, duration, preprocessing

PUBLISHED = {"thumos14": {"map@0.3": 29.37, "map@0.4": 22.15, "map@0.5": 15.69}}
BLUE_FIRST = (104.0, 117.0, 128.0)  # MMAction2's mean is in the order of its frames; ours is RGB


def get_config():
  c = base()
  c.task = "ssn"
  c.model.name, c.model.num_classes, c.model.fields = "ssn_r50", 20, {"dropout": 0.8}
  c.init.reinit = ("params/head",)
  c.data.train = c.data.val = "thumos14_tag_val_proposal_list.txt"
  c.data.template, c.localization.media = "img_{:05d}.jpg", "rawframes/val"
  views = preprocessing(
    num_clips=9,
    frames_per_view=9,
    steps=("resize", "center_crop"),
    settings={"resize": {"size": (340, 256), "keep_ratio": True}, "center_crop": {"size": 224}},
    mean=BLUE_FIRST[::-1],
    std=(1.0, 1.0, 1.0),
  )
  c.preprocessing.train, c.preprocessing.test = views, views.copy_and_resolve_references()
  c.batch_size, c.duration = 8, duration(epochs=450)
  c.optimizer.name, c.optimizer.momentum, c.optimizer.weight_decay = "sgd", 0.9, 1e-6
  c.optimizer.clip_norm = 35.0
  c.schedule.name, c.schedule.lr, c.schedule.by_epoch = "step", 1e-3, True
  c.schedule.milestones = (200, 400)
  c.eval.every, c.eval.batch_size, c.eval.metric = duration(epochs=50), 8, "map@0.5"
  c.checkpoint.every = duration(epochs=5)
  return c.lock()
