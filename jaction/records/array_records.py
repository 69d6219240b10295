"""ArrayRecord shards: many videos in one file, each found by its number (github.com/google/array_record).

A record in a shard is a tf.train.Example; its record here has the source "shard#number" and says in `stored` which of
the example's features holds the bytes: one whole video file, or the frames as JPEG or PNG images, which is how TFDS
stores its video feature.

Readers are opened where they are used: each process has its own, any thread may read, and a `Record` pickles as text.
"""

import collections
import glob
import os
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader

from jaction.errors import InputError, MediaError, nearest
from jaction.records.example import Values, decode_example
from jaction.records.record import Record
from jaction.records.shard_files import Places, StoredFile, mark

SUFFIX = ".array_record"
IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n")  # how the images begin that TFDS stores
OPEN = 128  # shards held open in a process
# Nothing is read ahead and no pool of threads is used: reads are random, and a forked child has no such threads.
_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
_NUMBERED = re.compile(r"-(\d+)-of-(\d+)$")


def _keep_freed_memory() -> None:
  """From here on this process keeps up to 62 MiB of what it frees at the end of each of glibc's arenas (one a thread).

  The reader copies a record several times.  glibc gives such memory back to the system at once, and getting it again,
  page by page, takes four times as long as the reading: 1.5 of 2.2 ms for a record of 1.1 MB.  glibc stops this for
  sizes up to the largest mapped block that was ever freed (mallopt(3), M_MMAP_THRESHOLD; 32 MiB at most), so one is
  freed; its pages are never touched.  Elsewhere it is one allocation, without effect.
  """
  np.empty(31 << 20, np.uint8)


class _Readers:
  """The shards open in this process, those used last kept."""

  def __init__(self):
    self._open: collections.OrderedDict[str, tuple[tuple, Any]] = collections.OrderedDict()
    self._lock = threading.Lock()
    self._forsaken: list[Any] = []

  def get(self, path: str) -> Any:
    """The reader of a shard; one that was written anew is opened anew. MediaError where it is missing."""
    try:
      stat = os.stat(path)
    except OSError as error:
      raise MediaError(f"{path}: the shard cannot be opened ({error.strerror})") from None
    now = mark(stat)
    with self._lock:
      known = self._open.get(path)
      if known is not None and known[0] == now:
        self._open.move_to_end(path)
        return known[1]
      if not os.path.isfile(path):
        raise MediaError(f"{path}: is not a file, an ArrayRecord shard was wanted")
      if not self._open:
        _keep_freed_memory()
      try:
        reader = ArrayRecordReader(path, _OPTIONS)
      except (RuntimeError, ValueError) as error:
        raise MediaError(f"{path}: no ArrayRecord shard that can be read ({error})") from None
      self._open[path] = now, reader
      while len(self._open) > OPEN:
        self._open.popitem(last=False)
      return reader

  def after_fork(self) -> None:
    """A child opens its own, and never closes its parent's: they share the place in the file."""
    self._forsaken += [reader for _, reader in self._open.values()]
    self._open, self._lock = collections.OrderedDict(), threading.Lock()


_READERS = _Readers()
_PLACES = Places()
if hasattr(os, "register_at_fork"):
  os.register_at_fork(after_in_child=_READERS.after_fork)


def source_of(path: str, number: int) -> str:
  """The source of record `number` of a shard."""
  return f"{path}#{number}"


def count_records(path: str) -> int:
  """How many records a shard holds; MediaError where it is missing. A truncated shard, and an empty one, hold 0."""
  return _READERS.get(path).num_records()


def read_stored(source: str) -> bytes:
  """The bytes of record "shard#number".

  Raises MediaError, which names it, for a missing, truncated or damaged shard, InputError for a number outside it.
  """
  path, index = _place(source)
  reader = _READERS.get(path)
  total = reader.num_records()
  if not total:
    raise MediaError(
      f"{source}: the shard has no readable record; it is truncated or damaged, build it again (--verify)"
    )
  if index >= total:
    raise InputError(f"{source}: the shard has records 0 to {total - 1}")
  try:
    return reader.read([index])[0]
  except (RuntimeError, ValueError, IndexError) as error:
    raise MediaError(f"{source}: the shard is damaged there ({str(error).splitlines()[0][:200]})") from None


