"""Runs that are killed and started again end bit-equal to one that nothing disturbed."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import jaction

HERE = pathlib.Path(__file__).parent
TIMES = {"clips_per_second", "waiting", "seconds", "model_tflops", "host_memory_mb", "device_memory_mb"}
FEW_AND_MANY = pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])


def start(workdir, data, stage="none", step=0, share=0.0):
  """The run as a process of its own: two devices, so that their sums are in the test; see killed.py."""
  environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
  environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
  command = [sys.executable, str(HERE / "killed.py"), stage, str(step), str(share), str(workdir.parent / "mark")]
  command += [f"--config={HERE / 'tiny.py'}", f"--workdir={workdir}"]
  command += [f"--config.data.root={data}", "--config.log.progress=False"]
  return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
  output, _ = process.communicate(timeout=300)
  assert process.returncode == 0, output
  return output


def saved(workdir):
  folder = workdir / "checkpoints"
  return max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0) if folder.exists() else 0


def signal_at_random(process, workdir, draw, number):
  """Within a moment after the run has got further than it was: somewhere in a step, a save, an evaluation."""
  before = saved(workdir)
  while process.poll() is None and saved(workdir) == before:
    time.sleep(0.002)
  deadline = time.monotonic() + draw.uniform(0, 0.4)
  while process.poll() is None and time.monotonic() < deadline:
    time.sleep(0.001)
  process.send_signal(number)
  output, _ = process.communicate(timeout=60)
  assert process.returncode in {signal.SIGKILL: (-9, 0), signal.SIGTERM: (75, -15, 0)}[number], output
  return process.returncode


def result(workdir, kinds=("train", "val")):
  model = [leaf.tobytes() for leaf in jax.tree.leaves(jaction.load(workdir)[1])]
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  return model, [{k: v for k, v in line.items() if k not in TIMES} for line in lines if line["kind"] in kinds]


def state(workdir):
  with ocp.CheckpointManager(workdir / "checkpoints", item_handlers=ocp.PyTreeCheckpointHandler()) as manager:
    assert manager.latest_step() == 48
    tree = manager.restore(48, args=ocp.args.PyTreeRestore())
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def assert_same(quiet, killed, kinds=("train", "val")):
  left, right = state(quiet), state(killed)
  assert left.keys() == right.keys() and len(left) > 50
  different = [path for path in left if left[path].tobytes() != right[path].tobytes()]
  assert not different
  assert result(quiet, kinds) == result(killed, kinds)


@pytest.fixture(scope="module")
def quiet(tiny_set, tmp_path_factory):
  """The folder of an undisturbed run, with the times of its stages beside it."""
  folder = tmp_path_factory.mktemp("kill") / "quiet"
  finish(start(folder, tiny_set))
  return folder


@FEW_AND_MANY
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_run_that_signals_end_at_random_moments_ends_bit_equal(number, kills, quiet, tiny_set):
  draw, codes, runs = random.Random(kills), [], 0
  while sum(code != 0 for code in codes) < kills:  # a run that was through before it came is another run's beginning
    killed, runs = quiet.with_name(f"{number.name}_{kills}_{runs}"), runs + 1
    while len(codes) - codes.count(0) < kills:
      codes.append(signal_at_random(start(killed, tiny_set), killed, draw, number))
      if codes[-1] == 0:
        break
    else:
      assert "resuming after step" in finish(start(killed, tiny_set))
    # Where SIGTERM saves, the row of the steps so far is written too: there the rows of training are others.
    assert_same(quiet, killed, ("val",) if number == signal.SIGTERM else ("train", "val"))
  print(f"{number.name}: {runs} runs, exit statuses { {code: codes.count(code) for code in sorted(set(codes))} }")
  if number == signal.SIGTERM:
    assert 75 in codes


@FEW_AND_MANY
@pytest.mark.parametrize("stage", ["save", "evaluation"])
def test_a_run_killed_inside_a_stage_ends_bit_equal(stage, kills, quiet, tiny_set):
  draw, killed, mark = random.Random(kills), quiet.with_name(f"{stage}_{kills}"), quiet.with_name("mark")
  steps = sorted(draw.choice({"save": range(3, 37, 3), "evaluation": (16, 32)}[stage]) for _ in range(kills))
  reached, shares, runs = [], [], 0
  for step in steps:
    share = draw.uniform(0.0, 0.95)
    while True:
      process = start(killed, tiny_set, stage, step, share)
      output, _ = process.communicate(timeout=300)
      if process.returncode != 0:
        break
      # The last stage was over sooner than it once took: such a run is whole, and another begins.
      assert_same(quiet, killed)
      killed, runs, reached, share = quiet.with_name(f"{stage}_{kills}_{runs}"), runs + 1, [], share / 2
      assert runs <= kills, output
    assert process.returncode == -9 and mark.exists(), output
    mark.unlink()
    shares.append(share)
    reached.append(saved(killed))
    assert reached == sorted(reached) and reached[-1] < 48
  print(f"{stage}: killed at {np.round(shares, 2).tolist()} of its time, {runs} runs were through before")
  finish(start(killed, tiny_set))
  assert_same(quiet, killed)
