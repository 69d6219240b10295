"""Turns what a checkpoint says of its tensors into arrays, and holds it to what the file can hold."""

import math
import struct
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from jaction.converters.unpickle import Damaged, Name, Storage, Tensor, Truncated, Unpickler

SLACK = 1 << 20  # bytes that views may add up to, whatever the size of the file
SPREAD = 4  # and times the file's size: shared weights are legitimate, a stride of 0 over nothing is not
STORAGES = {
  "FloatStorage": "float32",
  "DoubleStorage": "float64",
  "HalfStorage": "float16",
  "BFloat16Storage": "bfloat16",
  "LongStorage": "int64",
  "IntStorage": "int32",
  "ShortStorage": "int16",
  "CharStorage": "int8",
  "ByteStorage": "uint8",
  "UntypedStorage": "uint8",
  "BoolStorage": "bool",
  "ComplexFloatStorage": "complex64",
  "ComplexDoubleStorage": "complex128",
}
DTYPES = {name: np.dtype(name) for name in (*STORAGES.values(), "uint16", "uint32", "uint64") if name != "bfloat16"}
DTYPES |= {
  name: np.dtype(getattr(ml_dtypes, name))
  for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
}


class Span(NamedTuple):
  """Bytes start ... start + size of the file; `crc` 0 where none is known, `deflated` where they are compressed."""

  start: int
  size: int
  crc: int = 0
  deflated: int | None = None  # the size in the file


class Source:
  """Gives the arrays of tensors: finds storages by `locate`, reads each once, and bounds what they add up to."""

  def __init__(self, file: BinaryIO, size: int, swap: bool = False):
    self.file, self.size, self.swap = file, size, swap
    self.locate: Callable[[Any], Span] = nowhere
    self.unpickler = Unpickler(self.persistent)
    self.storages: dict[Any, Storage] = {}
    self.read: dict[Any, np.ndarray] = {}
    self.left = {"storages": SPREAD * size + SLACK, "tensors": SPREAD * size + SLACK}

  def persistent(self, pid: Any) -> Any:
    """The storage that a persistent id of torch.save names."""
    parts: list[Any] = list(pid[:7]) if isinstance(pid, tuple) else []
    if len(parts) >= 2 and parts[0] == "module":
      return parts[1]
    if len(parts) not in (5, 6) or parts[0] != "storage":
      raise Damaged("its pickle has a persistent id that torch.save does not write")
    kind, key, numel = parts[1], parts[2], parts[4]
    storage = Storage(plain_key(key), storage_dtype(kind), count(numel))
    self.storages.setdefault(storage.key, storage)
    if len(parts) == 6 and parts[5] is not None:
      _, offset, numel = parts[5]
      storage = storage._replace(offset=count(offset), numel=count(numel))
    return storage

  def spend(self, what: str, size: int) -> None:
    self.left[what] -= size
    if self.left[what] < 0:
      raise Damaged(f"its {what} add up to more than {SPREAD} times the file ({self.size:,} bytes): refused")

  def bytes_at(self, span: Span) -> np.ndarray:
    """The bytes of a span, uint8 [n]."""
    self.spend("storages", span.size)
    stored = span.size if span.deflated is None else span.deflated
    if span.start < 0 or span.start + stored > self.size:
      raise Truncated(f"wants bytes up to {span.start + stored:,} of {self.size:,}")
    self.file.seek(span.start)
    out = np.empty(stored, np.uint8)
    if self.file.readinto(out.data) != stored:  # type: ignore[attr-defined]
      raise Truncated("ends while being read")
    if span.deflated is not None:
      inflated = zlib.decompressobj(-15).decompress(out.data, span.size + 1)
      if len(inflated) != span.size:
        raise Damaged("a compressed part has not the size it states")
      out = np.frombuffer(bytearray(inflated), np.uint8)
    if span.crc and zlib.crc32(out.data) != span.crc:
      raise Damaged("a checksum does not fit: the file is damaged, get it again")
    return out

  def own(self, value: np.ndarray) -> np.ndarray:
    """An array of the pickle itself, C-contiguous, in the byte order of this machine."""
    self.spend("tensors", value.nbytes)
    return np.array(value, value.dtype.newbyteorder("="), order="C")

  def array(self, tensor: Tensor) -> np.ndarray:
    """The array of a tensor, C-contiguous."""
    storage = tensor.storage
    if not isinstance(storage, Storage):
      raise Damaged("a tensor without a storage")
    dtype = DTYPES.get(tensor.dtype or storage.dtype)
    stored = DTYPES.get(storage.dtype)
    if dtype is None or stored is None:
      raise Damaged(f"numbers of the kind {tensor.dtype or storage.dtype}, which numpy does not know")
    offset, size, stride = count(tensor.offset), counts(tensor.size), counts(tensor.stride)
    if len(size) != len(stride):
      raise Damaged(f"a tensor of {len(size)} axes with {len(stride)} strides")
    numel = math.prod(size)
    self.spend("tensors", numel * dtype.itemsize)
    if numel == 0:
      return np.zeros(size, dtype)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    begin, end = storage.offset * stored.itemsize, (storage.offset + storage.numel) * stored.itemsize
    if storage.key not in self.read:
      self.read[storage.key] = self.bytes_at(self.locate(storage))
    raw = self.read[storage.key][begin:end]
    if (last + 1) * dtype.itemsize > len(raw):
      raise Damaged(f"wants element {last:,} of a storage of {len(raw) // dtype.itemsize:,}")
    view = np.ndarray(size, dtype, raw.data, offset * dtype.itemsize, [s * dtype.itemsize for s in stride])
    return np.ascontiguousarray(view.byteswap() if self.swap else view).reshape(size)


def nowhere(storage: Storage) -> Span:
  raise Damaged(f"has no storage {str(storage.key)[:40]}")


def storage_dtype(kind: Any) -> str:
  """The name of the dtype of a storage class, whatever device it was on; the class's own name where unknown."""
  name = kind.name if isinstance(kind, Name) else type(kind).__name__
  return STORAGES.get(name, name)


def plain_key(key: Any) -> str | int:
  if not isinstance(key, str | int):
    raise Damaged("the key of a storage is neither text nor a number")
  return key


def count(value: Any) -> int:
  if not isinstance(value, int) or not 0 <= value < 1 << 62:
    raise Damaged(f"a size or offset is {str(value)[:40] if isinstance(value, int) else type(value).__name__}")
  return int(value)


def counts(values: Any) -> list[int]:
  if isinstance(values, list | tuple) and len(values) > 32:
    raise Damaged(f"a tensor of {len(values)} axes")
  if not isinstance(values, list | tuple):
    raise Damaged(f"the shape of a tensor is a {type(values).__name__}")
  return [count(v) for v in values]


class Window:
  """Part of a file as a stream: no read is larger than what is left, however much a pickle asks for."""

  def __init__(self, file: BinaryIO, start: int, end: int):
    self.file, self.end = file, end
    file.seek(start)

  def read(self, size: int = -1) -> bytes:
    left = max(self.end - self.file.tell(), 0)
    return self.file.read(left if size is None or size < 0 else min(size, left))

  def readline(self, size: int | None = -1) -> bytes:
    return self.file.readline(max(self.end - self.file.tell(), 0))

  def tell(self) -> int:
    return self.file.tell()

  def take(self, layout: str) -> tuple:
    """Little-endian numbers, as struct lays them out."""
    data = self.read(struct.calcsize("<" + layout))
    if len(data) < struct.calcsize("<" + layout):
      raise Truncated("ends too early")
    return struct.unpack("<" + layout, data)
