"""The training loop."""

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaction.batches import place_of, put
from jaction.checkpoints import Checkpoints
from jaction.faults import BadFiles
from jaction.train.distributed import is_first, meet, stop_asked
from jaction.train.divergence import Diverged, Divergences
from jaction.train.experiment import Experiment
from jaction.train.log import Log
from jaction.train.state import TrainState
from jaction.train.watchdog import Watchdog
from jaction.train.watching import Profile
from jaction.train.workdir import locked_workdir, open_workdir

STOPPED = 75  # exit status after SIGTERM: started again, the run goes on (EX_TEMPFAIL)


def train(config: Mapping[str, Any], workdir: str | os.PathLike) -> dict[str, float]:
  """Trains what `config` says (keys: jaction.configs.base) in `workdir`: the metrics of the end and of the best step.

  Started again in the same workdir it goes on from the last checkpoint, bit for bit as if it had never stopped (same
  machine, devices and versions).  Writes config.json, data.json, versions.json, metrics.jsonl, tb/,
  curves.png, confusion.png, checkpoints/ and model/, the best weights so far as a folder for jaction.load.  SIGTERM
  saves and raises SystemExit(75).  Raises InputError for a config, list or workdir that does not fit, a workdir in
  which another run goes on, a loss that is not finite (config.divergence), a disk that is full.
  """
  return train_in(Experiment(config.to_dict() if hasattr(config, "to_dict") else dict(config)), workdir)


def train_in(run: Experiment, workdir: str | os.PathLike) -> dict[str, float]:
  """`train`, of what is built already."""
  config = run.config
  with contextlib.ExitStack() as stack:
    folder, changes = stack.enter_context(locked_workdir(workdir)), []
    if is_first():
      folder, changes = open_workdir(folder, config, run.task.facts())
    meet("the workdir")
    checkpoints = stack.enter_context(
      Checkpoints(folder / "checkpoints", keep=config["checkpoint"]["keep"], metric=run.metric)
    )
    diverged = Divergences(folder / "diverged.jsonl", config["divergence"])
    stop = stack.enter_context(stop_asked(_sigterm))
    profile = Profile(folder / "profile", config["log"]["profile"])
    while not _run(run, folder, checkpoints, diverged, changes, stop, profile):
      pass
    return _exported(run, checkpoints, folder)


def _exported(run: Experiment, checkpoints: Checkpoints, folder: pathlib.Path) -> dict[str, float]:
  """The model folder, written by the first process; the metrics of the last and of the best step."""
  metrics = run.export(checkpoints, folder)
  meet("the model folder")
  return metrics if is_first() else {}


def _run(
  run: Experiment,
  folder: pathlib.Path,
  checkpoints: Checkpoints,
  diverged: Divergences,
  changes: list[str],
  stop: Callable[[int], bool],
  profile: Profile,
) -> bool:
  """From the last checkpoint to the end: True; False where the run has to go back to a checkpoint, and begin anew."""
  config, run.skip = run.config, diverged.skip
  state = run.first_state() if checkpoints.latest() is None else run.restore(checkpoints)
  start = int(state.step)
  sizes = {"examples": run.epoch, "batch_size": run.batch_size, "highest": config["divergence"]["loss"]}
  groups = config["optimizer"]["groups"]
  with (
    Log(folder, config["log"], start=start, total=run.total, groups=groups, config=config, **sizes) as log,
    Watchdog(config["log"]["watchdog"], log.say) as dog,
  ):
    for line in run.describe():
      log.say(line)
    if start:
      log.say(f"resuming after step {start} of {run.total}")
    if run.skip:
      log.say(f"{len(run.skip)} batches are left out, at which the loss diverged before: {diverged.path}")
    if start and changes:
      log.say(
        "warning: bit-equality with an undisturbed run is not claimed, since this differs:\n  " + "\n  ".join(changes)
      )
    if start < run.total:
      try:
        bad = run.bad_files(folder, start)
        _steps(run, state, start, log, checkpoints, folder, stop, bad, diverged, dog, profile)
      except Diverged as error:
        log.say(f"rolling back to step {last_saved(checkpoints)}: {error.args[0]}")
        return False
    log.curves()
  return True


