"""A function over many files in processes that may crash or hang: one file costs itself and nothing else."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from jaction.errors import InputError


class Outcome(NamedTuple):
  """What became of item `index`: `value`, or why there is none."""

  index: int
  value: Any
  error: str | None = None


class _Worker:
  """A process, what it works at, and until when it may."""

  def __init__(self, function: Callable[[Any], Any]):
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of whoever calls
    self.pipe, other = context.Pipe()
    self.process = context.Process(target=_work, args=(function, other), daemon=True)
    self.process.start()
    other.close()  # so that a worker's end is the pipe's end
    self.index: int | None = None
    self.deadline = 0.0

  def stop(self) -> None:
    self.pipe.close()
    self.process.kill()
    self.process.join()


def supervised(
  function: Callable[[Any], Any], items: Iterable[Any], *, processes: int = 2, seconds: float = 60.0
) -> Iterator[Outcome]:
  """function(item) for every item, as they are done, in any order; each item has one Outcome.

  `function` can be pickled and, as a spawned process imports it, lies in a module.  An exception of it, the end of its
  process, and more than `seconds` for one item are errors of that item; the process is then replaced.
  """
  if processes < 1 or seconds <= 0:
    raise InputError(f"processes={processes}, seconds={seconds}: wanted 1 or more processes, above 0 seconds")
  left, workers = iter(enumerate(items)), []
  try:
    for index, item in left:
      if len(workers) < processes:
        worker = _Worker(function)
        workers.append(worker)
      else:
        outcome, worker = _one(workers, function, seconds)
        yield outcome
      worker.index, worker.deadline = index, time.monotonic() + seconds + (30 if worker.deadline == 0 else 0)
      worker.pipe.send((index, item))
    while any(worker.index is not None for worker in workers):
      outcome, _ = _one(workers, function, seconds)
      yield outcome
  finally:
    for worker in workers:
      worker.stop()


def _one(workers: list[_Worker], function: Callable[[Any], Any], seconds: float) -> tuple[Outcome, _Worker]:
  """The next outcome, and its worker, which is free: a new one where the old one is lost."""
  busy = {worker.pipe: worker for worker in workers if worker.index is not None}
  remaining = min(worker.deadline for worker in busy.values()) - time.monotonic()
  ready = wait(list(busy), timeout=max(0.0, remaining))
  worker = busy[ready[0]] if ready else min(busy.values(), key=lambda worker: worker.deadline)
  outcome, lost = _received(worker) if ready else (Outcome(worker.index, None, f"took more than {seconds:g} s"), True)
  worker.index = None
  if lost:
    worker.stop()
    new = _Worker(function)
    workers[workers.index(worker)] = worker = new
  return outcome, worker


def _received(worker: _Worker) -> tuple[Outcome, bool]:
  try:
    return Outcome(*worker.pipe.recv()), False
  except (EOFError, ConnectionResetError):
    worker.process.join()
    return Outcome(worker.index, None, f"its process ended ({worker.process.exitcode})"), True


def _work(function: Callable[[Any], Any], pipe: Connection) -> None:
  while True:
    try:
      index, item = pipe.recv()
    except (EOFError, KeyboardInterrupt):
      return
    try:
      outcome = Outcome(index, function(item))
    except KeyboardInterrupt:
      return
    except InputError as error:
      outcome = Outcome(index, None, str(error))
    except Exception as error:  # whatever a file makes a decoder raise is that file's outcome
      outcome = Outcome(index, None, f"{type(error).__name__}: {error}")
    pipe.send(tuple(outcome))
