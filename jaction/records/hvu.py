"""HVU: a video has tags of several categories, and a category nobody tagged it in says nothing about it.

JSON as MMAction2 writes it: a list of objects with filename, or frame_dir and total_frames, and a label
{category: [tag, ...]} in which absent categories are missing. The classes of all categories stand behind each other.
(Diba et al., "Large Scale Holistic Video Understanding", ECCV 2020.)
"""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping

import numpy as np

from jaction.errors import InputError, nearest
from jaction.records.json_lists import source_record
from jaction.records.record import Record
from jaction.records.text import listed, member, read_json_rows, shown, whole
from jaction.records.text_lists import Row

# The order and sizes of HVU 1.0, table 1 of the paper; MMAction2's head has the same order.
HVU_CATEGORIES = {"action": 739, "attribute": 117, "concept": 291, "event": 69, "object": 1678, "scene": 248}


def ranges(categories: Mapping[str, int]) -> dict[str, tuple[int, int]]:
  """The classes [low, high) of each category."""
  ends = list(itertools.accumulate(categories.values()))
  return {name: (end - size, end) for (name, size), end in zip(categories.items(), ends, strict=True)}


def hvu_rows(path: str | os.PathLike, base: str, template: str, categories: Mapping[str, int]) -> Iterator[Row]:
  """Records whose labels count over all categories, and whose `known` ranges are the categories that are there."""
  known = ranges(categories)
  for entry in read_json_rows(path):
    where = entry.where
    label = member(entry.value, "label", where)
    if not isinstance(label, dict):
      raise InputError(f"{where}: label {shown(label)}; an object of a list of tags a category was wanted")
    labels = []
    for name, tags in label.items():
      if name not in known:
        names = ", ".join(known)
        raise InputError(f"{where}: no category {shown(name)}; there are {names}.{nearest(name, known)}")
      low, high = known[name]
      for tag in listed(tags, f"the tags of {name}", where):
        if not 0 <= whole(tag, "tag", where) < high - low:
          raise InputError(f"{where}: tag {tag} of {name}, whose tags are numbered from 0 to {high - low - 1}")
        labels.append(low + tag)
    record = source_record(entry, base, template, None, tuple(labels))
    spans = tuple(known[name] for name in known if name in label)
    yield where, dataclasses.replace(record, known=spans or ((0, 0),))  # () would say that all was looked for


def tags(record: Record, categories: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
  """A record's tags by category again; categories that it knows nothing about are missing."""
  found = {}
  for name, (low, high) in ranges(categories).items():
    if (low, high) in record.known:
      found[name] = tuple(label - low for label in record.labels if low <= label < high)
  return found


def targets(record: Record, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
  """What a multi-label loss wants: (labels, mask), float32 [K] each, both of zeros and ones.

  The mask is one for the classes that somebody looked for: those of `record.known`, or all of them where it is empty.
  """
  hot, mask = np.zeros(num_classes, np.float32), np.zeros(num_classes, np.float32)
  if not all(0 <= label < num_classes for label in record.labels):
    raise InputError(f"{record.id}: labels {shown(record.labels)} outside the {num_classes} classes")
  hot[list(record.labels)] = 1
  for low, high in record.known or ((0, num_classes),):
    mask[low:high] = 1
  return hot, mask


def category_mask(record: Record, categories: Mapping[str, int]) -> np.ndarray:
  """float32 [number of categories]: one where the record has tags of that category."""
  known = ranges(categories)
  return np.array([span in record.known for span in known.values()], np.float32)
