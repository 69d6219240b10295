"""Several classes a video: labels as rows of 0 and 1, of one shape for all videos."""

import dataclasses
from typing import Any

import numpy as np

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.records.frames import FrameCache
from jaction.records.record import Record


@dataclasses.dataclass(frozen=True)
class MultiHot:
  """A preprocessing whose "label" is float32 [classes], 1 for each class of the record, and which also gives "known",
  bool [classes]: whether somebody looked for the class (`Record.known`).

  InputError for a step that maps labels, such as a flip that turns left into right: it maps one label, and would leave
  these as they are.
  """

  preprocess: Preprocessing
  classes: int

  def __post_init__(self):
    for step in self.preprocess.steps:
      if self.preprocess.settings.get(step, {}).get("labels"):
        raise InputError(
          f"the step {step} maps the label of a video (settings.{step}.labels), and here a video has several: wanted "
          f"{step} without labels, or no step {step}"
        )

  def __call__(
    self, record: Record, rng: np.random.Generator | None = None, cache: FrameCache | None = None
  ) -> dict[str, Any]:
    labels = {"label": multi_hot(record, self.classes), "known": known_classes(record, self.classes)}
    return self.preprocess(record, rng, cache) | labels


def labels_of(record: Record) -> tuple[int, ...]:
  """The record's classes; those of a single-label list have one."""
  return record.labels if record.label is None else (record.label,)


def multi_hot(record: Record, classes: int) -> np.ndarray:
  """float32 [classes]: 1 for each class of the record.  InputError, naming the record, for a class outside."""
  row = np.zeros(classes, np.float32)
  for label in labels_of(record):
    if not 0 <= label < classes:
      raise InputError(f"{record.id}: label {label} is outside the {classes} classes, which are numbered from 0")
    row[label] = 1
  return row


def known_classes(record: Record, classes: int) -> np.ndarray:
  """bool [classes]: whether somebody looked for the class in this record."""
  known = np.full(classes, not record.known)
  for low, high in record.known:
    known[low:high] = True
  return known
