"""Annotations of other tools -> AVA's form: COCO's JSON and CVAT's XML.

What comes out is a csv of key frames, one for each whole second that is annotated, and a label map.
"""

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any, NamedTuple

from jaction.errors import InputError
from jaction.records.ava import KeyFrame
from jaction.records.text import listed, member, real, shown, whole

Box = tuple[float, float, float, float]
FRAME = re.compile(r"(?:.*/)?([^/,]+)[/,](?:\D*?)(\d+)\.[A-Za-z]+$")  # VIDEO/0902.jpg, VIDEO,0902.jpg


class Row(NamedTuple):
  """One person with one action at one second."""

  video: str
  second: int
  box: Box
  action: str
  person: int


def import_coco(path: str | os.PathLike) -> tuple[list[KeyFrame], dict[int, str]]:
  """(key frames, {action: name}) of a COCO file of boxes whose categories are actions.

  An image is a key frame: it has `video` and `second`, or a file_name VIDEO/0902.jpg or VIDEO,0902.jpg.  A box with
  several actions stands there once for each, or has "attributes": {"actions": [names]} besides its category.  Category
  ids become actions where they are whole numbers from 1 on.  `track_id` is the person; without it boxes count along.
  Raises InputError that names the image or annotation.
  """
  path = os.fspath(path)
  try:
    with open(path, encoding="utf-8") as file:
      data = json.load(file)
  except (OSError, ValueError, RecursionError) as error:
    raise InputError(f"{path}: no JSON that can be read ({shown(str(error))})") from None
  labels: dict[int, str] = {}
  for number, entry in enumerate(listed(member(data, "categories", path), "categories", path)):
    where = f"{path}: categories[{number}]"
    action = whole(str(member(entry, "id", where)), "id", where)
    if action < 1 or action in labels:
      raise InputError(f"{where}: id {action}; actions count from 1 on, each once")
    labels[action] = str(member(entry, "name", where))
  images = {}
  for number, entry in enumerate(listed(member(data, "images", path), "images", path)):
    where = f"{path}: images[{number}]"
    images[member(entry, "id", where)] = (*_key(entry, where), *_size(entry, where))
  known = {name: action for action, name in labels.items()}
  rows = []
  for number, entry in enumerate(listed(member(data, "annotations", path), "annotations", path)):
    where = f"{path}: annotations[{number}]"
    image = member(entry, "image_id", where)
    if image not in images:
      raise InputError(f"{where}: image_id {shown(image)} is of no image")
    video, second, width, height = images[image]
    sides = [real(str(side), "bbox", where) for side in listed(member(entry, "bbox", where), "bbox", where)]
    if len(sides) != 4:
      raise InputError(f"{where}: a bbox of {len(sides)} numbers; x, y, width, height were wanted")
    x, y, w, h = sides
    box = _box((x / width, y / height, (x + w) / width, (y + h) / height), where)
    category = member(entry, "category_id", where)
    if category not in labels:
      raise InputError(f"{where}: category_id {shown(category)} is of no category")
    names = [labels[category]]
    extra = entry.get("attributes", {}).get("actions", []) if isinstance(entry.get("attributes", {}), dict) else []
    for name in listed(extra, "actions", where):
      if name not in known:
        raise InputError(f"{where}: the action {shown(name)} is no category")
      names.append(name)
    person = entry.get("track_id", entry.get("id", number))
    rows += [Row(video, second, box, name, whole(str(person), "track_id", where)) for name in dict.fromkeys(names)]
  return _key_frames(path, rows, known), labels


def import_cvat(
  path: str | os.PathLike, *, fps: float = 30.0, start: float = 0.0, video: str | None = None
) -> tuple[list[KeyFrame], dict[int, str]]:
  """(key frames, {action: name}) of a CVAT export, "CVAT for video 1.1" (tracks) or "for images 1.1".

  Of a video the boxes of the frames that lie on whole seconds are taken; `start` is the second of frame 0.  An image
  is a key frame by its name, as in `import_coco`.  A box's actions are its attributes: the value of a text or a choice
  (but for "none"), the name of a checkbox that is set; without attributes, its label.  `video` is the name in the csv;
  None: that of the task's source file, or of the task.
  """
  path = os.fspath(path)
  if not fps > 0:
    raise InputError(f"fps is {fps}; wanted frames per second, above 0")
  try:
    root = ElementTree.parse(path).getroot()
  except (OSError, ElementTree.ParseError) as error:
    raise InputError(f"{path}: no XML that can be read ({shown(str(error))})") from None
  if root.tag != "annotations":
    raise InputError(f"{path}: an XML of <{root.tag}>; CVAT's <annotations> were wanted")
  rows = [*_tracks(path, root, fps, start, video), *_images(path, root)]
  known: dict[str, int] = {}
  for name in [*_declared(root), *(row.action for row in rows)]:
    if any(row.action == name for row in rows):
      known.setdefault(name, len(known) + 1)
  return _key_frames(path, rows, known), {action: name for name, action in known.items()}