def last_saved(checkpoints: Checkpoints) -> int:
  """The step that a run goes on from."""
  return checkpoints.latest() or 0


def _steps(
  run: Experiment,
  state: TrainState,
  start: int,
  log: Log,
  checkpoints: Checkpoints,
  folder: pathlib.Path,
  stop: Callable[[int], bool],
  bad: BadFiles,
  diverged: Divergences,
  dog: Watchdog,
  profile: Profile,
) -> None:
  """The steps from `start` on; where `stop(step)` says so the state is saved and SystemExit(STOPPED) raised.

  Raises Diverged where the run is to go on from the last checkpoint, without the batches in `diverged`.
  """
  minutes, saved_at = run.config["checkpoint"]["minutes"], time.monotonic()

  def finished(done: int, lr: float, sums: Any, waited: float, faults: int, numbers: Any, flops: float) -> None:
    try:
      log.step(done, lr, sums, waited, faults, clips=len(numbers) * jax.process_count(), flops=flops)
    except Diverged as error:
      if jax.process_count() > 1:
        numbers = multihost_utils.process_allgather(numbers, tiled=True)
      ids = [run.task.records[number].id for number in numbers]
      diverged.note(error, batch=place_of(done - 1, run.skip), since=last_saved(checkpoints), records=ids)
      raise

  dog.stage("data", ": the first batch")
  with run.training_batches(start) as batches, profile, concurrent.futures.ThreadPoolExecutor(1) as watcher:
    fetched, waited, pending = next(batches), 0.0, None
    batch, faults = put(fetched, run.mesh), run.note_bad(batches, bad, start + 1)
    counted = run.config["log"]["tensorboard"] or run.config["log"]["wandb"]
    for done in range(start + 1, run.total + 1):
      dog.stage("step", f", step {done}" + (", which compiles" if done == start + 1 else ""))
      lr, numbers = run.schedule(done - 1), np.asarray(fetched["index"])
      profile.before(done)
      state, sums = run.step(state, batch, np.float32(lr))
      profile.after(done, sums)
      if pending:  # one step behind, so that the device never waits for the log
        finished(*pending)
      pending = (done, lr, sums, waited, faults, numbers, run.flops(batch) if counted else 0.0)
      if done < run.total:  # the next batch is fetched and on its way while the device computes
        dog.stage("data", f", the batch of step {done + 1}")
        fetched, waited = _fetch(batches, sums["loss"][0], watcher)
        batch, faults = put(fetched, run.mesh), run.note_bad(batches, bad, done + 1)
      last = done == run.total
      evaluates = run.has_val and (last or (run.eval_every and done % run.eval_every == 0))
      due = (run.save_every and done % run.save_every == 0) or (
        minutes and _agreed(time.monotonic() - saved_at >= minutes * 60)
      )
      stopping = stop(done)
      if not (last or evaluates or stopping or due):
        continue
      dog.stage("step", f", step {done}")
      finished(*pending)  # before anything is saved: a state behind a loss that is not finite never is
      pending = None
      log.flush(done)
      if evaluates:
        dog.stage("evaluation", f" after step {done}")
        state = run.settled(state, done)
      metrics = run.evaluate(state, log, done, bad, dog.beat) if evaluates else None
      dog.stage("save", f" of step {done}")
      checkpoints.save(done, state.tree(), metrics, wait=bool(last or evaluates or stopping))
      saved_at = time.monotonic()
      if metrics and checkpoints.best() == done and not last:
        _exported(run, checkpoints, folder)
        log.curves()
      log.restart_clock()
      if stopping and not last:
        log.say(f"stopped by SIGTERM after step {done}, which is saved: the same command goes on from there")
        raise SystemExit(STOPPED)


def _agreed(wanted: bool) -> bool:
  """What the first process says."""
  if jax.process_count() == 1:
    return wanted
  return bool(multihost_utils.broadcast_one_to_all(np.int32(wanted)))


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
