"""MMAction2's names of the networks that model time by a module of their own: TIN, TANet, MobileNetV2, TRN, TPN."""

from jaction.converters.engine import Row, conv, dense, norm, under
from jaction.models.mobilenet_v2 import STAGES
from jaction.models.resnet import identity


def _block(torch: str, conv1: str = "conv1.conv") -> tuple[Row, ...]:
  """A bottleneck under `torch`; its first convolution may be wrapped."""
  return (
    *conv(f"{torch}.{conv1}", "res{s+1}/block{b}/conv1"),
    *conv(f"{torch}.conv{{c}}.conv", "res{s+1}/block{b}/conv{c}"),
    *norm(f"{torch}.conv{{c}}.bn", "res{s+1}/block{b}/bn{c}"),
    *conv(f"{torch}.downsample.conv", "res{s+1}/block{b}/proj"),
    *norm(f"{torch}.downsample.bn", "res{s+1}/block{b}/bn_proj"),
  )


STEM = (*conv("conv1.conv", "conv1/conv"), *norm("conv1.bn", "conv1/bn"))

_INTERLACE, _INTERLACED = "layer{s}.{b}.conv1.conv.net1", "res{s+1}/block{b}/interlace"
TIN = (
  *STEM,
  *_block("layer{s}.{b}", "conv1.conv.net2"),
  *conv(f"{_INTERLACE}.offset_net.conv", f"{_INTERLACED}/offset/conv"),
  *dense(f"{_INTERLACE}.offset_net.fc{{f}}", f"{_INTERLACED}/offset/fc{{f}}"),
  *conv(f"{_INTERLACE}.weight_net.conv", f"{_INTERLACED}/weight/conv"),
)

_TAM, _ADAPTIVE = "layer{s}.{b}.tam", "res{s+1}/block{b}/tam"
TANET = (
  *STEM,
  *_block("layer{s}.{b}.block"),
  *dense(f"{_TAM}.G.0", f"{_ADAPTIVE}/g/fc1"),
  *norm(f"{_TAM}.G.1", f"{_ADAPTIVE}/g/bn"),
  *dense(f"{_TAM}.G.3", f"{_ADAPTIVE}/g/fc2"),
  *conv(f"{_TAM}.L.0", f"{_ADAPTIVE}/l/conv1"),
  *norm(f"{_TAM}.L.1", f"{_ADAPTIVE}/l/bn"),
  *conv(f"{_TAM}.L.3", f"{_ADAPTIVE}/l/conv2"),
)


def _conv_norm(torch: str, flax: str) -> tuple[Row, ...]:
  return *conv(f"{torch}.conv", f"{flax}/conv"), *norm(f"{torch}.bn", f"{flax}/bn")


def mobilenet_v2(shifted: bool) -> tuple[Row, ...]:
  """`shifted`: blocks with a shortcut have their first convolution wrapped."""
  rows = [*_conv_norm("conv1", "conv1"), *_conv_norm("conv2", "conv2")]
  for s, (expansion, _, blocks, _) in enumerate(STAGES, start=1):
    for b in range(blocks):
      names = ("expand", "depthwise", "project")[expansion == 1 :]
      for i, name in enumerate(names):
        wrap = ".net" if shifted and name == "expand" and b > 0 else ""
        rows += _conv_norm(f"layer{s}.{b}.conv.{i}{wrap}", f"stage{s}_block{b}/{name}")
  return tuple(rows)


HEAD = dense("cls_head.fc_cls", "head/fc")
RELATIONS = (
  *dense("cls_head.consensus.fc_fusion_scales.{i}.1", "head/relation{i}/fc1"),
  *dense("cls_head.consensus.fc_fusion_scales.{i}.3", "head/relation{i}/fc2"),
)

TPN_NECK = (
  *_conv_norm("spatial_modulation.spatial_modulation.{i}.0", "spatial{i}"),
  *conv("temporal_modulation_ops.{i}.conv.conv", "temporal{i}"),
  *conv("downsample_ops.{i}.conv.conv", "flow{i}"),
  *_conv_norm("level_fusion_1.downsamples.{i}.conv", "top_down/level{i}"),
  *_conv_norm("level_fusion_1.fusion_conv", "top_down/fuse"),
  *_conv_norm("level_fusion_2.downsamples.{i}.conv", "bottom_up/level{i}"),
  *_conv_norm("level_fusion_2.fusion_conv", "bottom_up/fuse"),
  *_conv_norm("pyramid_fusion", "pyramid"),
)
TPN_AUX = (*_conv_norm("neck.aux_head.conv", "head/aux/conv"), *dense("neck.aux_head.fc", "head/aux/fc"))


def tin_layouts() -> dict[str, tuple[Row, ...]]:
  return {"mmaction2": (*under("backbone.", "backbone/", TIN), *HEAD)}


def tanet_layouts(backbone) -> dict[str, tuple[Row, ...]]:
  return {"mmaction2": (*under("backbone.", "backbone/", TANET), *HEAD)}


def mobilenet_layouts(backbone) -> dict[str, tuple[Row, ...]]:
  rows = mobilenet_v2(backbone.before is not identity)
  return {"mmaction2": (*under("backbone.", "backbone/", rows), *HEAD)}


def tpn_layouts(trunk: tuple[Row, ...]) -> dict[str, tuple[Row, ...]]:
  """`trunk`: the rows of the ResNet under the pyramid."""
  neck = under("neck.", "backbone/", TPN_NECK)
  return {"mmaction2": (*under("backbone.", "backbone/trunk/", trunk), *neck, *TPN_AUX, *HEAD)}
