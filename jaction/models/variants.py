"""The names users type.  One row, one network; a test builds each and counts its parameters and operations."""

import dataclasses
import fnmatch
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from jaction.errors import InputError, nearest
from jaction.models.audio import AudioResNet
from jaction.models.bninception import BNInception
from jaction.models.c3d import C3D
from jaction.models.csn import csn
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
from jaction.models.x3d import X3D, X3DHead

TSN = "arXiv:1608.00859"
TSM = "arXiv:1811.08383"
SLOWFAST = "arXiv:1812.03982"
TIN = "arXiv:2001.06499"
TPN_PAPER = "arXiv:2004.03548"
I3D = "arXiv:1711.07971"
AV_SLOWFAST = "arXiv:2001.08740"
DENSE = ("clips", 10, 256, "three_crop")
MEAN_CSN, STD_CSN = (110.2008, 100.63983, 95.99475), (58.14765, 56.46975, 55.332)  # as MMAction2 corrected it later
MEAN_FB, STD_FB = (114.75, 114.75, 114.75), (57.375, 57.375, 57.375)  # PySlowFast, PyTorchVideo


class Variant(NamedTuple):
  """What a name stands for."""

  backbone: Callable[[], nn.Module]
  head: Any  # num_classes -> nn.Module
  clip: tuple[int, int, int]  # frames, stride, side: what one view holds; of a spectrogram frames, stride, bands
  views: tuple[str, int, int, str]  # the published test: clips, segments or spectrograms, how many, short side, crops
  params: int  # with 400 classes
  macs: int  # multiply-accumulates for one clip
  paper: str
  mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
  std: tuple[float, float, float] = (58.395, 57.12, 57.375)

  @property
  def segments(self) -> bool:
    """Whether the frames of a view are segments of the whole video (2-D networks) or neighbours in it."""
    return self.views[0] == "segments"

  @property
  def shape(self) -> tuple[int, ...]:
    """Of what one view holds: T, H, W, 3, or T, F, 1 of sound."""
    frames, _, side = self.clip
    return (frames, side, 1) if self.views[0] == "spectrograms" else (frames, side, side, 3)

  @property
  def preprocessing(self) -> dict | None:
    """The published test protocol, in the form that jaction.clips.Preprocessing.from_json reads; None of sound."""
    if self.views[0] == "spectrograms":
      return None
    frames, stride, side = self.clip
    kind, clips, short, crop = self.views
    side = short if crop == "three_crop" else side
    return {
      "sampler": "uniform",
      "clip_len": 1 if kind == "segments" else frames,
      "frame_interval": 1 if kind == "segments" else stride,
      "num_clips": clips,
      "frames_per_view": clips if kind == "segments" else frames,
      "steps": ["resize", crop],
      "settings": {"resize": {"size": short}, crop: {"size": side}},
      "mean": list(self.mean),
      "std": list(self.std),
      "average": "prob",
    }


def _tsn(depth: int, segments: int, *, params: int, macs: int) -> Variant:
  views = ("segments", 25, 256, "ten_crop")
  return Variant(lambda: ResNet(depth), lambda k: PoolHead(k, 0.4), (segments, 1, 224), views, params, macs, TSN)


def _tsm(depth: int, segments: int, *, params: int, macs: int, **options: Any) -> Variant:
  views = ("segments", segments, 256, "center_crop")
  backbone = functools.partial(tsm_resnet, depth, **options)
  return Variant(backbone, FrameHead, (segments, 1, 224), views, params, macs, TSM)


def _slowonly(depth: int, frames: int, stride: int, *, params: int, macs: int, **options: Any) -> Variant:
  backbone = functools.partial(slow_only, depth, **options)
  return Variant(backbone, PoolHead, (frames, stride, 224), DENSE, params, macs, SLOWFAST)


def _slowfast(
  depths: tuple[int, int], alpha: int, lateral_kernel: int, *, params: int, macs: int, facebook: bool = False
) -> Variant:
  """Named by what its Slow pathway sees; the clip holds what the Fast one does."""
  backbone = functools.partial(SlowFast, depths, alpha=alpha, lateral_kernel=lateral_kernel, facebook=facebook)
  head = functools.partial(PoolHead, fast_first=not facebook)
  return Variant(backbone, head, (32, 2, 224), DENSE, params, macs, SLOWFAST, *((MEAN_FB, STD_FB) if facebook else ()))


