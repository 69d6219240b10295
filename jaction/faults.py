"""Files that cannot be read, as policy: what is done about them, what is written about them, how many are too many."""

import json
import math
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaction.errors import InputError, nearest

ON_ERROR = ("raise", "substitute", "skip")
ATTEMPTS = 50  # records that are tried for one place before the set itself must be at fault
_SHOWN = 10  # culprits that an error names


class Fault(NamedTuple):
  """A record that could not be read (MediaError) where it was wanted.

  Several faults of one place: the record itself, then those that were to stand in for it and could not be read either.
  """

  place: int  # of the training stream; of an evaluation the record's number
  number: int  # of the record that is bad
  id: str
  reason: str
  instead: int  # the number of the record that was given in its place; -1 where the row is masked out


def check_on_error(on_error: str, known: Sequence[str] = ON_ERROR) -> str:
  """The policy itself; InputError where it is none of `known`."""
  if on_error not in known:
    raise InputError(f"on_error={on_error!r}: wanted one of {', '.join(known)}.{nearest(str(on_error), known)}")
  return on_error


class BadFiles:
  """The bad files of a run: rows of a file, written as they come, and a limit to different ones in an epoch.

  A row of the file has step, kind ("train" or "val"), epoch, id, reason, instead (the id of what was given in its
  place, or null) and the fields place and number of `Fault`.
  """

  def __init__(self, path: str | os.PathLike | None, *, limit: float, start: int = 0):
    """path: of the file; None writes none.  limit: below 1 a share of the epoch's videos (rounded up), else a number.

    Rows of later steps than `start` are dropped: the run goes through these steps again.
    """
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < math.inf:
      raise InputError(f"max_errors={limit}: wanted a share below 1 of an epoch's videos, or a number of videos")
    self._path, self._limit = None if path is None else pathlib.Path(path), limit
    self._culprits: dict[tuple[str, int], dict[int, str]] = {}  # (kind, epoch) -> number -> what the error says of it
    self.rows = _kept(self._path, start) if self._path is not None and self._path.exists() else []
    for row in self.rows:
      self._note(row)

  def add(
    self, faults: Iterable[Fault], ids: Sequence[str], *, step: int, epoch: int, videos: int, kind: str = "train"
  ) -> int:
    """Writes the faults of a batch, tells how many; `ids` of all records, `videos` in an epoch.

    Raises InputError, which names the culprits, where the epoch has more different ones than the limit.
    """
    rows = []
    for fault in faults:
      row = {"step": step, "kind": kind, "epoch": epoch} | fault._asdict()
      rows.append(row | {"instead": None if fault.instead < 0 else ids[fault.instead]})
      self._note(row)
    self.rows += rows
    if rows and self._path is not None:
      with open(self._path, "a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    culprits = self._culprits.get((kind, epoch), {})
    allowed = math.ceil(self._limit * videos) if self._limit < 1 else int(self._limit)
    if rows and len(culprits) > allowed:
      more = "" if len(culprits) <= _SHOWN else f"\n  and {len(culprits) - _SHOWN} more"
      named = "".join(f"\n  {said}" for said in list(culprits.values())[:_SHOWN])
      where = "" if self._path is None else f" All are in {self._path}."
      raise InputError(
        f"{len(culprits)} files of {'epoch ' + str(epoch) if kind == 'train' else 'an evaluation'} cannot be read, "
        f"{allowed} are allowed (max_errors={self._limit:g} of {videos} videos).{where}{named}{more}"
      )
    return len(rows)

  def _note(self, row: dict) -> None:
    self._culprits.setdefault((row["kind"], row["epoch"]), {})[row["number"]] = f"{row['id']}: {row['reason']}"


def _kept(path: pathlib.Path, start: int) -> list[dict]:
  """The rows up to step `start`, and the file with these alone; torn lines of a killed run go too."""
  rows = []
  for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
    try:
      row = json.loads(line)
    except json.JSONDecodeError:
      continue
    if isinstance(row, dict) and {"kind", "epoch", "number", "id", "reason"} <= row.keys() and row["step"] <= start:
      rows.append(row)
  new = path.with_suffix(".jsonl.new")
  new.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
  os.replace(new, path)
  return rows
