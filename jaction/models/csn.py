"""Channel-separated networks (Tran et al., 2019; arXiv:1904.02811, Fig. 2 and Table 1)."""

import functools
from typing import Any

from flax import linen as nn
from jax import Array

from jaction.models.layers import ONE, ZERO, BatchNorm, Conv
from jaction.models.resnet import ResNet, Stem, identity

EPS = 1e-3  # of MMAction2's and Facebook's batch norms alike


class CsnBottleneck(nn.Module):
  """1 x 1 x 1 -> depthwise 3 x 3 x 3 -> 1 x 1 x 1 with a shortcut; "ip" mixes channels before the depthwise one.

  Fields as of resnet.Bottleneck; a stride is one of time too.
  """

  width: int
  stride: int = 1
  temporal: Any = None  # unused: every kernel is 3 x 3 x 3
  before: Any = identity
  zero_init: bool = False
  norm: Any = BatchNorm
  interaction_preserved: bool = False  # "ip"; otherwise "ir", interaction-reduced

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    out, strides = 4 * self.width, (self.stride,) * 3
    y = nn.relu(self.norm(name="bn1")(Conv(self.width, (1, 1, 1), name="conv1")(x), train=train))
    if self.interaction_preserved:
      y = self.norm(name="bn2_mix")(Conv(self.width, (1, 1, 1), name="conv2_mix")(y), train=train)  # no ReLU
    y = Conv(self.width, (3, 3, 3), strides, groups=self.width, name="conv2")(y)
    y = nn.relu(self.norm(name="bn2")(y, train=train))
    y = Conv(out, (1, 1, 1), name="conv3")(y)
    y = self.norm(name="bn3", draw=ZERO if self.zero_init else ONE)(y, train=train)
    if self.stride != 1 or x.shape[-1] != out:
      x = self.norm(name="bn_proj")(Conv(out, (1, 1, 1), strides, name="proj")(x), train=train)
    return nn.relu(x + y)


def csn(depth: int = 152, *, interaction_preserved: bool = False, eps: float = EPS) -> nn.Module:
  """[B, T, H, W, C] -> [B, T/8, H/32, W/32, 2048]."""
  block = functools.partial(CsnBottleneck, interaction_preserved=interaction_preserved)
  norm = functools.partial(BatchNorm, eps=eps)
  return ResNet(depth, 64, Stem, 3, block=block, norm=norm)
