"""From what localizers give to proposals in seconds: BMN's decoding, and BSN's candidates and their features."""

from collections.abc import Mapping

import numpy as np

from jaction.segments import descending, iop, iou, soft_nms

SOFT_NMS = {"bmn": {"alpha": 0.4, "low_threshold": 0.5, "high_threshold": 0.9}}
SOFT_NMS["pem"] = {"alpha": 0.75, "low_threshold": 0.65, "high_threshold": 0.9}


def peaks(scores: np.ndarray, share: float = 0.5) -> np.ndarray:
  """[T] -> [T] of bool: larger than both neighbours, or than `share` of the largest; the outermost never are."""
  out = np.zeros(len(scores), bool)
  inner = scores[1:-1]
  out[1:-1] = ((inner > scores[2:]) & (inner > scores[:-2])) | (inner > share * scores.max(initial=-np.inf))
  return out


def decode_bmn(confidence: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
  """[D, T, 2], [T], [T] of one video -> [N, 3]: start and end in [0, 1] and score, the product of the four numbers.

  Starts are peaks or the first step, ends peaks or the last; the proposal of d + 1 steps must end before step T.
  """
  size = len(start)
  first, last = peaks(start), peaks(end)
  first[0], last[-1] = True, True
  d, s = np.nonzero(np.arange(size)[:, None] + 1 + np.arange(size)[None] < size)
  keep = first[s] & last[s + d + 1]
  d, s = d[keep], s[keep]
  score = start[s] * end[s + d + 1] * confidence[d, s, 1] * confidence[d, s, 0]
  return np.column_stack([s / size, (s + d + 1) / size, score]).reshape(-1, 3)


def in_seconds(
  proposals: np.ndarray, seconds: float, *, top_k: int = 100, suppress: Mapping | None = None
) -> np.ndarray:
  """[N, columns] of start, end in [0, 1], ..., score -> [M, 3] in seconds, the best first; M at most top_k.

  suppress: the arguments of soft_nms; None: as they are.  Without proposals the result is [0, 3].
  """
  rows = np.asarray(proposals, np.float64)[:, [0, 1, -1]]
  if suppress is not None and len(rows) > 1:
    rows = soft_nms(rows, top_k=top_k, **suppress)
  rows = rows[descending(rows[:, -1])][:top_k]
  return np.column_stack([np.maximum(rows[:, 0], 0) * seconds, np.minimum(rows[:, 1], 1) * seconds, rows[:, 2]])


def covered_seconds(frames: int, seconds: float, interval: int = 16) -> float:
  """The time that features of `interval` frames each cover."""
  return frames // interval * interval / frames * seconds


def candidates(
  start: np.ndarray, end: np.ndarray, segments: np.ndarray | None = None, *, peak_threshold: float = 0.5
) -> np.ndarray:
  """Start and end probabilities [T] -> [N, 5], or with annotated segments [n, 2] in [0, 1] [N, 7]: start and end in
  [0, 1], the two probabilities, their product, and the best IoU and share with a segment; by falling product.

  Every start that is a peak (or first, or last) joins every later such end (BSN, section 3.4).
  """
  size = len(start)
  first, last = peaks(start, peak_threshold), peaks(end, peak_threshold)
  for marks in (first, last):
    marks[[0, -1]] = True
  gap = 1.0 / size
  b, a = (pick.ravel() for pick in np.meshgrid(np.flatnonzero(last), np.flatnonzero(first), indexing="ij"))
  a, b = a[a < b], b[a < b]
  rows = np.column_stack([gap / 2 + gap * a, gap / 2 + gap * b, start[a], end[b]]).astype(np.float64)
  rows = np.column_stack([rows, rows[:, 2] * rows[:, 3]])
  rows = rows[descending(rows[:, 4])]
  if segments is None:
    return rows
  tmin, tmax = np.asarray(segments, np.float64).reshape(-1, 2).T
  pairs = rows[:, 0, None], rows[:, 1, None], tmin, tmax
  return np.column_stack([rows, *(np.nan_to_num(each(*pairs)).max(axis=1, initial=0) for each in (iou, iop))])


def boundary_features(
  proposals: np.ndarray,
  actionness: np.ndarray,
  *,
  ratio: float = 0.2,
  samples: tuple[int, int, int] = (16, 8, 8),
  interpolated: int = 3,
) -> np.ndarray:
  """[N, 2 or more] of start and end in [0, 1], actionness [T] -> [N, 32] in float32: actionness at samples of the
  proposal, of a fifth of its length around its start, and around its end; each the mean of 4 interpolated points.

  Outside the video actionness is zero.  Source: BSN, section 3.4.
  """
  size = len(actionness)
  gap, extend = 1 / size, int(size / 4 + 10)
  points = gap / 2 + gap * np.arange(-extend, size + extend)
  values = np.pad(np.asarray(actionness, np.float64), extend)
  tmin, tmax = (np.asarray(proposals[:, i], np.float64) for i in (0, 1))
  edge = (tmax - tmin) * ratio
  parts = [(tmin, tmax), (tmin - edge, tmin + edge), (tmax - edge, tmax + edge)]
  out = []
  for (low, high), count in zip(parts, samples, strict=True):
    step = (high - low) / (count - 1)
    at = (low - step / 2)[:, None] + (step / interpolated)[:, None] * np.arange(count * interpolated + 1)
    rows = np.interp(at, points, values)
    windows = np.arange(count)[:, None] * interpolated + np.arange(interpolated + 1)
    out.append(rows[:, windows].mean(axis=-1))
  return np.concatenate(out, axis=1).astype(np.float32)
