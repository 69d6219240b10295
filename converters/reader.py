"""Reads PyTorch checkpoint files with numpy alone: no torch, and nothing in a file is ever executed.

Four kinds of file: the zip of torch >= 1.6, the pickles with storages behind them of 0.4 to 1.5, the tar of the first
releases, and a plain pickle of numpy arrays.  Storages are read straight into memory of their own, each once (a memory
map is no quicker, and a file that shrinks under a map kills the process).
"""

import itertools
import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from jaction.converters.containers import read_legacy, read_tar, read_zip
from jaction.converters.unpickle import Array, Damaged, Name, Stub, Tensor, Truncated
from jaction.errors import CheckpointError

WEIGHTS = ("state_dict", "model_state", "model_state_dict", "model")  # where toolboxes keep the state dict
LOOKED_AT = 50_000  # numbers, texts and containers beside the weights, at most
STARTS = {  # what people download by mistake
  b"<": "it is a web page (HTML), not a checkpoint: download the file itself",
  b"version https://git-lfs": "it is a pointer of git-lfs: run git lfs pull",
  b"\x1f\x8b": "it is compressed by gzip: unpack it first",
  b"\x89HDF": "it is an HDF5 file",
}


@dataclass(frozen=True)
class Checkpoint:
  """What a file holds.  `meta` is the rest of it as plain data; `skipped` names entries of the state dict that hold no
  array; `inert` names the classes and functions that the file asked for and did not get."""

  path: str
  kind: str  # "zip" | "legacy" | "tar" | "pickle"
  weights: dict[str, np.ndarray]
  meta: dict[str, Any] = field(default_factory=dict)
  skipped: tuple[str, ...] = ()
  inert: tuple[str, ...] = ()


def read_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """{name: array} of the state dict in a .pth file, in the file's order and dtypes (bfloat16 as ml_dtypes.bfloat16).

  Takes it from under state_dict, model_state or model where there is such a key, and strips "module." from names.
  Tensors that share a storage in the file share memory here.  Raises CheckpointError for everything wrong.
  """
  return read_checkpoint_file(path).weights


def read_checkpoint_file(path: str | os.PathLike) -> Checkpoint:
  """The same with what stands beside the weights."""
  path = os.fspath(path)
  try:
    with open(path, "rb") as file:
      return _read(path, file)
  except Truncated as error:
    raise CheckpointError(f"{path}: {error}; is it truncated, or still being downloaded?") from error
  except Damaged as error:
    raise CheckpointError(f"{path}: {error}") from error
  except FileNotFoundError as error:
    raise CheckpointError(f"{path}: there is no such file") from error
  except IsADirectoryError as error:
    raise CheckpointError(f"{path}: a folder, want a file such as model.pth") from error
  except OSError as error:
    raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
  except Exception as error:  # whatever the bytes of a stranger's file provoke is the file's fault
    raise CheckpointError(
      f"{path}: damaged, or no PyTorch checkpoint ({type(error).__name__}: {str(error)[:120]})"
    ) from error


def _read(path: str, file: BinaryIO) -> Checkpoint:
  size = os.fstat(file.fileno()).st_size
  start = file.read(512)
  for prefix, words in STARTS.items():
    if start.startswith(prefix):
      raise Damaged(words)
  if size < 2:
    raise Truncated(f"holds {size} bytes")
  if start.startswith(b"PK"):
    kind, root, source = read_zip(file, size)
  elif start[257:262] == b"ustar":
    kind, root, source = read_tar(file, size)
  elif start[:1] in b"\x80(}cL":
    kind, root, source = read_legacy(file, size)
  else:
    raise Damaged(f"no PyTorch checkpoint: it starts with {start[:8]!r}, neither a zip nor a pickle")
  found, meta = _find(root)
  weights, skipped = {}, []
  for name, value in found.items():
    value = value.value if isinstance(value, Array) else value
    if isinstance(value, Tensor | np.ndarray) and isinstance(name, str):
      try:
        weights[name] = source.array(value) if isinstance(value, Tensor) else source.own(value)
      except Damaged as error:
        raise type(error)(f"{name}: {error}") from error
    else:
      skipped.append(str(name)[:200])
  while weights and all(name.startswith("module.") for name in weights):
    weights = {name.removeprefix("module."): value for name, value in weights.items()}
  return Checkpoint(path, kind, weights, meta, tuple(skipped), tuple(sorted(source.unpickler.globals)))


# --- the state dict within what was pickled


def _mapping(value: Any) -> dict | None:
  return value.entries if isinstance(value, Stub) else value if isinstance(value, dict) else None


def _find(root: Any) -> tuple[dict, dict[str, Any]]:
  """(state dict, what stands beside it)."""
  found, meta, left = _mapping(root), {}, [LOOKED_AT]
  for _ in range(2):  # {"model": {"state_dict": ...}} too
    inner = next((key for key in WEIGHTS if found and _mapping(found.get(key)) is not None), None)
    if found is None or inner is None:
      break
    meta |= {str(k): _plain(v, left) for k, v in found.items() if k != inner and isinstance(k, str)}
    found = _mapping(found[inner])
  if isinstance(root, Stub) and found is None:
    of = str(root.of) if isinstance(root.of, Name) else "of no named class"
    whole = "a TorchScript program" if of.startswith("__torch__") else "a whole object"
    raise Damaged(f"holds {whole} ({of[:80]}), want a state dict: torch.save(model.state_dict(), ...)")
  if found is None:
    raise Damaged(f"holds a {type(root).__name__}, want a state dict (names -> tensors)")
  if not any(isinstance(v, Tensor | Array | np.ndarray) for v in found.values()):
    keys = ", ".join(str(k)[:40] for k in list(found)[:8])
    raise Damaged(f"holds no state dict: no tensor under {', '.join(WEIGHTS)} nor among its own keys ({keys})")
  return found, meta


def _plain(value: Any, left: list[int], depth: int = 0) -> Any:
  """Numbers, text, lists and dicts as they are, `<class>` for the rest; `left` bounds how much is looked at."""
  left[0] -= 1
  if value is None or isinstance(value, bool | int | float | str | np.generic):
    return value
  if isinstance(value, Array):
    value = value.value
  if left[0] < 0 or depth > 20:
    return "..."
  if _mapping(value) is not None:
    entries = _mapping(value) or {}
    items = itertools.islice(entries.items(), max(left[0], 0))
    return {k: _plain(v, left, depth + 1) for k, v in items if isinstance(k, str)}
  if type(value) in (list, tuple):
    return [_plain(v, left, depth + 1) for v in value[: max(left[0], 0)]]
  return f"<{value.of if isinstance(value, Stub) and isinstance(value.of, Name) else type(value).__name__}>"
