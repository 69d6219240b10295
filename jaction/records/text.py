"""Annotation files as text, lines and JSON; whatever is wrong in one is an InputError that begins with "path:line"."""

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

from jaction.errors import InputError
from jaction.records.paths import is_remote, read_remote

DIGITS = 18  # a whole number of more digits is no label and no frame number
_WHOLE = re.compile(rf"[+-]?[0-9]{{1,{DIGITS}}}")
_SPACE = re.compile(r"[ \t\n\r]*")


class Entry(NamedTuple):
  """One element of a JSON list (key None), one member of a JSON object, or one line of JSON Lines (key None).

  Fields:
    where: "path:line" of its first character.
    key: the member's name.
    value: what json made of it.
    start: the place of the value in the text.
  """

  where: str
  key: str | None
  value: Any
  start: int


def shown(value: object, width: int = 100) -> str:
  """`repr` of a value for a message, cut where it is long."""
  try:
    text = repr(value if not isinstance(value, str) else value[: width + 1])
  except RecursionError:
    text = f"a deeply nested {type(value).__name__}"
  return text if len(text) <= width else f"{text[:width]}..."


def read_bytes(path: str | os.PathLike) -> bytes:
  """All of a regular file; a pipe or a device, at which a reader could wait for ever, is an InputError."""
  if is_remote(path):
    return read_remote(str(path))
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise InputError(f"{path}: is not a file")
    with open(path, "rb") as file:
      return file.read()
  except (OSError, ValueError) as error:
    if isinstance(error, InputError):
      raise
    raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def read_text(path: str | os.PathLike) -> str:
  r"""A UTF-8 file without its byte order mark, with \n for every line end; a NUL byte is an error."""
  data = read_bytes(path)
  try:
    text = data.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    line = data.count(b"\n", 0, error.start) + 1
    raise InputError(f"{path}:{line}: not UTF-8 text ({error.reason} at byte {error.start})") from None
  text = text.replace("\r\n", "\n").replace("\r", "\n")
  if "\0" in text:
    raise InputError(f"{path}:{text.count(chr(10), 0, text.index(chr(0))) + 1}: a NUL byte, so this is no text file")
  return text


def read_lines(path: str | os.PathLike) -> list[str]:
  """The lines of a text file, without ends and outer blanks; what follows the last line end counts if it is there."""
  lines = [line.strip() for line in read_text(path).split("\n")]
  return lines if lines[-1] else lines[:-1]


def numbered_lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
  """("path:line", line) of each line that is not blank."""
  for at, line in enumerate(read_lines(path), 1):
    if line:
      yield f"{path}:{at}", line


def whole(text: object, what: str, where: str) -> int:
  """A whole number written in a text, or given as one; `what` names it in the error."""
  if isinstance(text, str) and _WHOLE.fullmatch(text.strip()):
    return int(text)
  if isinstance(text, int) and not isinstance(text, bool) and abs(text) < 10**DIGITS:
    return text
  raise InputError(f"{where}: {what} {shown(text)} is not a whole number")


def real(text: object, what: str, where: str) -> float:
  """A finite number written in a text, or given as one; `what` names it in the error."""
  try:
    value = float(text) if isinstance(text, str | int | float) and not isinstance(text, bool) else math.nan
  except (ValueError, OverflowError):
    value = math.nan
  if math.isfinite(value):
    return value
  raise InputError(f"{where}: {what} {shown(text)} is not a number")


def file_name(text: object, what: str, where: str) -> str:
  """A text that can be a path: not blank, no NUL, encodable."""
  if isinstance(text, str) and text.strip() and "\0" not in text:
    try:
      text.encode()
      return text
    except UnicodeEncodeError:
      pass
  raise InputError(f"{where}: {what} {shown(text)} is no path")


def member(entry: object, name: str, where: str) -> Any:
  """entry[name]; InputError where entry is no JSON object or has no such member."""
  if not isinstance(entry, dict):
    raise InputError(f"{where}: {shown(entry)}; an object with {name!r} was wanted")
  if name not in entry:
    raise InputError(f"{where}: no {name!r} in {shown(entry)}")
  return entry[name]


