"""The kinds of PyTorch file: each reader gives the kind, the pickled object, and the source of its arrays."""

import io
import os
import re
import struct
import zipfile
from typing import Any, BinaryIO

from jaction.converters.storages import DTYPES, Source, Span, Window, count, nowhere, plain_key, storage_dtype
from jaction.converters.unpickle import Damaged, Storage, Tensor, Truncated

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the files before 1.6


def read_zip(file: BinaryIO, size: int) -> tuple[str, Any, Source]:
  try:
    with zipfile.ZipFile(file) as archive:
      members = {info.filename: info for info in archive.infolist()}
  except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OverflowError, EOFError) as error:
    raise Truncated(f"starts as a zip without being a whole one ({str(error)[:80]})") from error
  pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl" and name.count("/") <= 1]
  if len(pickles) != 1:
    what = "an .npz of numpy" if any(name.endswith(".npy") for name in members) else f"it has {len(pickles)} data.pkl"
    raise Damaged(f"a zip, but none that torch.save wrote ({what}, want one)")
  prefix = pickles[0].removesuffix("data.pkl")
  source = Source(file, size)

  def span(name: str) -> Span:
    info = members.get(prefix + name)
    if info is None:
      raise Damaged(f"has no part {prefix + name}"[:200])
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
      raise Damaged(f"{name} is encrypted, or compressed in a way that torch does not use")
    file.seek(info.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
      raise Damaged(f"the part {name} is not where the zip says")
    start = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
    deflated = info.compress_size if info.compress_type == zipfile.ZIP_DEFLATED else None
    return Span(start, info.file_size, info.CRC, deflated)

  if prefix + "byteorder" in members:
    source.swap = source.bytes_at(span("byteorder")).tobytes() == b"big"
  source.locate = lambda storage: span(f"data/{storage.key}")
  root = source.unpickler.load(io.BytesIO(source.bytes_at(span("data.pkl")).tobytes()))
  return "zip", root, source


def read_legacy(file: BinaryIO, size: int) -> tuple[str, Any, Source]:
  """magic number, protocol, system, object, storage keys, then per key: count of elements, elements."""
  source = Source(file, size)
  stream: Any = Window(file, 0, size)
  root = source.unpickler.load(stream)
  if type(root) is not int or root != MAGIC:
    return "pickle", root, source
  for _ in ("protocol", "system"):
    source.unpickler.load(stream)
  root = source.unpickler.load(stream)
  keys = source.unpickler.load(stream)
  if not isinstance(keys, list):
    raise Damaged("the list of its storages is missing")
  spans: dict[Any, Span] = {}
  for key in keys:
    storage = source.storages.get(plain_key(key))
    if storage is None or storage.dtype not in DTYPES:
      raise Damaged(f"its storage {str(key)[:40]} is of no known kind")
    (numel,) = stream.take("q")
    spans[key] = Span(file.tell(), count(numel) * DTYPES[storage.dtype].itemsize)
    if file.tell() + spans[key].size > size:
      raise Truncated(f"storage {len(spans)} of {len(keys)} ends behind the end of the file")
    file.seek(spans[key].size, os.SEEK_CUR)
  source.locate = lambda storage: spans.get(storage.key) or nowhere(storage)
  return "legacy", root, source


def read_tar(file: BinaryIO, size: int) -> tuple[str, Any, Source]:
  """The first releases: a tar of `storages`, `tensors` and `pickle`."""
  members, at = {}, 0
  while at + 512 <= size:
    file.seek(at)
    header = file.read(512)
    number = re.match(rb"[ 0]*([0-7]*)[ \0]", header[124:136])
    if not header.strip(b"\0") or number is None:
      break
    length = int(number[1] or b"0", 8)
    members[header[:100].split(b"\0")[0].removeprefix(b"./").decode("ascii", "backslashreplace")] = (
      at + 512,
      at + 512 + length,
    )
    at += 512 + -(-length // 512) * 512
  if not {"storages", "tensors", "pickle"} <= members.keys():
    raise Truncated(f"a tar of {', '.join(sorted(members))[:120] or 'nothing'}, want storages, tensors and pickle")
  if any(end > size for _, end in members.values()):
    raise Truncated("a part of its tar ends behind the end of the file")
  source, spans, objects = Source(file, size), {}, {}

  def read(name: str) -> Any:
    return Window(file, *members[name])

  source.unpickler.persistent = None
  stream = read("storages")
  for _ in range(count(source.unpickler.load(stream))):
    key, _, kind = source.unpickler.load(stream)
    (numel,) = stream.take("q")
    storage = objects[plain_key(key)] = Storage(key, storage_dtype(kind), count(numel))
    if storage.dtype not in DTYPES:
      raise Damaged(f"its storage {str(key)[:40]} is of no known kind")
    spans[key] = Span(file.tell(), storage.numel * DTYPES[storage.dtype].itemsize)
    file.seek(spans[key].size, os.SEEK_CUR)
  for key, root, offset, numel in source.unpickler.load(stream):
    objects[plain_key(key)] = objects[plain_key(root)]._replace(offset=count(offset), numel=count(numel))
  stream = read("tensors")
  for _ in range(count(source.unpickler.load(stream))):
    key, storage, _ = source.unpickler.load(stream)
    ndim, _ = stream.take("ii")  # written as eight bytes once
    if not 0 <= ndim <= 32:
      raise Damaged(f"a tensor of {ndim} axes")
    shape, stride, (offset,) = stream.take(f"{ndim}q"), stream.take(f"{ndim}q"), stream.take("q")
    objects[plain_key(key)] = Tensor(objects[plain_key(storage)], offset, shape, stride)

  def persistent(pid: Any) -> Any:
    if isinstance(pid, tuple):
      return pid[0]
    return objects[int(pid)]

  source.unpickler.persistent = persistent
  source.locate = lambda storage: spans.get(storage.key) or nowhere(storage)
  return "tar", source.unpickler.load(read("pickle")), source
