"""AVA: boxes of people at key frames, with the actions of each, and the boxes a detector proposes.

A line of the csv is `video,second,x1,y1,x2,y2,action,person`: boxes in [0, 1], actions from 1 on, one line an action.
(Gu et al., "AVA: A Video Dataset of Spatio-temporally Localized Atomic Visual Actions", CVPR 2018.)
"""

import csv
import dataclasses
import io
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from jaction.errors import InputError, nearest
from jaction.records.boxes_file import read_box_file
from jaction.records.text import numbered_lines, read_text, real, shown, whole

Key = tuple[str, int]  # video, second


@dataclasses.dataclass(frozen=True, slots=True)
class KeyFrame:
  """What is known about one second of one video.

  Fields:
    video: its name.
    second: the time of the frame.
    boxes: x1, y1, x2, y2 in [0, 1] of each person, in the file's order; people with equal boxes are one.
    labels: the actions of each person.
    people: the number of each person, the same over a video.
    proposals: boxes of a detector; () where none were asked for.
    scores: of the proposals; () where the detector's file has none.
  """

  video: str
  second: int
  boxes: tuple[tuple[float, float, float, float], ...]
  labels: tuple[tuple[int, ...], ...]
  people: tuple[int, ...]
  proposals: tuple[tuple[float, ...], ...] = ()
  scores: tuple[float, ...] = ()

  @property
  def key(self) -> str:
    """The frame's name in proposal files and results: `video,0902`."""
    return f"{self.video},{self.second:04d}"

  def targets(self, num_classes: int = 81) -> np.ndarray:
    """float32 [R, num_classes]: one for each action of each person; column 0 stays 0."""
    hot = np.zeros((len(self.labels), num_classes), np.float32)
    for row, labels in zip(hot, self.labels, strict=True):
      row[list(labels)] = 1
    return hot


def read_ava(
  path: str | os.PathLike,
  *,
  exclude: str | os.PathLike | None = None,
  proposals: str | os.PathLike | Mapping[str, np.ndarray] | None = None,
  num_classes: int = 81,
  classes: Sequence[int] | None = None,
  min_score: float = 0.9,
  max_proposals: int = 1000,
) -> list[KeyFrame]:
  """The key frames of a csv file, in the order in which each first comes.

  Args:
    path: the csv.
    exclude: a csv of `video,second` lines whose frames are left out, for training and for the official evaluation.
    proposals: a pickle or npz file of {"video,0902": [n, 4 or 5]}, or that mapping; a frame it lacks gets the whole
      picture with score 1.
    num_classes: labels must be below it; 0 is kept for background.
    classes: the only actions to keep; their labels become 1, 2, ... in this order, and frames without one are left out.
    min_score: proposals below it are left out, but never the best one. 0 keeps all.
    max_proposals: the most that are kept, the first ones of the file.

  Raises InputError with "path:line" for a line that does not read as above, an action outside the classes, a second
  that is no whole number, a damaged proposal file.
  """
  path = os.fspath(path)
  if classes is not None and (0 in classes or len(set(classes)) < len(classes)):
    raise InputError(f"classes {list(classes)}; actions, which count from 1 on, each once, were wanted")
  number = None if classes is None else {action: at for at, action in enumerate(classes, 1)}
  left_out = frozenset() if exclude is None else read_exclusions(exclude)
  if proposals is not None and not isinstance(proposals, Mapping):
    proposals = read_box_file(proposals)
  frames: dict[Key, dict[tuple, tuple[int, list[int]]]] = {}
  for where, row in _csv(path, 8):
    action = whole(row[6], "action", where)
    if number is not None:
      if action not in number:
        continue
      action = number[action]
    if not 0 < action < num_classes:
      raise InputError(f"{where}: action {row[6]}; there are actions 1 to {num_classes - 1}")
    key = row[0], whole(row[1], "second", where)
    box = tuple(real(side, "box", where) for side in row[2:6])
    if not (box[0] < box[2] and box[1] < box[3]):
      raise InputError(f"{where}: the box {shown(','.join(row[2:6]))} has no area; x1 < x2 and y1 < y2 was wanted")
    if box[2] <= 0 or box[3] <= 0 or box[0] >= 1 or box[1] >= 1:
      raise InputError(f"{where}: the box {shown(','.join(row[2:6]))} is outside of the picture, [0, 1]; pixels?")
    if key in left_out:
      continue
    _, actions = frames.setdefault(key, {}).setdefault(box, (whole(row[7], "person", where), []))
    if action not in actions:
      actions.append(action)
  found = []
  for (video, second), people in frames.items():
    labels = tuple(tuple(actions) for _, actions in people.values())
    frame = KeyFrame(video, second, tuple(people), labels, tuple(person for person, _ in people.values()))
    if proposals is not None:
      boxes, scores = _proposed(proposals.get(frame.key), min_score, max_proposals)
      frame = dataclasses.replace(frame, proposals=boxes, scores=scores)
    found.append(frame)
  if not found:
    raise InputError(f"{path}: no key frames in it{' that are not excluded' if left_out else ''}")
  return found


