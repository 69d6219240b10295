"""Features of untrimmed videos: one .npz a video with times, ActivityNet's .csv, or a plain .npy."""

import dataclasses
import os
import zipfile

import numpy as np

from jaction.errors import InputError, MediaError

KINDS = (".npz", ".csv", ".npy")


@dataclasses.dataclass(frozen=True)
class Features:
  """What a network saw along one video.

  Fields:
    features: float32 [T, C].
    times: float32 [T, 2], from when to when each saw, in seconds; None where the file does not say.
    seconds: the length of the video; None where the file does not say.
    scores: float32 [T, K], class probabilities, or None.
    window, stride: frames that each saw, and from one to the next; None where the file does not say.
  """

  features: np.ndarray
  times: np.ndarray | None = None
  seconds: float | None = None
  scores: np.ndarray | None = None
  window: int | None = None
  stride: int | None = None

  @property
  def covered(self) -> float | None:
    """The time up to which the features see."""
    return None if self.times is None or not len(self.times) else float(self.times[-1, 1])


def write_features(path: str | os.PathLike, made: Features) -> None:
  """Writes an .npz, whole or not at all."""
  arrays = {f.name: getattr(made, f.name) for f in dataclasses.fields(made) if getattr(made, f.name) is not None}
  path = os.fspath(path)
  part = f"{path}.{os.getpid()}.part"
  with open(part, "wb") as file:
    np.savez(file, **arrays)
  os.replace(part, path)


def read_features(path: str | os.PathLike) -> Features:
  """Reads one file; a .csv has a line of names first.  MediaError names it where it is no [T, C] of numbers."""
  path = os.fspath(path)
  kind = os.path.splitext(path)[1].lower()
  if kind not in KINDS:
    raise InputError(f"{path}: features are {', '.join(KINDS)}")
  try:
    if kind == ".npz":
      with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
      made = Features(
        np.asarray(found["features"], np.float32),
        found.get("times"),
        float(found["seconds"]) if "seconds" in found else None,
        found.get("scores"),
        *(int(found[name]) if name in found else None for name in ("window", "stride")),
      )
    elif kind == ".npy":
      made = Features(np.load(path, allow_pickle=False).astype(np.float32))
    else:
      made = Features(np.loadtxt(path, np.float32, delimiter=",", skiprows=1, ndmin=2))
  except FileNotFoundError:
    raise MediaError(f"{path}: there is no such file of features") from None
  except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError) as error:
    raise MediaError(f"{path}: cannot be read as features [T, C]: {error}") from error
  if made.features.ndim != 2 or not made.features.size:
    raise MediaError(f"{path}: features of shape {made.features.shape}; [T, C] with at least one was wanted")
  bad = np.flatnonzero(~np.isfinite(made.features).all(axis=1))
  if len(bad):
    raise MediaError(f"{path}: feature {bad[0]} of {len(made.features)} has numbers that are not finite")
  return made


def find_features(folder: str | os.PathLike, name: str) -> str:
  """The file of a video in a folder: its name and one of KINDS.  MediaError where there is none."""
  for kind in KINDS:
    path = os.path.join(os.fspath(folder), name + kind)
    if os.path.exists(path):
      return path
  raise MediaError(f"{os.path.join(os.fspath(folder), name)}: no features ({', '.join(KINDS)}) of this video")
