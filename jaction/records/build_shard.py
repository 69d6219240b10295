"""One shard of a set: which bytes a record is made of, whether they can be decoded, and the facts that are kept."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter

from jaction.errors import InputError, MediaError
from jaction.records.array_records import count_records, holds_images, read_stored, source_of
from jaction.records.example import decode_example, encode_example
from jaction.records.frames import FrameFolder, decode_image, is_flow
from jaction.records.paths import exists, is_remote, join, read_remote
from jaction.records.record import Record
from jaction.records.video import Video

# One record a chunk, so that reading one reads no other; videos are compressed already.
_OPTIONS = "group_size:1,uncompressed"


def kind_of(splits: Mapping[str, Sequence[Record]]) -> tuple[str, str | None]:
  """("video", "frames" or "image"; "label", "labels" or None) of all records; InputError where they differ."""
  kinds: dict[tuple[str, str | None], str] = {}
  for records in splits.values():
    for record in records:
      if record.kind not in ("video", "image") or is_flow(record.template) or record.source.endswith(".npy"):
        held = "flow" if is_flow(record.template) else record.kind if record.kind != "video" else "npy"
        raise InputError(f"{record.source}: {held}; video files, images or folders of frames in colour were wanted")
      stored = "image" if record.kind == "image" else "video" if record.template is None else "frames"
      label = "label" if record.label is not None else "labels" if record.labels else None
      kinds.setdefault((stored, label), record.source)
  if len(kinds) != 1:
    shown = "; ".join(f"{stored} with {label or 'no label'}: {source}" for (stored, label), source in kinds.items())
    raise InputError(f"records of one kind were wanted, these differ: {shown or 'there are none'}")
  return next(iter(kinds))


def size_of(record: Record) -> int:
  """Bytes of the record's files, guessed from the first image of a folder; 0 where it is missing."""
  if record.data is not None:
    return len(record.data)
  if record.template is not None:
    path = join(record.source, record.template.format(record.first + record.offset))
    return _stat(path)[0] * (record.frames or 1)
  return _stat(record.source)[0]


def shard_facts(part: Sequence[Record]) -> str:
  """A digest of the records and of their files' sizes and times of change: another one, and the shard is done again."""
  rows = [[r.id, r.source, r.label, r.labels, r.known, r.frames, r.offset, r.template, *_state(r)] for r in part]
  return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def write_shard(
  path: str, part: Sequence[Record], stored: str, label: str | None, earlier: Mapping[str, Any] | None = None
) -> dict[str, Any]:
  """Writes the records that can be decoded to `path`, whole or not at all, and returns the facts about them.

  `earlier`: the facts about the shard that lies there.  What it holds of a source that is missing now is kept;
  InputError where that cannot be read any more, and then the shard stays as it is.
  """
  facts: dict[str, Any] = {"sources": shard_facts(part), "records": [], "missing": [], "damaged": []}
  temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
  writer = ArrayRecordWriter(temporary, _OPTIONS)
  try:
    for record in part:
      try:
        values = _kept(path, record, earlier) or _values(record)
        _check(record, values)
      except FileNotFoundError:
        facts["missing"].append({"id": record.id, "source": record.source, "error": f"{record.source}: missing"})
        continue
      except MediaError as error:
        facts["damaged"].append({"id": record.id, "source": record.source, "error": str(error)})
        continue
      features: dict[str, Any] = {"id": [record.id.encode(errors="surrogateescape")], stored: values}
      if label:
        features[label] = list(record.labels) if label == "labels" else [record.label]
      writer.write(encode_example(features))
      facts["records"].append(_row(record, values))
    writer.close()
    with open(temporary, "rb+") as file:
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except BaseException:
    if writer.is_open():
      writer.close()
    if os.path.exists(temporary):
      os.unlink(temporary)
    raise
  return facts | {"bytes": os.stat(path).st_size}


