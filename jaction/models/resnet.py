"""Residual networks (He et al., 2015; arXiv:1512.03385, Table 1), on frames and inflated in time.

All of them take [B, T, H, W, C].  A block whose `temporal` is None has 2-D kernels and sees each frame alone; otherwise
`temporal` holds the temporal sizes of the block's first two convolutions.
"""

from collections.abc import Callable, Sequence
from typing import Any

from flax import linen as nn
from jax import Array

from jaction.models.conv import max_pool, same
from jaction.models.layers import ONE, ZERO, BatchNorm, Conv, call_block


def identity(x: Array) -> Array:
  return x


def _kernel(t: int | None, size: int) -> tuple[int, ...]:
  return (size, size) if t is None else (t, size, size)


def _strides(t: int | None, stride: int) -> tuple[int, ...]:
  return (stride, stride) if t is None else (1, stride, stride)


class Bottleneck(nn.Module):
  """t x 1 x 1 -> t' x 3 x 3 -> 1 x 1 x 1 with a shortcut.  [B,T,H,W,C] -> [B,T,H/stride,W/stride,4*width]."""

  width: int
  stride: int = 1
  temporal: tuple[int, int] | None = None
  before: Callable[[Array], Array] = identity  # what conv1 sees of x; the shortcut sees x itself
  zero_init: bool = False  # of the last scale: each block starts as its shortcut
  norm: Any = BatchNorm
  dilation: int = 1  # of the 3 x 3

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    t1, t2 = self.temporal or (None, None)
    one, out = t1 and 1, 4 * self.width  # None for 2-D kernels
    y = Conv(self.width, _kernel(t1, 1), name="conv1")(self.before(x))
    y = nn.relu(self.norm(name="bn1")(y, train=train))
    y = Conv(self.width, _kernel(t2, 3), _strides(t2, self.stride), dilation=self.dilation, name="conv2")(y)
    y = nn.relu(self.norm(name="bn2")(y, train=train))
    y = Conv(out, _kernel(one, 1), name="conv3")(y)
    y = self.norm(name="bn3", draw=ZERO if self.zero_init else ONE)(y, train=train)
    if self.stride != 1 or x.shape[-1] != out:
      x = Conv(out, _kernel(one, 1), _strides(one, self.stride), name="proj")(x)
      x = self.norm(name="bn_proj")(x, train=train)
    return nn.relu(x + y)


class BasicBlock(nn.Module):
  """t x 3 x 3 -> t' x 3 x 3 with a shortcut.  [B,T,H,W,C] -> [B,T,H/stride,W/stride,width]."""

  width: int
  stride: int = 1
  temporal: tuple[int, int] | None = None
  before: Callable[[Array], Array] = identity
  zero_init: bool = False
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    t1, t2 = self.temporal or (None, None)
    one, out = t1 and 1, self.width
    y = Conv(out, _kernel(t1, 3), _strides(t1, self.stride), name="conv1")(self.before(x))
    y = nn.relu(self.norm(name="bn1")(y, train=train))
    y = Conv(out, _kernel(t2, 3), name="conv2")(y)
    y = self.norm(name="bn2", draw=ZERO if self.zero_init else ONE)(y, train=train)
    if self.stride != 1 or x.shape[-1] != out:
      x = Conv(out, _kernel(one, 1), _strides(one, self.stride), name="proj")(x)
      x = self.norm(name="bn_proj")(x, train=train)
    return nn.relu(x + y)


class Stem(nn.Module):
  """t x 7 x 7 stride 1,2,2 and max pool 1 x 3 x 3 stride 1,2,2: conv1 and pool1 of the papers."""

  width: int
  temporal: int | None = None
  norm: Any = BatchNorm
  stride_t: int = 1  # of the convolution, in time
  pool_stride_t: int = 1
  pool_padding: bool = True

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    strides = _strides(self.temporal, 2) if self.stride_t == 1 else (self.stride_t, 2, 2)
    x = Conv(self.width, _kernel(self.temporal, 7), strides, name="conv")(x)
    x = nn.relu(self.norm(name="bn")(x, train=train))
    padding = same((1, 3, 3)) if self.pool_padding else ((0, 0),) * 3
    return max_pool(x, (1, 3, 3), (self.pool_stride_t, 2, 2), padding)


