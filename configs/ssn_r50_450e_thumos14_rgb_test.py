"""SSN's test on THUMOS14's test list.  Structured Segment Networks, arXiv:1704.06228.

python -m launch.train --config=configs/ssn_r50_450e_thumos14_rgb_test.py --workdir=DIR \\
    --config.data.root=THUMOS14 --config.init.folder=RESNET50

The recipe of ssn_r50_450e_thumos14_rgb_train.py, evaluated on the videos of the test list: data.val, whose paths are
under rawframes/.  Accuracy wanted: mAP@0.3 29.37 %, mAP@0.4 22.15 %, mAP@0.5 15.69 % (MMAction2 0.9.0).
"""

from jaction.configs import ssn_r50_450e_thumos14_rgb_train as train

PUBLISHED = train.PUBLISHED


def get_config():
  c = train.get_config().unlock()
  c.data.val = "thumos14_tag_test_proposal_list.txt"
  c.localization.val_media = "rawframes/test"
  return c.lock()
