"""Names of networks that say what each person of a clip does.  One row, one network; see variants.py."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from flax import linen as nn

from jaction.models.acrn import ActorRelation
from jaction.models.detector import BoxFeatures, BoxHead, Detector
from jaction.models.feature_bank import FeatureBank
from jaction.models.nonlocal_block import NonLocal
from jaction.models.resnet import PatchStem
from jaction.models.slowfast import SlowFast, slow_only

SLOWFAST = "arXiv:1812.03982"
LFB = "arXiv:1812.05038"
ACRN = "arXiv:1807.10982"
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
FACEBOOK = (114.75,) * 3, (57.375,) * 3
GREY = (127.5,) * 3, (63.75,) * 3


class DetectionVariant(NamedTuple):
  """What a name stands for."""

  backbone: Callable[[], nn.Module]
  clip: tuple[int, int, int]  # frames, stride, side: the key frame is in the middle of the clip
  params: int  # with `classes`
  macs: int  # multiply-accumulates for one clip of side x side pixels and one box
  paper: str = SLOWFAST
  rois: Callable[[], nn.Module] = BoxFeatures
  neck: Callable[[], nn.Module] | None = None
  head: Any = BoxHead  # num_classes -> nn.Module
  norm: tuple[tuple[float, float, float], tuple[float, float, float]] = IMAGENET  # mean, std
  classes: int = 81  # column 0 is nobody's action
  short: int = 256  # side that frames are resized to in the published test, which takes whole frames

  task = "detection"
  bgr = False  # see variants.Variant
  segments = False

  def build(self, num_classes: int) -> Detector:
    frames, _, side = self.clip
    neck = self.neck() if self.neck else None
    return Detector(self.backbone(), self.rois(), self.head(num_classes), neck, (frames, side, side))

  @property
  def shape(self) -> tuple[int, int, int, int]:
    """Of a clip: T, H, W, 3."""
    frames, _, side = self.clip
    return frames, side, side, 3

  @property
  def preprocessing(self) -> dict[str, Any]:
    """The published test protocol, in the form that jaction.clips.key_frames.KeyFrames.from_json reads."""
    frames, stride, _ = self.clip
    mean, std = self.norm
    return {
      "clip_len": frames,
      "frame_interval": stride,
      "steps": ["resize"],
      "settings": {"resize": {"size": self.short}},
      "mean": list(mean),
      "std": list(std),
    }

  def preprocessing_for(self, channels: int) -> dict[str, Any] | None:
    """`preprocessing` for weights made for so many channels; None for anything but RGB."""
    return self.preprocessing if channels == 3 else None


_FINE = {"last_stride": 1}
_DILATED = {"last_stride": 1, "last_dilation": 2}
_SCALED = {"after": functools.partial(NonLocal, scale=True), "after_blocks": ((), (0, 2), (0, 2, 4), ())}
_FB = {  # torchvision's RoIAlign, legacy form, and dropout behind the pool: PyTorchVideo's releases
  "rois": functools.partial(BoxFeatures, output_size=7, aligned=False),
  "head": functools.partial(BoxHead, drop_first=False, background=False),
  "norm": FACEBOOK,
  "classes": 80,
}
_MAX = functools.partial(BoxFeatures, temporal_pool="max")


def _slow(depth: int, **options: Any) -> Callable[[], nn.Module]:
  return functools.partial(slow_only, depth, **(_FINE | options))


def _pair(alpha: int, lateral_kernel: int, **options: Any) -> Callable[[], nn.Module]:
  return functools.partial(SlowFast, alpha=alpha, lateral_kernel=lateral_kernel, **(_FINE | options))


_4X16, _8X8, _PAIR = (4, 16, 256), (8, 8, 256), (32, 2, 256)

VARIANTS = {
  "slowonly_r50_4x16x1_ava": DetectionVariant(_slow(50), _4X16, params=31_800_465, macs=41_559_427_072),
  "slowonly_r101_8x8x1_ava": DetectionVariant(_slow(101), _8X8, params=59_705_489, macs=140_154_931_200),
  "slowonly_nl_r50_4x16x1_ava": DetectionVariant(_slow(50, **_SCALED), _4X16, params=39_154_833, macs=57_397_118_976),
  "slowonly_nl_r50_8x8x1_ava": DetectionVariant(_slow(50, **_SCALED), _8X8, params=39_154_833, macs=124_988_327_936),
  "slowfast_r50_4x16x1_ava": DetectionVariant(_pair(8, 5), _PAIR, params=33_743_993, macs=52_589_156_608),
  "slowfast_r50_8x8x1_ava": DetectionVariant(_pair(4, 7), _PAIR, params=33_830_265, macs=96_895_686_912),
  "slowfast_context_r50_4x16x1_ava": DetectionVariant(
    _pair(8, 5), _PAIR, params=33_930_617, macs=52_596_421_120, rois=functools.partial(BoxFeatures, with_global=True)
  ),
  "slowfast_temporal_max_r50_8x8x1_ava": DetectionVariant(
    _pair(4, 7), _PAIR, params=33_830_265, macs=96_895_686_912, rois=_MAX
  ),
  "slowfast_acrn_r50_8x8x1_ava": DetectionVariant(
    _pair(4, 7), _PAIR, params=92_232_057, macs=110_490_540_288, paper=ACRN, rois=_MAX, neck=ActorRelation
  ),
  "lfb_slowonly_r50_4x16x1_ava": DetectionVariant(
    _slow(50), _4X16, params=36_043_409, macs=42_191_325_696, paper=LFB, neck=FeatureBank
  ),
  "slowonly_r50_4x16x1_ava_fb": DetectionVariant(
    _slow(50, **_DILATED), _4X16, params=31_798_416, macs=41_558_409_216, **_FB
  ),
  "slowfast_r50_8x8x1_ava_fb": DetectionVariant(
    _pair(4, 7, facebook=True, **_DILATED), _PAIR, params=33_828_888, macs=96_894_541_824, **_FB
  ),
  # Ours, for tests and the demo: 64 x 64 pixels, cells of 8
  "slowonly_tiny_8x2x1_ava": DetectionVariant(
    functools.partial(slow_only, 11, width=16, stem=PatchStem, last_stride=1),
    (8, 2, 64),
    params=168_753,
    macs=95_539_456,
    paper="",
    rois=functools.partial(BoxFeatures, output_size=4, stride=8),
    head=functools.partial(BoxHead, dropout=0.1),
    norm=GREY,
    short=64,
  ),
}