class PatchStem(nn.Module):
  """Patches of 4 x 4 pixels become channels, then t x 3 x 3: a cheap stem for small frames (ours; no paper)."""

  width: int
  temporal: int | None = None
  norm: Any = BatchNorm

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    b, t, h, w, c = x.shape
    if h % 4 or w % 4:
      raise ValueError(f"the patch stem wants frames whose sides are multiples of 4, got {h} x {w}")
    x = x.reshape(b, t, h // 4, 4, w // 4, 4, c).transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, t, h // 4, w // 4, 16 * c)
    x = Conv(self.width, _kernel(self.temporal, 3), name="conv")(x)
    return nn.relu(self.norm(name="bn")(x, train=train))


class Stage(nn.Module):
  """`blocks` residual blocks, the first of which strides: res2 ... res5 of the papers."""

  block: Any
  blocks: int
  width: int
  stride: int
  temporal: Any = None  # of every block, or a tuple of them that the blocks take in turn
  before: Callable[[Array], Array] = identity
  every: int = 1  # `before` is in every first of so many blocks
  after: Any = None  # a module behind some blocks: (norm=, name=) -> (x, train=) -> x
  after_blocks: tuple[int, ...] = ()
  zero_init: bool = False
  norm: Any = BatchNorm
  dilation: int = 1  # of bottlenecks

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    spread = {"dilation": self.dilation} if self.dilation > 1 else {}  # other blocks know none
    for i in range(self.blocks):
      stride = self.stride if i == 0 else 1
      nested = self.temporal is not None and isinstance(self.temporal[0], tuple)
      temporal = self.temporal[i % len(self.temporal)] if nested else self.temporal
      before = self.before if i % self.every == 0 else identity
      block = self.block(self.width, stride, temporal, before, self.zero_init, self.norm, name=f"block{i}", **spread)
      x = call_block(block, x, train=train)
      if i in self.after_blocks:
        x = self.after(norm=self.norm, name=f"after{i}")(x, train=train)
    return x


DEPTHS = {  # depth -> block and blocks per stage; 8 and 11 are tiny nets for tests and the demo
  8: (BasicBlock, (1, 1, 1)),
  11: (Bottleneck, (1, 1, 1)),
  18: (BasicBlock, (2, 2, 2, 2)),
  34: (BasicBlock, (3, 4, 6, 3)),
  50: (Bottleneck, (3, 4, 6, 3)),
  101: (Bottleneck, (3, 4, 23, 3)),
  152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
  """[B, T, H, W, C] -> [B, T, H/32, W/32, C'], C' = 8 * width, four times that for bottlenecks."""

  depth: int = 50
  width: int = 64
  stem: Any = Stem
  stem_temporal: int | None = None
  block: Any = None  # in place of the depth's own: another kind of residual block
  temporal: Sequence[Any] = (None, None, None, None)  # of res2 ... res5; see Stage
  pool2: tuple[int, int, int] | None = None  # a maximum over time between res2 and res3: size, stride, padding
  before: Callable[[Array], Array] = identity  # what the first convolution of a block sees
  every: int = 1
  after: Any = None  # see Stage
  after_blocks: Sequence[tuple[int, ...]] = ((), (), (), ())
  zero_init: bool = False
  norm: Any = BatchNorm
  last_stride: int = 2  # of the last stage; 1 keeps its map twice as fine, for detection
  last_dilation: int = 1

  def setup(self):
    usual, counts = DEPTHS[self.depth]
    self.conv1 = self.stem(self.width, self.stem_temporal, self.norm)
    for i, count in enumerate(counts):
      last = i == len(counts) - 1
      stage = Stage(
        self.block or usual,
        count,
        width=self.width * 2**i,
        stride=1 if i == 0 else self.last_stride if last else 2,
        temporal=self.temporal[i],
        before=self.before,
        every=self.every,
        after=self.after,
        after_blocks=self.after_blocks[i],
        zero_init=self.zero_init,
        norm=self.norm,
        dilation=self.last_dilation if last else 1,
      )
      setattr(self, f"res{i + 2}", stage)

  def stages(self) -> list:
    """conv1, res2, res3, ... as callables, for networks that talk between stages."""
    return [self.conv1, *(getattr(self, f"res{i + 2}") for i in range(len(DEPTHS[self.depth][1])))]

  def __call__(self, x: Array, *, train: bool) -> Array:
    for i, stage in enumerate(self.stages()):
      x = stage(x, train=train)
      if i == 1 and self.pool2 is not None:
        size, stride, padding = self.pool2
        x = max_pool(x, (size, 1, 1), (stride, 1, 1), ((padding, padding), (0, 0), (0, 0)))
    return x
