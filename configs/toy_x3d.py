"""A tiny X3D (553,000 parameters) on the toy set, on eight segments of the video.  X3D, arXiv:2004.04730.

python -m launch.data toy DIR/toy
python -m launch.train --config=configs/toy_x3d.py --workdir=DIR/x3d --config.data.root=DIR/toy

Accuracy wanted: top-1 of 95 % or more on the validation list; chance is 12.5 %.  Seed 0 has 100 % (160 of 160) from
epoch 16 on; 36 epochs take 4 min on two cores.  At toy_tsm's learning rate of 4e-3 it names the shapes and some
directions, and stays there; so do two seeds of three with a head of 128 in place of the paper's 2048 (87 %, 28 epochs).
The forms are those of toy_tsm.
"""

from jaction.configs import toy_tsm


def get_config(form: str = ""):
  c = toy_tsm.get_config(form).unlock()
  c.model.name, c.schedule.lr, c.duration.epochs = "x3d_tiny_1x1x8", 1.5e-3, 36.0
  return c.lock()
