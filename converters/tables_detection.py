"""PyTorch names of the detectors: those of their backbones, then a neck and a head of boxes."""

from collections.abc import Mapping

from jaction.converters.engine import Row, conv, dense, norm, under
from jaction.models.acrn import ActorRelation
from jaction.models.detector import Detector
from jaction.models.feature_bank import FeatureBank

# MMAction2, 0.24 and 1.x
HEAD = dense("roi_head.bbox_head.fc_cls", "head/fc")
_PARTS = {"theta": "st_feat_conv", "phi": "lt_feat_conv", "g": "global_conv", "out": "out_conv"}


def _pointwise(torch: str, flax: str) -> tuple[Row, ...]:
  """A 1 x 1 x 1 convolution there, a dense layer here."""
  return Row(f"{torch}.weight", f"params/{flax}/kernel", "dense-conv"), Row(f"{torch}.bias", f"params/{flax}/bias")


BANK = (
  *_pointwise("fbo.st_feat_conv", "own"),
  *_pointwise("fbo.lt_feat_conv", "bank"),
  *(
    row
    for ours, theirs in _PARTS.items()
    for row in _pointwise(f"fbo.non_local_layer_{{i}}.{theirs}.conv", f"layer{{i}}/{ours}")
  ),
  Row("fbo.non_local_layer_{i}.ln.weight", "params/layer{i}/ln/scale", "column"),
  Row("fbo.non_local_layer_{i}.ln.bias", "params/layer{i}/ln/bias", "column"),
)


def _relation(count: int) -> tuple[Row, ...]:
  """conv1 and conv2 have names of their own, the 3 x 3 ones behind them are numbered."""
  rows: list[Row] = []
  for c in range(1, 2 + count):
    theirs = f"conv{c}" if c < 3 else f"convs.{c - 3}"
    rows += [*conv(f"{theirs}.conv", f"conv{c}"), *norm(f"{theirs}.bn", f"bn{c}")]
  return tuple(rows)


def detector_layouts(model: Detector, tables: Mapping[str, tuple[Row, ...]]) -> dict[str, tuple[Row, ...]]:
  """layout -> rows; `tables` are those of a recognizer with the same backbone.

  Facebook's detectors are told by their dilated last stage, which MMAction2's have not.
  """
  trunks = {name: tuple(row for row in rows if "/head/" not in row.flax) for name, rows in tables.items()}
  if model.backbone.last_dilation > 1:
    return {
      "pytorchvideo": (
        *(row._replace(torch=f"model.{row.torch}") for row in trunks["pytorchvideo"]),
        *dense("detection_head.proj", "head/fc"),
      ),
      "pyslowfast": (*trunks["pyslowfast"], *dense("head.projection", "head/fc")),
    }
  neck: tuple[Row, ...] = ()
  if isinstance(model.neck, ActorRelation):
    neck = _relation(model.neck.num_convs)
  elif isinstance(model.neck, FeatureBank):
    neck = BANK
  return {"mmaction2": (*trunks["mmaction2"], *under("roi_head.shared_head.", "neck/", neck), *HEAD)}