def _i3d(
  backbone: Callable[[], nn.Module], frames: int, stride: int, *, params: int, macs: int, facebook: bool = False
) -> Variant:
  norm = (MEAN_FB, STD_FB) if facebook else ()
  return Variant(backbone, PoolHead, (frames, stride, 224), DENSE, params, macs, I3D, *norm)


def _audio(
  backbone: Callable[[], nn.Module], frames: int, clips: int, *, params: int, macs: int, paper: str
) -> Variant:
  """80 mel bands; MMAction2 has no normalisation of spectrograms, so mean and std mean nothing here."""
  return Variant(backbone, PoolHead, (frames, 1, 80), ("spectrograms", clips, 80, "no_crop"), params, macs, paper)


def _frames(backbone: Callable[[], nn.Module], head: Any, crops: str, *, params: int, macs: int, paper: str) -> Variant:
  """2-D networks on eight segments of the video."""
  return Variant(backbone, head, (8, 1, 224), ("segments", 8, 256, crops), params, macs, paper)


def _tiny(backbone: Callable[[], nn.Module], head: Any, frames: int, stride: int, *, params: int, macs: int) -> Variant:
  """Ours, for tests and the demo: 64 x 64 pixels, a patch stem; stride 0 stands for segments of the whole video."""
  views = ("clips", 1, 72, "center_crop") if stride else ("segments", frames, 72, "center_crop")
  grey, spread = (127.5,) * 3, (63.75,) * 3
  return Variant(backbone, head, (frames, stride or 1, 64), views, params, macs, "", grey, spread)


def _attending(mode: str) -> dict[str, Any]:
  """Non-local blocks behind the first of every two blocks of res3 and res4."""
  return {"after": functools.partial(NonLocal, mode), "after_blocks": ((), (0, 2), (0, 2, 4), ())}


_SCALED = {"after": functools.partial(NonLocal, scale=True), "after_blocks": ((), (0, 2), (0, 2, 4), ())}
_NL_FB = functools.partial(NonLocal, scale=True, pool_first=True, out_bias=True)


def _csn(depth: int, *, params: int, macs: int, facebook: bool = False, **options: Any) -> Variant:
  norm = (MEAN_FB, STD_FB) if facebook else (MEAN_CSN, STD_CSN)
  backbone = functools.partial(csn, depth, **options)
  return Variant(backbone, PoolHead, (32, 2, 224), DENSE, params, macs, "arXiv:1904.02811", *norm)


def _r2plus1d(depth: int, frames: int, stride: int, *, params: int, macs: int, facebook: bool = False) -> Variant:
  paper, clip = "arXiv:1711.11248", (frames, stride, 224)
  if facebook:
    backbone = functools.partial(R2Plus1D, depth, (1, 1, 2, 2), True)
    return Variant(backbone, PoolHead, clip, DENSE, params, macs, paper, MEAN_FB, STD_FB)
  norm = functools.partial(BatchNorm, eps=1e-3)  # of the norms behind a pair; those inside have 1e-5
  return Variant(functools.partial(R2Plus1D, depth, norm=norm), PoolHead, clip, DENSE, params, macs, paper)


def _x3d(
  frames: int, stride: int, side: int, depth: float = 2.2, *, params: int, macs: int, ptv: bool = False
) -> Variant:
  views = ("clips", 10, {160: 192, 224: 256, 312: 356}[side], "center_crop")
  backbone = functools.partial(X3D, gamma_d=depth, first_shortcut_norm=not ptv)
  return Variant(backbone, X3DHead, (frames, stride, side), views, params, macs, "arXiv:2004.04730", MEAN_FB, STD_FB)


