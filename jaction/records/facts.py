"""What a media file, a stream, a packet and a frame say about themselves."""

import os
import stat
from collections.abc import Iterable

import av
import numpy as np
from av.stream import Disposition

from jaction.errors import InputError, MediaError


def check_indices(indices: Iterable[int], num_frames: int, name: str) -> np.ndarray:
  """Frame numbers as int64 [n]; InputError, which names the source, where one is no whole number in [0, num_frames)."""
  array = indices if isinstance(indices, np.ndarray) else np.array(list(indices))
  if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
    raise InputError(
      f"{name}: frame numbers of shape {array.shape} and type {array.dtype}; a row of integers was wanted"
    )
  outside = array[(array < 0) | (array >= num_frames)]
  if outside.size:
    raise InputError(f"{name}: there is no frame {outside[0]}, it has frames 0 to {num_frames - 1}")
  return array.astype(np.int64)


def check_file(name: str) -> None:
  """Nothing but a file that holds something is opened: a pipe or a device could make the reader wait for ever."""
  try:
    info = os.stat(name)
  except (OSError, ValueError) as error:
    raise MediaError(f"{name}: cannot be opened ({getattr(error, 'strerror', None) or error})") from None
  if not stat.S_ISREG(info.st_mode) or info.st_size == 0:
    what = "is empty" if stat.S_ISREG(info.st_mode) else "is not a file"
    raise MediaError(f"{name}: {what}, a video file was wanted")


def is_cover(stream: "av.VideoStream") -> bool:
  """Whether it is the picture on a record's sleeve."""
  return bool(stream.disposition & Disposition.attached_pic)


def is_hidden(codec: str, packet: av.Packet) -> bool:
  """Whether a packet holds a reference picture that is never shown (show_frame in RFC 6386 and VP9's spec)."""
  if codec == "vp8":
    return not memoryview(packet)[0] & 0x10
  if codec == "vp9":
    head, tail = memoryview(packet)[0], memoryview(packet)[-1]
    head = head << 1 if head & 0x30 == 0x30 else head  # profile 3 has one bit more
    return tail & 0xE0 != 0xC0 and not head & 0x08 and not head & 0x02  # no superframe, not shown again, not shown
  return False


def orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
  """(transpose, then flip rows, then flip columns) that shows a frame as its display matrix says.

  Shown x = a x + c y, y = b x + d y (libavutil/display.h); the nearest of the eight turns and mirrorings is taken.
  """
  data = frame.side_data.get("DISPLAYMATRIX")
  if data is None:
    return False, False, False
  a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
  return (False, d < 0, a < 0) if abs(a) + abs(d) >= abs(b) + abs(c) else (True, b < 0, c < 0)
