"""Several sets in one training, each with transforms of its own, as OmniSource has them (arXiv:2003.13042)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.records.frames import FrameCache
from jaction.records.record import Record


@dataclasses.dataclass(frozen=True)
class BySet:
  """Prepares each record as its set says: `parts[record.set]`, preprocessings (or MultiHots of them) of one shape."""

  parts: tuple[Callable[..., Mapping[str, Any]], ...]

  def __call__(
    self, record: Record, rng: np.random.Generator | None = None, cache: FrameCache | None = None
  ) -> Mapping[str, Any]:
    return self.parts[record.set](record, rng, cache)


def of_set(settings: Mapping[str, Any], name: str, first: Preprocessing) -> Preprocessing:
  """The preprocessing of the set `name`; where `settings` are empty it is the first set's.

  InputError, which names the set, where its clips could not stand in one batch with the first's, or would be normalised
  as others: that happens on the device, to a whole batch.
  """
  if not settings:
    return first
  try:
    own = Preprocessing.from_json(settings)
  except InputError as error:
    raise InputError(f"data.mix.{name}.preprocessing: {error}") from None
  for key in ("modality", "channels", "frames_per_view", "mean", "std"):
    if getattr(own, key) != getattr(first, key):
      raise InputError(
        f"data.mix.{name}.preprocessing.{key} is {getattr(own, key)!r} and preprocessing.train.{key} "
        f"{getattr(first, key)!r}: wanted the same, since their clips stand in one batch"
      )
  return own
