"""Whether a record can be read from its first frame to its last."""

from typing import Any, NamedTuple

from jaction.errors import MediaError
from jaction.records.frames import open_frames
from jaction.records.record import Record
from jaction.records.sound import read_feature, read_waveform

_CHUNK = 32  # frames held decoded at once


class Checked(NamedTuple):
  """What was found in a whole file."""

  frames: int  # of a sound samples, of features rows
  width: int
  height: int
  fps: float  # 0.0 where there is none


def check_record(record: Record) -> Checked:
  """Reads all of it.  MediaError, which names the file, where any frame cannot be read."""
  if record.kind == "audio":
    return Checked(len(read_waveform(record.source)), 0, 0, 0.0)
  if record.kind == "features":
    rows = read_feature(record.source)
    return Checked(len(rows), rows.shape[1], 0, 0.0)
  with open_frames(record) as video:
    total: Any = video.num_frames
    for start in range(0, total, _CHUNK):
      frames = video.read(range(start, min(start + _CHUNK, total)))
      if frames.size == 0:
        raise MediaError(f"{record.source}: frames of no pixels")
    return Checked(total, video.width, video.height, float(getattr(video, "fps", 0.0)))
