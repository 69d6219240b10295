"""The names users type.  One row, one network; a test builds each and counts its parameters and operations."""

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from jaction.errors import InputError, nearest
from jaction.models.heads import FrameHead, PoolHead
from jaction.models.recognizer import Recognizer
from jaction.models.resnet import PatchStem, ResNet
from jaction.models.slowfast import SlowFast, slow_only
from jaction.models.tsm import tsm_resnet

TSN = "arXiv:1608.00859"
TSM = "arXiv:1811.08383"
SLOWFAST = "arXiv:1812.03982"


class Variant(NamedTuple):
  """What a name stands for."""

  backbone: Callable[[], nn.Module]
  head: Any  # num_classes -> nn.Module
  clip: tuple[int, int, int]  # frames, stride, side: what one view holds
  views: tuple[str, int, int, str]  # the published test: sampler, clips or segments, resized short side, crops
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
  def preprocessing(self) -> dict:
    """The published test protocol, in the form that jaction.clips.Preprocessing.from_json reads."""
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


def _tsn(depth):
  return lambda: ResNet(depth)


def _tsm(depth):
  return lambda: tsm_resnet(depth)


_TEN = ("segments", 25, 256, "ten_crop")
_DENSE = ("clips", 10, 256, "three_crop")
_TINY = ("segments", 8, 72, "center_crop")
_MEAN = {"mean": (127.5, 127.5, 127.5), "std": (63.75, 63.75, 63.75)}

# fmt: off
VARIANTS: Mapping[str, Variant] = {
  #                               backbone             head                                         T tau side       test                                      parameters  multiply-accumulates
  "tsn_r18_1x1x3":       Variant(_tsn(18),            lambda k: PoolHead(k, dropout=0.4),          (3, 1, 224),     _TEN,                                     11_381_712, 0, TSN),
  "tsn_r18_1x1x8":       Variant(_tsn(18),            lambda k: PoolHead(k, dropout=0.4),          (8, 1, 224),     _TEN,                                     11_381_712, 0, TSN),
  "tsn_r50_1x1x3":       Variant(_tsn(50),            lambda k: PoolHead(k, dropout=0.4),          (3, 1, 224),     _TEN,                                     24_327_632, 0, TSN),
  "tsn_r50_1x1x8":       Variant(_tsn(50),            lambda k: PoolHead(k, dropout=0.4),          (8, 1, 224),     _TEN,                                     24_327_632, 0, TSN),
  "tsn_r101_1x1x8":      Variant(_tsn(101),           lambda k: PoolHead(k, dropout=0.4),          (8, 1, 224),     _TEN,                                     43_319_760, 0, TSN),
  "tsm_r18_1x1x8":       Variant(_tsm(18),            lambda k: FrameHead(k),                      (8, 1, 224),     ("segments", 8, 256, "center_crop"),      11_381_712, 0, TSM),
  "tsm_r50_1x1x8":       Variant(_tsm(50),            lambda k: FrameHead(k),                      (8, 1, 224),     ("segments", 8, 256, "center_crop"),      24_327_632, 0, TSM),
  "tsm_r50_1x1x16":      Variant(_tsm(50),            lambda k: FrameHead(k),                      (16, 1, 224),    ("segments", 16, 256, "center_crop"),     24_327_632, 0, TSM),
  "slowonly_r50_4x16x1": Variant(lambda: slow_only(), lambda k: PoolHead(k),                       (4, 16, 224),    _DENSE,                                   32_454_096, 0, SLOWFAST),
  "slowonly_r50_8x8x1":  Variant(lambda: slow_only(), lambda k: PoolHead(k),                       (8, 8, 224),     _DENSE,                                   32_454_096, 0, SLOWFAST),
  "slowonly_r101_8x8x1": Variant(lambda: slow_only(101), lambda k: PoolHead(k),                    (8, 8, 224),     _DENSE,                                   60_359_120, 0, SLOWFAST),
  "slowfast_r50_4x16x1": Variant(lambda: SlowFast(alpha=8, lateral_kernel=5), lambda k: PoolHead(k), (32, 2, 224),  _DENSE,                                   34_479_288, 0, SLOWFAST),
  "slowfast_r50_8x8x1":  Variant(lambda: SlowFast(alpha=4, lateral_kernel=7), lambda k: PoolHead(k), (32, 2, 224),  _DENSE,                                   34_565_560, 0, SLOWFAST),

  # Tiny nets of ours, for tests and the demo
  "tsn_tiny_1x1x8":      Variant(lambda: ResNet(8, 16, PatchStem), lambda k: PoolHead(k, dropout=0.1), (8, 1, 64), _TINY,                                     109_872, 0, TSN, **_MEAN),
  "tsm_tiny_1x1x8":      Variant(lambda: tsm_resnet(8, width=16, stem=PatchStem), lambda k: FrameHead(k, dropout=0.1, std=0.01), (8, 1, 64), _TINY, 109_872, 0, TSM, **_MEAN),
  "slowonly_tiny_4x4x1": Variant(lambda: slow_only(11, width=16, stem=PatchStem), lambda k: PoolHead(k, dropout=0.1), (4, 4, 64), ("clips", 1, 72, "center_crop"), 250_736, 0, SLOWFAST, **_MEAN),
  "slowfast_tiny_2x8x1": Variant(lambda: SlowFast((11, 11), 16, alpha=4, stem=PatchStem), lambda k: PoolHead(k, dropout=0.1), (8, 2, 64), ("clips", 1, 72, "center_crop"), 292_132, 0, SLOWFAST, **_MEAN),
}
# fmt: on


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
  frames, _, side = row.clip
  parts = {"recognizer": Recognizer(row.backbone(), row.head(num_classes), (frames, side, side))}
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