def listed(value: object, what: str, where: str) -> list:
  """A value that must be a JSON list."""
  if not isinstance(value, list):
    raise InputError(f"{where}: {what} is {shown(value)}; a list was wanted")
  return value


def read_json_rows(path: str | os.PathLike) -> Iterator[Entry]:
  """The elements of a JSON list, or of JSON Lines (one object a line), which begin with "{"."""
  text = read_text(path)
  if not text.lstrip(" \t\n").startswith("{"):
    yield from json_entries(path, text, "[")
    return
  start = 0
  for at, line in enumerate(text.split("\n"), 1):
    if line.strip():
      where = f"{path}:{at}"
      value, end = _parsed(where, line, _after_space(line, 0))
      if line[end:].strip():
        raise InputError(f"{where}: {shown(line[end:].strip())} behind the line's object")
      yield Entry(where, None, value, start)
    start += len(line) + 1


def read_json_object(path: str | os.PathLike) -> tuple[str, Iterator[Entry]]:
  """A JSON file's text, and the members of the object in it."""
  text = read_text(path)
  return text, json_entries(path, text, "{")


def json_entries(path: str | os.PathLike, text: str, opening: str, start: int | None = None) -> Iterator[Entry]:
  """The elements of the list, or the members of the object, that begins at `start` (None: that is the whole text).

  `opening` is "[" or "{", whichever was wanted. One element is parsed at a time, so that each has its line.
  """
  wanted, closing = ("a JSON list", "]") if opening == "[" else ("a JSON object", "}")
  at, line, seen = _after_space(text, start or 0), 1, 0

  def where() -> str:
    nonlocal line, seen
    line, seen = line + text.count("\n", seen, at), at
    return f"{path}:{line}"

  if text[at : at + 1] != opening:
    raise InputError(f"{where()}: {shown(text[at : at + 40])}; {wanted} was wanted")
  at = _after_space(text, at + 1)
  first = True
  while not (first and text[at : at + 1] == closing):
    first, key = False, None
    if opening == "{":
      key, end = _parsed(where(), text, at)
      if not isinstance(key, str):
        raise InputError(f"{where()}: {shown(key)}; the name of a member in quotes was wanted")
      at = _after_space(text, end)
      if text[at : at + 1] != ":":
        raise InputError(f"{where()}: no colon behind {shown(key)}")
      at = _after_space(text, at + 1)
    value, end = _parsed(where(), text, at)
    yield Entry(where(), key, value, at)
    at = _after_space(text, end)
    if text[at : at + 1] == closing:
      break
    if text[at : at + 1] != ",":
      raise InputError(f"{where()}: {shown(text[at : at + 40])}; a comma or {closing} was wanted")
    at = _after_space(text, at + 1)
  at = _after_space(text, at + 1)
  if start is None and at < len(text):
    raise InputError(f"{where()}: {shown(text[at : at + 40])} behind the end of the {wanted[2:]}")


def _after_space(text: str, at: int) -> int:
  """The first place from `at` on that holds no white space."""
  match = _SPACE.match(text, at)
  return at if match is None else match.end()


def _constant(name: str) -> float:
  raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_constant)


def _parsed(where: str, text: str, at: int) -> tuple[Any, int]:
  """One JSON value and where it ends; `where` is the place of its beginning."""
  try:
    return _DECODER.raw_decode(text, at)
  except json.JSONDecodeError as error:
    path, _, line = where.rpartition(":")
    line = int(line) + text.count("\n", at, error.pos)
    raise InputError(f"{path}:{line}: no JSON ({error.msg}, at {shown(text[error.pos : error.pos + 20])})") from None
  except RecursionError:
    raise InputError(f"{where}: JSON that is nested too deeply") from None
  except ValueError as error:
    raise InputError(f"{where}: no JSON ({shown(str(error))})") from None
