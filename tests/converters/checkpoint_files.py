"""Checkpoint files of every age, good and bad, put together byte by byte without torch."""

import io
import pickle
import struct
import tarfile
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
MODULES = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage"}


def text(value: str) -> bytes:
  return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
  return pickle.dumps(value, 2)[2:-1]


def numbers(values) -> bytes:
  return b"(" + b"".join(map(number, values)) + b"t"


def named(module: str, name: str) -> bytes:
  return f"c{module}\n{name}\n".encode()


def storage(key: str, numel: int, kind="FloatStorage", tail=b"") -> bytes:
  """The persistent id of a storage, and BINPERSID."""
  return b"(" + text("storage") + named("torch", kind) + text(key) + text("cpu") + number(numel) + tail + b"tQ"


def tensor(stored: bytes, size, stride, offset=0, function="_rebuild_tensor_v2") -> bytes:
  ordered = named("collections", "OrderedDict") + b")R"
  tail = b"\x89" + ordered if function != "_rebuild_tensor" else b""
  arguments = b"(" + stored + number(offset) + numbers(size) + numbers(stride) + tail + b"t"
  return named("torch._utils", function) + arguments + b"R"


def pickled(entries: dict[str, bytes]) -> bytes:
  """A pickled dict of objects that are given as opcodes."""
  return b"\x80\x02}(" + b"".join(text(name) + value for name, value in entries.items()) + b"u."


def zip_file(path, pickle_bytes: bytes, storages: dict[str, bytes] | None = None, compression=zipfile.ZIP_STORED):
  with zipfile.ZipFile(path, "w", compression) as archive:
    archive.writestr("archive/data.pkl", pickle_bytes)
    for key, data in (storages or {}).items():
      archive.writestr(f"archive/data/{key}", data)
  return path


def legacy_bytes(pickle_bytes: bytes, storages: dict[str, np.ndarray]) -> bytes:
  """What torch.save wrote before 1.6."""
  system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
  out = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, system)) + pickle_bytes
  out += pickle.dumps(sorted(storages), 2)
  for key in sorted(storages):
    out += struct.pack("<q", storages[key].size) + storages[key].tobytes()
  return out


def tar_bytes(name: str, value: np.ndarray) -> bytes:
  """What the first releases wrote, with one tensor that views the second half of a storage."""
  whole = np.concatenate([np.zeros(value.size, np.float32), value.ravel("K")])
  stored = pickle.dumps(1, 2) + b"\x80\x02" + b"(" + number(11) + text("cpu") + named("torch", "FloatStorage") + b"t."
  stored += struct.pack("<q", whole.size) + whole.tobytes()
  stored += pickle.dumps([(12, 11, value.size, value.size)], 2)
  tensors = pickle.dumps(1, 2) + b"\x80\x02" + b"(" + number(13) + number(12) + named("torch", "FloatTensor") + b"t."
  strides = [step // 4 for step in value.strides]
  tensors += struct.pack(f"<ii{2 * value.ndim}qq", value.ndim, 0, *value.shape, *strides, 0)
  parts = {
    "sys_info": pickle.dumps({"little_endian": True}, 2),
    "pickle": b"\x80\x02}" + text(name) + text("13") + b"Qs.",
    "storages": stored,
    "tensors": tensors,
  }
  out = io.BytesIO()
  with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as archive:
    for part, data in parts.items():
      info = tarfile.TarInfo(part)
      info.size = len(data)
      archive.addfile(info, io.BytesIO(data))
  return out.getvalue()


def good_files() -> dict[str, bytes]:
  """A small whole file of each kind; each holds "a.weight" [3, 4]."""
  a, b = np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(5, dtype=np.int64)
  entries = {
    "a.weight": tensor(storage("0", 12), (3, 4), (4, 1)),
    "b": tensor(storage("1", 5, "LongStorage"), (5,), (1,)),
  }
  history = (
    named("mmengine.logging", "HistoryBuffer") + b")\x81}" + text("x") + pickle.dumps(np.ones(3), 2)[2:-1] + b"sb"
  )
  meta = b"}" + text("epoch") + number(7) + b"s"
  root = {"state_dict": pickled(entries)[2:-1], "meta": meta, "history": history}
  zipped = io.BytesIO()
  zip_file(zipped, pickled(root), {"0": a.tobytes(), "1": b.tobytes()})
  legacy = {
    "a.weight": tensor(storage("0", 12, tail=b"N"), (3, 4), (4, 1)),
    "b": tensor(storage("1", 5, "LongStorage", tail=b"N"), (5,), (1,)),
  }
  return {
    "zip": zipped.getvalue(),
    "legacy": legacy_bytes(pickled(legacy), {"0": a, "1": b}),
    "tar": tar_bytes("a.weight", a),
    "pickle": pickle.dumps({"a.weight": a, "b": b}, 4),
  }
