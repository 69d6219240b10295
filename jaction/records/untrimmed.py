"""Untrimmed videos cut into clips, of which some are known to show the class (OmniSource's Kinetics raw videos).

A text list has a line `folder label clips [positive ...]` a video; JSON is a list of objects with the members
video_dir, label, num_clips and positive_clip_inds. Clip i is the file `part_{i}.mp4` of the folder.
"""

import dataclasses
import os
from collections.abc import Iterator

from jaction.errors import InputError
from jaction.records.paths import absolute, join, parent
from jaction.records.record import Record
from jaction.records.text import Entry, file_name, listed, member, read_json_rows, shown, whole
from jaction.records.text_lists import Row, split_rows

CLIP_TEMPLATE = "part_{}.mp4"


@dataclasses.dataclass(frozen=True, slots=True)
class UntrimmedVideo:
  """A folder of clips of one video.

  Fields:
    id: the folder as the list has it.
    source: its absolute path.
    label: the class that the positive clips show.
    clips: how many clips the folder holds.
    positive: numbers of the clips, from 0 on, that show the class; () where none is known to.
  """

  id: str
  source: str
  label: int
  clips: int
  positive: tuple[int, ...]

  def clip(self, index: int, template: str = CLIP_TEMPLATE) -> Record:
    """Clip `index` as a video of its own."""
    if not 0 <= index < self.clips:
      raise InputError(f"{self.id}: there is no clip {index}, it has clips 0 to {self.clips - 1}")
    file = template.format(index)
    return Record(f"{self.id}/{file}", join(self.source, file), self.label)


def read_untrimmed(
  path: str | os.PathLike, *, root: str | os.PathLike | None = None, with_negative: bool = False
) -> list[UntrimmedVideo]:
  """The videos of a list, text or JSON, in its order; those without a positive clip only `with_negative`.

  `root` is what relative folders are relative to, by default the list's own folder. Raises InputError with "path:line".
  """
  path = os.fspath(path)
  base = absolute(os.fspath(root)) if root is not None else parent(path)
  videos = [video for _, video in _videos(path, base) if video.positive or with_negative]
  if not videos:
    raise InputError(f"{path}: no videos{'' if with_negative else ' with positive clips'} in it")
  return videos


def untrimmed_rows(path: str, base: str, template: str) -> Iterator[Row]:
  """Each positive clip of each video, as a video of its own."""
  for where, video in _videos(path, base):
    for index in video.positive:
      yield where, video.clip(index)


def from_entry(entry: Entry, base: str) -> UntrimmedVideo:
  """One object of the JSON form."""
  where = entry.where
  label = member(entry.value, "label", where)
  label = label[0] if isinstance(label, list) and len(label) == 1 else label
  positive = listed(member(entry.value, "positive_clip_inds", where), "positive_clip_inds", where)
  return _checked(
    where,
    base,
    file_name(member(entry.value, "video_dir", where), "video_dir", where),
    whole(label, "label", where),
    whole(member(entry.value, "num_clips", where), "num_clips", where),
    [whole(index, "positive clip", where) for index in positive],
  )


def _videos(path: str, base: str) -> Iterator[tuple[str, UntrimmedVideo]]:
  if os.path.splitext(path)[1].lower() in (".json", ".jsonl"):
    for entry in read_json_rows(path):
      yield entry.where, from_entry(entry, base)
    return
  for where, name, (label, clips, *positive) in split_rows(path, "folder label clips [positive ...]", 2, more=True):
    yield where, _checked(where, base, name, label, clips, positive)


def _checked(where: str, base: str, name: str, label: int, clips: int, positive: list[int]) -> UntrimmedVideo:
  wrong = [index for index in positive if not 0 <= index < clips]
  if clips < 1 or wrong:
    raise InputError(f"{where}: positive clips {shown(positive)} of {clips}; clips are numbered from 0 and below that")
  if label < 0:
    raise InputError(f"{where}: label {label}; 0 or more was wanted")
  return UntrimmedVideo(name, join(base, name), label, clips, tuple(positive))
