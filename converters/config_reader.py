"""The values of an MMAction2 config file (0.x and 1.x), read off its syntax tree: nothing in the file is ever run.

Known are constants, lists, tuples and dicts, names assigned earlier, `dict(...)` and its like, sums and products of
small numbers, joined texts, `**name`, indexing, and `_base_`.  Whatever else is there is left out and listed.
"""

import ast
import os
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaction.converters.config_statements import Names
from jaction.converters.config_values import MAX_ITEMS, MAX_UNREAD, MISSING, Unread, Work, weight
from jaction.errors import InputError

MAX_BYTES = 256 * 1024  # of a file
MAX_FILES = 64  # with all that _base_ names


class Config(NamedTuple):
  """The top-level names of a file merged over those of its bases, MISSING where not read; the files, first it."""

  values: dict[str, Any]
  unread: tuple[Unread, ...]
  files: tuple[Path, ...]


def read_config(path: str | os.PathLike) -> Config:
  """Reads a config file and its `_base_` files, which merge as in mmcv: dicts into dicts, unless `_delete_=True`.

  Raises InputError for a file that is missing, too large or no Python, for a `_base_` that leads back to itself, and
  for a dict that would merge into something else.
  """
  reader = _Files()
  values = reader.load(Path(path), ())
  return Config(_clean(values), tuple(reader.unread[:MAX_UNREAD]), tuple(reader.files))


class _Files:
  """All files of one reading, under common limits."""

  def __init__(self):
    self.files: list[Path] = []
    self.unread: list[Unread] = []
    self.work = Work()

  def load(self, path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """`above`: the files whose `_base_` led here."""
    said = f"{path}" + (f" (a _base_ of {above[-1]})" if above else "")
    resolved = Path(os.path.realpath(path))
    if resolved in above:
      chain = " -> ".join(p.name for p in (*above[above.index(resolved) :], resolved))
      raise InputError(f"{said}: its _base_ leads back to itself: {chain}")
    if len(self.files) >= MAX_FILES:
      raise InputError(f"{said}: more than {MAX_FILES} files through _base_")
    self.files.append(resolved)
    source = _text(resolved, said)
    tree = _tree(source, said)
    own = Names(str(path), source.splitlines(), self.unread, self.work)
    base = own.bases(tree)
    merged: dict[str, Any] = {}
    for name in base:
      if "::" in name:
        self.unread.append(Unread(str(path), 1, f"_base_ = {name!r}", "a base in another package"))
        continue
      loaded = self.load(resolved.parent / name, (*above, resolved))
      twice = sorted(set(loaded) & set(merged))
      if twice:
        self.unread.append(Unread(str(path), 1, f"_base_ = {name!r}", f"sets {', '.join(twice[:3])} once more"))
      merged |= loaded
    own.run(tree, merged)
    values = merge(own.values, merged, said)
    if weight(values, MAX_ITEMS) > MAX_ITEMS:
      raise InputError(f"{said}: more than {MAX_ITEMS} values")
    return values


def merge(child: Mapping[str, Any], base: Mapping[str, Any], where: str) -> dict[str, Any]:
  """`child` over `base`, as a new dict: dicts merge at every depth, other values replace; `_delete_=True` replaces."""
  merged = dict(base)
  for key, value in child.items():
    if isinstance(value, dict) and key in base and not value.get("_delete_", False) and base[key] is not MISSING:
      if not isinstance(base[key], dict):
        kind = type(base[key]).__name__
        raise InputError(f"{where}: {key} is a dict here and a {kind} in the base; with _delete_=True it replaces it")
      merged[key] = merge(value, base[key], where)
    else:
      merged[key] = value
  return merged


def _text(path: Path, said: str) -> str:
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe or a device would never end
      raise InputError(f"{said}: is not a file")
    with open(path, "rb") as file:
      data = file.read(MAX_BYTES + 1)
  except OSError as error:
    raise InputError(f"{said}: cannot be read: {error.strerror or error}") from error
  if len(data) > MAX_BYTES:
    raise InputError(f"{said}: larger than {MAX_BYTES // 1024} KiB, which no config file is")
  try:
    return data.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    raise InputError(f"{said}: is not UTF-8 text: {error}") from error


def _tree(source: str, said: str) -> ast.Module:
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      return ast.parse(source)
  except SyntaxError as error:
    raise InputError(f"{said}, line {error.lineno}: is not Python: {error.msg}") from error
  except (ValueError, RecursionError, MemoryError, OverflowError) as error:
    raise InputError(f"{said}: cannot be parsed: {str(error) or 'nested too deep'}") from error


def _clean(value: Any) -> Any:
  """Without mmcv's own mark, and lists without what was not read; in dicts its key stays: it is not at its default."""
  if isinstance(value, dict):
    return {k: _clean(v) for k, v in value.items() if k != "_delete_"}
  if isinstance(value, list | tuple):
    return type(value)(_clean(item) for item in value if item is not MISSING)
  return value
