"""BSN's second stage: candidates and their features, from TEM.  Boundary Sensitive Network, arXiv:1806.02964.

python -m launch.bsn --stage candidates --root ACTIVITYNET --workdir DIR \\
    --tem bsn_pgm_400x100_activitynet_feature

Nothing is trained here, the model is the TEM that DIR/tem holds (`python -m launch.train
--config=configs/bsn_pgm_400x100_activitynet_feature.py` would train that).  Accuracy wanted: of BSN, see
bsn_pem_400x100_1x16_20e_activitynet_feature.py.
"""

from jaction.configs import bsn_tem_400x100_1x16_20e_activitynet_feature as tem


def get_config():
  return tem.get_config()
