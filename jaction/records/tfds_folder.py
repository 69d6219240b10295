"""TFDS folders in the form of ArrayRecord, read and written without tensorflow_datasets and without TensorFlow.

A folder holds features.json (what an example is made of), dataset_info.json (splits, and how many examples each shard
of them has), names of classes in <feature>.labels.txt, and the shards. Those that `jaction data build` writes also hold
manifest-<split>.json, which spares reading every example for its label.

A path names a split of a folder: "folder/train", or the folder alone where it has one split. What is no path is looked
for by TFDS's name, "ucf101/train" or "ucf101/ucf101_1:2.0.0/test", in $TFDS_DATA_DIR and ~/tensorflow_datasets; without
a version the newest is taken.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from jaction.errors import InputError, MediaError, nearest
from jaction.records.array_records import count_records, labelled, read_stored, source_of
from jaction.records.example import decode_example
from jaction.records.record import Record
from jaction.records.text import read_text

FEATURES, INFO = "features.json", "dataset_info.json"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_SCAN_THREADS = 4


class Shard(NamedTuple):
  """One file of a split, and how many examples dataset_info.json says it has."""

  path: str
  records: int


def is_tfds(path: str) -> bool:
  """Whether a path is a TFDS folder, or a split of one."""
  return any(os.path.isfile(os.path.join(folder, INFO)) for folder in (path, os.path.dirname(path)))


def tfds_rows(path: str, base: str, template: str) -> Iterator[tuple[str, Record]]:
  """The records of a split, from its manifest, or where it has none from its examples.

  Raises InputError for a set of another form, a missing shard, a split that is not there, MediaError for a shard that
  is truncated or does not fit its manifest.
  """
  folder, split = find_split(path)
  info, names = read_info(folder), chosen_features(folder)
  shards = _shards(folder, split, info)
  for shard in shards:
    if not os.path.isfile(shard.path):
      raise InputError(f"{shard.path}: the shard is missing, {folder} has {len(shards)} of split {split!r}")
  manifest = manifest_path(folder, split)
  if os.path.isfile(manifest):
    yield from _listed(folder, manifest, shards, names["stored"])
  else:
    with ThreadPoolExecutor(_SCAN_THREADS) as pool:
      for rows in pool.map(lambda shard: _scanned(shard, names), shards):
        yield from rows


def manifest_path(folder: str, split: str) -> str:
  return os.path.join(folder, f"manifest-{split}.json")


def read_json(path: str) -> dict[str, Any]:
  """A JSON file that holds an object; InputError, which names it, for anything else."""
  try:
    value = json.loads(read_text(path))
  except (json.JSONDecodeError, RecursionError) as error:
    raise InputError(f"{path}: no JSON ({error})") from None
  if not isinstance(value, dict):
    raise InputError(f"{path}: a JSON object was wanted")
  return value


def read_info(folder: str) -> dict[str, Any]:
  """dataset_info.json; InputError where the set is of another file format."""
  info = read_json(os.path.join(folder, INFO))
  form = info.get("fileFormat", "tfrecord")
  if form != "array_record":
    raise InputError(
      f"{folder}: its files are {form}; array_record was wanted, which tfds.builder(name, file_format='array_record') "
      "makes"
    )
  return info


def find_split(path: str) -> tuple[str, str]:
  """(folder, split) of a path or a name."""
  tried = [path]
  if not os.path.isabs(path):
    name = path.replace(":", "/")
    places = (os.environ.get("TFDS_DATA_DIR"), os.path.join("~", "tensorflow_datasets"))
    tried += [os.path.join(os.path.expanduser(place), name) for place in places if place]
  for one in tried:
    for folder, split in ((one, None), (os.path.dirname(one), os.path.basename(one))):
      inner = _with_version(folder)
      if inner is not None:
        return os.path.abspath(inner), _split(inner, split)
  raise InputError(
    f"{path}: no TFDS folder ({INFO} and {FEATURES} in it), nor a split of one; wanted 'folder/train', or a name such "
    f"as 'ucf101/train' of a set in {os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'}"
  )


def _with_version(folder: str) -> str | None:
  """The folder, or its newest version, that holds a set."""
  if os.path.isfile(os.path.join(folder, INFO)):
    return folder
  versions = [name for name in os.listdir(folder) if _VERSION.fullmatch(name)] if os.path.isdir(folder) else []
  for name in sorted(versions, key=lambda name: [int(part) for part in name.split(".")], reverse=True):
    if os.path.isfile(os.path.join(folder, name, INFO)):
      return os.path.join(folder, name)
  return None


def _split(folder: str, name: str | None) -> str:
  splits = [entry.get("name", "") for entry in read_info(folder).get("splits", [])]
  if name is None and len(splits) == 1:
    return splits[0]
  if name in splits:
    return name
  said = f"there is no split {name!r}" if name else "which split is not said"
  raise InputError(
    f"{folder}: {said}; it has {', '.join(splits) or 'none'}, wanted one of them behind the folder, as in "
    f"{os.path.join(folder, splits[0] if splits else 'train')}.{nearest(name or '', splits)}"
  )


def _shards(folder: str, split: str, info: dict[str, Any]) -> list[Shard]:
  entry = next(entry for entry in info["splits"] if entry.get("name") == split)
  try:
    lengths = [int(length) for length in entry.get("shardLengths", [])]
    template = (entry.get("filepathTemplate") or TEMPLATE).replace("{", "{{").replace("}", "}}")
    for field in re.findall(r"\{\{(\w+)\}\}", template):
      template = template.replace(f"{{{{{field}}}}}", f"{{{field}}}")
    return [
      Shard(
        os.path.join(
          folder,
          template.format(
            DATASET=info["name"],
            SPLIT=split,
            FILEFORMAT="array_record",
            SHARD_X_OF_Y=f"{number:05d}-of-{len(lengths):05d}",
            SHARD_INDEX=f"{number:05d}",
            NUM_SHARDS=f"{len(lengths):05d}",
          ),
        ),
        length,
      )
      for number, length in enumerate(lengths)
    ]
  except (KeyError, ValueError, TypeError) as error:
    raise InputError(f"{os.path.join(folder, INFO)}: split {split!r} cannot be understood ({error!r})") from None


def _listed(folder: str, manifest: str, shards: Sequence[Shard], stored: str | None) -> Iterator[tuple[str, Record]]:
  found = read_json(manifest)
  again = "; it was built in part or changed since: run `jaction data build` again"
  try:
    written = found["shards"]
    if [s["file"] for s in written] != [os.path.basename(s.path) for s in shards]:
      raise MediaError(f"{manifest}: lists {len(written)} shards, {INFO} has other ones ({len(shards)}){again}")
    for shard, facts in zip(shards, written, strict=True):
      size = os.stat(shard.path).st_size
      if size != facts["bytes"] or len(facts["records"]) != shard.records:
        raise MediaError(
          f"{shard.path}: {size} bytes and {shard.records} records by {INFO}, {facts['bytes']} and "
          f"{len(facts['records'])} by {os.path.basename(manifest)}: the shard is truncated, or the manifest is not "
          f"this set's{again}"
        )
      for number, row in enumerate(facts["records"]):
        source = source_of(shard.path, number)
        known = tuple(tuple(span) for span in row.get("known", ()))
        yield (
          f"{manifest}: {source}",
          Record(row["id"], source, row.get("label"), tuple(row.get("labels", ())), known=known, stored=stored),
        )
  except (KeyError, TypeError) as error:
    raise InputError(f"{manifest}: no manifest of `jaction data build` ({error!r})") from None


def _scanned(shard: Shard, names: dict[str, str | None]) -> list[tuple[str, Record]]:
  total = count_records(shard.path)
  if total != shard.records:
    raise MediaError(f"{shard.path}: {total} readable records, {INFO} says {shard.records}; the shard is truncated")
  rows = []
  for number in range(total):
    source = source_of(shard.path, number)
    rows.append((source, labelled(source, source, decode_example(read_stored(source), source), names)))
  return rows


def chosen_features(folder: str) -> dict[str, str | None]:
  """Which features hold the video ("stored"), "label", "labels" and "id", by features.json.

  The video is the feature of that kind called video, frames, image or clip, else the only one of its kind: a video or a
  sequence of images, then bytes, then an image. InputError where there is none, or it cannot be told.
  """
  path = os.path.join(folder, FEATURES)
  try:
    features = read_json(path)["featuresDict"]["features"]
    kinds = {name: _kind(feature) for name, feature in features.items()}
  except (KeyError, TypeError, AttributeError) as error:
    raise InputError(f"{path}: no features.json of TFDS 4.3 or newer ({error!r})") from None
  return {
    "stored": _stored(path, kinds),
    "label": _one(kinds, ("class",), "label") or ("label" if kinds.get("label") == "integer" else None),
    "labels": _one(kinds, ("classes",), "labels"),
    "id": next((n for n in ("id", "video_id", "name", "filename") if kinds.get(n) in ("text", "bytes")), None),
  }


def _stored(path: str, kinds: dict[str, str]) -> str:
  for name in ("video", "frames", "image", "clip"):
    if kinds.get(name) in ("frames", "bytes", "text", "image"):
      return name
  for kind in ("frames", "bytes", "image"):
    names = [name for name, found in kinds.items() if found == kind and name not in ("id", "video_id", "filename")]
    if len(names) == 1:
      return names[0]
    if names:
      raise InputError(f"{path}: {', '.join(names)} may each be the video; one called 'video' was wanted")
  held = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
  raise InputError(f"{path}: features {held}; encoded video bytes, a video, or a sequence of images was wanted")


def _one(kinds: dict[str, str], wanted: tuple[str, ...], preferred: str) -> str | None:
  names = [name for name, kind in kinds.items() if kind in wanted]
  return preferred if preferred in names else names[0] if len(names) == 1 else None


def _kind(feature: dict[str, Any]) -> str:
  name = feature["pythonClassName"].rpartition(".")[2]
  if name == "Sequence":
    return {"image": "frames", "class": "classes"}.get(_kind(feature["sequence"]["feature"]), "sequence")
  if name in ("Scalar", "Tensor") and not feature["tensor"].get("shape", {}).get("dimensions"):
    dtype = feature["tensor"].get("dtype", "")
    return "bytes" if dtype in ("string", "object") else "integer" if "int" in dtype else "number"
  return {"Video": "frames", "Image": "image", "ClassLabel": "class", "Text": "text"}.get(name, name)
