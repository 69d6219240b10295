"""PyTorch names of each family, in each toolbox's layout."""

import functools
from collections.abc import Iterable

from flax import linen as nn

from jaction.converters.engine import Row, conv, dense, norm, under
from jaction.converters.inflation import TORCHVISION
from jaction.converters.tables_detection import detector_layouts
from jaction.converters.tables_localization import FEATURE_NETS, ssn_rows
from jaction.converters.tables_plain import ROWS, plain_layouts
from jaction.converters.tables_separable import csn_rows, r2plus1d_layouts, x3d_layouts
from jaction.converters.tables_temporal import RELATIONS, TIN, mobilenet_layouts, tanet_layouts, tpn_layouts
from jaction.errors import InputError
from jaction.models.detector import Detector
from jaction.models.mobilenet_v2 import MobileNetV2
from jaction.models.r2plus1d import R2Plus1D
from jaction.models.recognizer import Recognizer
from jaction.models.resnet import ResNet, identity
from jaction.models.slowfast import SlowFast
from jaction.models.ssn import SSN
from jaction.models.tanet import TANet
from jaction.models.tin import interlace
from jaction.models.tpn import TPN
from jaction.models.trn import RelationHead
from jaction.models.x3d import X3D

# MMAction2, 0.x and 1.x
STEM = (*conv("conv1.conv", "conv1/conv"), *norm("conv1.bn", "conv1/bn"))
BLOCKS = (
  *conv("layer{s}.{b}.conv{c}.conv", "res{s+1}/block{b}/conv{c}"),
  *norm("layer{s}.{b}.conv{c}.bn", "res{s+1}/block{b}/bn{c}"),
  *conv("layer{s}.{b}.downsample.conv", "res{s+1}/block{b}/proj"),
  *norm("layer{s}.{b}.downsample.bn", "res{s+1}/block{b}/bn_proj"),
)
NON_LOCAL = (
  *conv("layer{s}.{b}.non_local_block.theta.conv", "res{s+1}/after{b}/theta"),
  *conv("layer{s}.{b}.non_local_block.phi.0.conv", "res{s+1}/after{b}/phi"),
  *conv("layer{s}.{b}.non_local_block.g.0.conv", "res{s+1}/after{b}/g"),
  *conv("layer{s}.{b}.non_local_block.conv_out.conv", "res{s+1}/after{b}/out"),
  *norm("layer{s}.{b}.non_local_block.conv_out.bn", "res{s+1}/after{b}/bn"),
)
RESNET = (*STEM, *BLOCKS, *NON_LOCAL)
SLOWFAST = (
  *under("slow_path.", "slow/", RESNET),
  *under("fast_path.", "fast/", RESNET),
  *conv("slow_path.conv1_lateral.conv", "lateral_0"),
  *conv("slow_path.layer{s}_lateral.conv", "lateral_{s}"),
)
HEAD = dense("cls_head.fc_cls", "head/fc")


def _respelt(rows: Iterable[Row], old: str, new: str, **numbers: int) -> tuple[Row, ...]:
  """The rows that hold `old` in PyTorch once these numbers stand in their places, with `new` instead."""
  out = []
  for torch, flax, kind in rows:
    for name, value in numbers.items():
      torch, flax = torch.replace(f"{{{name}}}", str(value)), flax.replace(f"{{{name}}}", str(value))
      flax = flax.replace(f"{{{name}+1}}", str(value + 1))
    if old in torch:
      out.append(Row(torch.replace(old, new), flax, kind))
  return tuple(out)


def _tsm(backbone: ResNet) -> tuple[Row, ...]:
  """MMAction2 wraps what it changes: a shifted convolution, a temporally pooled stage, a block with a non-local one."""
  shifted = [{"c": 1}] if backbone.every == 1 else [{"c": 1, "b": b} for b in range(0, 99, backbone.every)]
  rows = (*(row for at in shifted for row in _respelt(BLOCKS, "conv1.conv.", "conv1.conv.net.", **at)), *RESNET)
  if backbone.pool2 is not None:
    rows = (*_respelt(rows, "layer2.", "layer2.net.", s=2), *rows)
  for s, blocks in enumerate(backbone.after_blocks, start=1):
    for b in blocks:
      inside = [row for row in rows if "non_local" not in row.torch]
      rows = (*_respelt(inside, f"layer{s}.{b}.", f"layer{s}.{b}.block.", s=s, b=b), *rows)
  return rows


# PySlowFast
def _pyslowfast(pathway: int) -> tuple[Row, ...]:
  stem, block, other = (
    f"s1.pathway{pathway}_stem",
    f"s{{s}}.pathway{pathway}_res{{b}}",
    f"s{{s}}.pathway{pathway}_nonlocal{{b}}",
  )
  rows = [*conv(f"{stem}.conv", "conv1/conv"), *norm(f"{stem}.bn", "conv1/bn")]
  for number, letter in enumerate("abc", start=1):
    rows += conv(f"{block}.branch2.{letter}", f"res{{s}}/block{{b}}/conv{number}")
    rows += norm(f"{block}.branch2.{letter}_bn", f"res{{s}}/block{{b}}/bn{number}")
  rows += conv(f"{block}.branch1", "res{s}/block{b}/proj") + norm(f"{block}.branch1_bn", "res{s}/block{b}/bn_proj")
  for name in ("theta", "phi", "g", "out"):
    rows += conv(f"{other}.conv_{name}", f"res{{s}}/after{{b}}/{name}")
  return (*rows, *norm(f"{other}.bn", "res{s}/after{b}/bn"))


