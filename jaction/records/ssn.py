"""Proposal files of SSN: for every video its annotated instances and its proposals, in frames or normalised.

    # 0                       a line that begins with # opens a video
    video_validation_0000202
    5666                      frames
    1                         frames a second, 1 where unknown
    1                         annotated instances: class, start, end
    8 130 185
    2                         proposals: class, best IoU, overlap with itself, start, end
    8 0.0620 0.0620 790 5671
    8 0.1656 0.1656 790 2619

Classes count from 1, 0 is background. Ends are exclusive. In a normalised file times are shares of the video's length,
which is then taken from the frames that are really there. (Zhao et al., "Temporal Action Detection with Structured
Segment Networks", ICCV 2017; the files of its release.)
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping

from jaction.errors import InputError
from jaction.records.text import numbered_lines, real, shown, whole

MAX_ITEMS = 10_000_000  # more lines than this for one video are a damaged count


@dataclasses.dataclass(frozen=True, slots=True)
class Proposal:
  """A stretch of frames [start, end) and what it is.

  Fields:
    label: class, from 1 on; 0 is background.
    start, end: frames.
    iou: the best IoU with an annotated instance; 1 for an instance itself.
    overlap: the share of the stretch that lies in an instance; 0 for an instance itself, as the reference has it.
    coverage: its length over the video's, before its end is cut to the video, as the reference has it.
  """

  label: int
  start: int
  end: int
  iou: float = 1.0
  overlap: float = 0.0
  coverage: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class ProposalVideo:
  """One video: its name in the file, its frames, its annotated instances and its proposals, in the file's order."""

  id: str
  frames: int
  instances: tuple[Proposal, ...]
  proposals: tuple[Proposal, ...]


def read_proposals(
  path: str | os.PathLike, *, normalized: bool = False, frames: Mapping[str, int] | None = None
) -> list[ProposalVideo]:
  """The videos of a proposal file.

  Args:
    path: the file.
    normalized: times are shares in [0, 1] of the video, not frames.
    frames: the number of frames of each video by its name, for a normalised file; by default the file's own number.

  Instances and proposals that are empty, or begin behind the last frame, are left out, and ends are cut to the video,
  as the reference does. Raises InputError with "path:line" for whatever does not read as the module says.
  """
  path = os.fspath(path)
  videos, lines = [], list(numbered_lines(path))
  at = 0
  while at < len(lines):
    where, line = lines[at]
    if not line.startswith("#"):
      raise InputError(f"{where}: {shown(line)}; a line that begins with # and opens a video was wanted")
    video, at = _video(path, lines, at + 1, normalized, frames)
    videos.append(video)
  if not videos:
    raise InputError(f"{path}: no videos in it")
  return videos


def write_proposals(path: str | os.PathLike, videos: Iterable[ProposalVideo]) -> None:
  """Writes a proposal file in frames; `read_proposals` reads it back, overlaps to 4 decimals."""
  lines = []
  for index, video in enumerate(videos):
    lines += [f"# {index}", video.id, str(video.frames), "1", str(len(video.instances))]
    lines += [f"{p.label} {p.start} {p.end}" for p in video.instances]
    lines += [str(len(video.proposals))]
    lines += [f"{p.label} {p.iou:.4f} {p.overlap:.4f} {p.start} {p.end}" for p in video.proposals]
  with open(path, "w", encoding="utf-8", newline="\n") as file:
    file.writelines(f"{line}\n" for line in lines)


def _video(
  path: str, lines: list[tuple[str, str]], at: int, normalized: bool, known: Mapping[str, int] | None
) -> tuple[ProposalVideo, int]:
  """The video whose name is line `at`, and the place behind it."""

  def take(what: str) -> tuple[str, str]:
    nonlocal at
    if at >= len(lines) or lines[at][1].startswith("#"):
      place = lines[at][0] if at < len(lines) else f"{lines[-1][0]}"
      raise InputError(f"{place}: the video that ends here lacks {what}")
    at += 1
    return lines[at - 1]

  def rows(what: str, fields: str) -> list[tuple[str, list[str]]]:
    where, line = take(f"the number of its {what}")
    count = whole(line, f"the number of {what}", where)
    if not 0 <= count <= MAX_ITEMS:
      raise InputError(f"{where}: {count} {what}")
    found = []
    for index in range(count):
      where, line = take(f"{what} {index + 1} of {count}")
      if len(line.split()) != len(fields.split()):
        raise InputError(f"{where}: {shown(line)}; `{fields}` was wanted, {what} {index + 1} of {count}")
      found.append((where, line.split()))
    return found

  def stretch(where: str, label: str, start: str, end: str, iou: float = 1.0, overlap: float = 0.0) -> Proposal | None:
    if normalized:
      shares = real(start, "start", where), real(end, "end", where)
      if not all(0 <= share <= 1.5 for share in shares):
        raise InputError(f"{where}: {start} to {end}; shares of the video, from 0 to 1, were wanted")
      first, last = (int(share * frames) for share in shares)
    else:
      first, last = whole(start, "start", where), whole(end, "end", where)
    number = whole(label, "class", where)
    if number < 0 or first < 0:
      raise InputError(f"{where}: class {number} from frame {first} on; neither can be below 0")
    if last <= first or first >= frames:
      return None
    return Proposal(number, first, min(last, frames), iou, overlap, (last - first) / frames)

  _, name = take("its name")
  where, line = take("the number of its frames")
  frames = whole(line, "the number of frames", where) if known is None else known.get(name, 0)
  if frames < 1:
    raise InputError(f"{where}: {name!r} has {frames} frames; at least one was wanted")
  where, line = take("its frame rate")
  real(line, "the frame rate", where)
  instances = [stretch(where, row[0], row[1], row[2]) for where, row in rows("instances", "class start end")]
  proposals = [
    stretch(where, label, start, end, real(iou, "IoU", where), real(overlap, "overlap", where))
    for where, (label, iou, overlap, start, end) in rows("proposals", "class iou overlap start end")
  ]
  kept = [tuple(one for one in each if one is not None) for each in (instances, proposals)]
  return ProposalVideo(name, frames, *kept), at
