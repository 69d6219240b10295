"""A stored model that scores records: what evaluate, predict and the demo share."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from jaction import folders
from jaction.batches import evaluation_batches
from jaction.clips.multihot import MultiHot
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.folders import ModelFolder
from jaction.predict.scoring import Scores, make_predict_step, probabilities, score_batches, sigmoid
from jaction.records.record import Record

CROPS = {1: "center_crop", 3: "three_crop", 10: "ten_crop"}


class Predictor:
  """The model of a folder with its own preprocessing; `Predictor(path).score(records)` is all most callers need."""

  def __init__(
    self,
    path: str | os.PathLike,
    *,
    average: str | None = None,
    clips: int | None = None,
    crops: int | None = None,
    max_views: int | None = None,
    mesh: Mesh | None = None,
  ):
    """path: a model folder or a training work directory.

    average, clips (or segments), crops (1, 3 or 10) take the place of what the folder says; at most `max_views` views
    go through the network at once.  Batches are split over the devices of `mesh`.  Raises InputError for a folder
    without preprocessing, and for one whose weights were partly re-initialised: its scores would mean nothing.
    """
    self.folder: ModelFolder = folders.load_folder(path)
    if hasattr(self.folder.model, "rois"):
      raise InputError(
        f"{path} holds {self.folder.name}, which says what people in boxes do: use `jaction detect` or "
        "`jaction data evaluate-ava`"
      )
    if self.folder.reinitialized:
      raise InputError(
        f"{path}: {', '.join(self.folder.reinitialized)} hold first values, not learned ones, so that scores would "
        "mean nothing: train the model first (config.init.folder)"
      )
    if self.folder.preprocessing is None:
      raise InputError(f"{path} does not say how its videos are preprocessed: convert or train it again")
    stored = Preprocessing.from_json(self.folder.preprocessing)
    self.preprocessing = with_views(stored, clips=clips, crops=crops)
    self.average = average or stored.average
    self._step = make_predict_step(
      self.folder.model, self.preprocessing, average=average, max_views=max_views, mesh=mesh
    )
    self._devices = mesh.devices.size if mesh else 1

  def weights_digest(self) -> str:
    """Of the names, shapes and values of all weights: the same for the same weights only."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(self.folder.variables):
      digest.update(f"{jax.tree_util.keystr(path)}{np.shape(leaf)}".encode() + np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]

  @property
  def num_classes(self) -> int:
    return int(self.folder.fields["num_classes"])

  @property
  def labels(self) -> tuple[str, ...]:
    """A name for each class; "class 7" where the folder has none."""
    return self.folder.labels or tuple(f"class {k}" for k in range(self.num_classes))

  @property
  def multi_label(self) -> bool:
    """Whether the model was trained on several labels a video: its scores are then one yes or no a class."""
    return bool((self.folder.source or {}).get("multi_label"))

  @property
  def categories(self) -> tuple[tuple[str, int], ...]:
    """(name, how many classes) of the categories that the classes fall into; () where they fall into none."""
    return tuple((str(name), int(count)) for name, count in (self.folder.source or {}).get("categories", ()))

  def score(
    self,
    records: Sequence[Record],
    *,
    multi_label: bool = False,
    batch_size: int = 8,
    threads: int = 2,
    on_error: str = "raise",
    progress: Callable[[int], None] | None = None,
    keep: Callable[[np.ndarray, np.ndarray], None] | None = None,
  ) -> Scores:
    """Scores [N, K] in the order of the records ([N, V, K] where nothing is averaged).

    With `multi_label` the labels beside them are [N, K] of 0 and 1.  With on_error="skip" videos that cannot be read
    are left out: `Scores.index` says which were scored, `Scores.faults` why the others were not.
    A batch has `batch_size` videos, rounded up to a multiple of the devices.  `keep`: see score_batches.
    """
    batch_size = -(-batch_size // self._devices) * self._devices
    preprocess = MultiHot(self.preprocessing, self.num_classes) if multi_label else self.preprocessing
    batches = evaluation_batches(records, preprocess, batch_size=batch_size, threads=threads, on_error=on_error)
    return score_batches(self._step, self.folder.variables, batches, progress=progress, keep=keep)

  def probabilities(self, scores: Scores) -> np.ndarray:
    """What `score` gave, as numbers that sum to one over the classes; of several labels a video, as one a class."""
    if self.multi_label and self.average != "prob":
      return sigmoid(scores.scores)
    return probabilities(scores.scores, self.average)


def with_views(preprocessing: Preprocessing, *, clips: int | None = None, crops: int | None = None) -> Preprocessing:
  """The same preprocessing with another number of clips (segments of a 2-D network) or crops."""
  changes = {}
  if clips is not None:
    if clips < 1:
      raise InputError(f"clips is {clips}; wanted at least 1")
    changes["num_clips"] = clips
    # segments: one view holds all of them
    if preprocessing.clip_len == 1 or preprocessing.modality == "stacked_flow":
      changes["frames_per_view"] = clips
  if crops is not None:
    last = preprocessing.steps[-1] if preprocessing.steps else ""
    if crops not in CROPS or last not in CROPS.values():
      raise InputError(f"crops is {crops} behind the last step {last!r}; wanted 1, 3 or 10, and a crop to take it from")
    settings = preprocessing.to_json()["settings"]
    crop = settings.pop(last)
    if crops == 3 and "resize" in settings:  # three crops cover the short side, as the reference's do
      crop = crop | {"size": settings["resize"]["size"]}
    changes["steps"], changes["settings"] = (*preprocessing.steps[:-1], CROPS[crops]), settings | {CROPS[crops]: crop}
  return dataclasses.replace(preprocessing, **changes)
