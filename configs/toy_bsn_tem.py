"""The first network of a small BSN on the untrimmed toy set.  Boundary Sensitive Network, arXiv:1806.02964.

python -m launch.bsn --tem toy_bsn_tem --pem toy_bsn_pem --root DIR/untrimmed --workdir DIR/bsn
"""

from jaction.configs import toy_bmn
from jaction.configs.base import duration


def get_config(form: str = ""):
  c = toy_bmn.get_config(form).unlock()
  c.model.name, c.model.fields = (
    "bsn_tem_400x100",
    {"temporal_dim": 64, "feat_dim": 64, "hidden": 128, "last_ratio": 0.1},
  )
  c.eval.metric = "loss"
  if not form:
    c.duration = duration(epochs=20)
  return c.lock()
