"""Where the people of a frame are: from a file, from an ONNX detector that the user brings, or from what moves.

Boxes are [n,5]: x1, y1, x2, y2 in [0, 1], and a score.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from jaction.boxes import overlaps
from jaction.errors import InputError
from jaction.records.ava import read_ava_boxes
from jaction.records.boxes_file import read_box_file
from jaction.records.text import shown

Finder = Callable[[np.ndarray], np.ndarray]  # frame uint8 [H,W,3] -> boxes [n,5]
WHOLE = np.array([[0.0, 0.0, 1.0, 1.0, 1.0]])
SIDE = 640  # of the square that a detector without a size of its own is given


def boxes_of(path: str | os.PathLike, video: str) -> dict[int, np.ndarray]:
  """{second: [n,5]} of one video, from a csv in AVA's form, or a pickle, npz or JSON of {"video,0902": [n, 4 or 5]}.

  A file that tells of a single video is taken whatever it calls it.  Raises InputError where it knows others only.
  """
  found: dict[tuple[str, int], list[np.ndarray]] = {}
  if os.fspath(path).lower().endswith(".csv"):
    frames, boxes, _, _ = read_ava_boxes(path)
    people = dict.fromkeys(zip(frames.tolist(), map(tuple, boxes.tolist()), strict=True))  # a line for each action
    rows = [(key, np.array([box])) for key, box in people]
  else:
    rows = list(read_box_file(path).items())
  for key, boxes in rows:
    name, _, second = key.rpartition(",")
    if not name or not second.strip().isdigit():
      raise InputError(
        f"{path}: boxes of {shown(key)}; names like `video,0902` were wanted, the second behind the comma"
      )
    scored = boxes if boxes.shape[1] == 5 else np.column_stack([boxes, np.ones(len(boxes))])
    found.setdefault((name, int(second)), []).append(scored)
  videos = sorted({name for name, _ in found})
  if video not in videos:
    if len(videos) != 1:
      raise InputError(f"{path}: no boxes of {video!r} among its {len(videos)} videos ({', '.join(videos[:5])})")
    video = videos[0]
  return {second: np.concatenate(rows) for (name, second), rows in sorted(found.items()) if name == video}


class MovingThings:
  """Boxes around what differs from the still background, which is the median of `frames` [N,H,W,3] of the video.

  No person detector: it finds whatever moves, people that touch as one, and nobody who stands still.
  """

  def __init__(self, frames: np.ndarray, *, least: float = 0.004, most: int = 8):
    """least: area of a box, as a share of the frame; most: boxes of a frame, the largest ones."""
    self._still = np.median(frames, axis=0).astype(np.float32)
    self._least, self._most = least, most

  def __call__(self, frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    moved = np.abs(frame.astype(np.float32) - self._still).max(axis=2)
    mask = (cv2.GaussianBlur(moved, (0, 0), max(1.0, min(height, width) / 120)) > 20).astype(np.uint8)
    size = max(3, min(height, width) // 24) | 1
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    boxes = []
    for left, top, wide, high, area in sorted(stats[1:].tolist(), key=lambda row: -row[4]):
      if wide * high >= self._least * width * height:
        box = (left / width, top / height, (left + wide) / width, (top + high) / height)
        boxes.append([*box, area / (wide * high)])
    return np.array(boxes[: self._most]).reshape(-1, 5)


class PersonDetector:
  """People by an ONNX network whose weights the user brings; needs the extra `detect` (onnxruntime).

  What its outputs are is told by their shapes: boxes [n,4], labels [n] and scores [n] (torchvision's detectors, in
  which a person is 1), rows [n,6] of x1, y1, x2, y2, score, class (detectors that end in their own suppression), or a
  YOLO's [n, 5 + classes] or [4 + classes, n] of cx, cy, w, h, ... in which a person is class 0.
  """

  def __init__(self, path: str | os.PathLike, *, min_score: float = 0.5, session: Any = None):
    """session: what onnxruntime.InferenceSession gives, for tests; None opens `path`."""
    self._min_score, self._name = min_score, os.fspath(path)
    if session is None:
      try:
        import onnxruntime  # deferred: an extra, and wanted by nobody else
      except ModuleNotFoundError:
        raise InputError("a person detector wants onnxruntime: pip install 'jaction[detect]'") from None
      try:
        session = onnxruntime.InferenceSession(self._name, providers=["CPUExecutionProvider"])
      except Exception as error:  # its exceptions have no common class of their own
        raise InputError(f"{path}: no ONNX network that can be opened ({shown(str(error))})") from None
    self._session, first = session, session.get_inputs()[0]
    shape = [side if isinstance(side, int) and side > 0 else SIDE for side in first.shape[-2:]]
    if len(first.shape) not in (3, 4):
      raise InputError(f"{path}: an input of shape {list(first.shape)}; [1,3,H,W] or [3,H,W] was wanted")
    self._input, self._size, self._batched = first.name, (shape[0], shape[1]), len(first.shape) == 4

  def __call__(self, frame: np.ndarray) -> np.ndarray:
    (height, width), (high, wide) = frame.shape[:2], self._size
    scale = min(high / height, wide / width)
    fitted = cv2.resize(frame, (max(1, round(width * scale)), max(1, round(height * scale))))
    canvas = np.full((high, wide, 3), 114, np.uint8)  # the grey that YOLOs are trained with
    canvas[: fitted.shape[0], : fitted.shape[1]] = fitted
    picture = np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32) / 255
    outputs = self._session.run(None, {self._input: picture[None] if self._batched else picture})
    boxes, scores = _people(self._name, outputs, self._size)
    kept = scores >= self._min_score
    boxes, scores = np.clip(boxes[kept] / scale / np.array([width, height] * 2), 0, 1), scores[kept]
    rows = np.column_stack([boxes, scores])[suppressed(boxes, scores)]
    return rows[(rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]


def suppressed(boxes: np.ndarray, scores: np.ndarray, threshold: float = 0.6) -> np.ndarray:
  """Numbers of the boxes that no better one overlaps by more than `threshold`, best first."""
  order, kept = np.argsort(-scores, kind="stable"), []
  while len(order):
    kept.append(order[0])
    shared = overlaps(boxes[order[:1]], boxes[order[1:]])[0] if len(order) > 1 else np.zeros(0)
    order = order[1:][~(shared > threshold)]
  return np.array(kept, int)


def _people(name: str, outputs: Sequence[np.ndarray], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
  """(boxes [n,4] in pixels of the network's picture, scores [n]) of people."""
  outputs = [np.asarray(out) for out in outputs]
  outputs = [out[0] if out.ndim == 3 and len(out) == 1 else out for out in outputs]
  flat = [out for out in outputs if out.ndim == 1]
  corners = [out for out in outputs if out.ndim == 2 and out.shape[1] == 4]
  if corners and len(flat) >= 2:
    labels = next((out for out in flat if np.issubdtype(out.dtype, np.integer)), None)
    scores = next((out for out in flat if np.issubdtype(out.dtype, np.floating)), None)
    if labels is not None and scores is not None:
      return corners[0][labels == 1].astype(float), scores[labels == 1].astype(float)
  rows = outputs[0].astype(float)
  if rows.ndim == 2 and rows.shape[1] == 6:
    rows = rows[rows[:, 5] == 0]
    return rows[:, :4], rows[:, 4]
  if rows.ndim == 2 and min(rows.shape) >= 5:
    objects = rows.shape[0] > rows.shape[1]  # [n, 5 + classes]; else [4 + classes, n]
    rows = rows if objects else rows.T
    scores = rows[:, 4] * rows[:, 5] if objects and rows.shape[1] > 5 else rows[:, 4]
    middle, half = rows[:, :2], rows[:, 2:4] / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    return boxes * (np.array([size[1], size[0]] * 2) if boxes.max(initial=0) <= 2 else 1), scores
  shapes = ", ".join(str(list(out.shape)) for out in outputs)
  raise InputError(f"{name}: outputs of shapes {shapes} are no detector's that is known here; see PersonDetector")
