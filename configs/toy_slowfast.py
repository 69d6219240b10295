"""A tiny SlowFast on the toy set, on eight segments of the video.  SlowFast, arXiv:1812.03982.

python -m launch.data toy DIR/toy
python -m launch.train --config=configs/toy_slowfast.py --workdir=DIR/slowfast --config.data.root=DIR/toy

Accuracy wanted: top-1 of 95 % or more on the validation list; chance is 12.5 %.  Seed 0 had 99.4 % (159 of 160) after
10 of the 28 epochs and 100 % after 12, 14 and 16, where that run was stopped; 100 % in a run of 12 epochs whose
parameters once were made nan and that rolled back, 17.5 % with shuffled labels (tests/train/test_toy_targets.py).
The forms are those of toy_tsm.
"""

from jaction.configs import toy_tsm


def get_config(form: str = ""):
  c = toy_tsm.get_config(form).unlock()
  c.model.name = "slowfast_tiny_2x8x1"
  return c.lock()
