"""A loss or gradient that is not finite: what is written about it, and which batches a rollback leaves out."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaction.errors import InputError, nearest

ACTIONS = ("stop", "rollback")


class Diverged(InputError):
  """The loss or the gradient of step number `step` (from 1) is not finite, or the loss above what is allowed."""

  def __init__(self, step: int, loss: float, lr: float, grad_norm: float):
    super().__init__(
      f"the loss is {loss:.6g} at step {step} (learning rate {lr:.3g}, gradient norm {grad_norm:.3g}): lower "
      "schedule.lr, lengthen schedule.warmup, or set optimizer.clip_norm. The last checkpoint is from before it."
    )
    self.step, self.loss, self.lr, self.grad_norm = step, loss, lr, grad_norm


class Divergences:
  """The divergences of a run: rows of a file in its folder, each written before anything is done about it.

  A row has step, batch (its number in the stream, from 0), since (the checkpoint before it: the cause is a batch or a
  rate of the steps since + 1 ... step), loss (as text), lr, grad_norm, action and records (the ids of the batch).  The
  batches of rows of the action "rollback" are left out from then on, also by a run that was killed and goes on: what
  came before their place in the stream stays as it was, and what comes after moves up.
  """

  def __init__(self, path: str | os.PathLike, settings: Mapping[str, Any]):
    """settings: action, limit (rollbacks of a run).  Raises InputError for an action that is not known."""
    action = settings["action"]
    if action not in ACTIONS:
      raise InputError(
        f"divergence.action={action!r}: wanted one of {', '.join(ACTIONS)}.{nearest(str(action), ACTIONS)}"
      )
    self.path, self._action, self._limit = pathlib.Path(path), action, settings["limit"]
    self.rows: list[dict[str, Any]] = []
    for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.exists() else ():
      try:
        self.rows.append(json.loads(line))
      except json.JSONDecodeError:  # the torn line of a killed run, which comes to the same divergence again
        continue

  @property
  def skip(self) -> tuple[int, ...]:
    """The batches of the stream that are left out."""
    return tuple(row["batch"] for row in self.rows if row["action"] == "rollback")

  def note(self, error: Diverged, *, batch: int, since: int, records: Sequence[str]) -> None:
    """Writes a row.  Raises InputError, which names the file, where the run is to stop; else it is to roll back."""
    row = {"step": error.step, "batch": batch, "since": since, "loss": str(error.loss), "lr": error.lr}
    row |= {"grad_norm": str(error.grad_norm), "action": self._action, "records": list(records)}
    spent = len(self.skip) >= self._limit
    if self._action == "rollback" and spent:
      row["action"] = "stop"
    self.rows.append(row)
    if jax.process_index() == 0:  # of several processes, which all come to the same
      self._write()
    if row["action"] == "rollback":
      return
    why = (
      f"divergence.limit={self._limit} rollbacks are spent."
      if spent and self._action == "rollback"
      else 'divergence.action="rollback" would go back to it and leave the batch out.'
    )
    raise InputError(
      f"{error} The records of the batch, and the steps since that checkpoint ({since + 1} to {error.step}), are in "
      f"{self.path}; {why}"
    ) from error

  def _write(self) -> None:
    new = self.path.with_suffix(".jsonl.new")
    new.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
    os.replace(new, self.path)
