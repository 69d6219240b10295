"""PyTorch names of the networks with factorised or depthwise kernels: X3D, CSN, R(2+1)D."""

from jaction.converters.engine import Row, conv, dense, norm, under
from jaction.models.r2plus1d import R2Plus1D
from jaction.models.x3d import X3D

BLOCK = "res{s+1}/block{b}"
HEAD = dense("cls_head.fc_cls", "head/fc")


def _row(rows: tuple[Row, ...], kind: str) -> tuple[Row, ...]:
  return tuple(row._replace(kind=kind) if row.flax.endswith("kernel") else row for row in rows)


def _mmaction2(rows: tuple[Row, ...], head: tuple[Row, ...] = HEAD) -> tuple[Row, ...]:
  return (*under("backbone.", "backbone/", rows), *head)


X3D_MMACTION2 = (
  *conv("conv1_s.conv", "conv1_s"),
  *conv("conv1_t.conv", "conv1_t"),
  *norm("conv1_t.bn", "bn1"),
  *conv("layer{s}.{b}.conv{c}.conv", f"{BLOCK}/conv{{c}}"),
  *norm("layer{s}.{b}.conv{c}.bn", f"{BLOCK}/bn{{c}}"),
  *conv("layer{s}.{b}.se_module.fc{c}", f"{BLOCK}/se/fc{{c}}"),
  *conv("layer{s}.{b}.downsample.conv", f"{BLOCK}/proj"),
  *norm("layer{s}.{b}.downsample.bn", f"{BLOCK}/bn_proj"),
  *conv("conv5.conv", "conv5"),
  *norm("conv5.bn", "bn5"),
)
X3D_HEAD = (*dense("cls_head.fc1", "head/fc1"), *dense("cls_head.fc2", "head/fc2"))


def _x3d_pyslowfast() -> tuple[Row, ...]:
  block = "s{s+1}.pathway0_res{b}"
  rows = [
    *conv("s1.pathway0_stem.conv_xy", "conv1_s"),
    *conv("s1.pathway0_stem.conv", "conv1_t"),
    *norm("s1.pathway0_stem.bn", "bn1"),
    *conv(f"{block}.branch1", f"{BLOCK}/proj"),
    *norm(f"{block}.branch1_bn", f"{BLOCK}/bn_proj"),
    *conv(f"{block}.branch2.se.fc{{c}}", f"{BLOCK}/se/fc{{c}}"),
    *conv("head.conv_5", "conv5"),
    *norm("head.conv_5_bn", "bn5"),
  ]
  for c, letter in enumerate("abc", start=1):
    rows += conv(f"{block}.branch2.{letter}", f"{BLOCK}/conv{c}") + norm(
      f"{block}.branch2.{letter}_bn", f"{BLOCK}/bn{c}"
    )
  head = (*_row(dense("head.lin_5", "head/fc1"), "dense-conv"), *dense("head.projection", "head/fc2"))
  return (*under("", "backbone/", tuple(rows)), *head)


def _pytorchvideo_blocks() -> tuple[Row, ...]:
  block, rows = "blocks.{s}.res_blocks.{b}", []
  for c, letter in enumerate("abc", start=1):
    rows += conv(f"{block}.branch2.conv_{letter}", f"{BLOCK}/conv{c}")
    rows += norm(f"{block}.branch2.norm_{letter}", f"{BLOCK}/bn{c}")
  rows += conv(f"{block}.branch1_conv", f"{BLOCK}/proj") + norm(f"{block}.branch1_norm", f"{BLOCK}/bn_proj")
  return tuple(rows)


def _x3d_pytorchvideo() -> tuple[Row, ...]:
  block = "blocks.{s}.res_blocks.{b}.branch2"
  rows = (
    *conv("blocks.0.conv.conv_t", "conv1_s"),  # its names for the two are the other way round
    *conv("blocks.0.conv.conv_xy", "conv1_t"),
    *norm("blocks.0.norm", "bn1"),
    *(row for row in _pytorchvideo_blocks() if "/bn2/" not in row.flax),
    *norm(f"{block}.norm_b.0", f"{BLOCK}/bn2"),
    *conv(f"{block}.norm_b.1.block.0", f"{BLOCK}/se/fc1"),
    *conv(f"{block}.norm_b.1.block.2", f"{BLOCK}/se/fc2"),
    *conv("blocks.5.pool.pre_conv", "conv5"),
    *norm("blocks.5.pool.pre_norm", "bn5"),
  )
  head = (*_row(dense("blocks.5.pool.post_conv", "head/fc1"), "dense-conv"), *dense("blocks.5.proj", "head/fc2"))
  return (*under("", "backbone/", rows), *head)


def x3d_layouts(backbone: X3D) -> dict[str, tuple[Row, ...]]:
  if not backbone.first_shortcut_norm:
    return {"pytorchvideo": _x3d_pytorchvideo()}
  return {"mmaction2": _mmaction2(X3D_MMACTION2, X3D_HEAD), "pyslowfast": _x3d_pyslowfast()}


def csn_rows(rows: tuple[Row, ...], *, interaction_preserved: bool) -> tuple[Row, ...]:
  """MMAction2's ResNet rows with the depthwise convolution as it wraps it; "ip" has a 1 x 1 x 1 in front of it."""
  last = int(interaction_preserved)
  return (
    *rows,
    *conv(f"layer{{s}}.{{b}}.conv2.{last}.conv", f"{BLOCK}/conv2"),
    *norm(f"layer{{s}}.{{b}}.conv2.{last}.bn", f"{BLOCK}/bn2"),
    *conv("layer{s}.{b}.conv2.0.conv", f"{BLOCK}/conv2_mix"),
    *norm("layer{s}.{b}.conv2.0.bn", f"{BLOCK}/bn2_mix"),
  )


def _pair(torch: str, flax: str) -> tuple[Row, ...]:
  return (
    *conv(f"{torch}.conv.conv_s", f"{flax}/conv_s"),
    *norm(f"{torch}.conv.bn_s", f"{flax}/bn_s"),
    *conv(f"{torch}.conv.conv_t", f"{flax}/conv_t"),
  )


R2PLUS1D_MMACTION2 = (
  *_pair("conv1", "conv1"),
  *norm("conv1.bn", "bn1"),
  *_pair("layer{s}.{b}.conv{c}", f"{BLOCK}/conv{{c}}"),
  *norm("layer{s}.{b}.conv{c}.bn", f"{BLOCK}/bn{{c}}"),
  *_pair("layer{s}.{b}.downsample", f"{BLOCK}/proj"),
  *norm("layer{s}.{b}.downsample.bn", f"{BLOCK}/bn_proj"),
)


def r2plus1d_layouts(backbone: R2Plus1D) -> dict[str, tuple[Row, ...]]:
  if not backbone.facebook:
    return {"mmaction2": _mmaction2(R2PLUS1D_MMACTION2)}
  inner = "blocks.{s}.res_blocks.{b}.branch2.conv_b"
  rows = (
    *conv("blocks.0.conv", "conv1"),
    *norm("blocks.0.norm", "bn1"),
    *_pytorchvideo_blocks(),
    *conv(f"{inner}.conv_xy", f"{BLOCK}/conv2/conv_s"),
    *norm(f"{inner}.norm", f"{BLOCK}/conv2/bn_s"),
    *conv(f"{inner}.conv_t", f"{BLOCK}/conv2/conv_t"),
  )
  return {"pytorchvideo": (*under("", "backbone/", rows), *dense("blocks.5.proj", "head/fc"))}
