"""From which keyframes wanted frames are decoded: plain arithmetic on the numbers of packets."""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def plan(
  indices: Sequence[int],
  pts: Sequence[Any],
  keys: Sequence[tuple[Any, Any, int]],
  numbers: Mapping[Any, int],
  gap: int,
) -> Iterator[tuple[int, list[int]]]:
  """(keyframe, indices that are decoded from it on): a new run where a jump saves more than `gap` packets.

  indices: of frames, ascending.  pts: the timestamp of each frame of the file.  keys: (timestamp, time to seek to,
  number of the packet) of each keyframe, by timestamp.  numbers: of the packets, by their timestamps; packets stand in
  the order of decoding.  The keyframe is a number in `keys`, -1 the start of the file.
  """
  starts = [key[0] for key in keys]
  key, run, last = -1, [], 0
  for index in indices:
    nearest = bisect.bisect_right(starts, pts[index]) - 1
    if run and nearest >= 0 and keys[nearest][2] > last + 1 + gap:
      yield key, run
      run = []
    if not run:
      key, last = nearest, 0
    run.append(index)
    last = max(last, numbers[pts[index]])
  if run:
    yield key, run
