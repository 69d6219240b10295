"""The names users type.  One row, one network; a test builds each and counts its parameters and operations."""

import dataclasses
import fnmatch
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaction.errors import InputError, nearest
from jaction.models.audio import AudioResNet
from jaction.models.bninception import BNInception
from jaction.models.c3d import C3D
from jaction.models.csn import csn
from jaction.models.freeze import freezing
from jaction.models.heads import FrameHead, PoolHead
from jaction.models.i3d import POOL2, c2d_resnet, i3d_resnet
from jaction.models.inception import InceptionI3D
from jaction.models.layers import BatchNorm
from jaction.models.mobilenet_v2 import MobileNetV2
from jaction.models.nonlocal_block import NonLocal
from jaction.models.r2plus1d import R2Plus1D
from jaction.models.recognizer import Recognizer
from jaction.models.resnet import PatchStem, ResNet, Stem
from jaction.models.slowfast import SlowFast, slow_only
from jaction.models.tanet import TANet
from jaction.models.tin import tin_resnet
from jaction.models.tpn import TPN, TPNHead
from jaction.models.trn import RelationHead
from jaction.models.tsm import temporal_shift, tsm_resnet
from jaction.models.variants_detection import VARIANTS as DETECTION
from jaction.models.variants_localization import VARIANTS_LOCALIZATION
from jaction.models.x3d import X3D, X3DHead

TSN = "arXiv:1608.00859"
TSM = "arXiv:1811.08383"
SLOWFAST = "arXiv:1812.03982"
TIN = "arXiv:2001.06499"
TPN_PAPER = "arXiv:2004.03548"
I3D = "arXiv:1711.07971"
AV_SLOWFAST = "arXiv:2001.08740"
MEAN_CSN, STD_CSN = (110.2008, 100.63983, 95.99475), (58.14765, 56.46975, 55.332)  # as MMAction2 corrected it later
MEAN_FB, STD_FB = (114.75, 114.75, 114.75), (57.375, 57.375, 57.375)  # PySlowFast, PyTorchVideo


class Views(NamedTuple):
  """The published test."""

  kind: str  # clips, segments (of one view), spectrograms
  count: int  # of them
  short: int  # side that the frames are resized to
  crop: str  # of sound "mel" (made of a waveform) or "features" (read)
  sampling: str = "uniform"  # "twice": as much again from the beginnings of the parts; "dense": see `preprocessing`
  average: str = "prob"  # of the views
  size: int | None = None  # of the crop; None: of three crops the short side, of others what the clip has


TEN_CLIPS = Views("clips", 10, 256, "three_crop")
WINDOWS = 10  # of dense sampling


