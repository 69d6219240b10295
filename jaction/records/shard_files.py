"""A video in an ArrayRecord shard as an open file: FFmpeg reads it where it lies.

The array_record library reads a record whole, checks its hash and copies it several times: 0.4 ms for 1.1 MB, where a
file takes 0.1.  So a process has it read each video once, looks where in the shard those bytes lie, and from then on
reads them there, as it reads a file.  A place is used only after the bytes at it were found to be equal to what the
library gave, and only while the shard is the same file; shards of a form not known here (compressed, several records
to a chunk) are left to the library.

A shard is a file of Riegeli's (github.com/google/riegeli, doc/riegeli_records_file_format.md): blocks of 64 KiB, each
behind a header of 24 bytes; what the blocks hold, in one piece, are chunks.  A chunk is a header of 40 bytes (hash,
size of its data, hash of them, type and number of records, size of the records, 8 bytes each, little-endian) and its
data, at the end of which the record lies.  Positions here count without the blocks' headers.
"""

import contextlib
import errno
import os
import struct
from typing import NamedTuple

import numpy as np

BLOCK, BLOCK_HEADER = 1 << 16, 24
HELD = BLOCK - BLOCK_HEADER  # bytes of chunks in a block
_CHUNK = struct.Struct("<8xQ8xQQ")  # size of the data, type (low byte) and number of records, size of the records
_BEFORE = 16  # bytes in the chunk of one plain record before it, at most: its compression, and its size

Mark = tuple[int, int, int]  # what tells one file of a path from another that takes its place


class StoredFile:
  """A part of a shard, open for reading; for one thread at a time.  Its length is its bytes."""

  def __init__(self, path: str, start: int, size: int):
    """`start`: position in the shard.  OSError where it cannot be opened."""
    self._file = -1
    self._start, self._size, self._at = start, size, 0
    self._file = os.open(path, os.O_RDONLY)

  def __len__(self) -> int:
    return self._size

  def read(self, size: int) -> bytes:
    """At most `size` bytes from where it stands, b"" at the end; fewer where a block of the shard ends."""
    block, offset = divmod(self._start + self._at, HELD)
    size = min(size, self._size - self._at, HELD - offset)
    if size <= 0:
      return b""
    data = os.pread(self._file, size, block * BLOCK + BLOCK_HEADER + offset)
    self._at += len(data)
    return data

  def read_all(self) -> bytes:
    """The whole part."""
    self.seek(0)
    return b"".join(iter(lambda: self.read(self._size), b""))

  def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
    at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
    if at < 0:
      raise OSError(errno.EINVAL, "a place before the start")
    self._at = at
    return at

  def tell(self) -> int:
    return self._at

  def mark(self) -> Mark:
    return mark(os.fstat(self._file))

  def close(self) -> None:
    """Closing twice is fine."""
    file, self._file = self._file, -1
    if file >= 0:
      os.close(file)

  def __reduce__(self):
    raise TypeError("an open part of a shard is of one process: the record is what can be sent")

  def __del__(self) -> None:
    self.close()


def mark(stat: os.stat_result) -> Mark:
  return stat.st_ino, stat.st_size, stat.st_mtime_ns


class _Shard(NamedTuple):
  mark: Mark
  records: np.ndarray  # int64 [n, 2], position and size of each
  values: dict[str, np.ndarray]  # by feature, the same of the videos that were compared; size 0 of the others


class Places:
  """Where the videos lie that this process has read from shards; any thread may ask and tell."""

  def __init__(self):
    self._shards: dict[str, _Shard] = {}

  def open(self, path: str, number: int, feature: str) -> StoredFile | None:
    """The video in a feature of record `number`, where it was learned and the shard is still the same file."""
    shard = self._shards.get(path)
    values = None if shard is None else shard.values.get(feature)
    if shard is None or values is None or number >= len(values) or not values[number, 1]:
      return None
    try:
      file = StoredFile(path, *values[number].tolist())
    except OSError:
      return None
    if file.mark() == shard.mark:
      return file
    file.close()
    return None

  def learn(self, path: str, number: int, feature: str, example: bytes, value: bytes) -> None:
    """Notes where `value` lies, a feature of record `number`, which is `example`; nothing where it is not found."""
    try:
      now = mark(os.stat(path))
      shard = self._shards.get(path)
      if shard is None or shard.mark != now:
        records = np.array(record_places(path), np.int64).reshape(-1, 2)
        shard = self._shards[path] = _Shard(now, records, {})
      if number >= len(shard.records) or shard.records[number, 1] != len(example):
        return
      offset = example.find(value[:64])  # of the whole value the search would take longer than its reading
      start = int(shard.records[number, 0]) + offset
      with contextlib.closing(StoredFile(path, start, len(value))) as file:
        if file.mark() == now and file.read_all() == value:
          shard.values.setdefault(feature, np.zeros_like(shard.records))[number] = start, len(value)
    except OSError:  # the shard is gone: the next reading says so
      return


def record_places(path: str) -> list[tuple[int, int]]:
  """(position, size) of a shard's records from the first on, up to one that is not plain or not alone in its chunk.

  Nothing is checked; what follows the records, a chunk of the library's own, may look like one.  OSError.
  """
  places: list[tuple[int, int]] = []
  position = 0
  with contextlib.closing(StoredFile(path, 0, os.stat(path).st_size)) as file:
    while True:
      file.seek(position)
      header = file.read(_CHUNK.size)
      header += file.read(_CHUNK.size - len(header))  # a block may end in it
      if len(header) < _CHUNK.size:
        return places
      size, kind, records = _CHUNK.unpack(header)
      kind, count = chr(kind & 0xFF), kind >> 8
      if kind == "r" and count == 1 and 0 < size - records <= _BEFORE:
        places.append((position + _CHUNK.size + size - records, records))
      elif kind not in "smp":  # the file's signature, facts about it, padding
        return places
      position += _CHUNK.size + max(size, count)
