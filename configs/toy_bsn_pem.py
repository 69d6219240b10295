"""The second network of a small BSN on the untrimmed toy set; toy_bsn_tem.py has the command.  arXiv:1806.02964."""

from jaction.configs import toy_bmn
from jaction.configs.base import duration


def get_config(form: str = ""):
  c = toy_bmn.get_config(form).unlock()
  c.model.name, c.model.fields = "bsn_pem_400x100", {"proposals": 200, "hidden": 128}
  if not form:
    c.duration = duration(epochs=40)
  return c.lock()
