"""One run in two processes of four devices each: the training of one process, killed or not."""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jaction.records.features import Features, write_features
from jaction.records.toy_actors import make_toy_actors
from jaction.records.toy_untrimmed import make_untrimmed_set

TINY = pathlib.Path(__file__).with_name("tiny.py")
SGD = ("--config.optimizer.name=sgd", "--config.schedule.lr=0.02", "--config.model.fields.dropout=0.0")
SHORT = ("--config.duration.steps=20", "--config.eval.every.steps=10", "--config.checkpoint.every.steps=5")


def free_port():
  with socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    return server.getsockname()[1]


def start(workdir, data, *flags, count=2, devices=4, config=TINY):
  """The processes of one run."""
  environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
  environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
  command = [sys.executable, "-m", "jaction.launch.train", f"--config={config}", f"--workdir={workdir}"]
  command += [f"--config.data.root={data}", "--config.log.progress=False", *flags]
  port = free_port()
  several = lambda i: [f"--coordinator=127.0.0.1:{port}", f"--processes={count}", f"--process_id={i}"]  # noqa: E731
  options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
  return [subprocess.Popen(command + (several(i) if count > 1 else []), **options) for i in range(count)]


def finish(processes, code=0):
  outputs = [process.communicate(timeout=240)[0] for process in processes]
  assert [process.returncode for process in processes] == [code] * len(processes), "\n".join(outputs)
  return outputs


def saved(workdir):
  folder = workdir / "checkpoints"
  return max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0) if folder.exists() else 0


def state(workdir):
  with ocp.CheckpointManager(workdir / "checkpoints", item_handlers=ocp.PyTreeCheckpointHandler()) as manager:
    saved_tree = manager.item_metadata(manager.latest_step()).tree
    kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved_tree)
    tree = manager.restore(manager.latest_step(), args=ocp.args.PyTreeRestore(restore_args=kinds))
  flat = ocp.tree.to_flat_dict(tree, sep="/")
  return {path: np.asarray(leaf) for path, leaf in flat.items()}


def rows(workdir, kind):
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  return [line for line in lines if line["kind"] == kind]


@pytest.fixture(scope="module")
def whole(tiny_set, tmp_path_factory):
  """The workdir of an undisturbed run in two processes."""
  workdir = tmp_path_factory.mktemp("two") / "run"
  outputs = finish(start(workdir, tiny_set, *SGD, *SHORT))
  assert "top1" in outputs[0] and "top1" not in outputs[1]  # the first process speaks
  return workdir


def test_two_processes_of_four_devices_are_one_process_of_eight(whole, tiny_set, tmp_path):
  finish(start(tmp_path, tiny_set, *SGD, *SHORT, count=1, devices=8))
  one, two = state(tmp_path), state(whole)
  assert one.keys() == two.keys() and int(one["step"]) == 20
  params = [path for path in one if path.startswith("params/")]
  largest = max(np.abs(one[path]).max() for path in params)
  assert max(np.abs(one[path] - two[path]).max() for path in params) <= 1e-5 * largest
  for a, b in zip(rows(tmp_path, "val"), rows(whole, "val"), strict=True):  # 11 videos: no multiple of anything
    assert a["top1"] == b["top1"] and a["loss"] == pytest.approx(b["loss"], rel=1e-4)
  assert [row["step"] for row in rows(whole, "train")] == [row["step"] for row in rows(tmp_path, "train")]


def actors(folder):
  return make_toy_actors(folder / "actors", videos=(6, 3)), "toy_ava:short"


def proposals(folder):
  make_untrimmed_set(folder / "untrimmed", videos=(8, 3), processes=1)
  return folder / "untrimmed", "toy_ssn:short"


def features(folder):
  root, _ = proposals(folder)
  (root / "features").mkdir()
  rng = np.random.default_rng(0)
  for split in ("train", "val"):
    for name in json.loads((root / f"{split}.json").read_text()):
      rows = Features(rng.standard_normal((64, 64), np.float32))
      write_features(root / "features" / f"{name}.npz", rows)
  return root, "toy_bmn:short"


