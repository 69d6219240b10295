"""Paths on this machine and, through fsspec, in object stores: "gs://bucket/x.mp4", "s3://...", "memory://...".

A path with a scheme goes to fsspec (the extra `remote`; gs:// and s3:// want gcsfs and s3fs besides), any other to the
file system. Remote files are read whole.
"""

import os
import re
from typing import Any

from jaction.errors import InputError, MediaError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_remote(path: object) -> bool:
  """Whether a path has a scheme; one letter and a colon is a Windows drive."""
  return isinstance(path, str) and _SCHEME.match(path) is not None


def join(base: str, name: str) -> str:
  """`name` under `base`, or `name` itself where it is absolute or has a scheme."""
  if is_remote(name):
    return name
  return f"{base.rstrip('/')}/{name.lstrip('/')}" if is_remote(base) else os.path.join(base, name)


def parent(path: str) -> str:
  """The folder a path lies in, absolute where it is on this machine."""
  return path.rpartition("/")[0] if is_remote(path) else os.path.abspath(os.path.dirname(path) or ".")


def absolute(path: str) -> str:
  return path if is_remote(path) else os.path.abspath(path)


def exists(path: str) -> bool:
  return _ask(path, "exists") if is_remote(path) else os.path.exists(path)


def is_dir(path: str) -> bool:
  return _ask(path, "isdir") if is_remote(path) else os.path.isdir(path)


def read_remote(path: str) -> bytes:
  """All of a remote file. MediaError, which names it, where it is absent or cannot be read; FileNotFoundError never."""
  system, inner = _system(path)
  try:
    return system.cat_file(inner)
  except FileNotFoundError:
    raise MediaError(f"{path}: there is no such file") from None
  except Exception as error:  # each store raises its own
    raise MediaError(f"{path}: cannot be read ({type(error).__name__}: {str(error)[:200]})") from None


def _ask(path: str, question: str) -> bool:
  system, inner = _system(path)
  try:
    return bool(getattr(system, question)(inner))
  except Exception as error:
    raise MediaError(f"{path}: cannot be asked for ({type(error).__name__}: {str(error)[:200]})") from None


def _system(path: str) -> tuple[Any, str]:
  try:
    import fsspec
  except ImportError:
    raise InputError(f"{path}: paths with a scheme want fsspec: pip install 'jaction[remote]'") from None
  try:
    return fsspec.core.url_to_fs(path)
  except (ValueError, ImportError) as error:
    raise InputError(f"{path}: {str(error)[:200]}") from None