PYSLOWFAST_HEAD = dense("head.projection", "head/fc")
PYSLOWFAST = under("", "backbone/", _pyslowfast(0))
PYSLOWFAST_PAIR = (
  *under("", "backbone/slow/", _pyslowfast(0)),
  *under("", "backbone/fast/", _pyslowfast(1)),
  *conv("s{s}_fuse.conv_f2s", "backbone/lateral_{s-1}"),
  *norm("s{s}_fuse.bn", "backbone/lateral_bn_{s-1}"),
)


# PyTorchVideo
def _pytorchvideo(inner: str = "", *, pool2: bool = False) -> tuple[Row, ...]:
  """`inner` stands between a block and its pathway; where there is a pool2 it is a block, and later ones move up."""
  rows = [*conv(f"blocks.0{inner}.conv", "conv1/conv"), *norm(f"blocks.0{inner}.norm", "conv1/bn")]
  stages = [("{s}", "res{s+1}")] if not pool2 else [("1", "res2"), ("{s}", "res{s}")]
  for number, stage in stages:
    block = f"blocks.{number}{inner}.res_blocks.{{b}}"
    for c, letter in enumerate("abc", start=1):
      rows += conv(f"{block}.branch2.conv_{letter}", f"{stage}/block{{b}}/conv{c}")
      rows += norm(f"{block}.branch2.norm_{letter}", f"{stage}/block{{b}}/bn{c}")
    rows += conv(f"{block}.branch1_conv", f"{stage}/block{{b}}/proj")
    rows += norm(f"{block}.branch1_norm", f"{stage}/block{{b}}/bn_proj")
  return tuple(rows)


PYTORCHVIDEO_PAIR = (
  *under("", "backbone/slow/", _pytorchvideo(".multipathway_blocks.0")),
  *under("", "backbone/fast/", _pytorchvideo(".multipathway_blocks.1")),
  *conv("blocks.{s}.multipathway_fusion.conv_fast_to_slow", "backbone/lateral_{s}"),
  *norm("blocks.{s}.multipathway_fusion.norm", "backbone/lateral_bn_{s}"),
  *dense("blocks.6.proj", "head/fc"),
)


def _frame_rows(backbone: ResNet) -> tuple[Row, ...]:
  """MMAction2's rows of a ResNet, by what its blocks see."""
  if isinstance(backbone.block, functools.partial):  # a CsnBottleneck
    return csn_rows(RESNET, interaction_preserved=backbone.block.keywords["interaction_preserved"])
  if backbone.before is identity:
    return RESNET
  return TIN if backbone.before is interlace else _tsm(backbone)


def _resnet_layouts(backbone: ResNet) -> dict[str, tuple[Row, ...]]:
  """MMAction 0.2 names its ResNets as torchvision does (its backbones resnet.py and resnet_i3d.py): TSN, SlowOnly, I3D.

  Its I3D has a pool2 of three frames: create_model("i3d_r50_32x2x1", pool2=(3, 2, 1)) is that network.
  """
  rows = _frame_rows(backbone)
  tables = {"mmaction2": (*under("backbone.", "backbone/", rows), *HEAD)}
  if backbone.block is not None:
    tables["pytorchvideo"] = (*under("", "backbone/", _pytorchvideo()), *dense("blocks.5.proj", "head/fc"))
  elif backbone.before is identity and backbone.after is None:
    tables["mmaction0.2"] = (*under("backbone.", "backbone/", TORCHVISION), *HEAD)
  if backbone.block is None and backbone.stem_temporal is not None:  # the others' networks have 3-D kernels throughout
    tables["pyslowfast"] = (*PYSLOWFAST, *PYSLOWFAST_HEAD)
    if backbone.after is None:
      pool2 = backbone.pool2 is not None
      head = dense(f"blocks.{5 + pool2}.proj", "head/fc")
      tables["pytorchvideo"] = (*under("", "backbone/", _pytorchvideo(pool2=pool2)), *head)
  return tables


def _slowfast_layouts(backbone: SlowFast) -> dict[str, tuple[Row, ...]]:
  if backbone.facebook:
    return {"pyslowfast": (*PYSLOWFAST_PAIR, *PYSLOWFAST_HEAD), "pytorchvideo": PYTORCHVIDEO_PAIR}
  return {"mmaction2": (*under("backbone.", "backbone/", SLOWFAST), *HEAD)}


LAYOUTS = {  # backbone -> {layout: rows}
  ResNet: _resnet_layouts,
  SlowFast: _slowfast_layouts,
  MobileNetV2: mobilenet_layouts,
  X3D: x3d_layouts,
  R2Plus1D: r2plus1d_layouts,
  TPN: lambda backbone: tpn_layouts(_frame_rows(backbone.trunk)),
  TANet: tanet_layouts,
  **dict.fromkeys(ROWS, plain_layouts),
}


def layouts(model: nn.Module) -> dict[str, tuple[Row, ...]]:
  """layout -> rows, for every toolbox that has `model`; the first is the one taken where none is asked for."""
  if isinstance(model, Detector):
    return detector_layouts(model, LAYOUTS[type(model.backbone)](model.backbone))
  if type(model) in FEATURE_NETS:
    return {"mmaction2": FEATURE_NETS[type(model)]}
  if isinstance(model, SSN):
    return {"mmaction2": ssn_rows(_frame_rows(model.backbone))}
  if not isinstance(model, Recognizer):
    raise InputError(f"no table of names for a {type(model).__name__}; want a model made by jaction.create_model")
  if type(model.backbone) not in LAYOUTS:
    raise InputError(f"no table of names for a backbone of type {type(model.backbone).__name__}")
  tables = LAYOUTS[type(model.backbone)](model.backbone)
  if isinstance(model.head, RelationHead):
    return {"mmaction2": (*tables["mmaction2"], *RELATIONS)}
  return tables