def _place(source: str) -> tuple[str, int]:
  """(shard, number)."""
  path, _, number = source.rpartition("#")
  if not path or not number.isdecimal():
    raise InputError(f"{source}: names no record of a shard; 'path/train{SUFFIX}-00000-of-00004#17' was wanted")
  return path, int(number)


def stored_file(record: Record) -> StoredFile | None:
  """The video of a record that `stored_values` has read before, open where it lies; None of any other."""
  return _PLACES.open(*_place(record.source), record.stored or "")


def stored_values(record: Record) -> list[bytes]:
  """The video file, or the frames, of a record that lies in a shard: at least one value, as `holds_images` tells."""
  example = read_stored(record.source)
  features = decode_example(example, record.source)
  values = features.get(record.stored or "")
  if not values or not isinstance(values[0], bytes):
    near = nearest(record.stored or "", features)
    raise MediaError(f"{record.source}: no bytes {record.stored!r} among its features {', '.join(features)}.{near}")
  if len(values) > 1 and not holds_images(values[0]):
    raise MediaError(f"{record.source}: {len(values)} values in {record.stored!r} that are no JPEG or PNG images")
  if len(values) == 1 and not holds_images(values[0]):
    _PLACES.learn(*_place(record.source), record.stored or "", example, values[0])
  return [value for value in values if isinstance(value, bytes)]


def holds_images(value: bytes) -> bool:
  """Whether a stored value is an image, so that the values are frames, and not a video file."""
  return value.startswith(IMAGES)


def shard_paths(path: str) -> list[str]:
  """The shards that a path names: a file, or what stands before their "-00000-of-00004". InputError: one is missing."""
  if os.path.isfile(path):
    return [path]
  found = sorted(p for p in glob.glob(f"{glob.escape(path)}-*-of-*") if _NUMBERED.search(p))
  if not found:
    raise InputError(f"{path}: no ArrayRecord shard, and no {os.path.basename(path)}-00000-of-... beside it")
  counts = {int(_NUMBERED.search(p)[2]) for p in found}  # pyright: ignore[reportOptionalSubscript]
  if len(counts) > 1:
    raise InputError(f"{path}: shards of several sets, of {' and of '.join(map(str, sorted(counts)))}")
  numbers = {int(_NUMBERED.search(p)[1]) for p in found}  # pyright: ignore[reportOptionalSubscript]
  missing = sorted(set(range(counts.pop())) - numbers)
  if missing:
    raise InputError(f"{path}: shard {missing[0]} is missing ({len(missing)} of {len(missing) + len(numbers)} are)")
  return found


def labelled(where: str, source: str, features: dict[str, Values], names: dict[str, str | None]) -> Record:
  """A record of the example at `source`; `names` says which feature is its id, label, labels and bytes ("stored")."""

  def integers(kind: str) -> tuple[int, ...]:
    values = features.get(names.get(kind) or "", [])
    if any(not isinstance(value, int) for value in values):
      raise InputError(f"{where}: the feature {names[kind]!r} holds no whole numbers, a label was wanted")
    return tuple(int(value) for value in values)

  label, labels = integers("label"), integers("labels")
  if names.get("label") and len(label) != 1:
    raise InputError(f"{where}: {len(label)} values in {names['label']!r}; one label was wanted")
  raw = features.get(names.get("id") or "", [])
  id = raw[0].decode(errors="replace") if raw and isinstance(raw[0], bytes) else os.path.basename(source)
  return Record(id, source, label[0] if label else None, labels, stored=names["stored"])


def array_record_rows(path: str, base: str, template: str) -> Iterator[tuple[str, Record]]:
  """The records of shards that lie in no TFDS folder; each example is read for its label.

  Features: "video", or "frames", or "image"; "label" or "labels"; "id", if there.
  """
  for shard in shard_paths(os.path.abspath(path)):
    total = count_records(shard)
    if not total:
      raise MediaError(f"{shard}: the shard has no readable record; it is empty, truncated or damaged")
    for number in range(total):
      source = source_of(shard, number)
      features = decode_example(read_stored(source), source)
      stored = next((name for name in ("video", "frames", "image") if name in features), None)
      if stored is None:
        raise InputError(f"{source}: features {', '.join(features)}; one named video, frames or image was wanted")
      names = {kind: kind if kind in features else None for kind in ("id", "label", "labels")} | {"stored": stored}
      yield source, labelled(source, source, features, names)
