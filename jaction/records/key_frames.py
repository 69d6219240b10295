"""AVA-style sets: key frames of an annotation csv with the video, or the folder of frames, that each is in.

A set of one's own has the same form (docs/detection.md): a csv of `video,second,x1,y1,x2,y2,action,person`, a label
map, and a folder that holds VIDEO.mp4 (or another suffix) or the frames VIDEO/img_00001.jpg, ... of each video.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np

from jaction.errors import InputError, nearest
from jaction.records.ava import KeyFrame, read_ava
from jaction.records.boxes_file import read_box_file
from jaction.records.record import Record
from jaction.records.text import shown

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v")
TEMPLATE = "img_{:05d}.jpg"
MISSING = ("raise", "skip")


@dataclasses.dataclass(frozen=True, slots=True)
class ClipRecord:
  """A key frame and the video that it is in.

  Fields:
    id: `video,0902`.
    source: of the video; what errors name.
    video: the file or the folder of frames.
    key: boxes, actions, proposals.
    start: seconds that the video's first frame stands for (AVA's cuts: 900).
    fps: frames a second of a folder; a video file knows its own.
  """

  id: str
  source: str
  video: Record
  key: KeyFrame
  start: float = 0.0
  fps: float = 30.0

  @property
  def detected(self) -> tuple[np.ndarray, np.ndarray]:
    """(boxes [R,4], scores [R]) to say actions of: the proposals, where there are none the annotated boxes."""
    boxes = self.key.proposals or self.key.boxes
    scores = self.key.scores or (1.0,) * len(boxes)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)


def read_key_frames(
  path: str | os.PathLike,
  media: str | os.PathLike,
  *,
  exclude: str | os.PathLike | None = None,
  proposals: str | os.PathLike | Mapping[str, np.ndarray] | None = None,
  num_classes: int = 81,
  classes: Sequence[int] | None = None,
  min_score: float = 0.9,
  max_proposals: int = 1000,
  start: float = 0.0,
  fps: float = 30.0,
  template: str = TEMPLATE,
  missing: str = "raise",
) -> list[ClipRecord]:
  """The key frames of a csv, in the file's order.

  Args:
    path, exclude, proposals, num_classes, classes, min_score, max_proposals: as `read_ava`.
    media: the folder of the videos, or of the folders of frames, by the names in the csv.
    start, fps: see ClipRecord. template: names of the images of a folder, counted from 1.
    missing: what becomes of key frames whose video is not there: "raise", or "skip".

  Raises InputError for a line that does not read, a video that is not there, proposals of which not one is for a key
  frame of the csv.
  """
  if missing not in MISSING:
    raise InputError(f"missing={missing!r}; wanted one of {', '.join(MISSING)}.{nearest(str(missing), MISSING)}")
  if not fps > 0:
    raise InputError(f"fps is {fps}; wanted frames per second, above 0")
  if proposals is not None and not isinstance(proposals, Mapping):
    name, proposals = os.fspath(proposals), read_box_file(proposals)
  else:
    name = "the proposals"
  frames = read_ava(
    path,
    exclude=exclude,
    proposals=proposals,
    num_classes=num_classes,
    classes=classes,
    min_score=min_score,
    max_proposals=max_proposals,
  )
  if proposals is not None and not any(frame.key in proposals for frame in frames):
    first = next(iter(proposals), "nothing")
    raise InputError(
      f"{name}: not one of its frames ({shown(first)}, ...) is among those of {path} ({frames[0].key}, ...)"
    )
  videos = {video: find_video(media, video, template) for video in dict.fromkeys(frame.video for frame in frames)}
  absent = [video for video, found in videos.items() if found is None]
  if absent and (missing == "raise" or len(absent) == len(videos)):
    raise InputError(
      f"{path}: {len(absent)} of {len(videos)} videos are not in {media} ({', '.join(absent[:5])}"
      f"{', ...' * (len(absent) > 5)}); wanted {absent[0]}{SUFFIXES[0]} or {absent[0]}/{template.format(1)}"
    )
  records = []
  for frame in frames:
    video = videos[frame.video]
    if video is not None:
      records.append(ClipRecord(frame.key, video.source, video, frame, start, fps))
  return records


def find_video(media: str | os.PathLike, name: str, template: str = TEMPLATE) -> Record | None:
  """The file or the folder of frames called `name`; None where there is neither."""
  if os.path.basename(name) != name or name in ("", ".", ".."):
    raise InputError(f"a video called {shown(name)}; wanted a name without a folder")
  path = os.path.join(os.fspath(media), name)
  if os.path.isdir(path):
    return Record(name, os.path.abspath(path), template=template, first=1)
  for candidate in (path, *(path + suffix for suffix in SUFFIXES)):
    if os.path.isfile(candidate):
      return Record(name, os.path.abspath(candidate))
  return None


def action_names(labels: Mapping[int, str], num_classes: int, classes: Sequence[int] | None = None) -> tuple[str, ...]:
  """A name for each of `num_classes` columns: column 0 is nobody's; with `classes` those, in their order."""
  wanted = range(1, num_classes) if classes is None else classes
  names = ["(nobody)"] + [labels.get(action, f"action {action}") for action in wanted]
  return tuple(names[:num_classes] + [f"action {k}" for k in range(len(names), num_classes)])
