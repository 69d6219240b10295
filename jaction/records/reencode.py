"""Copies of videos that are quick to sample from: small pictures, and a keyframe every few frames."""

import os
import pathlib
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

from jaction.errors import InputError
from jaction.records.video import Video

_CLOCK = 90_000  # ticks a second of the copy
_CHUNK = 16  # frames held decoded at once


class Copy(NamedTuple):
  """What to copy, whereto and how: `short_side` pixels at most (0: as it is), a keyframe every `gop` frames."""

  source: str
  target: str
  short_side: int
  gop: int
  crf: int  # 0 ... 51 of H.264: quality, 18 is hard to tell from the original


def reencode(job: Copy) -> int:
  """Writes the copy, whole or not at all, and gives its size in bytes; one that is there already is left as it is.

  Frames, their number and their times are the source's (rotated as they are shown); sizes are made even; the sound is
  left out.  MediaError where the source cannot be read to its end.
  """
  target = pathlib.Path(job.target)
  if target.exists():
    return target.stat().st_size
  if target.suffix != ".mp4":
    raise InputError(f"{target}: copies are .mp4 files")
  target.parent.mkdir(parents=True, exist_ok=True)
  part = target.with_name(f".{target.stem}.{os.getpid()}.part.mp4")
  try:
    _write(job, part)
    os.replace(part, target)
  finally:
    part.unlink(missing_ok=True)
  return target.stat().st_size


def copied_size(width: int, height: int, short_side: int) -> tuple[int, int]:
  """(width, height) of the copy: even, never larger than the source but for that."""
  scale = min(1.0, short_side / min(width, height)) if short_side else 1.0
  even = lambda side: max(2, 2 * round(side * scale / 2))  # noqa: E731
  return even(width), even(height)


def _write(job: Copy, part: pathlib.Path) -> None:
  with Video(job.source) as video, av.open(os.fspath(part), "w", options={"movflags": "faststart"}) as file:
    width, height = copied_size(video.width, video.height, job.short_side)
    rate = Fraction(video.fps).limit_denominator(1001) if video.fps > 0 else Fraction(25)
    # without B-frames a frame needs none behind it, and the times of showing are those of decoding
    options = {"crf": str(job.crf), "preset": "veryfast", "g": str(job.gop), "bf": "0", "sc_threshold": "0"}
    stream = file.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = stream.time_base = Fraction(1, _CLOCK)
    stream.codec_context.thread_count = 1  # the copies run beside each other
    ticks = np.round((video.times - video.times[0]) * _CLOCK).astype(np.int64)
    ticks = np.maximum.accumulate(ticks - np.arange(len(ticks))) + np.arange(
      len(ticks)
    )  # an encoder wants them to rise
    for start in range(0, video.num_frames, _CHUNK):
      frames = video.read(range(start, min(start + _CHUNK, video.num_frames)))
      for number, frame in enumerate(frames, start):
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
          width, height, format="yuv420p", interpolation="BICUBIC"
        )
        picture.pts, picture.time_base = int(ticks[number]), Fraction(1, _CLOCK)
        file.mux(stream.encode(picture))
    file.mux(stream.encode())
