"""What localizers on features are trained with: annotated segments in [0, 1] to targets, and features to T steps."""

import numpy as np

from jaction.errors import InputError
from jaction.segments import iop, iou


def unit_segments(segments: np.ndarray, seconds: float) -> np.ndarray:
  """[n, 2] in seconds -> shares of the time that the features cover, cut to [0, 1]."""
  return np.clip(np.asarray(segments, np.float64).reshape(-1, 2) / seconds, 0, 1)


def rescale(features: np.ndarray, size: int) -> np.ndarray:
  """[T, C] -> [size, C], float32: `size` points, evenly over the video, between features that stand for the middles of
  as many equal stretches; before the first and behind the last the outer ones hold.

  InputError for no features, or numbers that are not finite.
  """
  features = np.asarray(features, np.float32)
  if features.ndim != 2 or not len(features):
    raise InputError(f"features of shape {features.shape}; [T, C] with a T of at least 1 was wanted")
  if not np.isfinite(features).all():
    row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
    raise InputError(f"feature {row} of {len(features)} has numbers that are not finite")
  at = np.clip((np.arange(size) + 0.5) * len(features) / size - 0.5, 0, len(features) - 1)
  low = np.floor(at).astype(int)
  high = np.minimum(low + 1, len(features) - 1)
  part = (at - low).astype(np.float32)[:, None]
  return features[low] * (1 - part) + features[high] * part


def bmn_targets(segments: np.ndarray, size: int) -> dict[str, np.ndarray]:
  """[n, 2] in [0, 1] -> {overlap [D, T], start [T], end [T]} in float32, of size steps.

  overlap: the best IoU of the proposal of d + 1 steps from s on.  start, end: the share of a step (and half its
  neighbours) that lies within 1.5 steps of a boundary.  Without segments all are zero.
  """
  tmin, tmax = np.asarray(segments, np.float64).reshape(-1, 2).T
  step = np.arange(size) / size
  begin, finish = step[None, :], step[None, :] + (np.arange(size)[:, None] + 1) / size
  overlap = _best(iou(begin[..., None], finish[..., None], tmin, tmax))
  pad, anchors = 3 / size, ((np.arange(size) - 0.5) / size, (np.arange(size) + 1.5) / size)
  return {"overlap": overlap, "start": _near(anchors, tmin, pad), "end": _near(anchors, tmax, pad)}


def tem_targets(segments: np.ndarray, size: int, *, boundary_ratio: float = 0.1) -> dict[str, np.ndarray]:
  """[n, 2] in [0, 1] -> {action, start, end}, each [T] in float32: the share of a step that lies within a segment, and
  within the stretch around its boundaries, which is a tenth of its length but at least a step."""
  tmin, tmax = np.asarray(segments, np.float64).reshape(-1, 2).T
  anchors = np.arange(size) / size, (np.arange(size) + 1) / size
  pad = np.maximum(1 / size, boundary_ratio * (tmax - tmin))
  action = _best(iop(anchors[0][:, None], anchors[1][:, None], tmin, tmax))
  return {"action": action, "start": _near(anchors, tmin, pad), "end": _near(anchors, tmax, pad)}


def _near(anchors, times, pad) -> np.ndarray:
  return _best(iop(anchors[0][:, None], anchors[1][:, None], times - pad / 2, times + pad / 2))


def _best(shares: np.ndarray) -> np.ndarray:
  return np.nan_to_num(shares).max(axis=-1, initial=0).astype(np.float32)
