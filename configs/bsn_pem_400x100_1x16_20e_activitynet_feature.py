"""BSN's last network, PEM, on the candidates of its second stage.  Boundary Sensitive Network, arXiv:1806.02964.

python -m launch.train --config=configs/bsn_pem_400x100_1x16_20e_activitynet_feature.py --workdir=DIR/pem \\
    --config.data.root=ACTIVITYNET --config.data.features=DIR/candidates

`python -m launch.bsn --root ACTIVITYNET --workdir DIR` runs all three stages.  Accuracy wanted: AUC 66.45 %,
AR@100 74.65 % (MMAction2 0.9.0, features cuhk_mean_100).  Its config says 2.2 for the overlap below which a proposal is
low; 0.2, as later ones say, was meant (and in the plain mean that its loss comes to, neither counts).
"""

from jaction.configs import bmn_400x100_2x8_9e_activitynet_feature as bmn
from jaction.configs.base import duration

PUBLISHED = {"cuhk_mean_100": {"auc": 66.45, "ar100": 74.65}}


def get_config():
  c = bmn.get_config().unlock()
  c.model.name, c.model.fields = "bsn_pem_400x100", {"proposals": 1000}
  c.data.features = "candidates"
  c.batch_size, c.duration = 16, duration(epochs=20)
  c.schedule.lr, c.schedule.milestones = 1e-2, (10,)
  return c.lock()
