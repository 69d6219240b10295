"""The second network of a small BSN on the untrimmed toy set; arXiv:1806.02964.

python -m launch.bsn --tem toy_bsn_tem --pem toy_bsn_pem --root DIR/untrimmed --workdir DIR/bsn
"""

from jaction.configs import toy_bmn
from jaction.configs.base import duration


def get_config(form: str = ""):
  c = toy_bmn.get_config(form).unlock()
  c.model.name, c.model.fields = "bsn_pem_400x100", {"proposals": 200, "hidden": 128}
  if not form:
    c.duration = duration(epochs=40)
  return c.lock()