def _tracks(path: str, root: Any, fps: float, start: float, video: str | None) -> Iterator[Row]:
  tracks = root.findall("track")
  if not tracks:
    return
  size = next(iter(root.iter("original_size")), None)
  if size is None:
    raise InputError(f"{path}: tracks without <original_size>, which says how many pixels the video has")
  width, height = (real(size.findtext(side) or "", side, f"{path}: <original_size>") for side in ("width", "height"))
  source = next((root.findtext(name) for name in (".//source", ".//task/name") if root.findtext(name)), None)
  video = video or (os.path.splitext(os.path.basename(source))[0] if source else None)
  if not video:
    raise InputError(f"{path}: it does not say which video it is of; give a name")
  for number, track in enumerate(tracks):
    person = whole(track.get("id", str(number)), "id", f"{path}: track {number}")
    for box in track.findall("box"):
      where = f"{path}: track {track.get('id')}, frame {box.get('frame')}"
      frame = whole(box.get("frame", ""), "frame", where)
      second = round(start + frame / fps)
      if box.get("outside") == "1" or frame != round((second - start) * fps):
        continue
      sides = _box(_corners(box, width, height, where), where)
      for action in _actions(box, track.get("label", "")):
        yield Row(video, second, sides, action, person)


def _images(path: str, root: Any) -> Iterator[Row]:
  for image in root.findall("image"):
    where = f"{path}: image {image.get('name')}"
    video, second = _named(image.get("name", ""), where)
    width, height = (real(image.get(side, ""), side, where) for side in ("width", "height"))
    for number, box in enumerate(image.findall("box")):
      sides = _box(_corners(box, width, height, where), where)
      for action in _actions(box, box.get("label", "")):
        yield Row(video, second, sides, action, number)


def _corners(box: Any, width: float, height: float, where: str) -> Box:
  x1, y1, x2, y2 = (real(box.get(side, ""), side, where) for side in ("xtl", "ytl", "xbr", "ybr"))
  return x1 / width, y1 / height, x2 / width, y2 / height


def _actions(box: Any, label: str) -> list[str]:
  found = []
  for attribute in box.findall("attribute"):
    name, value = attribute.get("name", ""), (attribute.text or "").strip()
    if value.lower() == "true":
      found.append(name)
    elif value.lower() not in ("false", "none", "", "__undefined__"):
      found.append(value)
  if not box.findall("attribute"):
    found.append(label)
  return list(dict.fromkeys(found))


def _declared(root: Any) -> Iterator[str]:
  """Names in the order in which the task declares them: its attributes and their values, its labels."""
  for label in root.iter("label"):
    for attribute in label.iter("attribute"):
      yield attribute.findtext("name") or ""
      yield from (attribute.findtext("values") or "").split("\n")
    yield label.findtext("name") or ""


def _key(image: Any, where: str) -> tuple[str, int]:
  if isinstance(image, dict) and "video" in image and "second" in image:
    return str(image["video"]), whole(str(image["second"]), "second", where)
  return _named(str(member(image, "file_name", where)), where)


def _named(name: str, where: str) -> tuple[str, int]:
  match = FRAME.match(name)
  if not match:
    raise InputError(f"{where}: {shown(name)}; VIDEO/0902.jpg or VIDEO,0902.jpg, the second in its name, was wanted")
  return match[1], int(match[2])


def _size(image: Any, where: str) -> tuple[float, float]:
  width, height = (real(str(member(image, side, where)), side, where) for side in ("width", "height"))
  if min(width, height) <= 0:
    raise InputError(f"{where}: {width:g} x {height:g} pixels")
  return width, height


def _box(box: Box, where: str) -> Box:
  x1, y1, x2, y2 = box
  if not (x1 < x2 and y1 < y2) or x2 <= 0 or y2 <= 0 or x1 >= 1 or y1 >= 1:
    raise InputError(f"{where}: the box {', '.join(f'{side:.3f}' for side in box)} has no area in the picture")
  return tuple(round(min(max(side, 0.0), 1.0), 4) for side in box)  # type: ignore[return-value]


def _key_frames(path: str, rows: list[Row], known: dict[str, int]) -> list[KeyFrame]:
  if not rows:
    raise InputError(f"{path}: no boxes at whole seconds in it")
  frames: dict[tuple[str, int], dict[tuple[Box, int], list[int]]] = {}
  for row in rows:
    people = frames.setdefault((row.video, row.second), {})
    people.setdefault((row.box, row.person), []).append(known[row.action])
  return [
    KeyFrame(
      video,
      second,
      tuple(box for box, _ in people),
      tuple(tuple(sorted(set(actions))) for actions in people.values()),
      tuple(person for _, person in people),
    )
    for (video, second), people in sorted(frames.items())
  ]