class Variant(NamedTuple):
  """What a name stands for."""

  backbone: Callable[[], nn.Module]
  head: Any  # num_classes -> nn.Module
  clip: tuple[int, int, int]  # frames, stride, side: what one view holds; of a spectrogram frames, stride, bands
  views: Views
  params: int  # with 400 classes
  macs: int  # multiply-accumulates for one clip
  paper: str
  mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
  std: tuple[float, float, float] = (58.395, 57.12, 57.375)
  frozen_norms: str = "none"  # in training; see freeze.NORMS
  bgr: bool = False  # the published weights take blue, green, red: converters.convert turns them round

  task = "recognition"

  def build(self, num_classes: int) -> Recognizer:
    """The network; `create_model` sets fields of it and of its parts by name."""
    return Recognizer(self.backbone(), self.head(num_classes), self.shape[:-1], frozen_norms=self.frozen_norms)

  @property
  def segments(self) -> bool:
    """Whether the frames of a view are segments of the whole video (2-D networks) or neighbours in it."""
    return self.views.kind == "segments"

  @property
  def shape(self) -> tuple[int, ...]:
    """Of what one view holds: T, H, W, 3, or T, F, 1 of sound."""
    frames, _, side = self.clip
    return (frames, side, 1) if self.views.kind == "spectrograms" else (frames, side, side, 3)

  @property
  def preprocessing(self) -> dict:
    """The published test protocol, in the form that jaction.clips.Preprocessing.from_json reads.

    Dense sampling takes a view of segments, or one clip, out of each of ten windows of 64 frames along the video.
    """
    frames, stride, side = self.clip
    if self.views.kind == "spectrograms":
      mel = self.views.crop == "mel"  # out of a waveform; else features are read
      return {
        "modality": "spectrogram",
        "sampler": "uniform",
        "clip_len": frames,
        "frame_interval": stride,
        "num_clips": self.views.count,
        "frames_per_view": frames,
        "steps": ["amplify", "mel"] if mel else [],
        "settings": {"amplify": {"ratio": 1.5}, "mel": {"bands": side}} if mel else {},
        "mean": [0.0],
        "std": [1.0],
        "average": self.views.average,
      }
    kind, count, short, crop, sampling, average, size = self.views
    size = size or (short if crop == "three_crop" else side)
    dense = sampling == "dense"
    return {
      "sampler": "dense" if dense else "uniform",
      "clip_len": 1 if kind == "segments" else frames,
      "frame_interval": 1 if kind == "segments" else stride,
      "num_clips": 1 if dense and kind == "clips" else count,
      "frames_per_view": count if kind == "segments" else frames,
      "steps": ["resize", crop],
      "settings": {"resize": {"size": short}, crop: {"size": size}}
      | ({"dense": {"num_sample_positions": WINDOWS}} if dense else {}),
      "mean": list(self.mean),
      "std": list(self.std),
      "average": average,
      "twice_sample": sampling == "twice",
    }

  def preprocessing_for(self, channels: int) -> dict | None:
    """`preprocessing` for weights made for so many channels: 2 or more than 3 are of optical flow, x and y.

    More than 2 are the flow of channels / 2 neighbouring frames for each segment.  None where nothing is known.
    """
    own = self.preprocessing
    if channels == self.shape[-1]:
      return own
    if channels % 2 or self.views.kind == "spectrograms" or channels > 2 and not self.segments:
      return None
    grey = {"mean": [128.0, 128.0], "std": [128.0, 128.0]}
    if channels == 2:
      return own | grey | {"modality": "flow"}
    return own | grey | {"modality": "stacked_flow", "clip_len": channels // 2}


TSN_VIEWS = Views("segments", 25, 256, "ten_crop", average="score")  # its head averages over whatever it is given


def _tsn(depth: int, segments: int, *, params: int, macs: int, views: Views = TSN_VIEWS) -> Variant:
  return Variant(lambda: ResNet(depth), lambda k: PoolHead(k, 0.4), (segments, 1, 224), views, params, macs, TSN)


def _tsm(depth: int, segments: int, *, params: int, macs: int, sampling: str = "uniform", **options: Any) -> Variant:
  views = Views("segments", segments, 256, "center_crop", sampling)
  backbone = functools.partial(tsm_resnet, depth, **options)
  return Variant(backbone, FrameHead, (segments, 1, 224), views, params, macs, TSM)


def _slowonly(depth: int, frames: int, stride: int, *, params: int, macs: int, **options: Any) -> Variant:
  backbone = functools.partial(slow_only, depth, **options)
  return Variant(backbone, PoolHead, (frames, stride, 224), TEN_CLIPS, params, macs, SLOWFAST)


def _slowfast(
  depths: tuple[int, int], alpha: int, lateral_kernel: int, *, params: int, macs: int, facebook: bool = False
) -> Variant:
  """Named by what its Slow pathway sees; the clip holds what the Fast one does."""
  backbone = functools.partial(SlowFast, depths, alpha=alpha, lateral_kernel=lateral_kernel, facebook=facebook)
  head = functools.partial(PoolHead, fast_first=not facebook)
  return Variant(
    backbone, head, (32, 2, 224), TEN_CLIPS, params, macs, SLOWFAST, *((MEAN_FB, STD_FB) if facebook else ())
  )


def _i3d(
  backbone: Callable[[], nn.Module],
  frames: int,
  stride: int,
  *,
  params: int,
  macs: int,
  facebook: bool = False,
  sampling: str = "uniform",
) -> Variant:
  views, norm = TEN_CLIPS._replace(sampling=sampling), (MEAN_FB, STD_FB) if facebook else ()
  return Variant(backbone, PoolHead, (frames, stride, 224), views, params, macs, I3D, *norm)


def _audio(
  backbone: Callable[[], nn.Module],
  frames: int,
  clips: int,
  made: str = "features",
  *,
  params: int,
  macs: int,
  paper: str,
) -> Variant:
  """80 mel bands; MMAction2 has no normalisation of spectrograms, so mean and std mean nothing here."""
  return Variant(backbone, PoolHead, (frames, 1, 80), Views("spectrograms", clips, 80, made), params, macs, paper)


def _frames(
  backbone: Callable[[], nn.Module],
  head: Any,
  crops: str,
  sampling: str = "uniform",
  *,
  params: int,
  macs: int,
  paper: str,
  frozen_norms: str = "none",
) -> Variant:
  """2-D networks on eight segments of the video."""
  views = Views("segments", 8, 256, crops, sampling)
  return Variant(backbone, head, (8, 1, 224), views, params, macs, paper, frozen_norms=frozen_norms)


def _tiny(backbone: Callable[[], nn.Module], head: Any, frames: int, stride: int, *, params: int, macs: int) -> Variant:
  """Ours, for tests and the demo: 64 x 64 pixels, a patch stem; stride 0 stands for segments of the whole video."""
  views = Views("clips", 1, 72, "center_crop") if stride else Views("segments", frames, 72, "center_crop")
  grey, spread = (127.5,) * 3, (63.75,) * 3
  return Variant(backbone, head, (frames, stride or 1, 64), views, params, macs, "", grey, spread)


def _attending(mode: str) -> dict[str, Any]:
  """Non-local blocks behind the first of every two blocks of res3 and res4."""
  return {"after": functools.partial(NonLocal, mode), "after_blocks": ((), (0, 2), (0, 2, 4), ())}


_SCALED = {"after": functools.partial(NonLocal, scale=True), "after_blocks": ((), (0, 2), (0, 2, 4), ())}
_NL_FB = functools.partial(NonLocal, scale=True, pool_first=True, out_bias=True)


def _csn(
  depth: int, *, params: int, macs: int, facebook: bool = False, frozen_norms: str = "none", **options: Any
) -> Variant:
  norm = (MEAN_FB, STD_FB) if facebook else (MEAN_CSN, STD_CSN)
  backbone = functools.partial(csn, depth, **options)
  return Variant(backbone, PoolHead, (32, 2, 224), TEN_CLIPS, params, macs, "arXiv:1904.02811", *norm, frozen_norms)


def _r2plus1d(depth: int, frames: int, stride: int, *, params: int, macs: int, facebook: bool = False) -> Variant:
  paper, clip = "arXiv:1711.11248", (frames, stride, 224)
  if facebook:
    backbone = functools.partial(R2Plus1D, depth, (1, 1, 2, 2), True)
    return Variant(backbone, PoolHead, clip, TEN_CLIPS, params, macs, paper, MEAN_FB, STD_FB)
  norm = functools.partial(BatchNorm, eps=1e-3)  # of the norms behind a pair; those inside have 1e-5
  return Variant(functools.partial(R2Plus1D, depth, norm=norm), PoolHead, clip, TEN_CLIPS, params, macs, paper)


def _x3d(
  frames: int, stride: int, side: int, depth: float = 2.2, *, params: int, macs: int, ptv: bool = False
) -> Variant:
  short = {160: 192, 224: 256, 312: 356}[side]
  views = Views("clips", 10, short, "center_crop", size=short)
  backbone = functools.partial(X3D, gamma_d=depth, first_shortcut_norm=not ptv)
  return Variant(backbone, X3DHead, (frames, stride, side), views, params, macs, "arXiv:2004.04730", MEAN_FB, STD_FB)


VARIANTS: Mapping[str, Any] = {
  # depth, segments
  "tsn_r18_1x1x3": _tsn(18, 3, params=11_381_712, macs=5_440_888_832),
  "tsn_r18_1x1x8": _tsn(18, 8, params=11_381_712, macs=14_508_695_552),
  "tsn_r50_1x1x3": _tsn(50, 3, params=24_327_632, macs=12_262_227_968),
  "tsn_r50_1x1x5": _tsn(50, 5, params=24_327_632, macs=20_436_500_480),
  "tsn_r50_1x1x6": _tsn(50, 6, params=24_327_632, macs=24_523_636_736),
  "tsn_r50_1x1x8": _tsn(50, 8, params=24_327_632, macs=32_697_909_248),
  "tsn_r50_dense_1x1x8": _tsn(
    50,
    8,
    params=24_327_632,
    macs=32_697_909_248,
    views=Views("segments", 8, 256, "center_crop", "dense", average="score"),
  ),
  "tsn_r50_1x1x16": _tsn(50, 16, params=24_327_632, macs=65_394_999_296),
  "tsn_r101_1x1x5": _tsn(101, 5, params=43_319_760, macs=38_997_606_400),
  "tsn_r101_1x1x8": _tsn(101, 8, params=43_319_760, macs=62_395_678_720),
  "tsn_bninception_1x1x3": Variant(
    BNInception,
    lambda k: PoolHead(k, 0.8, 0.001),
    (3, 1, 224),
    TSN_VIEWS,
    params=10_680_240,
    macs=6_095_137_792,
    paper=TSN,
    mean=(128.0, 117.0, 104.0),
    std=(1.0,) * 3,
    bgr=True,
  ),
  "tsm_r18_1x1x8": _tsm(18, 8, params=11_381_712, macs=14_510_129_152),
  "tsm_r50_1x1x8": _tsm(50, 8, params=24_327_632, macs=32_703_643_648),
  "tsm_r50_dense_1x1x8": _tsm(50, 8, params=24_327_632, macs=32_703_643_648, sampling="dense"),
  "tsm_r50_1x1x16": _tsm(50, 16, params=24_327_632, macs=65_407_287_296),
  "tsm_r101_1x1x8": _tsm(101, 8, params=43_319_760, macs=62_401_413_120),
  "tsm_temporal_pool_r50_1x1x8": _tsm(50, 8, params=24_327_632, macs=19_495_649_280, temporal_pool=True),
  "tsm_nl_gaussian_r50_1x1x8": _tsm(50, 8, params=28_007_888, macs=58_862_600_192, **_attending("gaussian")),
  "tsm_nl_embedded_gaussian_r50_1x1x8": _tsm(
    50, 8, params=31_682_000, macs=61_104_062_464, **_attending("embedded_gaussian")
  ),
  "tsm_nl_dot_product_r50_1x1x8": _tsm(50, 8, params=31_682_000, macs=61_104_062_464, **_attending("dot_product")),
  # depth, frames, stride
  "slowonly_r50_4x16x1": _slowonly(50, 4, 16, params=32_454_096, macs=20_870_823_936),
  "slowonly_r50_8x8x1": _slowonly(50, 8, 8, params=32_454_096, macs=41_740_828_672),
  "slowonly_r50_8x8x1_fb": _slowonly(50, 8, 8, params=32_454_096, macs=41_740_828_672),
  "slowonly_r101_4x16x1": _slowonly(101, 4, 16, params=60_359_120, macs=42_707_419_136),
  "slowonly_r101_8x8x1": _slowonly(101, 8, 8, params=60_359_120, macs=85_414_019_072),
  "slowonly_nl_embedded_gaussian_r50_4x16x1": _slowonly(50, 4, 16, params=39_808_464, macs=32_081_346_560, **_SCALED),
  "slowonly_nl_embedded_gaussian_r50_8x8x1": _slowonly(50, 8, 8, params=39_808_464, macs=70_141_247_488, **_SCALED),
  # depths of the pathways, alpha, temporal size of the lateral convolutions
  "slowfast_r50_4x16x1": _slowfast((50, 50), 8, 5, params=34_479_288, macs=27_638_665_216),
  "slowfast_r50_8x8x1": _slowfast((50, 50), 4, 7, params=34_565_560, macs=50_308_583_424),
  "slowfast_r101_8x8x1": _slowfast((101, 101), 4, 7, params=62_912_312, macs=96_711_348_224),
  "slowfast_r101_r50_4x16x1": _slowfast((101, 50), 8, 5, params=62_384_312, macs=49_475_260_416),
  "slowfast_r152_r50_4x16x1": _slowfast((152, 50), 8, 5, params=84_843_704, macs=69_667_688_448),
  "slowfast_r50_4x16x1_fb": _slowfast((50, 50), 8, 5, params=34_480_216, macs=27_638_665_216, facebook=True),
  "slowfast_r50_8x8x1_fb": _slowfast((50, 50), 4, 7, params=34_566_488, macs=50_308_583_424, facebook=True),
  "slowfast_r101_8x8x1_fb": _slowfast((101, 101), 4, 5, params=62_826_968, macs=96_396_644_352, facebook=True),
  # backbone, frames, stride
  "i3d_r50_32x2x1": _i3d(i3d_resnet, 32, 2, params=28_043_472, macs=33_128_218_624),
  "i3d_r50_dense_32x2x1": _i3d(i3d_resnet, 32, 2, params=28_043_472, macs=33_128_218_624, sampling="dense"),
  "i3d_r50_heavy_8x8x1": _i3d(
    lambda: i3d_resnet(stride_t=1, pool_stride_t=1, temporal=((3, 1),) * 4),
    8,
    8,
    params=33_024_208,
    macs=31_695_994_880,
  ),
  "i3d_nl_gaussian_r50_32x2x1": _i3d(
    lambda: i3d_resnet(after=functools.partial(NonLocal, "gaussian")), 32, 2, params=31_723_728, macs=41_723_166_720
  ),
  "i3d_nl_embedded_gaussian_r50_32x2x1": _i3d(
    lambda: i3d_resnet(after=NonLocal), 32, 2, params=35_397_840, macs=44_338_741_248
  ),
  "i3d_nl_dot_product_r50_32x2x1": _i3d(
    lambda: i3d_resnet(after=functools.partial(NonLocal, "dot_product")), 32, 2, params=35_397_840, macs=44_338_741_248
  ),
  "i3d_r50_8x8x1_fb": _i3d(
    lambda: i3d_resnet(stride_t=1, pool_stride_t=1), 8, 8, params=28_043_472, macs=28_407_660_544, facebook=True
  ),
  "i3d_nl_r50_8x8x1_fb": _i3d(
    lambda: i3d_resnet(stride_t=1, pool_stride_t=1, after=_NL_FB),
    8,
    8,
    params=35_401_936,
    macs=36_535_369_728,
    facebook=True,
  ),
  "c2d_r50_8x8x1": _i3d(c2d_resnet, 8, 8, params=24_327_632, macs=19_289_505_792),
  "c2d_r50_nopool_8x8x1": _i3d(lambda: c2d_resnet(pool2=False), 8, 8, params=24_327_632, macs=32_479_674_368),
  "c2d_r50_8x8x1_fb": _i3d(
    lambda: ResNet(50, 64, Stem, 1, temporal=((1, 1),) * 4, pool2=POOL2),
    8,
    8,
    params=24_327_632,
    macs=19_493_191_680,
    facebook=True,
  ),
  "i3d_inception_v1_64x1x1": Variant(
    InceptionI3D,
    PoolHead,
    (64, 1, 224),
    TEN_CLIPS,
    params=12_697_264,
    macs=111_150_686_208,
    paper="arXiv:1705.07750",
    mean=(128.0,) * 3,
    std=(128.0,) * 3,
  ),
  "c3d_16x1x1": Variant(
    C3D,
    PoolHead,
    (16, 1, 112),
    Views("clips", 10, 128, "center_crop", average="score"),
    params=79_634_576,
    macs=38_548_602_880,
    paper="arXiv:1412.0767",
    mean=(104.0, 117.0, 128.0),
    std=(1.0,) * 3,
  ),
  # backbone, frames of the spectrogram, clips of the test
  "tsn_r18_audio": _audio(lambda: ResNet(18), 64, 1, params=11_375_440, macs=185_622_528, paper=TSN),
  "tsn_r50_audio": _audio(lambda: ResNet(50), 128, 1, "mel", params=24_321_360, macs=847_708_160, paper=TSN),
  "audioonly_r50": _audio(AudioResNet, 64, 10, params=6_315_728, macs=1_660_108_800, paper=AV_SLOWFAST),
  # backbone, head, crops and sampling of the test; dropout as of Something-Something, of Kinetics where it says dense
  "tin_r50_1x1x8": _frames(
    tin_resnet, lambda k: FrameHead(k, 0.8), "center_crop", params=24_358_640, macs=32_703_881_088, paper=TIN
  ),
  "tin_tsm_r50_1x1x8": _frames(tin_resnet, FrameHead, "center_crop", params=24_358_640, macs=32_703_881_088, paper=TIN),
  "tanet_r50_1x1x8": _frames(
    TANet,
    lambda k: FrameHead(k, 0.6),
    "three_crop",
    "twice",
    params=25_590_320,
    macs=32_714_368_000,
    paper="arXiv:2005.06803",
  ),
  "tanet_r50_dense_1x1x8": _frames(
    TANet, FrameHead, "three_crop", "dense", params=25_590_320, macs=32_714_368_000, paper="arXiv:2005.06803"
  ),
  "trn_r50_1x1x8": _frames(
    ResNet,
    RelationHead,
    "three_crop",
    "twice",
    params=27_047_728,
    macs=32_709_062_656,
    paper="arXiv:1711.08496",
    frozen_norms="partial",
  ),
  "tpn_tsm_r50_1x1x8": _frames(
    lambda: TPN(tsm_resnet()),
    TPNHead,
    "three_crop",
    "twice",
    params=83_371_872,
    macs=41_233_448_960,
    paper=TPN_PAPER,
  ),
  "tpn_slowonly_r50_8x8x1": Variant(
    lambda: TPN(slow_only()), TPNHead, (8, 8, 224), TEN_CLIPS, params=91_498_336, macs=50_276_368_384, paper=TPN_PAPER
  ),
  # depth
  "ircsn_r50_32x2x1": _csn(50, params=13_131_152, macs=42_308_519_936),
  "ircsn_r101_32x2x1": _csn(101, params=22_213_776, macs=56_468_187_136),
  "ircsn_r152_32x2x1": _csn(152, params=29_703_568, macs=74_046_244_864),
  "ircsn_bnfrozen_r50_32x2x1": _csn(50, params=13_131_152, macs=42_308_519_936, frozen_norms="all"),
  "ircsn_bnfrozen_r152_32x2x1": _csn(152, params=29_703_568, macs=74_046_244_864, frozen_norms="all"),
  "ipcsn_r50_32x2x1": _csn(50, params=14_396_176, macs=47_652_063_232, interaction_preserved=True),
  "ipcsn_r152_32x2x1": _csn(152, params=33_016_592, macs=83_294_685_184, interaction_preserved=True),
  "ircsn_r101_32x2x1_fb": _csn(101, params=22_213_776, macs=56_468_187_136, eps=1e-5, facebook=True),
  # depth, frames, stride
  "r2plus1d_r34_8x8x1": _r2plus1d(34, 8, 8, params=63_759_281, macs=40_561_228_800),
  "r2plus1d_r34_32x2x1": _r2plus1d(34, 32, 2, params=63_759_281, macs=162_244_300_800),
  "r2plus1d_r50_16x4x1_fb": _r2plus1d(50, 16, 4, params=28_107_600, macs=57_533_825_024, facebook=True),
  # frames, stride, side, depth factor
  "x3d_xs_4x12x1": _x3d(4, 12, 160, params=3_794_322, macs=605_256_512),
  "x3d_s_13x6x1": _x3d(13, 6, 160, params=3_794_322, macs=1_962_892_112),
  "x3d_m_16x5x1": _x3d(16, 5, 224, params=3_794_322, macs=4_732_468_736),
  "x3d_l_16x5x1": _x3d(16, 5, 312, 5.0, params=6_153_432, macs=18_367_710_176),
  "x3d_xs_4x12x1_fb": _x3d(4, 12, 160, params=3_794_274, macs=605_256_512, ptv=True),
  "x3d_s_13x6x1_fb": _x3d(13, 6, 160, params=3_794_274, macs=1_962_892_112, ptv=True),
  "x3d_m_16x5x1_fb": _x3d(16, 5, 224, params=3_794_274, macs=4_732_468_736, ptv=True),
  "x3d_l_16x5x1_fb": _x3d(16, 5, 312, 5.0, params=6_153_384, macs=18_367_710_176, ptv=True),
  "tsm_mobilenetv2_1x1x8": _frames(
    lambda: MobileNetV2(temporal_shift),
    FrameHead,
    "three_crop",
    "dense",
    params=2_736_272,
    macs=2_400_050_176,
    paper=TSM,
  ),
  # backbone, head, frames, stride
  "tsn_tiny_1x1x8": _tiny(
    lambda: ResNet(8, 16, PatchStem), lambda k: PoolHead(k, 0.1), 8, 0, params=109_872, macs=38_298_624
  ),
  "tsm_tiny_1x1x8": _tiny(
    lambda: tsm_resnet(8, width=16, stem=PatchStem),
    lambda k: FrameHead(k, 0.1, 0.01),
    8,
    0,
    params=109_872,
    macs=38_477_824,
  ),
  "i3d_tiny_1x1x8": _tiny(
    lambda: ResNet(8, 16, PatchStem, temporal=((3, 1),) * 3),
    lambda k: PoolHead(k, 0.1),
    8,
    0,
    params=160_560,
    macs=57_172_992,
  ),
  "slowonly_tiny_4x4x1": _tiny(
    lambda: slow_only(11, width=16, stem=PatchStem), lambda k: PoolHead(k, 0.1), 4, 4, params=250_736, macs=31_297_536
  ),
  "slowfast_tiny_2x8x1": _tiny(
    lambda: SlowFast((11, 11), 16, alpha=4, stem=PatchStem),
    lambda k: PoolHead(k, 0.1),
    8,
    2,
    params=292_132,
    macs=28_144_128,
  ),
  "x3d_tiny_1x1x8": _tiny(
    lambda: X3D(1.0, gamma_d=1.0, blocks=(1, 1, 1, 1), strides=(1, 2, 2, 2), patch=True),
    lambda k: X3DHead(k, 0.1),
    8,
    0,
    params=1_356_424,
    macs=16_234_080,
  ),
  **DETECTION,
  **VARIANTS_LOCALIZATION,
}


def list_models(pattern: str = "*") -> list[str]:
  """The names that create_model knows, those that match a shell pattern such as "slowfast*"."""
  return sorted(fnmatch.filter(VARIANTS, pattern))


def variant(name: str) -> Variant:
  """The facts of a name.  Raises InputError with the nearest names where there is none."""
  if name not in VARIANTS:
    raise InputError(f"no model is called {name!r}.{nearest(name, VARIANTS)} See jaction.list_models().")
  return VARIANTS[name]


def create_model(name: str, *, num_classes: int | None = None, **fields: Any) -> Any:
  """The network called `name`, without weights: a flax module with the method `inputs` (see Recognizer.inputs).

  `fields` set, by their own names, fields of the network, its backbone or its head: dropout=0.2, dtype="bfloat16",
  depth=101, ...  An unknown one is an InputError that names the nearest.  num_classes: None for the row's own, 81 on
  AVA (80 of Facebook's), 400 elsewhere.
  """
  row = variant(name)
  num_classes = getattr(row, "classes", 400) if num_classes is None else num_classes
  if num_classes < 1:
    raise InputError(f"num_classes must be at least 1, got {num_classes}")
  whole = row.build(num_classes)
  inner = {f.name: getattr(whole, f.name) for f in dataclasses.fields(whole) if f.name != "parent"}
  inner = {part: module for part, module in inner.items() if isinstance(module, nn.Module)}  # backbone, head
  parts: dict[str, Any] = {"": whole} | inner
  hidden = {"name", "parent", "num_classes", *inner}
  owners = {f.name: key for key, part in parts.items() for f in dataclasses.fields(part) if f.name not in hidden}
  for field in fields:
    if field not in owners:
      raise InputError(f"{name} has no field {field!r}.{nearest(field, owners)} It has: {', '.join(sorted(owners))}.")
  if "dtype" in fields:
    fields["dtype"] = jnp.dtype(fields["dtype"])
  for part in parts:
    own = {field: value for field, value in fields.items() if owners[field] == part}
    if own:
      parts[part] = parts[part].clone(**own)
  model = parts[""].clone(**{part: parts[part] for part in inner})
  if "frozen_stages" in fields:
    _check_stages(model, row)
  return model


def _check_stages(model: Recognizer, row: Variant) -> None:
  """InputError for more stages than the backbone has; shapes alone are computed."""
  shape = row.shape if len(row.shape) == 4 else (1, *row.shape)  # a spectrogram is one frame
  clip = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  with freezing((), model.frozen_stages, model.frozen_norms):
    jax.eval_shape(lambda key, clip: model.backbone.init(key, clip, train=False), jax.random.key(0), clip)
