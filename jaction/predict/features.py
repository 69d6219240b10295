"""A recognizer along a whole video: its pooled features and class probabilities for every window."""

import os
from collections.abc import Callable

import jax
import numpy as np

from jaction import folders
from jaction.clips.device import normalize
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.models.recognizer import Recognizer
from jaction.records import Record, open_frames
from jaction.records.features import Features

BATCH = 16  # windows that go through the network at once


class Extractor:
  """The recognizer of a folder; `Extractor(path)(record)` gives the Features of one video."""

  def __init__(self, path: str | os.PathLike, *, window: int = 16, stride: int | None = None):
    """window: frames that one feature sees, of which the folder's own sampling takes its clip; stride: frames between
    the beginnings of two windows, by default `window`.  InputError for a folder that is no recognizer of frames."""
    if window < 1 or (stride is not None and stride < 1):
      raise InputError(f"window {window}, stride {stride}: 1 or more was wanted")
    self.folder = folders.load_folder(path)
    if not isinstance(self.folder.model, Recognizer) or self.folder.preprocessing is None:
      raise InputError(f"{path} holds a {self.folder.name}: features come from a recognizer with its preprocessing")
    self.preprocessing = Preprocessing.from_json(self.folder.preprocessing)
    if self.preprocessing.modality != "rgb":
      raise InputError(f"{path}: a recognizer of {self.preprocessing.modality}; one of rgb frames was wanted")
    self.window, self.stride = window, stride or window
    model, mean, std = self.folder.model, self.preprocessing.mean, self.preprocessing.std

    def see(variables, clips):
      x = normalize(clips, mean, std)
      pooled = model.apply(variables, x, return_features=True).mean(axis=1)
      return pooled, jax.nn.softmax(model.apply(variables, x), axis=-1).mean(axis=1)

    self._see = jax.jit(see)

  @property
  def labels(self) -> tuple[str, ...]:
    """A name for each class; "class 7" where the folder has none."""
    return self.folder.labels or tuple(f"class {k}" for k in range(int(self.folder.fields["num_classes"])))

  def __call__(self, record: Record, progress: Callable[[float], None] | None = None) -> Features:
    """A video shorter than a window is one window, whose last frame stands.  MediaError where it cannot be read."""
    with open_frames(record) as video:
      total, fps = video.num_frames, float(getattr(video, "fps", 0) or 1)
      count = max(1, (total - self.window) // self.stride + 1)
      starts = np.arange(count) * self.stride
      chosen = self.preprocessing.indices(self.window, fps=fps if self.preprocessing.target_fps else None)
      features, scores = [], []
      for first in range(0, count, BATCH):
        some = starts[first : first + BATCH]
        wanted = np.minimum(some[:, None] + chosen[None], total - 1)
        frames, inverse = np.unique(wanted, return_inverse=True)
        pixels = video.read(frames)
        clips = [self.preprocessing.of_frames(pixels[row]) for row in inverse.reshape(wanted.shape)]
        clips += clips[-1:] * (BATCH - len(clips))  # one shape, one program
        pooled, chances = self._see(self.folder.variables, np.stack(clips))
        features.append(np.asarray(pooled)[: len(some)])
        scores.append(np.asarray(chances)[: len(some)])
        if progress is not None:
          progress(min(1.0, (first + BATCH) / count))
    middle = (self.window - self.stride) / 2  # a feature stands for the stride's frames in the middle of its window
    begin = np.maximum((starts + middle) / fps, 0)
    end = np.minimum((starts + middle + self.stride) / fps, total / fps)
    times = np.column_stack([begin, end]).astype(np.float32)
    times[0, 0], times[-1, 1] = 0, total / fps
    seen = np.concatenate(features), times, total / fps, np.concatenate(scores)
    return Features(*seen, self.window, self.stride)