def read_exclusions(path: str | os.PathLike) -> frozenset[Key]:
  """The (video, second) of each line `video,second`; an empty file excludes nothing."""
  return frozenset((row[0], whole(row[1], "second", where)) for where, row in _csv(os.fspath(path), 2))


def read_ava_boxes(
  path: str | os.PathLike, *, exclude: str | os.PathLike | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """(frames [N] "video,0902", boxes [N,4], actions [N], scores [N]) of each line of a csv, in the file's order.

  A result has lines `video,second,x1,y1,x2,y2,action,score`; an annotation's last number, the person, comes as score.
  An empty file has no boxes.  exclude: see `read_ava`.  Raises InputError with "path:line" for any other line.
  """
  left_out = frozenset() if exclude is None else read_exclusions(exclude)
  frames, boxes, actions, scores = [], [], [], []
  for where, row in _csv(os.fspath(path), 8):
    second = whole(row[1], "second", where)
    if (row[0], second) in left_out:
      continue
    frames.append(f"{row[0]},{second:04d}")
    boxes.append([real(side, "box", where) for side in row[2:6]])
    actions.append(whole(row[6], "action", where))
    scores.append(real(row[7], "score", where))
  return np.array(frames, str), np.array(boxes, np.float64).reshape(-1, 4), np.array(actions, int), np.array(scores)


def write_ava_results(
  path: str | os.PathLike, rows: Iterable[tuple[str, Sequence[float], int, float]], *, decimals: int = 3
) -> None:
  """Writes (frame "video,0902", box, action, score) as lines that the official evaluation, and ours, read."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    for frame, box, action, score in rows:
      video, second = frame.rsplit(",", 1)
      writer.writerow((video, second, *(f"{side:.{decimals}f}" for side in box), action, f"{score:.{decimals}f}"))


def write_ava(path: str | os.PathLike, frames: Collection[KeyFrame], *, decimals: int = 3) -> None:
  """Writes the csv that `read_ava` reads back; boxes with 3 decimals, as the official files have them."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    for frame in frames:
      for box, actions, person in zip(frame.boxes, frame.labels, frame.people, strict=True):
        sides = [f"{side:.{decimals}f}" for side in box]
        writer.writerows((frame.video, f"{frame.second:04d}", *sides, action, person) for action in actions)


def read_ava_labels(path: str | os.PathLike) -> dict[int, str]:
  """{action: name} of a label map: protobuf text of items `label { name: "stand" label_id: 12 }`, or with `id`."""
  path = os.fspath(path)
  found: dict[int, str] = {}
  name = None
  for where, line in numbered_lines(path):
    if match := re.fullmatch(r'(?:(?:item|label)\s*\{\s*)?name\s*:\s*(?:"([^"]*)"|\'([^\']*)\')\s*(.*)', line):
      name, line = match[1] if match[1] is not None else match[2], match[3]
    if match := re.fullmatch(r"(?:id|label_id)\s*:\s*([^\s}]+)\s*(.*)", line):
      number = whole(match[1], "id", where)
      if name is None:
        raise InputError(f"{where}: id {number} without a name before it")
      if number in found:
        raise InputError(f"{where}: id {number} is {shown(found[number])} already")
      found[number], name, line = name, None, match[2]
    if line and not re.fullmatch(
      r"(item|label)\s*\{|\}|(label_type|display_name)\s*:.*|#.*|(label_type:.*)?\s*\}", line
    ):
      raise InputError(f"{where}: {shown(line)} in a label map; name, id, label_id and braces were wanted")
  if not found:
    raise InputError(f"{path}: no classes in it; a label map in protobuf text was wanted")
  return found


def check_actions(classes: Collection[int], labels: Mapping[int, str]) -> None:
  """InputError where one of the wanted actions is not in the label map."""
  for action in classes:
    if action not in labels:
      near = nearest(str(action), map(str, labels))
      raise InputError(f"action {action} is not among the {len(labels)} of the label map.{near}")


def _csv(path: str, columns: int) -> list[tuple[str, list[str]]]:
  reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
  try:
    rows = [(f"{path}:{reader.line_num}", row) for row in reader if any(cell.strip() for cell in row)]
  except csv.Error as error:
    raise InputError(f"{path}:{reader.line_num}: cannot be read as CSV ({error})") from None
  for where, row in rows:
    if len(row) != columns or not row[0].strip():
      wanted = "video,second,x1,y1,x2,y2,action,person" if columns == 8 else "video,second"
      raise InputError(f"{where}: {shown(row)}; `{wanted}` was wanted")
  return rows


def _proposed(rows: np.ndarray | None, min_score: float, most: int) -> tuple[tuple, tuple]:
  """(boxes, scores) of one frame."""
  if rows is None or not len(rows):
    return ((0.0, 0.0, 1.0, 1.0),), (1.0,)
  if rows.shape[1] == 5:
    rows = rows[rows[:, 4] >= min(min_score, rows[:, 4].max())]
  rows = rows[:most]
  boxes = tuple(tuple(row[:4]) for row in rows.tolist())
  return boxes, tuple(rows[:, 4].tolist()) if rows.shape[1] == 5 else ()