VARIANTS: Mapping[str, Variant] = {
  # depth, segments
  "tsn_r18_1x1x3": _tsn(18, 3, params=11_381_712, macs=5_440_888_832),
  "tsn_r18_1x1x8": _tsn(18, 8, params=11_381_712, macs=14_508_695_552),
  "tsn_r50_1x1x3": _tsn(50, 3, params=24_327_632, macs=12_262_227_968),
  "tsn_r50_1x1x8": _tsn(50, 8, params=24_327_632, macs=32_697_909_248),
  "tsn_r101_1x1x8": _tsn(101, 8, params=43_319_760, macs=62_395_678_720),
  "tsn_bninception_1x1x3": Variant(  # weights of MMAction 0.2 want blue, green, red: this mean, reversed
    BNInception,
    lambda k: PoolHead(k, 0.8, 0.001),
    (3, 1, 224),
    ("segments", 25, 256, "ten_crop"),
    params=10_680_240,
    macs=6_095_137_792,
    paper=TSN,
    mean=(128.0, 117.0, 104.0),
    std=(1.0,) * 3,
  ),
  "tsm_r18_1x1x8": _tsm(18, 8, params=11_381_712, macs=14_510_129_152),
  "tsm_r50_1x1x8": _tsm(50, 8, params=24_327_632, macs=32_703_643_648),
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
  "i3d_r50_dense_32x2x1": _i3d(i3d_resnet, 32, 2, params=28_043_472, macs=33_128_218_624),
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
    DENSE,
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
    ("clips", 10, 128, "center_crop"),
    params=79_634_576,
    macs=38_548_602_880,
    paper="arXiv:1412.0767",
    mean=(104.0, 117.0, 128.0),
    std=(1.0,) * 3,
  ),
  # backbone, frames of the spectrogram, clips of the test
  "tsn_r18_audio": _audio(lambda: ResNet(18), 64, 1, params=11_375_440, macs=185_622_528, paper=TSN),
  "tsn_r50_audio": _audio(lambda: ResNet(50), 128, 1, params=24_321_360, macs=847_708_160, paper=TSN),
  "audioonly_r50": _audio(AudioResNet, 64, 10, params=6_315_728, macs=1_660_108_800, paper=AV_SLOWFAST),
  # backbone, head, crops of the test
  "tin_r50_1x1x8": _frames(
    tin_resnet, lambda k: FrameHead(k, 0.8), "center_crop", params=24_358_640, macs=32_703_881_088, paper=TIN
  ),
  "tin_tsm_r50_1x1x8": _frames(tin_resnet, FrameHead, "center_crop", params=24_358_640, macs=32_703_881_088, paper=TIN),
  "tanet_r50_1x1x8": _frames(
    TANet, FrameHead, "three_crop", params=25_590_320, macs=32_714_368_000, paper="arXiv:2005.06803"
  ),
  "trn_r50_1x1x8": _frames(
    ResNet, RelationHead, "three_crop", params=27_047_728, macs=32_709_062_656, paper="arXiv:1711.08496"
  ),
  "tpn_tsm_r50_1x1x8": _frames(
    lambda: TPN(tsm_resnet()), TPNHead, "three_crop", params=83_371_872, macs=41_233_448_960, paper=TPN_PAPER
  ),
  "tpn_slowonly_r50_8x8x1": Variant(
    lambda: TPN(slow_only()), TPNHead, (8, 8, 224), DENSE, params=91_498_336, macs=50_276_368_384, paper=TPN_PAPER
  ),
  # depth
  "ircsn_r50_32x2x1": _csn(50, params=13_131_152, macs=42_308_519_936),
  "ircsn_r101_32x2x1": _csn(101, params=22_213_776, macs=56_468_187_136),
  "ircsn_r152_32x2x1": _csn(152, params=29_703_568, macs=74_046_244_864),
  "ircsn_bnfrozen_r50_32x2x1": _csn(50, params=13_131_152, macs=42_308_519_936, frozen=True),
  "ircsn_bnfrozen_r152_32x2x1": _csn(152, params=29_703_568, macs=74_046_244_864, frozen=True),
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
    lambda: MobileNetV2(temporal_shift), FrameHead, "three_crop", params=2_736_272, macs=2_400_050_176, paper=TSM
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
}


def list_models(pattern: str = "*") -> list[str]:
  """The names that create_model knows, those that match a shell pattern such as "slowfast*"."""
  return sorted(fnmatch.filter(VARIANTS, pattern))


def variant(name: str) -> Variant:
  """The facts of a name.  Raises InputError with the nearest names where there is none."""
  if name not in VARIANTS:
    raise InputError(f"no model is called {name!r}.{nearest(name, VARIANTS)} See jaction.list_models().")
  return VARIANTS[name]


def create_model(name: str, *, num_classes: int = 400, **fields: Any) -> Recognizer:
  """The network called `name`, without weights.

  `fields` set, by their own names, fields of the recognizer, its backbone or its head: dropout=0.2, dtype="bfloat16",
  depth=101, ...  An unknown one is an InputError that names the nearest.
  """
  row = variant(name)
  if num_classes < 1:
    raise InputError(f"num_classes must be at least 1, got {num_classes}")
  parts = {"recognizer": Recognizer(row.backbone(), row.head(num_classes), row.shape[:-1])}
  parts |= {"backbone": parts["recognizer"].backbone, "head": parts["recognizer"].head}
  hidden = {"name", "parent", "backbone", "head", "num_classes"}
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
  return parts["recognizer"].clone(backbone=parts["backbone"], head=parts["head"])
