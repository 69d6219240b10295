"""Copies of videos that are quick to sample from: small pictures, and a keyframe every few frames."""

import hashlib
import os
import pathlib
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError

from jaction.errors import InputError
from jaction.records.facts import check_file
from jaction.records.paths import is_remote, read_remote
from jaction.records.video import ANY_TITLE, Video

_CLOCK = 90_000  # ticks a second of the copy
_CHUNK = 16  # frames held decoded at once
_MARK = "jaction data reencode"  # begins the comment in a copy: bytes and time of change of the source, settings


class Copy(NamedTuple):
  """What to copy, whereto and how: `short_side` pixels at most (0: as it is), a keyframe every `gop` frames.

  own: the folder is one of copies, so that a file at `target` is an old or a damaged copy, and may be made again.
  """

  source: str
  target: str
  short_side: int
  gop: int
  crf: int  # 0 ... 51 of H.264: quality, 18 is hard to tell from the original
  own: bool = False


def reencode(job: Copy) -> tuple[int, int]:
  """Writes the copy, whole or not at all, and gives the bytes of the source and of the copy.

  Frames, their number and their times are the source's (rotated as they are shown); sizes are made even; the sound is
  left out.  A copy says of what file and how it was made: one that is there already and says the same is left as it
  is, another is made again.  MediaError where the source cannot be read to its end;
  InputError where something else lies at the target.
  """
  target = pathlib.Path(job.target)
  if target.suffix != ".mp4":
    raise InputError(f"{target}: copies are .mp4 files")
  remote = is_remote(job.source)
  data = read_remote(job.source) if remote else None
  if data is None:
    check_file(job.source)
    stat = os.stat(job.source)
    size, state = stat.st_size, str(stat.st_mtime_ns)
  else:
    size, state = len(data), hashlib.sha256(data).hexdigest()[:16]
  facts = f"{_MARK} {size} {state} {job.short_side} {job.gop} {job.crf} of "
  if target.exists():
    found = _made(target)
    if found.startswith(facts):  # the source may have moved
      return size, target.stat().st_size
    if not found.startswith(_MARK) and not job.own:
      raise InputError(f"{target}: is there already and is no copy that `jaction data reencode` made; move it away")
    before = found.partition(" of ")[2]
    if before not in ("", job.source):
      raise InputError(f"{target}: is there already, the copy of {before}; wanted another folder for {job.source}")
  target.parent.mkdir(parents=True, exist_ok=True)
  part = target.with_name(f".{target.stem}.{os.getpid()}.part.mp4")
  try:
    _write(job, job.source if data is None else data, facts + job.source, part)
    os.replace(part, target)
  finally:
    part.unlink(missing_ok=True)
  return size, target.stat().st_size


def _made(path: pathlib.Path) -> str:
  """What a copy says of itself; "" of another file."""
  try:
    with av.open(os.fspath(path), **ANY_TITLE) as file:
      return file.metadata.get("comment", "")
  except (FFmpegError, OSError):
    return ""


def copied_size(width: int, height: int, short_side: int) -> tuple[int, int]:
  """(width, height) of the copy: even, never larger than the source but for that."""
  scale = min(1.0, short_side / min(width, height)) if short_side else 1.0
  even = lambda side: max(2, 2 * round(side * scale / 2))  # noqa: E731
  return even(width), even(height)


def _write(job: Copy, source: str | bytes, made: str, part: pathlib.Path) -> None:
  with (
    Video(source, name=job.source) as video,
    av.open(os.fspath(part), "w", options={"movflags": "faststart"}) as file,
  ):
    file.metadata["comment"] = made
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
