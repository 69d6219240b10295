"""Temporal annotations as ActivityNet keeps them: a JSON object of videos, each with labelled segments in seconds.

Two shapes are read: the official one ({"database": {id: {"duration", "subset", "annotations", ...}}}, ids without
"v_"), and the one that MMAction2 and the localizers use ({id: {"duration_second", "duration_frame", "annotations",
"feature_frame", "fps", "rfps"}}), in which only the duration and the annotations must be there.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator

from jaction.errors import InputError
from jaction.records.text import Entry, json_entries, listed, member, read_json_object, real, shown, whole


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
  """A stretch of a video, start and end in seconds, and the name of its class."""

  start: float
  end: float
  label: str


@dataclasses.dataclass(frozen=True, slots=True)
class AnnotatedVideo:
  """One untrimmed video.

  Fields:
    id: its name in the file.
    seconds: how long it is.
    segments: in the order of the file; () where nothing is annotated, as in test sets.
    subset: "training", "validation", "testing", or None where the file does not say.
    frames: how many it has, or None.
    feature_frames: how many of them the features cover, or None; see `feature_seconds`.
    fps: frames a second, or None.
    rfps: the frame rate at which features were taken, or None.
  """

  id: str
  seconds: float
  segments: tuple[Segment, ...]
  subset: str | None = None
  frames: int | None = None
  feature_frames: int | None = None
  fps: float | None = None
  rfps: float | None = None

  @property
  def feature_seconds(self) -> float:
    """The time that the features cover: MMAction2's corrected duration, on which its boxes in [0, 1] are based."""
    if self.frames is None or self.feature_frames is None:
      return self.seconds
    return self.feature_frames / self.frames * self.seconds


def read_activitynet(path: str | os.PathLike, *, subset: str | None = None) -> list[AnnotatedVideo]:
  """The videos of a file, in its order; with `subset` only those of that name ("training", "validation", "testing").

  Raises InputError with "path:line": no JSON, a missing member, a time that is no number, a segment without two ends.
  """
  path = os.fspath(path)
  videos = [_video(entry) for entry in _entries(path)]
  subsets = sorted({video.subset for video in videos if video.subset is not None})
  if subset is not None:
    videos = [video for video in videos if video.subset == subset]
  if not videos:
    known = f" of the subset {subset!r}, there are {', '.join(subsets) or 'no subsets'}" if subset is not None else ""
    raise InputError(f"{path}: no videos{known}")
  return videos


def activity_names(videos: Iterable[AnnotatedVideo]) -> tuple[str, ...]:
  """The classes of the segments, sorted, which is the order of their labels."""
  return tuple(sorted({segment.label for video in videos for segment in video.segments}))


def write_activitynet(path: str | os.PathLike, videos: Iterable[AnnotatedVideo]) -> None:
  """Writes the second shape, one video a line; `read_activitynet` reads it back."""
  rows = []
  for video in videos:
    value = {
      "duration_second": video.seconds,
      "duration_frame": video.frames,
      "annotations": [{"segment": [s.start, s.end], "label": s.label} for s in video.segments],
      "feature_frame": video.feature_frames,
      "fps": video.fps,
      "rfps": video.rfps,
      "subset": video.subset,
    }
    kept = {key: one for key, one in value.items() if one is not None}
    rows.append(f"{json.dumps(video.id, ensure_ascii=False)}: {json.dumps(kept, ensure_ascii=False)}")
  with open(path, "w", encoding="utf-8", newline="\n") as file:
    file.write("{\n" + ",\n".join(rows) + "\n}\n")


def _entries(path: str) -> Iterator[Entry]:
  text, members = read_json_object(path)
  members = list(members)
  database = [entry for entry in members if entry.key == "database"]
  if not database:
    return iter(members)
  return json_entries(path, text, "{", database[-1].start)


def _video(entry: Entry) -> AnnotatedVideo:
  where, value = f"{entry.where}: video {shown(entry.key)}", entry.value
  name = "duration" if isinstance(value, dict) and "duration" in value else "duration_second"
  seconds = real(member(value, name, where), name, where)
  if seconds < 0:
    raise InputError(f"{where}: {name} {seconds}; 0 or more was wanted")
  segments = []
  for annotation in listed(value.get("annotations", []), "annotations", where):
    ends = [real(time, "time", where) for time in listed(member(annotation, "segment", where), "segment", where)]
    label = member(annotation, "label", where)
    if len(ends) != 2 or not isinstance(label, str):
      raise InputError(f"{where}: {shown(annotation)}; a segment of start and end and the name of a class were wanted")
    segments.append(Segment(ends[0], ends[1], label))
  subset = value.get("subset")
  if subset is not None and not isinstance(subset, str):
    raise InputError(f"{where}: subset {shown(subset)} is no name")
  frames, features = (_optional(value, name, whole, where) for name in ("duration_frame", "feature_frame"))
  if frames is not None and frames < 1:
    raise InputError(f"{where}: duration_frame {frames}; 1 or more was wanted")
  fps, rfps = (_optional(value, name, real, where) for name in ("fps", "rfps"))
  return AnnotatedVideo(entry.key or "", seconds, tuple(segments), subset, frames, features, fps, rfps)


def _optional(value: dict, name: str, reader, where: str):
  return None if value.get(name) is None else reader(value[name], name, where)
