"""SlowFast networks (Feichtenhofer et al., 2019; arXiv:1812.03982), Table 1, and their Slow pathway alone, SlowOnly."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from jaction.models.layers import BatchNorm, Conv
from jaction.models.resnet import DEPTHS, ResNet, Stem

# Temporal sizes of the first two convolutions of a bottleneck, res2 ... res5
SLOW = ((1, 1), (1, 1), (3, 1), (3, 1))
FAST = ((3, 1), (3, 1), (3, 1), (3, 1))


def slow_only(
  depth: int = 50,
  *,
  width: int = 64,
  stem: Any = Stem,
  after: Any = None,
  after_blocks: Sequence[tuple[int, ...]] = ((), (), (), ()),
  last_stride: int = 2,
  last_dilation: int = 1,
) -> nn.Module:
  """The Slow pathway: no temporal kernel before res4, no temporal stride.  -> [B, T, H/32, W/32, 32 * width]."""
  attended = {"after": after, "after_blocks": after_blocks}
  last = {"last_stride": last_stride, "last_dilation": last_dilation}
  return ResNet(depth, width, stem, 1, temporal=SLOW, zero_init=True, **attended, **last)


class SlowFast(nn.Module):
  """Slow and Fast pathways with Fast-to-Slow lateral connections after pool1, res2, res3, res4.

  The clip holds every frame the Fast pathway sees, and the Slow one takes every alpha-th; or it is a pair (slow, fast):
  [B, alpha*T, H, W, C] -> ([B, T, H/32, W/32, 2048], [B, alpha*T, H/32, W/32, 2048*beta]).
  """

  depths: tuple[int, int] = (50, 50)  # Slow, Fast
  width: int = 64
  alpha: int = 4  # frame rate ratio, Fast : Slow
  beta: float = 1 / 8  # channel ratio, Fast : Slow
  lateral_kernel: int = 7  # temporal size of the time-strided lateral convolution
  facebook: bool = False  # laterals with norm and ReLU, slow frames spread to the clip's ends: PySlowFast, PyTorchVideo
  stem: Any = Stem
  last_stride: int = 2  # of res5; see ResNet
  last_dilation: int = 1

  def setup(self):
    slow, fast = self.depths
    last = {"last_stride": self.last_stride, "last_dilation": self.last_dilation, "zero_init": True}
    self.slow = ResNet(slow, self.width, self.stem, stem_temporal=1, temporal=SLOW, **last)
    self.fast = ResNet(fast, int(self.width * self.beta), self.stem, stem_temporal=5, temporal=FAST, **last)
    width, kernel, strides = int(self.width * self.beta), (self.lateral_kernel, 1, 1), (self.alpha, 1, 1)
    block, counts = DEPTHS[fast]
    expansion = 1 if block.__name__ == "BasicBlock" else 4
    widths = [width, *(expansion * width * 2**i for i in range(len(counts) - 1))]  # of pool1, res2, res3, ...
    self.lateral = [Conv(2 * w, kernel, strides) for w in widths]  # plain: no bias, norm or ReLU (MMAction2)
    self.lateral_bn = [BatchNorm() for _ in widths] if self.facebook else []

  def _slow_frames(self, frames: int) -> slice | np.ndarray:
    """Which frames of a clip the Slow pathway sees."""
    if self.facebook:
      return np.linspace(0, frames - 1, frames // self.alpha).astype(int)
    return slice(None, None, self.alpha)

  def __call__(self, clip: Array | Sequence[Array], *, train: bool) -> tuple[Array, Array]:
    slow, fast = clip if isinstance(clip, tuple | list) else (clip[:, self._slow_frames(clip.shape[1])], clip)
    if fast.shape[1] != self.alpha * slow.shape[1]:
      raise ValueError(
        f"the Fast pathway must see {self.alpha} times as many frames as the Slow one (alpha); "
        f"got {fast.shape[1]} and {slow.shape[1]}: give a clip whose length is a multiple of {self.alpha}"
      )
    for i, (slow_stage, fast_stage) in enumerate(zip(self.slow.stages(), self.fast.stages(), strict=True)):
      if i > 0:
        lateral = self.lateral[i - 1](fast)
        if self.facebook:
          lateral = nn.relu(self.lateral_bn[i - 1](lateral, train=train))
        slow = jnp.concatenate([slow, lateral], axis=-1)
      slow, fast = slow_stage(slow, train=train), fast_stage(fast, train=train)
    return slow, fast
