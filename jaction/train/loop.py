"""The training loop."""

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaction.batches import put
from jaction.checkpoints import Checkpoints
from jaction.faults import BadFiles
from jaction.train.experiment import Experiment
from jaction.train.log import Log
from jaction.train.state import TrainState
from jaction.train.workdir import locked_workdir, open_workdir

STOPPED = 75  # exit status after SIGTERM: started again, the run goes on (EX_TEMPFAIL)


def train(config: Mapping[str, Any], workdir: str | os.PathLike) -> dict[str, float]:
  """Trains what `config` says (keys: jaction.configs.base) in `workdir`: the metrics of the end and of the best step.

  Started again in the same workdir it goes on from the last checkpoint, bit for bit as if it had never stopped (same
  machine, devices and versions).  Writes config.json, data.json, versions.json, metrics.jsonl, tb/,
  curves.png, checkpoints/ and model/, the best weights so far as a folder for jaction.load.  SIGTERM saves and raises
  SystemExit(75).  Raises InputError for a config, list or workdir that does not fit, a workdir in which another run
  goes on, a loss that is not finite, a disk that is full.
  """
  config = config.to_dict() if hasattr(config, "to_dict") else dict(config)
  run = Experiment(config)
  with contextlib.ExitStack() as stack:
    folder, changes = open_workdir(stack.enter_context(locked_workdir(workdir)), config, run.task.facts())
    checkpoints = stack.enter_context(
      Checkpoints(folder / "checkpoints", keep=config["checkpoint"]["keep"], metric=run.metric)
    )
    state = run.first_state() if checkpoints.latest() is None else run.restore(checkpoints)
    start = int(state.step)
    sizes = {"examples": run.epoch, "batch_size": run.batch_size}
    with Log(folder, config["log"], start=start, total=run.total, **sizes) as log:
      for line in run.describe():
        log.say(line)
      if start:
        log.say(f"resuming after step {start} of {run.total}")
      if start and changes:
        log.say(
          "warning: bit-equality with an undisturbed run is not claimed, since this differs:\n  " + "\n  ".join(changes)
        )
      if start < run.total:
        with _sigterm() as stop:
          _steps(run, state, start, log, checkpoints, folder, stop, run.bad_files(folder, start))
      log.curves()
    return run.export(checkpoints, folder)


def _steps(
  run: Experiment,
  state: TrainState,
  start: int,
  log: Log,
  checkpoints: Checkpoints,
  folder: pathlib.Path,
  stop: list[int],
  bad: BadFiles,
) -> None:
  """The steps from `start` on; whenever `stop` is filled the state is saved and SystemExit(STOPPED) raised."""
  with run.training_batches(start) as batches, concurrent.futures.ThreadPoolExecutor(1) as watcher:
    batch, waited, pending = put(next(batches), run.mesh), 0.0, None
    faults = run.note_bad(batches, bad, start + 1)
    for done in range(start + 1, run.total + 1):
      lr = run.schedule(done - 1)
      state, sums = run.step(state, batch, np.float32(lr))
      if pending:  # one step behind, so that the device never waits for the log
        log.step(*pending)
      pending = (done, lr, sums, waited, faults)
      if done < run.total:  # the next batch is fetched and on its way while the device computes
        fetched, waited = _fetch(batches, sums["loss"][0], watcher)
        batch, faults = put(fetched, run.mesh), run.note_bad(batches, bad, done + 1)
      last = done == run.total
      evaluates = run.has_val and (last or (run.eval_every and done % run.eval_every == 0))
      saves = last or evaluates or stop or (run.save_every and done % run.save_every == 0)
      if not saves:
        continue
      log.step(*pending)  # before anything is saved: a state behind a loss that is not finite never is
      pending = None
      log.flush(done)
      if evaluates:
        state = run.settled(state, done)
      metrics = run.evaluate(state, log, done, bad) if evaluates else None
      checkpoints.save(done, state.tree(), metrics)
      if metrics and checkpoints.best() == done and not last:
        run.export(checkpoints, folder)
        log.curves()
      log.restart_clock()
      if stop and not last:
        log.say(f"stopped by SIGTERM after step {done}, which is saved: the same command goes on from there")
        raise SystemExit(STOPPED)


def _fetch(
  batches: Iterator[Mapping[str, np.ndarray]], computing: jax.Array, watcher: concurrent.futures.Executor
) -> tuple[Mapping[str, np.ndarray], float]:
  """The next batch, and for how many seconds of its fetching the device had nothing left to compute."""
  began, ready = time.perf_counter(), watcher.submit(_ready_at, computing)
  batch = next(batches)
  now = time.perf_counter()
  return batch, max(0.0, now - max(began, ready.result())) if ready.done() else 0.0


def _ready_at(array: jax.Array) -> float:
  array.block_until_ready()
  return time.perf_counter()


@contextlib.contextmanager
def _sigterm() -> Iterator[list[int]]:
  """A list that is filled when SIGTERM comes; only the main thread can ask for it, others get one that stays empty."""
  came: list[int] = []
  try:
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
  except ValueError:
    yield came
    return
  try:
    yield came
  finally:
    signal.signal(signal.SIGTERM, before)
