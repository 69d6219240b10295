"""A tiny X3D on the toy set, on eight segments of the video.  X3D, arXiv:2004.04730.

python -m launch.data toy DIR/toy
python -m launch.train --config=configs/toy_x3d.py --workdir=DIR/x3d --config.data.root=DIR/toy

Accuracy wanted: top-1 of 95 % or more on the validation list; chance is 12.5 %.  The forms are those of toy_tsm.
"""

from jaction.configs import toy_tsm


def get_config(form: str = ""):
  c = toy_tsm.get_config(form).unlock()
  c.model.name = "x3d_tiny_8x1x1"
  return c.lock()
