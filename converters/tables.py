"""PyTorch names of each family, in each toolbox's layout."""

from flax import linen as nn

from jaction.converters.engine import Row, conv, dense, norm, under
from jaction.errors import InputError
from jaction.models.recognizer import Recognizer
from jaction.models.resnet import ResNet, identity
from jaction.models.slowfast import SlowFast

STEM = (*conv("conv1.conv", "conv1/conv"), *norm("conv1.bn", "conv1/bn"))
BLOCKS = (
  *norm("layer{s}.{b}.conv{c}.bn", "res{s+1}/block{b}/bn{c}"),
  *conv("layer{s}.{b}.downsample.conv", "res{s+1}/block{b}/proj"),
  *norm("layer{s}.{b}.downsample.bn", "res{s+1}/block{b}/bn_proj"),
)
RESNET = (*STEM, *conv("layer{s}.{b}.conv{c}.conv", "res{s+1}/block{b}/conv{c}"), *BLOCKS)
TSM = (
  *STEM,
  *conv("layer{s}.{b}.conv1.conv.net", "res{s+1}/block{b}/conv1"),  # a shifted convolution is wrapped once more
  *conv("layer{s}.{b}.conv2.conv", "res{s+1}/block{b}/conv2"),
  *conv("layer{s}.{b}.conv3.conv", "res{s+1}/block{b}/conv3"),
  *BLOCKS,
)

SLOWFAST = (
  *under("slow_path.", "slow/", RESNET),
  *under("fast_path.", "fast/", RESNET),
  *conv("slow_path.conv1_lateral.conv", "lateral_0"),
  *conv("slow_path.layer{s}_lateral.conv", "lateral_{s}"),
)

HEAD = dense("fc_cls", "fc")


def layouts(model: nn.Module) -> dict[str, tuple[Row, ...]]:
  """layout -> rows, for every toolbox that has `model`; the first is MMAction2's."""
  if not isinstance(model, Recognizer):
    raise InputError(f"no table of names for a {type(model).__name__}; want a model made by jaction.create_model")
  backbone = model.backbone
  if isinstance(backbone, SlowFast):
    rows = SLOWFAST
  elif isinstance(backbone, ResNet):
    rows = RESNET if backbone.before is identity else TSM
  else:
    raise InputError(f"no table of names for a backbone of type {type(backbone).__name__}")
  return {"mmaction2": (*under("backbone.", "backbone/", rows), *under("cls_head.", "head/", HEAD))}