@pytest.mark.parametrize(
  "make, metric, more",
  [
    (actors, "mAP", ()),
    (proposals, "map@0.5", ()),
    (features, "auc", ("--config.model.fields.temporal_dim=16",)),
  ],
)
def test_every_task_is_trained_and_evaluated_by_two_processes_as_by_one(make, metric, more, tmp_path):
  data, config = make(tmp_path)
  flags = ("--config.batch_size=8", "--config.eval.batch_size=4", "--config.duration.steps=3", *more)
  flags += ("--config.eval.every.steps=3", "--config.checkpoint.every.steps=3", "--config.optimizer.name=sgd")
  flags += ("--config.schedule.lr=0.001", "--config.schedule.warmup.steps=1")
  found = {}
  for count in (1, 2):
    folder = tmp_path / str(count)
    outputs = finish(start(folder, data, *flags, count=count, devices=4 // count, config=config))
    assert count == 1 or metric not in outputs[1]
    found[count] = state(folder), rows(folder, "val")[-1]
  (one, alone), (two, both) = found[1], found[2]
  params = [path for path in one if path.startswith("params/")]
  largest = max(np.abs(one[path]).max() for path in params)
  assert one.keys() == two.keys() and max(np.abs(one[path] - two[path]).max() for path in params) <= 1e-4 * largest
  assert alone.keys() == both.keys() and metric in alone
  for name in alone.keys() - {"seconds", "time"}:
    assert alone[name] == pytest.approx(both[name], abs=2e-3), name


@pytest.mark.parametrize("limit", ["0.9", "1"])
def test_files_that_one_process_cannot_read_count_for_all(limit, tmp_path):
  data, config = actors(tmp_path)
  video = sorted((data / "videos").glob("val*.mp4"))[-1]
  video.write_bytes(video.read_bytes()[:300])
  flags = ("--config.batch_size=8", "--config.eval.batch_size=4", "--config.duration.steps=2")
  flags += ("--config.eval.every.steps=2", "--config.checkpoint.every.steps=2", "--config.schedule.warmup.steps=1")
  flags += ("--config.data.on_error=skip", f"--config.data.max_errors={limit}")
  began = time.monotonic()
  outputs = finish(start(tmp_path / "run", data, *flags, devices=2, config=config), code=0 if limit == "0.9" else 2)
  if limit == "0.9":
    assert rows(tmp_path / "run", "val")[-1]["bad_files"] == 2
  else:
    assert all("2 files of an evaluation cannot be read" in output for output in outputs)
    assert time.monotonic() - began < 90


def test_a_process_that_fails_alone_does_not_wait_for_the_others(tmp_path):
  code = (
    "import sys, jax, time\n"
    "from jaction.train.distributed import alone, meet, start\n"
    "start(f'127.0.0.1:{sys.argv[1]}', 2, int(sys.argv[2]))\n"
    "with alone():\n"
    "  if jax.process_index():\n"
    "    raise ValueError('only here')\n"
    "  meet('never')\n"
  )
  port, began = str(free_port()), time.monotonic()
  environment = os.environ | {"JAX_PLATFORMS": "cpu"}
  options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
  both = [subprocess.Popen([sys.executable, "-c", code, port, str(i)], **options) for i in range(2)]
  outputs = [process.communicate(timeout=120)[0] for process in both]
  assert "only here" in outputs[1] and both[1].returncode == 1 and both[0].returncode
  assert time.monotonic() - began < 90


def disturb(folder, data, draw, how):
  """Sends the signal to one of the two processes soon after the run has got further than it was."""
  before, processes = saved(folder), start(folder, data, *SGD, *SHORT)
  while all(process.poll() is None for process in processes) and saved(folder) == before:
    time.sleep(0.002)
  time.sleep(draw.uniform(0, 0.3))
  victim = draw.choice(processes)
  victim.send_signal(how)
  if how == signal.SIGKILL:  # the other one ends by itself, as its peer gives no sign
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert victim.returncode in (-signal.SIGKILL, 0), "\n".join(outputs)
    return
  outputs = [process.communicate(timeout=120)[0] for process in processes]
  codes = {process.returncode for process in processes}
  assert codes in ({75}, {0}), "\n".join(outputs)  # both stop after the same step, or had ended


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_run_of_two_processes_ends_bit_equal_to_an_undisturbed_one(how, times, whole, tiny_set, tmp_path):
  draw = random.Random(times)
  for number in range(times):
    folder = tmp_path / str(number)
    disturb(folder, tiny_set, draw, how)
    finish(start(folder, tiny_set, *SGD, *SHORT))
    one, two = state(whole), state(folder)
    assert one.keys() == two.keys() and [path for path in one if one[path].tobytes() != two[path].tobytes()] == []


def test_parameters_split_over_processes_are_saved_and_end_at_the_same_numbers(whole, tiny_set, tmp_path):
  finish(start(tmp_path, tiny_set, *SGD, *SHORT, "--config.mesh.model=8"))
  one, two = state(whole), state(tmp_path)
  params = [path for path in one if path.startswith("params/")]
  largest = max(np.abs(one[path]).max() for path in params)
  assert max(np.abs(one[path] - two[path]).max() for path in params) <= 1e-4 * largest
