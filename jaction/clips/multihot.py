"""Several classes a video: labels as rows of 0 and 1, of one shape for all videos."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.records.frames import FrameCache
from jaction.records.hvu import targets
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
    labels, known = targets(several(record), self.classes)
    return self.preprocess(record, rng, cache) | {"label": labels, "known": known.astype(bool)}


def known_classes(records: Sequence[Record], classes: int) -> np.ndarray | None:
  """bool [N,classes]: whether somebody looked for the class in the record; None where all was looked for in all."""
  if not any(record.known for record in records):
    return None
  return np.stack([targets(several(record), classes)[1] for record in records]).astype(bool)


def several(record: Record) -> Record:
  """The record as one of a multi-label set: where it has a single label, that is its only one."""
  return record if record.label is None else dataclasses.replace(record, label=None, labels=(record.label,))
