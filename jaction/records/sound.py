"""The sound of a record: a waveform out of any media file, or features that somebody computed before."""

import io
import os
import tokenize

import av
import numpy as np
from av.error import FFmpegError

from jaction.errors import MediaError
from jaction.records.facts import check_file
from jaction.records.paths import is_remote, read_remote
from jaction.records.video import ANY_TITLE


def read_waveform(source: str | os.PathLike, rate: int = 16000) -> np.ndarray:
  """The whole sound of a wav, video or other media file: float32 [n], mono, -1 ... 1, `rate` samples a second.

  Channels are averaged, as librosa does, and only then is it resampled (FFmpeg's resampler; a file of that rate already
  gives its own samples).  The first sample is the stream's first, whenever the pictures begin.  What a cut-off file
  still holds is given.  Raises MediaError, which names the file, where it is absent, has no sound or none can be
  decoded.
  """
  name, given = os.fspath(source), _opened(source)
  parts: list[np.ndarray] = []
  fault: Exception | None = None
  try:
    with av.open(given, container_options={"protocol_whitelist": "file"}, **ANY_TITLE) as container:
      if not container.streams.audio:
        raise MediaError(f"{name}: there is no sound in it, only {', '.join(s.type for s in container.streams)}")
      stream = container.streams.audio[0]
      planes, resampler = _to_planes(), av.AudioResampler(format="flt", layout="mono", rate=rate)
      try:
        for frame in container.decode(stream):
          parts += _mono(planes.resample(frame), resampler, rate)
      except FFmpegError as error:
        fault = error  # the rest is lost: what came before it stands
      parts += _mono([None], resampler, rate)
  except MediaError:
    raise
  except (FFmpegError, ValueError, OSError) as error:
    fault = error
  if not sum(map(len, parts)):
    raise MediaError(f"{name}: no sound of it can be decoded ({fault or 'it holds no samples'})") from None
  return np.concatenate(parts)


def _opened(source: str | os.PathLike) -> str | io.BytesIO:
  """What FFmpeg opens: a remote file's bytes, or a name that is a name and never an address (see records/video.py)."""
  name = os.fspath(source)
  if is_remote(name):
    return io.BytesIO(read_remote(name))
  check_file(name)
  return "file:" + os.path.abspath(name)


def read_feature(source: str | os.PathLike) -> np.ndarray:
  """A .npy file of features over time as float32 [T,F]; MediaError, which names the file, for anything else in it."""
  name, given = os.fspath(source), _opened(source)
  try:
    array = np.load(given if isinstance(given, io.BytesIO) else name, allow_pickle=False)
  except (ValueError, OSError, EOFError, SyntaxError, MemoryError, tokenize.TokenError) as error:
    raise MediaError(f"{name}: cannot be read as .npy ({error})") from None
  if not isinstance(array, np.ndarray) or array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
    found = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else "an archive of arrays"
    raise MediaError(f"{name}: holds {found}; features over time were wanted, numbers [T,F]")
  return array.astype(np.float32)


def _to_planes() -> "av.AudioResampler":
  """Any sample format to float32 planes, one a channel; rate and channels stay."""
  return av.AudioResampler(format="fltp")


def _mono(frames: "list[av.AudioFrame | None]", resampler: "av.AudioResampler", rate: int) -> list[np.ndarray]:
  """The mean over channels, brought to `rate`; None flushes what the resampler still holds."""
  out: list[np.ndarray] = []
  for frame in frames:
    if frame is None:
      out += [_samples(part) for part in _flushed(resampler)]
      continue
    wave = frame.to_ndarray().mean(axis=0, dtype=np.float32)
    if frame.sample_rate == rate:
      out.append(wave)
      continue
    mean = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None]), format="flt", layout="mono")
    mean.sample_rate = frame.sample_rate
    out += [_samples(part) for part in resampler.resample(mean)]
  return out


def _flushed(resampler: "av.AudioResampler") -> "list[av.AudioFrame]":
  try:
    return resampler.resample(None)
  except (FFmpegError, ValueError):
    return []  # it was never given anything


def _samples(frame: "av.AudioFrame") -> np.ndarray:
  return frame.to_ndarray().reshape(-1).astype(np.float32)
