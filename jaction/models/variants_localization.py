"""The rows of localizers; see variants.py."""

from collections.abc import Callable
from typing import Any, NamedTuple

from flax import linen as nn

from jaction.models.bmn import BMN
from jaction.models.bsn import PEM, TEM
from jaction.models.resnet import PatchStem, ResNet
from jaction.models.ssn import SSN, SSNHead


class LocalizationVariant(NamedTuple):
  """What a name stands for."""

  build: Callable[[int], nn.Module]  # num_classes -> the network; only SSN knows classes
  params: int  # of SSN with 400 classes
  macs: int  # multiply-accumulates for one video; of SSN for one proposal
  paper: str
  takes: str  # the input, for people
  task: str = "localization"
  bgr: bool = False
  preprocessing: Any = None

  def preprocessing_for(self, channels: int) -> dict | None:
    """Localizers on features have none; SSN's frames are cropped to its clip."""
    return self.preprocessing


VARIANTS_LOCALIZATION = {
  "bmn_400x100": LocalizationVariant(
    lambda k: BMN(), params=4_978_564, macs=4_068_608_000, paper="arXiv:1907.09702", takes="100 features of 400"
  ),
  "bsn_tem_400x100": LocalizationVariant(
    lambda k: TEM(), params=1_403_395, macs=140_236_800, paper="arXiv:1806.02964", takes="100 features of 400"
  ),
  "bsn_pem_400x100": LocalizationVariant(
    lambda k: PEM(), params=8_705, macs=844_800, paper="arXiv:1806.02964", takes="100 proposals' features of 32"
  ),
  "ssn_r50": LocalizationVariant(
    lambda k: SSN(ResNet(50), SSNHead(k)),
    params=31_703_681,
    macs=36_858_008_745,
    paper="arXiv:1704.06228",
    takes="9 segments of a proposal, 224 px",
  ),
  "ssn_tiny": LocalizationVariant(
    lambda k: SSN(ResNet(8, 16, PatchStem), SSNHead(k), 0.1, (9, 64, 64), frozen_norms="none"),
    params=341_537,
    macs=45_397_737,
    paper="arXiv:1704.06228",
    takes="9 segments of a proposal, 64 px; ours",
  ),
}
