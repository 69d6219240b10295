"""What logging and checkpoints cost a run, and how long a step waits for data.

jaction benchmark training --root DIR/toy                  toy_tsm on the toy set
jaction benchmark training --config toy_slowfast --root DIR/toy --steps 120

"steps" are the run's batches and steps alone, with decoded frames in memory; "run" is what `jaction train` does with
them: rows, TensorBoard, a checkpoint an epoch.  They take turns, and the ratio is the median over the turns.
"decoding" is the run without frames in memory; "waiting" is the share of its time in which the device had nothing to
compute because the next batch was not there.  Without evaluation, and without the first steps and the last save.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaction.batches import put
from jaction.errors import InputError
from jaction.launch.train import parse_config
from jaction.train.experiment import Experiment
from jaction.train.loop import train_in

WARM = 5  # steps before the clock starts


class Timed:
  """Milliseconds a step of `run`, from step WARM + 1 to the last, whatever it is done by."""

  def __init__(self, run: Experiment):
    self._run, self._step = run, run.step

  def __call__(self, work: Callable[[], object]) -> float:
    calls, clock = 0, [0.0, 0.0]

    def step(state, batch, lr):
      nonlocal calls
      if calls == WARM:
        jax.block_until_ready(state)
        clock[0] = time.perf_counter()
      calls += 1
      result = self._step(state, batch, lr)
      if calls == self._run.total:
        jax.block_until_ready(result)
        clock[1] = time.perf_counter()
      return result

    self._run.step = step
    try:
      work()
    finally:
      self._run.step = self._step
    return 1e3 * (clock[1] - clock[0]) / (self._run.total - WARM)


def steps_alone(run: Experiment) -> None:
  """The run's batches and steps, and nothing else."""
  state = run.first_state()
  with run.training_batches(0) as batches:
    for done, batch in enumerate(batches):
      state, _ = run.step(state, put(batch, run.mesh), np.float32(run.schedule(done)))


def measure(config, repeat: int) -> dict[str, float]:
  """{"steps_ms", "run_ms", "ratio", "decoding_ms", "waiting", "saves", "rows"}."""
  run = Experiment(config)
  timed = Timed(run)
  times: dict[str, list[float]] = {"steps": [], "run": []}

  def whole(runs: Experiment) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
      train_in(runs, folder)
      return [json.loads(line) for line in pathlib.Path(folder, "metrics.jsonl").read_text().splitlines()]

  for turn in range(-1, repeat):  # the first turn, which compiles and reads the videos, does not count
    order = [("steps", lambda: steps_alone(run)), ("run", lambda: whole(run))]
    for name, work in order[:: -1 if turn % 2 else 1]:
      taken = timed(work)
      if turn >= 0:
        times[name].append(taken)
  cached, run.cache = run.cache, None
  rows: list[dict] = []
  decoding = timed(lambda: rows.extend(whole(run)))
  run.cache = cached
  ratios = [own / bare for own, bare in zip(times["run"], times["steps"], strict=True)]
  return {
    "steps_ms": statistics.median(times["steps"]),
    "run_ms": statistics.median(times["run"]),
    "ratio": statistics.median(ratios),
    "decoding_ms": decoding,
    "waiting": statistics.mean(row["waiting"] for row in rows[1:] or rows),
    "saves": run.total // run.save_every if run.save_every else 1,
    "rows": len(rows),
  }


def training(argv: list[str]) -> int:
  """1 where logging and checkpoints cost 5 % of a step or more."""
  parser = argparse.ArgumentParser(
    prog="jaction benchmark training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--config", default="toy_tsm", help="a config or its name (toy_tsm)")
  parser.add_argument("--root", required=True, help="the folder of its set")
  parser.add_argument("--steps", type=int, default=120, help="of each turn (120)")
  parser.add_argument("--repeat", type=int, default=5, help="turns (5)")
  parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
  args = parser.parse_args(argv)
  if args.steps <= WARM + 1 or args.repeat < 1:
    raise InputError(f"--steps={args.steps} --repeat={args.repeat}: wanted more than {WARM + 1} and 1 or more")
  config = parse_config([f"--config={args.config}"])
  assert config is not None
  with config.unlocked():
    config.data.root, config.data.val, config.log.progress = args.root, "", False
    config.data.cache_mb = config.data.cache_mb or 2048
    for length in (config.duration, config.schedule.warmup):
      length.update({name: type(value)(0) for name, value in length.items()})
    config.duration.steps = args.steps
  found = measure(config.to_dict(), args.repeat)
  table = Table("", "ms a step", "", title=f"{args.config}, batches of {config.batch_size}, {jax.devices()[0]}")
  table.add_row("steps", f"{found['steps_ms']:.1f}", "")
  made = f"times it, with {found['rows']} rows and {found['saves']} saves"
  table.add_row("run", f"{found['run_ms']:.1f}", f"{found['ratio']:.3f} {made}")
  table.add_row("decoding", f"{found['decoding_ms']:.1f}", f"waiting {found['waiting']:.0%}")
  Console().print(table)
  if args.json:
    args.json.write_text(json.dumps(found, indent=1) + "\n")
  return 0 if found["ratio"] < 1.05 else 1
