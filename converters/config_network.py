"""The name that jaction gives to the network of an MMAction2 config."""

import re
from collections.abc import Mapping
from typing import Any

from jaction.converters.config_pipelines import at, kind_of, modality_of, pipeline_of

CLIP = re.compile(r"_\d+x\d+x\d+$")


def network(values: Mapping[str, Any]) -> str:
  """The name in the grammar of `jaction.list_models`, such as tsm_r50_1x1x8; "" for a network that is not known here.

  The name follows from the facts and need not be one that jaction builds.
  """
  model = values.get("model")
  backbone, head = at(model, "backbone"), at(model, "cls_head")
  kind, depth = kind_of(backbone), at(backbone, "depth") or 50
  count, length, interval, dense = _clip(values)
  segments, clip = f"1x1x{count}", f"{length}x{interval}x1"
  attending = _attending(backbone)
  pyramid = "tpn_" if kind_of(at(model, "neck")) == "TPN" else ""
  if kind == "ResNet" and modality_of(values) == "spectrogram":
    return f"tsn_r{depth}_audio"
  if kind == "ResNetAudio":
    return f"audioonly_r{depth}"
  if kind == "ResNet":
    family = "trn" if kind_of(head) == "TRNHead" else "tsn"
    return f"{family}_r{depth}_{'dense_' * dense}{segments}"
  if kind in ("BNInception", "MobileNetV2", "MobileNetV2TSM"):
    return f"{'tsm' if kind.endswith('TSM') else 'tsn'}_{kind.removesuffix('TSM').lower()}_{segments}"
  if kind == "ResNetTSM":
    count = at(backbone, "num_segments") or at(head, "num_segments") or count
    pooled = "temporal_pool_" if at(backbone, "temporal_pool") else ""
    return f"{pyramid}tsm_{pooled}{attending}r{depth}_{'dense_' * dense}1x1x{count}"
  if kind == "ResNetTIN":
    tuned = "tsm" in str(values.get("load_from") or "") or (at(head, "dropout_ratio") or 0.8) < 0.8
    return f"tin_{'tsm_' * tuned}r{depth}_{segments}"
  if kind == "TANet":
    return f"tanet_r{depth}_{segments}"
  if kind == "ResNet3dSlowOnly":
    return f"{pyramid}slowonly_{attending}r{depth}_{clip}"
  if kind == "ResNet3dSlowFast":
    return _slowfast(backbone, length, interval)
  if kind in ("InceptionV1_I3D", "InceptionI3d", "InceptionI3D"):
    return f"i3d_inception_v1_{clip}"
  if kind == "C2D":
    return f"c2d_r{depth}_{'nopool_' if at(backbone, 'with_pool2') is False else ''}{clip}"
  if kind == "ResNet3d":
    heavy = at(backbone, "conv1_stride_t") == 1 and at(backbone, "pool1_stride_t") == 1
    return f"i3d_{attending}r{depth}_{'heavy_' * heavy}{'dense_' * dense}{clip}"
  if kind == "ResNet3dCSN":
    kept = "ip" if at(backbone, "bottleneck_mode") == "ip" else "ir"
    return f"{kept}csn_{'bnfrozen_' if at(backbone, 'bn_frozen') else ''}r{depth}_{clip}"
  if kind == "ResNet2Plus1d":
    return f"r2plus1d_r{depth}_{clip}"
  if kind == "C3D":
    return f"c3d_{clip}"
  if kind == "X3D":
    size = {4: "xs", 13: "s"}.get(length) or ("l" if (at(backbone, "gamma_d") or 1) > 4 else "m")
    return f"x3d_{size}_{clip}"
  return ""


def family(name: str) -> tuple[str, ...]:
  """The parts of a name that say the architecture: without the clip, and without what trains or samples otherwise."""
  parts = CLIP.sub("", name.removesuffix("_fb")).split("_")
  return tuple(part for part in parts if part not in ("bnfrozen", "dense"))


def _clip(values: Mapping[str, Any]) -> tuple[int, int, int, bool]:
  """(num_clips, clip_len, frame_interval, dense) of training, of the test where there is no training."""
  for phase in ("train", "val", "test"):
    for step in pipeline_of(values, phase):
      if "Sample" in kind_of(step):
        numbers = [step.get(key, 1) for key in ("num_clips", "clip_len", "frame_interval")]
        count, length, interval = (n if isinstance(n, int) and n > 0 else 1 for n in numbers)
        return count, length, interval, kind_of(step).startswith("Dense")
  return 1, 1, 1, False


def _attending(backbone: Any) -> str:
  """nl_MODE_ where any block is followed by a non-local one."""
  blocks = at(backbone, "non_local")
  stack, some = [blocks], False
  while stack:
    item = stack.pop()
    stack += item if isinstance(item, list | tuple) else []
    some = some or not isinstance(item, list | tuple) and bool(item)
  return f"nl_{at(backbone, 'non_local_cfg', 'mode') or 'embedded_gaussian'}_" if some else ""


def _slowfast(backbone: Any, length: int, interval: int) -> str:
  slow, fast = (at(backbone, f"{name}_pathway", "depth") or 50 for name in ("slow", "fast"))
  rate = at(backbone, "resample_rate") or 8  # of the Slow pathway over the clip
  rate = rate if isinstance(rate, int) and rate > 0 else 8
  depths = f"r{slow}" if slow == fast else f"r{slow}_r{fast}"
  return f"slowfast_{depths}_{max(1, length // rate)}x{interval * rate}x1"
