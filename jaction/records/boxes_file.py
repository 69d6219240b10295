"""Arrays by name from a pickle or npz file, without running anything that the file names.

The detectors' proposals for AVA and the annotations of UCF101-24 and JHMDB are pickles of dicts, lists, tuples,
numbers, texts and numpy arrays. Of the globals that a pickle can name only those that rebuild an array or a number of
numpy are known here, and what stands for them are inert classes of this file: numpy itself sees only checked bytes.
"""

import io
import json
import os
import pickle
import zipfile
from typing import Any

import numpy as np

from jaction.errors import InputError
from jaction.records.text import read_bytes, shown

MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric", "numpy")


class _Inert:
  """What a global of a pickle makes: it keeps what it was given, and `_plain` looks at that."""

  def __init__(self, name: str, args: tuple):
    self.name, self.args, self.state = name, args, None

  def __setstate__(self, state: Any) -> None:
    self.state = state


class _Global:
  """A global of a pickle; calling it makes an `_Inert`."""

  __slots__ = ("name",)

  def __init__(self, name: str):
    self.name = name

  def __call__(self, *args: Any) -> _Inert:
    return _Inert(self.name, args)


# The unpickler written in Python: the one in C sets aside memory for whatever number of objects the bytes declare.
class _Unpickler(pickle._Unpickler):  # type: ignore[attr-defined]
  def find_class(self, module: str, name: str) -> Any:
    if module in MODULES and name in ("_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"):
      return _Global(name)
    if (module, name) in (("collections", "OrderedDict"), ("collections", "defaultdict")):
      return _Dict
    if (module, name) in (("builtins", "list"), ("__builtin__", "list")):
      return _Global("list")  # what a defaultdict is made of
    if (module, name) == ("_codecs", "encode"):
      return _Global("encode")
    if (module, name) in (("builtins", "bytes"), ("__builtin__", "bytes")):
      return _Global("bytes")  # what protocols 0 to 2 make no bytes of
    raise pickle.UnpicklingError(f"it names {module}.{name}; only numpy arrays and plain objects are read")


class _Dict(dict):
  """An OrderedDict or defaultdict; what it was made from is not looked at."""

  def __init__(self, *args: Any):
    super().__init__()


def read_pickle(path: str | os.PathLike) -> Any:
  """A pickle of plain objects and numpy arrays; InputError for a damaged one and for any other object in it."""
  return unpickled(path, read_bytes(path))


def unpickled(path: str | os.PathLike, data: bytes) -> Any:
  """The object in the bytes of the file `path`."""
  try:
    return _plain(_Unpickler(io.BytesIO(data), encoding="latin1").load(), 0)
  except Exception as error:  # a damaged pickle can fail in any way
    raise InputError(f"{path}: no pickle that can be read ({type(error).__name__}: {shown(str(error))})") from None


def read_box_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Boxes by name, float64 [n, 4 or 5] each, from a pickle, npz or JSON file of such arrays, or lists of lists."""
  data = read_bytes(path)
  if data[:2] == b"PK":
    found = _npz(path, data)
  elif data.lstrip()[:1] == b"{":
    try:
      found = json.loads(data)
    except (ValueError, RecursionError) as error:
      raise InputError(f"{path}: no JSON that can be read ({shown(str(error))})") from None
  else:
    found = unpickled(path, data)
  if not isinstance(found, dict):
    raise InputError(f"{path}: a {type(found).__name__}; a dict of boxes by frame was wanted")
  boxes = {}
  for key, value in found.items():
    try:
      rows = np.asarray(value, np.float64)
    except (ValueError, TypeError, OverflowError):
      rows = None
    if rows is not None and rows.size == 0:
      rows = rows.reshape(0, 5)
    if not isinstance(key, str) or rows is None or rows.ndim != 2 or rows.shape[1] not in (4, 5):
      raise InputError(f"{path}: {shown(key)} holds {shown(value)}; n rows of 4 sides, or 4 sides and a score, wanted")
    if not np.isfinite(rows).all():
      raise InputError(f"{path}: {shown(key)} holds a number that is not finite")
    boxes[key] = rows
  return boxes


def _npz(path: str | os.PathLike, data: bytes) -> dict[str, np.ndarray]:
  try:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
      names = archive.namelist()
      if any(archive.getinfo(name).file_size > 100 * len(data) + 10**6 for name in names):
        raise ValueError("it declares far more bytes than it can hold")
      found = {}
      for name in names:
        with archive.open(name) as file:
          member = io.BytesIO(file.read())
        found[name.removesuffix(".npy")] = np.load(member, allow_pickle=False)
      return found
  except Exception as error:  # so can a damaged archive
    raise InputError(f"{path}: no npz that can be read ({type(error).__name__}: {shown(str(error))})") from None


def _plain(value: Any, depth: int) -> Any:
  """The value with an array or a number for each inert stub."""
  if depth > 20:
    raise ValueError("nested too deeply")
  if isinstance(value, dict):
    return {_plain(key, depth + 1): _plain(one, depth + 1) for key, one in value.items()}
  if isinstance(value, list | tuple | set):
    kind = type(value)
    return kind(_plain(one, depth + 1) for one in value)
  if isinstance(value, _Inert):
    return _array(value)
  if value is None or isinstance(value, bool | int | float | str | bytes):
    return value
  raise ValueError(f"it holds a {type(value).__name__}")


def _array(value: _Inert) -> Any:
  if value.name == "scalar":
    dtype, data = value.args
    return np.frombuffer(_bytes(data), _dtype(dtype))[0].item()
  if value.name == "_frombuffer":  # protocol 5: (bytes, dtype, shape, order)
    data, dtype, shape, order = value.args
  elif value.name == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
    _, shape, dtype, fortran, data = value.state
    order = "F" if fortran else "C"
  else:
    raise ValueError(f"a {value.name} without its contents")
  if not isinstance(shape, tuple) or order not in ("C", "F"):
    raise ValueError("an array without a shape")
  return np.frombuffer(_bytes(data), _dtype(dtype)).reshape([int(side) for side in shape], order=order)


def _dtype(value: Any) -> np.dtype:
  if not isinstance(value, _Inert) or value.name != "dtype" or not isinstance(value.args[0], str):
    raise ValueError("an array without a type")
  code = value.args[0]
  if len(code) < 2 or code[0] not in "fiub" or not code[1:].isdigit():
    raise ValueError(f"an array of type {code[:20]!r}")
  order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "<"
  return np.dtype(("<" if order not in ("<", ">", "|") else order) + code)


def _bytes(data: Any) -> bytes:
  if isinstance(data, _Inert) and data.name == "encode":  # how Python 2 and protocol 2 write bytes
    data = data.args[0]
  if isinstance(data, _Inert) and data.name == "bytes" and data.args == ():
    data = b""
  if isinstance(data, str):
    data = data.encode("latin1")
  if not isinstance(data, bytes | bytearray):
    raise ValueError("an array without bytes")
  return bytes(data)
