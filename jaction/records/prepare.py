"""The official annotation files of known datasets -> our lists: one plain function a dataset, in a table."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from jaction.errors import InputError, nearest
from jaction.records import prepare_classes, prepare_tasks
from jaction.records.lists import TEMPLATE
from jaction.records.prepare_files import Media, Output

DATASETS: dict[str, Callable[[Path, Output], None]] = {
  "ucf101": prepare_classes.ucf101,
  "hmdb51": prepare_classes.hmdb51,
  "kinetics400": prepare_classes.kinetics,
  "kinetics600": prepare_classes.kinetics,
  "kinetics700": prepare_classes.kinetics,
  "something_v1": prepare_classes.something_v1,
  "something_v2": prepare_classes.something_v2,
  "moments": prepare_classes.moments,
  "multi_moments": prepare_classes.multi_moments,
  "jester": prepare_classes.jester,
  "gym99": prepare_classes.gym99,
  "hvu": prepare_tasks.hvu,
  "activitynet": prepare_tasks.activitynet,
  "thumos14": prepare_tasks.thumos14,
  "ava": prepare_tasks.ava,
  "ucf101_24": prepare_tasks.ucf101_24,
  "jhmdb": prepare_tasks.jhmdb,
  "omnisource": prepare_tasks.omnisource,
}
CLASSES = {"ucf101": 101, "hmdb51": 51, "kinetics400": 400, "kinetics600": 600, "kinetics700": 700,
           "something_v1": 174, "something_v2": 174, "jester": 27, "gym99": 99, "activitynet": 200, "thumos14": 20,
           "ucf101_24": 24, "jhmdb": 21, "omnisource": 200}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
  """What `prepare` wrote.

  Fields:
    folder: where the lists are.
    counts: (found, missing) videos of each list.
    classes: the names, in label order; () where the annotation files have none.
    expected: how many classes the published set has, or None.
    media: how many videos or folders of frames lie in the media folder.
  """

  folder: Path
  counts: dict[str, tuple[int, int]]
  classes: tuple[str, ...]
  expected: int | None
  media: int


def prepare(
  name: str,
  annotations: str | os.PathLike,
  media: str | os.PathLike,
  output: str | os.PathLike,
  *,
  frames: bool = False,
  template: str = TEMPLATE,
) -> Prepared:
  """Writes the lists of a dataset, and missing.txt with what the annotation files name and the media folder lacks.

  Args:
    name: a key of DATASETS.
    annotations: the folder of the official annotation files.
    media: the folder of the videos, in any arrangement in which their names tell them apart.
    output: where to write. Lists name files relative to it where they lie inside, else by absolute paths.
    frames: the media are folders of images, not videos.
    template: names of those images.

  Raises InputError, with "path:line" where it is a line, for absent or damaged annotation files, and where not one
  video of any list is there.
  """
  if name not in DATASETS:
    raise InputError(f"no dataset {name!r}.{nearest(name, DATASETS)} There are {', '.join(DATASETS)}.")
  if not os.path.isdir(annotations):
    raise InputError(f"{annotations}: there is no such folder (the official annotation files were wanted)")
  found = Media(media, frames=frames, template=template)
  out = Output(output, found)
  DATASETS[name](Path(annotations), out)
  (out.folder / "missing.txt").write_text("".join(f"{line}\n" for line in out.missing), "utf-8")
  if not any(there for there, _ in out.counts.values()):
    kind = f"folders of {template} images" if frames else "videos"
    raise InputError(
      f"{media}: holds {len(found)} {kind}, none of which the annotation files name; the first missing one is "
      f"{out.missing[0].split(chr(9))[-1] if out.missing else 'none'}"
    )
  return Prepared(out.folder, out.counts, out.classes, CLASSES.get(name), len(found))
