"""Feature banks on disk: what people look like at every second of every video, and the window around a clip.

The file is an .npz of float16 arrays [people, C] named `video,0902`; `jaction.models.feature_bank` says what for.
"""

import dataclasses
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaction.errors import InputError


def write_bank(path: str | os.PathLike, features: Mapping[str, np.ndarray]) -> None:
  """{"video,0902": [people, C]} -> the file; it appears whole or not at all."""
  widths = {np.shape(rows)[1] for rows in features.values()}
  if len(widths) != 1:
    raise InputError(f"features of {len(widths)} widths ({sorted(widths)}); wanted one")
  path = os.fspath(path)
  part = f"{path}.part.npz"
  np.savez(part, **{key: np.asarray(rows, np.float16) for key, rows in features.items()})  # type: ignore[arg-type]
  os.replace(part, path)


class Bank:
  """A bank file; `window` gives the seconds around a key frame as [N, C] with a mask."""

  def __init__(self, path: str | os.PathLike, shape: tuple[int, int], *, seconds: int = 60):
    """shape: (N, C) that the network wants; N / seconds people of each second.

    Raises InputError for a file that is none, features of another width, an N that `seconds` does not divide.
    """
    self.path, self.shape, self.seconds = os.fspath(path), tuple(shape), seconds
    if seconds < 1 or shape[0] % seconds:
      raise InputError(f"a bank of {shape[0]} rows over {seconds} seconds; wanted a number of seconds that divides it")
    try:
      with np.load(self.path, allow_pickle=False) as file:
        self._rows = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
      raise InputError(f"{self.path}: no feature bank that can be read ({error})") from None
    odd = next((name for name, rows in self._rows.items() if rows.ndim != 2 or rows.shape[1] != shape[1]), None)
    if odd is not None or not self._rows:
      found = "it is empty" if odd is None else f"{odd} is {list(self._rows[odd].shape)}"
      raise InputError(f"{self.path}: {found}; wanted rows of {shape[1]} features")

  def window(self, video: str, second: int, rng: np.random.Generator | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [N,C], bool [N]): `seconds` of them, second - seconds // 2 first.

    Of more people than there is room for in a second some are drawn; without rng the first are taken.
    """
    room = self.shape[0] // self.seconds
    out = np.zeros((self.seconds, room, self.shape[1]), np.float32)
    mask = np.zeros((self.seconds, room), bool)
    for place in range(self.seconds):
      rows = self._rows.get(f"{video},{second - self.seconds // 2 + place:04d}")
      if rows is None:
        continue
      chosen = np.arange(len(rows)) if rng is None else rng.permutation(len(rows))
      chosen = chosen[:room]
      out[place, : len(chosen)], mask[place, : len(chosen)] = rows[chosen], True
    return out.reshape(self.shape), mask.reshape(-1)


@dataclasses.dataclass(frozen=True)
class Banked:
  """A preparation of key frames (jaction.clips.key_frames.Boxed) that also gives "bank" and "bank_mask"."""

  prepare: Any
  bank: Bank

  def __call__(self, record: Any, rng: np.random.Generator | None = None, cache: Any = None) -> dict[str, Any]:
    made = self.prepare(record, rng, cache)
    bank, mask = self.bank.window(record.key.video, record.key.second, rng)
    return made | {"bank": bank, "bank_mask": mask}
