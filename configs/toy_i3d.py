"""A tiny I3D on the toy set: toy_tsm's network without the shift, first kernels of blocks inflated.  arXiv:1705.07750.

python -m launch.data toy DIR/toy
python -m launch.train --config=configs/toy_i3d.py --workdir=DIR/i3d --config.data.root=DIR/toy

docs/recipes.md starts it from a 2-D network's weights (init.folder, init.inflate).  Accuracy wanted: top-1 of 95 % or
more on the validation list; chance is 12.5 %.  The forms are those of toy_tsm.
"""

from jaction.configs import toy_tsm


def get_config(form: str = ""):
  c = toy_tsm.get_config(form).unlock()
  c.model.name = "i3d_tiny_1x1x8"
  return c.lock()
