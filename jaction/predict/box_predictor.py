"""A stored detector that says what the people in boxes do."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from jaction import folders
from jaction.batches import evaluation_batches
from jaction.clips.key_frames import Boxed, KeyFrames
from jaction.errors import InputError
from jaction.predict.actions import make_box_step, score_boxes
from jaction.records.ava import KeyFrame
from jaction.records.key_frames import ClipRecord
from jaction.records.record import Record


class BoxPredictor:
  """The detector of a folder with its own preprocessing."""

  def __init__(self, path: str | os.PathLike):
    """path: a model folder or a training work directory.  Raises InputError for one that is no detector's, that needs
    a feature bank, or whose weights were never learned."""
    self.folder = folders.load_folder(path)
    model = self.folder.model
    if not hasattr(model, "rois") or self.folder.preprocessing is None:
      raise InputError(
        f"{path} holds {self.folder.name}, which is no detector; wanted one trained with task='detection'"
      )
    if self.folder.reinitialized:
      raise InputError(f"{path}: {', '.join(self.folder.reinitialized)} hold first values: train the model first")
    if getattr(model.neck, "bank_shape", None):
      raise InputError(f"{path} holds {self.folder.name}, which wants a feature bank: evaluate it with detection.bank")
    self.preprocessing = KeyFrames.from_json(self.folder.preprocessing)
    self.multi_label = bool((self.folder.source or {}).get("multi_label", True))
    self._first = 1 if model.head.background else 0
    self._steps: dict[bool, object] = {}

  @property
  def labels(self) -> tuple[str, ...]:
    """A name for each action, the first one's first."""
    count = int(self.folder.fields.get("num_classes", self.folder.model.head.num_classes))
    return self.folder.labels[self._first :] or tuple(f"action {k}" for k in range(1, count + 1 - self._first))

  def score(self, records: Sequence[ClipRecord], *, threads: int = 2) -> list[np.ndarray]:
    """Of each record the probabilities [R,K] of the actions of its boxes, nobody's left out."""
    return [rows[:, self._first :] for rows in self._run(records, threads, features=False)]

  def features(self, records: Sequence[ClipRecord], *, threads: int = 2) -> list[np.ndarray]:
    """Of each record the pooled features [R,F] of its boxes: what a feature bank holds."""
    return self._run(records, threads, features=True)

  def _run(self, records: Sequence[ClipRecord], threads: int, *, features: bool) -> list[np.ndarray]:
    if features not in self._steps:
      mean, std = self.preprocessing.mean, self.preprocessing.std
      options = {"multi_label": self.multi_label, "features": features}
      self._steps[features] = make_box_step(self.folder.model, mean, std, **options)
    busy = [record for record in records if len(record.detected[0])]
    out = [np.zeros((0, int(self.folder.model.head.num_classes)), np.float32) for _ in records]
    if not busy:
      return out
    most = max(len(record.detected[0]) for record in busy)
    form = dataclasses.replace(self.preprocessing, max_boxes=-(-most // 8) * 8)  # few shapes, so few compilations
    prepare = Boxed(form, int(self.folder.model.head.num_classes), train=False, first=self._first)
    batches = evaluation_batches(busy, prepare, batch_size=1, threads=threads)
    (found,) = score_boxes(self._steps[features], [self.folder.variables], batches)  # type: ignore[arg-type]
    places = [i for i, record in enumerate(records) if len(record.detected[0])]
    for number, rows in zip(found.index, found.scores, strict=True):
      out[places[number]] = rows
    return out


def key_record(source: str, second: int, boxes: np.ndarray, start: float = 0.0) -> ClipRecord:
  """Boxes [R,4] at a second of a video file, as a record."""
  name = os.path.basename(source)
  rows = tuple(tuple(float(side) for side in box) for box in np.asarray(boxes).reshape(-1, 4))
  key = KeyFrame(name, int(second), (), (), (), rows)
  return ClipRecord(key.key, source, Record(name, source), key, start)