def _kept(path: str, record: Record, earlier: Mapping[str, Any] | None) -> list[bytes] | None:
  """What the shard holds of a record whose source is missing; None where it holds none, or the source is there."""
  if earlier is None or record.data is not None or exists(record.source):
    return None
  rows = {(row["id"], row["source"]): (number, row) for number, row in enumerate(earlier["records"])}
  if (record.id, record.source) not in rows:
    return None
  number, row = rows[record.id, record.source]
  source = source_of(path, number)
  reason = "its bytes are not those that were stored"
  try:
    for values in decode_example(read_stored(source), source).values():
      if _digest(values) == row["sha256"]:
        return [value for value in values if isinstance(value, bytes)]
  except MediaError as error:
    reason = str(error)
  raise InputError(
    f"{record.source}: is missing, and what was stored of it is damaged ({reason}); bring the file back, or move the "
    "shard away to go on without its records"
  )


def shard_holds(path: str, facts: Mapping[str, Any]) -> bool:
  """Whether the shard can be read, and its records' bytes have the hashes that the facts about it say."""
  try:
    if count_records(path) != len(facts["records"]):
      return False
    for number, row in enumerate(facts["records"]):
      source = source_of(path, number)
      features = decode_example(read_stored(source), source)
      if not any(_digest(values) == row["sha256"] for values in features.values()):
        return False
    return True
  except MediaError:
    return False


def _digest(values: Sequence[Any]) -> str:
  """SHA-256 of a feature's bytes; "" of one that holds none."""
  digest = hashlib.sha256()
  for value in values:
    if not isinstance(value, bytes):
      return ""
    digest.update(value)
  return digest.hexdigest()


def write_text(path: str, text: str) -> None:
  """The whole text, or what was there before."""
  temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
  with open(temporary, "w", encoding="utf-8") as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)


def _row(record: Record, values: Sequence[bytes]) -> dict[str, Any]:
  row: dict[str, Any] = {"id": record.id, "source": record.source, "sha256": _digest(values)}
  row["size"] = sum(map(len, values))
  if record.label is not None:
    row["label"] = record.label
  else:
    row["labels"] = list(record.labels)
  return row | ({"known": record.known} if record.known else {})


def _values(record: Record) -> list[bytes]:
  """The bytes of the file, or of each image. FileNotFoundError, MediaError."""
  if record.data is not None:
    return [record.data]
  if record.template is None:
    return [_read(record.source)]
  if not is_remote(record.source) and not os.path.isdir(record.source):
    raise FileNotFoundError(record.source)
  count = record.frames if record.frames is not None else FrameFolder(record).num_frames
  first = record.first + record.offset
  try:
    return [_read(join(record.source, record.template.format(first + i))) for i in range(count)]
  except FileNotFoundError as error:
    raise MediaError(f"{error}: there is no such image") from None


def _read(path: str) -> bytes:
  if is_remote(path):
    if not exists(path):
      raise FileNotFoundError(path)
    return read_remote(path)
  try:
    if not os.path.isfile(path) and os.path.exists(path):
      raise MediaError(f"{path}: is not a file")
    with open(path, "rb") as file:
      return file.read()
  except FileNotFoundError:
    raise FileNotFoundError(path) from None
  except OSError as error:
    raise MediaError(f"{path}: cannot be read ({error.strerror})") from None


def _check(record: Record, values: Sequence[bytes]) -> None:
  if record.kind == "video" and record.template is None:
    if not values[0]:
      raise MediaError(f"{record.source}: is empty, a video file was wanted")
    with Video(values[0], name=record.source):
      return
  for value in values:
    decode_image(value, record.source)
    if not holds_images(value):
      raise MediaError(f"{record.source}: an image that is neither JPEG nor PNG, which TFDS wants")


def _state(record: Record) -> tuple[int, int]:
  if record.data is not None:
    return len(record.data), 0
  return _stat(record.source)


def _stat(path: str) -> tuple[int, int]:
  """(bytes, time of change in ns), (0, 0) of what is missing or remote."""
  try:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns
  except (OSError, ValueError):
    return 0, 0
