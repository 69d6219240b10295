"""From sound to spectrograms: clips of a waveform or of features, and mel bands of them.

Plain functions of arrays, in numpy for the loader's threads; `jaction.clips.device.mel_spectrogram` is the same on the
device.  What the reference does is named where it is done.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaction.errors import InputError


def cut(sound: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
  """Sound [n] or [n,F] -> [clips,length,...]: `length` samples or rows from each start on, zeros behind the end."""
  return _padded([sound[start : start + length] for start in starts.tolist()], length)


def cut_by_rows(wave: np.ndarray, rows: np.ndarray, length: int, hop: int) -> np.ndarray:
  """Waveform [n] -> [clips,(length - 1) * hop]: what `length` rows of a mel spectrogram of it are made of, from row on.

  Row t of the spectrogram of a cut is centred on the same sample as row `rows` + t of the whole waveform's.
  """
  return cut(wave, rows * hop, (length - 1) * hop)


def cut_by_frames(sound: np.ndarray, frames: np.ndarray, total: int, *, length: int) -> np.ndarray:
  """The sound that goes with the clips `frames` [clips,frames a clip] of a video of `total` frames: [clips,length,...].

  From behind the first frame of a clip to behind its last one, or less where that is more than `length`; zeros follow
  to `length`.  Source: AudioDecode (fixed_length 32000 samples) and AudioFeatureSelector (128 rows) of MMAction2 0.9.
  """
  ends = [[round((frame + 1) / total * len(sound)) for frame in clip] for clip in frames[:, [0, -1]].tolist()]
  return _padded([sound[first : min(last, first + length)] for first, last in ends], length)


def amplify(sound: np.ndarray, *, ratio: float) -> np.ndarray:
  """Sound times `ratio`; nothing is clipped.  Source: AudioAmplify of MMAction2 0.9."""
  return sound * np.float32(ratio)


def mel_spectrogram(
  waves: Any,
  xp: Any = np,
  *,
  rate: int = 16000,
  window_ms: float = 32,
  step_ms: float = 16,
  bands: int = 80,
  rows: int | None = None,
  log: bool = False,
) -> Any:
  """Power in mel bands, float32 [...,N] -> [...,T,bands]; T = 1 + N // hop, row t centred on sample t * hop.

  A periodic Hann window as long as the transform, zeros beyond both ends, and Slaney's bands of equal area from 0 to
  rate / 2: librosa.feature.melspectrogram's defaults, its axes swapped.  `log` gives decibels over 1, no lower than
  -100 (its power_to_db without a top).  With `rows` there are that many: later ones are left out, missing ones repeat
  the last.  MelSpectrogram of MMAction2 0.9 means the same, but cuts and repeats bands instead of rows.

  `xp` is the array module, numpy or jax.numpy.  InputError where the window has no two samples.
  """
  size, hop = samples_of(rate, window_ms), samples_of(rate, step_ms)
  pad = [(0, 0)] * (waves.ndim - 1) + [(size // 2, size // 2)]
  padded = xp.pad(xp.asarray(waves, xp.float32), pad)
  count = 1 + (padded.shape[-1] - size) // hop
  places = np.arange(count)[:, None] * hop + np.arange(size)
  window = (0.5 - 0.5 * np.cos(2 * math.pi * np.arange(size) / size)).astype(np.float32)
  spectrum = xp.fft.rfft(padded[..., places] * window.reshape((1,) * waves.ndim + (size,)))
  power = (spectrum.real**2 + spectrum.imag**2).astype(xp.float32)
  mel = xp.matmul(power, mel_bands(rate, size, bands).T)
  if rows is not None:
    mel = mel[..., np.minimum(np.arange(rows), count - 1), :]
  return 10 * xp.log10(xp.maximum(mel, np.float32(1e-10))) if log else mel


def samples_of(rate: int, ms: float) -> int:
  """How many samples `ms` milliseconds are."""
  count = round(rate * ms / 1000)
  if count < 2:
    raise InputError(f"{ms} ms at {rate} samples a second are {count} samples; wanted 2 or more")
  return count


@functools.lru_cache(maxsize=16)
def mel_bands(rate: int, size: int, bands: int) -> np.ndarray:
  """Triangles over the frequencies of a transform of `size` samples, float32 [bands, size // 2 + 1], each of area 1 Hz.

  Slaney's mel scale (Auditory Toolbox, 1998): linear below 1000 Hz, 15 mel there, logarithmic above.
  """
  step = math.log(6.4) / 27
  mel = lambda hz: hz * 3 / 200 if hz < 1000 else 15 + math.log(hz / 1000) / step  # noqa: E731
  mels = np.linspace(0, mel(rate / 2), bands + 2)
  edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (np.maximum(mels, 15) - 15)))
  low, centre, high = (edges[i : len(edges) - 2 + i, None] for i in range(3))
  hz = np.linspace(0, rate / 2, size // 2 + 1)
  rising, falling = (hz - low) / (centre - low), (high - hz) / (high - centre)
  weights = np.maximum(0, np.minimum(rising, falling)) * (2 / (high - low))
  weights = weights.astype(np.float32)
  weights.setflags(write=False)
  return weights


# What a preprocessing of spectrograms can name, in this order.
SOUND_STEPS: Mapping[str, Callable[..., Any]] = {"cut": cut_by_frames, "amplify": amplify, "mel": mel_spectrogram}


def _padded(parts: list[np.ndarray], length: int) -> np.ndarray:
  out = np.zeros((len(parts), length, *parts[0].shape[1:]), parts[0].dtype)
  for part, place in zip(parts, out, strict=True):
    place[: len(part)] = part
  return out
