"""Lists of videos -> a TFDS folder of ArrayRecord shards, built in parallel; what was interrupted is finished later.

Files are stored as they are, byte for byte. Records of a list go to shards in their order, in equal parts. A shard and
the facts about it (manifest-<split>.parts/) are written under other names and then renamed; a shard whose facts fit its
sources is not done again. manifest-<split>.json holds them all in the end: each record's id, label, size and SHA-256,
and what is missing or damaged and thus left out.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from jaction.errors import InputError
from jaction.records.build_shard import kind_of, shard_facts, shard_holds, size_of, write_shard, write_text
from jaction.records.record import Record
from jaction.records.tfds_files import features_json, info_json, shard_name
from jaction.records.tfds_folder import FEATURES, INFO, manifest_path, read_json

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Built:
  """What a build left behind.

  Fields:
    folder: absolute path of the set.
    counts: by split, how many records were "listed", and of them "stored", "missing" and "damaged".
    shards, made: how many shards there are, and how many of them were written now.
    size: bytes of all shards.
  """

  folder: str
  counts: dict[str, dict[str, int]]
  shards: int
  made: int
  size: int


def build_set(
  splits: Mapping[str, Sequence[Record]],
  output: str | os.PathLike,
  *,
  name: str | None = None,
  classes: Sequence[str] = (),
  shard_mb: float = 256,
  workers: int = 2,
  verify: bool = False,
  progress: Callable[[int, int], None] | None = None,
) -> Built:
  """Writes each split into the folder `output`, finishes an interrupted one, or finds it complete.

  splits: name -> records: video files, images, or folders of JPEG or PNG frames, of one kind all of them.
  name: of the set, by default the folder's (its parent's where the folder is a version such as 1.0.0).
  classes: their names in label order; () where only their number is to be stored.
  shard_mb: megabytes that a shard aims at; one that is begun keeps its shards.
  workers: threads; reading, hashing, checking and writing leave the interpreter free. The files do not depend on it.
  verify: reads the shards that are there already, and makes those again whose records are not what the manifest says.
  progress: called as progress(done, total), in shards.

  Splits of earlier builds stay. Raises InputError where the folder holds something else, a split of another list, other
  classes, where another build is at work there, or where nothing of a split can be stored.
  """
  folder = os.path.abspath(os.path.expanduser(os.fspath(output)))
  if workers < 1 or not 0.001 <= shard_mb <= 1e6:
    raise InputError(f"workers={workers}, shard_mb={shard_mb}: wanted one worker or more, shards of 0.001 to 1e6 MB")
  stored, label = kind_of(splits)
  top = max((value for records in splits.values() for r in records for value in _labels(r)), default=-1)
  if classes and top >= len(classes):
    raise InputError(f"{folder}: label {top} has no name, there are {len(classes)}")
  _check_names(name, splits)
  os.makedirs(folder, exist_ok=True)
  with _alone(folder):
    name = _begin(folder, name, stored, label, len(classes) or top + 1, bool(classes))
    if label and classes:
      write_text(os.path.join(folder, f"{label}.labels.txt"), "".join(f"{one}\n" for one in classes))
    plans = {split: _plan(folder, split, records, shard_mb) for split, records in splits.items()}
    every = [(split, n, part) for split, plan in plans.items() for n, part in enumerate(plan["parts"])]

    def is_made(one: tuple[str, int, list[Record]]) -> bool:
      split, number, part = one
      file = shard_name(name, split, number, len(plans[split]["parts"]))
      return _is_made(folder, file, plans[split], number, part, verify)

    total = len(every)
    with ThreadPoolExecutor(workers) as pool:
      todo = [one for one, made in zip(every, pool.map(is_made, every), strict=True) if not made]
      done = total - len(todo)
      jobs = []
      for split, number, part in todo:
        path = os.path.join(folder, shard_name(name, split, number, len(plans[split]["parts"])))
        earlier = plans[split]["known"].get(number) if os.path.isfile(path) else None
        jobs.append(pool.submit(_make, path, _part_path(folder, split, number), part, stored, label, earlier))
      try:
        for job in as_completed(jobs):
          job.result()
          done += 1
          if progress:
            progress(done, total)
      except BaseException:
        pool.shutdown(cancel_futures=True)  # those at work finish their shard
        raise
    return _finish(folder, name, plans, len(todo))


def _labels(record: Record) -> tuple[int, ...]:
  return record.labels if record.label is None else (record.label,)


def _name_of(folder: str) -> str:
  base = os.path.basename(folder)
  base = os.path.basename(os.path.dirname(folder)) if re.fullmatch(r"\d+\.\d+\.\d+", base) else base
  return re.sub(r"\W+", "_", base).strip("_").lower() or "videos"


def _check_names(name: str | None, splits: Mapping[str, Sequence[Record]]) -> None:
  for what, one in (("name of a set", name or "x"), *(("split", split) for split in splits)):
    if not re.fullmatch(r"[A-Za-z]\w*", one):
      raise InputError(f"{one!r} cannot be the {what}: letters, digits and _ were wanted, a letter first")


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
  """One build at a time in a folder; the lock ends with the process, however that ends."""
  with open(os.path.join(folder, ".build.lock"), "w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise InputError(f"{folder}: another build is at work there") from None
    yield


def _begin(folder: str, name: str | None, stored: str, label: str | None, num_classes: int, exact: bool) -> str:
  """Writes features.json, or sees that it fits; the set's name, which an older build may have chosen."""
  begun = os.path.join(folder, "build.json")
  if not os.path.isfile(begun):
    others = [e for e in os.listdir(folder) if not e.startswith(".") and e not in (FEATURES, f"{label}.labels.txt")]
    if others:
      raise InputError(f"{folder} is not empty and holds no set of `jaction data build`; choose a new folder")
    facts = {
      "version": VERSION,
      "name": name or _name_of(folder),
      "stored": stored,
      "label": label,
      "classes": num_classes,
    }
    write_text(os.path.join(folder, FEATURES), features_json(stored, label, num_classes))
    write_text(begun, json.dumps(facts) + "\n")
    return facts["name"]
  found = read_json(begun)
  asked = {"version": VERSION, "stored": stored, "label": label} | ({"name": name} if name else {})
  there = {key: found.get(key) for key in asked}
  held = int(found.get("classes", 0))
  if there != asked or num_classes > held or (exact and num_classes != held):
    raise InputError(
      f"{folder} was begun with {there} and {held} classes, now came {asked} and {num_classes}; choose another folder, "
      "or name all classes (--labels) from the first split on"
    )
  return str(found["name"])


