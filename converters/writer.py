"""Writes a PyTorch state dict as `torch.save` would (the zip of torch >= 1.6), without torch."""

import io
import os
import struct
import tempfile
import zipfile
from collections.abc import Mapping

import numpy as np

from jaction.converters.storages import STORAGES
from jaction.errors import InputError

ALIGNMENT = 64  # of the storages in the file, as torch has it
CLASSES = {dtype: name for name, dtype in STORAGES.items() if name != "UntypedStorage"}


def write_checkpoint(path: str | os.PathLike, state_dict: Mapping[str, np.ndarray]) -> None:
  """Writes {name: array} to `path`; `torch.load(path)` gives an OrderedDict of tensors, equal bit for bit.

  The file appears whole or not at all, and is the same for the same arrays.  InputError for a dtype without a storage
  class in torch, or a name that is no text.
  """
  arrays = {}
  for name, value in state_dict.items():
    value = np.asarray(value)
    if not isinstance(name, str) or value.dtype.name not in CLASSES:
      raise InputError(f"{name!r} ({value.dtype}): want names with arrays of {', '.join(sorted(CLASSES))}")
    arrays[name] = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).reshape(value.shape)
  path = os.path.abspath(path)
  stem = os.path.splitext(os.path.basename(path))[0] or "archive"
  handle, temporary = tempfile.mkstemp(prefix=f".{stem}.", suffix=".part", dir=os.path.dirname(path))
  try:
    with os.fdopen(handle, "wb") as file:
      with zipfile.ZipFile(file, "w") as archive:
        _add(archive, f"{stem}/data.pkl", _pickle(arrays))
        _add(archive, f"{stem}/byteorder", b"little")
        for number, value in enumerate(arrays.values()):
          _add(archive, f"{stem}/data/{number}", value.reshape(-1).view(np.uint8).data)
        _add(archive, f"{stem}/version", b"3\n")
      file.flush()
      os.fsync(file.fileno())
    os.chmod(temporary, 0o666 & ~_umask())
    os.replace(temporary, path)
  except BaseException:
    os.unlink(temporary)
    raise


def _umask() -> int:
  mask = os.umask(0)
  os.umask(mask)
  return mask


def _add(archive: zipfile.ZipFile, name: str, data) -> None:
  """Stored, without a date, its bytes at a multiple of ALIGNMENT."""
  info = zipfile.ZipInfo(name)
  assert archive.fp is not None
  start = archive.fp.tell() + 30 + len(name.encode()) + 4  # behind the local header and the head of the extra field
  padding = -start % ALIGNMENT
  info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
  archive.writestr(info, data)


def _pickle(arrays: Mapping[str, np.ndarray]) -> bytes:
  """Protocol 2: an OrderedDict of _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)."""
  out = io.BytesIO()
  put = out.write
  put(b"\x80\x02" + _global("collections", "OrderedDict") + b")R(")
  for number, (name, value) in enumerate(arrays.items()):
    stride = [step // value.itemsize for step in value.strides]
    put(_text(name) + _global("torch._utils", "_rebuild_tensor_v2") + b"((")
    put(_text("storage") + _global("torch", CLASSES[value.dtype.name]) + _text(str(number)) + _text("cpu"))
    put(_int(value.size) + b"tQ" + _int(0) + _ints(value.shape) + _ints(stride))
    put(b"\x89" + _global("collections", "OrderedDict") + b")RtR")
  put(b"u.")
  return out.getvalue()


def _global(module: str, name: str) -> bytes:
  return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
  data = text.encode()
  return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
  return b"J" + struct.pack("<i", value) if value < 1 << 31 else b"\x8a\x08" + struct.pack("<q", value)


def _ints(values) -> bytes:
  return b"(" + b"".join(map(_int, values)) + b"t"
