"""What a detector said of a list, as detections, and their frame mAP."""

from collections.abc import Iterable, Sequence

import numpy as np

from jaction.metrics.ava import Boxes, frame_ap, mean_ap
from jaction.predict.actions import BoxScores
from jaction.records.key_frames import ClipRecord

THRESHOLD = 0.002  # probabilities at or below it are no detections, as in MMAction2


def detections(
  records: Sequence[ClipRecord], found: BoxScores, *, first: int = 1, threshold: float = THRESHOLD
) -> Boxes:
  """Rows (frame, box, action, probability) above `threshold`; column `first` of the scores is action 1."""
  frames, boxes, labels, scores = [], [], [], []
  for number, rows in zip(found.index, found.scores, strict=True):
    own, _ = records[number].detected
    who, action = np.nonzero(rows[:, first:] > threshold)
    frames.append(np.full(len(who), number))
    boxes.append(own[who])
    labels.append(action + 1)
    scores.append(rows[who, action + first])
  return Boxes(*(np.concatenate(column) if column else np.zeros(0) for column in (frames, _or(boxes), labels, scores)))


def annotations(records: Sequence[ClipRecord], index: Iterable[int]) -> Boxes:
  """Rows (frame, box, action, person) of the records whose numbers are in `index`."""
  rows = [
    (number, box, action, person)
    for number in index
    for box, actions, person in zip(
      records[number].key.boxes, records[number].key.labels, records[number].key.people, strict=True
    )
    for action in actions
  ]
  frames, boxes, labels, people = zip(*rows, strict=True) if rows else ((), (), (), ())
  return Boxes(
    np.array(frames, int), np.array(boxes, float).reshape(-1, 4), np.array(labels, int), np.array(people, float)
  )


def evaluate_boxes(
  records: Sequence[ClipRecord],
  found: BoxScores,
  classes: Sequence[int],
  *,
  first: int = 1,
  threshold: float = THRESHOLD,
) -> tuple[float, dict[int, float]]:
  """(frame mAP at IoU 0.5, the average precision of each class) over the records that were read."""
  per_class = frame_ap(
    detections(records, found, first=first, threshold=threshold), annotations(records, found.index), classes
  )
  return mean_ap(per_class), per_class


def _or(boxes: list[np.ndarray]) -> list[np.ndarray]:
  return boxes or [np.zeros((0, 4))]