def _plan(folder: str, split: str, records: Sequence[Record], shard_mb: float) -> dict[str, Any]:
  """{"digest": of the list, "parts": the records of each shard, "known": {number: facts of a shard made before}}."""
  if not records:
    raise InputError(f"split {split!r} has no records")
  rows = [[r.id, r.source, r.label, r.labels, r.known, r.frames, r.offset, r.template, r.first] for r in records]
  digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
  shelf, known, count = os.path.dirname(_part_path(folder, split, 0)), {}, 0
  manifest, plan = manifest_path(folder, split), os.path.join(shelf, "plan.json")
  for path in (manifest, plan):
    if os.path.isfile(path):
      found = read_json(path)
      if found.get("list") != digest:
        raise InputError(f"{path} is of another list than split {split!r} has now; choose another folder or split")
      count = int(found.get("count", 0))
      known |= dict(enumerate(found.get("shards", [])))
  if not count:
    size = sum(size_of(record) for record in records)
    count = min(len(records), max(1, -(-size // int(shard_mb * 1e6))))
  os.makedirs(shelf, exist_ok=True)
  write_text(plan, json.dumps({"list": digest, "count": count}))
  for number in range(count):
    if os.path.isfile(_part_path(folder, split, number)):
      known[number] = read_json(_part_path(folder, split, number))
  bounds = [len(records) * i // count for i in range(count + 1)]
  parts = [list(records[a:b]) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
  return {"digest": digest, "parts": parts, "known": known}


def _part_path(folder: str, split: str, number: int) -> str:
  return os.path.join(folder, f"manifest-{split}.parts", f"{number:05d}.json")


def _is_made(folder: str, file: str, plan: dict[str, Any], number: int, part: Sequence[Record], verify: bool) -> bool:
  facts = plan["known"].get(number)
  path = os.path.join(folder, file)
  return (
    facts is not None
    and os.path.isfile(path)
    and os.stat(path).st_size == facts.get("bytes")
    and facts.get("sources") == shard_facts(part)
    and (not verify or shard_holds(path, facts))
  )


def _make(
  path: str,
  facts_path: str,
  part: Sequence[Record],
  stored: str,
  label: str | None,
  earlier: dict[str, Any] | None,
) -> None:
  try:
    facts = write_shard(path, part, stored, label, earlier)
  except RuntimeError as error:  # what ArrayRecord says where a disk is full
    raise InputError(f"{path}: cannot be written ({str(error).splitlines()[0][:200]})") from None
  write_text(facts_path, json.dumps(facts))


def _finish(folder: str, name: str, plans: dict[str, dict[str, Any]], made: int) -> Built:
  info = os.path.join(folder, INFO)
  splits: dict[str, tuple[list[int], int]] = {}
  if os.path.isfile(info):
    for entry in read_json(info).get("splits", []):
      splits[entry["name"]] = [int(n) for n in entry["shardLengths"]], int(entry["numBytes"])
  counts, size = {}, 0
  for split, plan in plans.items():
    count = len(plan["parts"])
    parts = {n: read_json(_part_path(folder, split, n)) for n in range(count)
             if os.path.isfile(_part_path(folder, split, n))}  # fmt: skip
    shards = [{"file": shard_name(name, split, n, count)} | (parts.get(n) or plan["known"][n]) for n in range(count)]
    counts[split] = {"listed": sum(map(len, plan["parts"]))} | {
      to: sum(len(shard[key]) for shard in shards)
      for to, key in (("stored", "records"), ("missing", "missing"), ("damaged", "damaged"))
    }
    if not counts[split]["stored"]:
      first = next(row["error"] for shard in shards for key in ("missing", "damaged") for row in shard[key])
      raise InputError(f"nothing of split {split!r} can be stored: {first}")
    manifest = {"version": VERSION, "split": split, "list": plan["digest"], "count": count, "counts": counts[split]}
    write_text(manifest_path(folder, split), json.dumps(manifest | {"shards": shards}))
    splits[split] = [len(shard["records"]) for shard in shards], sum(shard["bytes"] for shard in shards)
    size += splits[split][1]
  write_text(info, info_json(name, splits))
  for split in plans:
    shutil.rmtree(os.path.dirname(_part_path(folder, split, 0)))
  return Built(folder, counts, sum(len(plan["parts"]) for plan in plans.values()), made, size)
