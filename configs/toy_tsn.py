"""A tiny TSN (110,000 parameters) on the toy set: a net without time, for comparison.  arXiv:1608.00859.

python -m launch.data toy DIR/toy
python -m launch.train --config=configs/toy_tsn.py --workdir=DIR/tsn --config.data.root=DIR/toy

Accuracy wanted: top-1 of 40 ... 60 % on the test list, and 90 % or more on the list of shapes: everything is learnt but
the order of the frames.  `--config=configs/toy_tsn.py:short` is a minute's run that shows that the loss falls.
"""

from jaction.configs import toy_tsm
from jaction.configs.base import duration


def get_config(form: str = ""):
  c = toy_tsm.get_config(form).unlock()
  c.model.name = "tsn_tiny_1x1x8"
  if not form:
    c.duration = duration(epochs=8)
  return c.lock()
