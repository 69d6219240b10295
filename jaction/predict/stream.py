"""Scores on the disk as they come, so that an evaluation that was killed goes on where it was.

`scores.part` is a line of JSON (what is scored, by what) and behind it rows of one size: number of the record (int64),
scores (float32), and the CRC-32 of both.  A row that was torn by a kill is cut off; each record counts once.
"""

import hashlib
import json
import os
import pathlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaction.errors import InputError

NAME = "scores.part"


class ScoreFile:
  """The rows of one evaluation; a context that closes the file and leaves it there.

  folder: where scores.part is, or will be.  facts: what the scores hang on, as JSON; a file of other facts is refused,
  or begun anew where `resume` is False.  count: how many records there are.
  """

  def __init__(self, folder: str | os.PathLike, facts: Mapping[str, Any], count: int, *, resume: bool = True):
    self.path, self.count = pathlib.Path(folder) / NAME, count
    self.path.parent.mkdir(parents=True, exist_ok=True)
    self._facts = json.loads(json.dumps(dict(facts) | {"records": count}))
    self._rows: dict[int, np.ndarray] = {}
    self._shape: tuple[int, ...] | None = None
    self._file = open(self.path, "r+b" if resume and self.path.exists() else "w+b")
    try:
      self._read()
    except BaseException:
      self._file.close()
      raise

  def __enter__(self) -> "ScoreFile":
    return self

  def __exit__(self, *error: Any) -> None:
    self._file.close()

  @property
  def missing(self) -> list[int]:
    """The records that have no row yet, ascending."""
    return [number for number in range(self.count) if number not in self._rows]

  def add(self, numbers: Sequence[int], scores: np.ndarray) -> None:
    """Writes the scores [N,K] or [N,V,K] of these records; on the disk when it returns."""
    if self._shape is None:
      self._begin(tuple(scores.shape[1:]))
    for number, row in zip(numbers, np.asarray(scores, "<f4"), strict=True):
      number = int(number)
      if row.shape != self._shape or not 0 <= number < self.count or number in self._rows:
        raise InputError(f"{self.path}: record {number} with scores {row.shape}; wanted each of {self.count} once")
      data = np.int64(number).astype("<i8").tobytes() + row.tobytes()
      self._file.write(data + zlib.crc32(data).to_bytes(4, "little"))
      self._rows[number] = row
    self._file.flush()
    os.fsync(self._file.fileno())

  def scores(self) -> tuple[np.ndarray, np.ndarray]:
    """(scores [N,...] float32, numbers of the records [N], ascending) of all that are there."""
    numbers = np.array(sorted(self._rows), np.int64)
    if not numbers.size:
      raise InputError(f"{self.path}: there is nothing to score: no record has scores")
    return np.stack([self._rows[number] for number in numbers.tolist()]), numbers

  def remove(self) -> None:
    """Away with the file: the result is written elsewhere."""
    self._file.close()
    self.path.unlink(missing_ok=True)

  def _begin(self, shape: tuple[int, ...]) -> None:
    self._shape = shape
    self._file.seek(0)
    self._file.truncate()
    self._file.write(json.dumps(self._facts | {"shape": shape}).encode() + b"\n")

  def _read(self) -> None:
    head = self._file.readline()
    if not head.endswith(b"\n"):  # new, or killed before its first row
      return
    try:
      found = json.loads(head)
      shape = tuple(found.pop("shape"))
    except (ValueError, KeyError, AttributeError) as error:
      raise InputError(f"{self.path} is no file of scores: take another folder, or remove it") from error
    if found != self._facts:
      differing = [key for key in {**found, **self._facts} if found.get(key) != self._facts.get(key)]
      raise InputError(
        f"{self.path} holds scores of another evaluation ({', '.join(sorted(differing))} differ): take another folder, "
        "or give --no-resume to begin anew"
      )
    self._shape, start = shape, self._file.tell()
    size = 8 + 4 * int(np.prod(shape)) + 4
    while len(data := self._file.read(size)) == size and zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little"):
      number = int(np.frombuffer(data, "<i8", 1)[0])
      self._rows[number] = np.frombuffer(data[8:-4], "<f4").reshape(shape)
      start += size
    self._file.seek(start)
    self._file.truncate()


def fingerprint(records: Sequence[Any]) -> str:
  """Of the records and their order."""
  digest = hashlib.sha256()
  for record in records:
    digest.update(f"{record.id}\0{record.label}\0{record.labels}\n".encode())
  return digest.hexdigest()[:16]
