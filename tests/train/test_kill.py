"""Runs killed with SIGKILL and started again end bit-equal to one that nothing disturbed."""

import json
import os
import pathlib
import random
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import jaction

TINY = pathlib.Path(__file__).with_name("tiny.py")
TIMES = {"clips_per_second", "waiting", "seconds"}


def start(workdir, data):
  """The run as a process of its own: two devices, so that their sums are in the test."""
  environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
  environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
  command = [sys.executable, "-m", "jaction.launch.train", f"--config={TINY}", f"--workdir={workdir}"]
  command += [f"--config.data.root={data}", "--config.log.progress=False"]
  return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
  output, _ = process.communicate(timeout=300)
  assert process.returncode == 0, output
  return output


def saved(workdir):
  folder = workdir / "checkpoints"
  return max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0) if folder.exists() else 0


def kill_at_random(process, workdir, draw):
  """Kills within a second after the run has got further than it was, somewhere in a step, a save, an evaluation."""
  before = saved(workdir)
  while process.poll() is None and saved(workdir) == before:
    time.sleep(0.002)
  deadline = time.monotonic() + draw.uniform(0, 0.4)
  while process.poll() is None and time.monotonic() < deadline:
    time.sleep(0.001)
  process.kill()
  output, _ = process.communicate(timeout=60)
  assert process.returncode in (-9, 0), output


def result(workdir):
  model = [leaf.tobytes() for leaf in jax.tree.leaves(jaction.load(workdir)[1])]
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  return model, [{k: v for k, v in line.items() if k not in TIMES} for line in lines]


def state(workdir):
  with ocp.CheckpointManager(workdir / "checkpoints", item_handlers=ocp.PyTreeCheckpointHandler()) as manager:
    assert manager.latest_step() == 48
    tree = manager.restore(48, args=ocp.args.PyTreeRestore())
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_run_ends_bit_equal_to_an_undisturbed_one(kills, tiny_set, tmp_path):
  quiet, killed = tmp_path / "quiet", tmp_path / "killed"
  finish(start(quiet, tiny_set))
  draw, reached = random.Random(kills), []
  for _ in range(kills):
    kill_at_random(start(killed, tiny_set), killed, draw)
    reached.append(saved(killed))
  output = finish(start(killed, tiny_set))
  assert "resuming after step" in output
  assert 0 < reached[0] < 48, reached
  left, right = state(quiet), state(killed)
  assert left.keys() == right.keys() and len(left) > 50
  different = [path for path in left if left[path].tobytes() != right[path].tobytes()]
  assert not different
  assert result(quiet) == result(killed)
