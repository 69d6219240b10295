"""BSN's first network, TEM, on ActivityNet features.  Boundary Sensitive Network, arXiv:1806.02964.

python -m launch.train --config=configs/bsn_tem_400x100_1x16_20e_activitynet_feature.py --workdir=DIR/tem \\
    --config.data.root=ACTIVITYNET

`python -m launch.bsn --root ACTIVITYNET --workdir DIR` runs all three stages.  Accuracy wanted: of BSN, see
bsn_pem_400x100_1x16_20e_activitynet_feature.py; alone TEM gives no proposals.
"""

from jaction.configs import bmn_400x100_2x8_9e_activitynet_feature as bmn
from jaction.configs.base import duration


def get_config():
  c = bmn.get_config().unlock()
  c.model.name = "bsn_tem_400x100"
  c.batch_size, c.duration = 16, duration(epochs=20)
  c.eval.metric = "loss"
  return c.lock()
