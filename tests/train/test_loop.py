"""A whole run on eight CPU devices: what it writes, how it resumes, what it refuses."""

import json
import os
import re
import signal
import threading
import time

import jax
import numpy as np
import pytest

import jaction
from jaction.checkpoints import Checkpoints
from jaction.errors import CheckpointError, InputError
from jaction.train.experiment import Experiment
from jaction.train.loop import STOPPED, train

TIMES = {"clips_per_second", "waiting", "seconds"}


def rows(folder):
  lines = (folder / "metrics.jsonl").read_text().splitlines()
  return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]


def weights(folder):
  return jax.tree.leaves(jaction.load(folder)[1])


def equal(left, right):
  return len(left) == len(right) and all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.fixture(scope="module")
def finished(tiny, tiny_set, tmp_path_factory):
  """(folder, metrics) of an undisturbed run."""
  config = tiny.get_config().unlock()
  config.data.root, config.log.curves, config.log.tensorboard = str(tiny_set), True, True
  folder = tmp_path_factory.mktemp("finished")
  return folder, train(config, folder)


def test_a_run_learns_on_eight_devices_and_leaves_every_file(finished):
  folder, metrics = finished
  assert {p.name for p in folder.iterdir()} >= {
    "config.json", "versions.json", "metrics.jsonl", "curves.png", "tb", "checkpoints", "model"
  }  # fmt: skip
  losses = [row["loss"] for row in rows(folder) if row["kind"] == "train"]
  assert losses[-1] < losses[0] / 2
  assert metrics["step"] == 48
  assert metrics["best_top1"] >= metrics["top1"] > 0.5
  assert [row["step"] for row in rows(folder) if row["kind"] == "val"] == [16, 32, 48]
  assert json.loads((folder / "versions.json").read_text())["devices"]["count"] == 8
  steps = sorted(int(p.name) for p in (folder / "checkpoints").iterdir() if p.name.isdigit())
  assert steps[-2:] == [45, 48] and metrics["best_step"] in steps


def test_the_model_folder_holds_the_best_step(finished):
  folder, metrics = finished
  with Checkpoints(folder / "checkpoints", metric="top1") as checkpoints:
    assert checkpoints.best() == metrics["best_step"]
    model, variables = jaction.load(folder)
    best = checkpoints.restore(
      {"params": variables["params"], "batch_stats": variables["batch_stats"]}, metrics["best_step"]
    )
  assert equal(jax.tree.leaves(best), jax.tree.leaves(variables))
  assert model.head.num_classes == 4 and model.head.dropout == 0.2


def test_a_finished_run_started_again_changes_nothing(finished, config):
  folder, metrics = finished
  before = (folder / "metrics.jsonl").read_bytes()
  config.log.progress = False
  assert train(config, folder) == metrics
  assert (folder / "metrics.jsonl").read_bytes() == before


def test_sigterm_saves_and_the_resumed_run_is_bit_exact(finished, config, tmp_path, capfd):
  def kill():
    while not (tmp_path / "checkpoints" / "3").exists():
      time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)

  threading.Thread(target=kill).start()
  with pytest.raises(SystemExit) as stopped:
    train(config, tmp_path)
  assert stopped.value.code == STOPPED
  assert "stopped by SIGTERM after step" in capfd.readouterr().err
  train(config, tmp_path)
  assert "resuming after step" in capfd.readouterr().err
  folder, _ = finished
  assert equal(weights(tmp_path), weights(folder))
  ours = [row for row in rows(tmp_path) if row["kind"] == "val"]
  assert ours == [row for row in rows(folder) if row["kind"] == "val"]


def test_one_device_gives_the_curve_of_eight(finished, config, tmp_path, monkeypatch):
  from jaction.train import experiment, mesh

  monkeypatch.setattr(experiment, "make_mesh", lambda: mesh.make_mesh(jax.devices()[:1]))
  config.duration.steps, config.eval.every.steps = 12, 12
  config.schedule.name = "constant"  # so that the first steps are those of a longer run
  train(config, tmp_path / "one")
  monkeypatch.undo()
  train(config, tmp_path / "eight")
  one, eight = ([r for r in rows(tmp_path / name) if r["kind"] == "train"] for name in ("one", "eight"))
  assert len(one) == len(eight) > 2
  np.testing.assert_allclose([r["loss"] for r in one], [r["loss"] for r in eight], rtol=2e-3)
  np.testing.assert_allclose(one[0]["loss"], eight[0]["loss"], rtol=1e-5)


def test_a_run_can_start_from_a_model_folder(finished, config, tmp_path):
  folder, _ = finished
  config.init.folder = str(folder)
  state = Experiment(config.to_dict()).first_state()
  assert equal(jax.tree.leaves(state.params), jax.tree.leaves(jaction.load(folder)[1]["params"]))
  config.init.reinit = ("params/head",)
  fresh = Experiment(config.to_dict()).first_state()
  assert not equal(jax.tree.leaves(fresh.params["head"]), jax.tree.leaves(state.params["head"]))
  assert equal(jax.tree.leaves(fresh.params["backbone"]), jax.tree.leaves(state.params["backbone"]))
  config.model.num_classes, config.init.reinit = 9, ()
  with pytest.raises(CheckpointError, match="head"):
    Experiment(config.to_dict()).first_state()


def test_without_a_validation_list_the_last_step_counts(config, tmp_path):
  config.data.val, config.duration.steps, config.checkpoint.every.steps = "", 5, 0
  assert train(config, tmp_path) == {"step": 5, "best_step": 5}
  assert (tmp_path / "model" / "model.json").exists()


def test_a_workdir_of_another_config_is_refused(finished, config):
  config.schedule.lr = 0.5
  with pytest.raises(InputError, match=r"schedule.lr: 0.003 there, 0.5 now"):
    train(config, finished[0])


def test_a_loss_that_is_not_finite_stops_and_is_not_saved(config, tmp_path):
  config.optimizer.name, config.schedule.name, config.schedule.lr = "sgd", "constant", 1e30
  config.schedule.warmup.steps, config.checkpoint.every.steps = 0, 1
  with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+ ") as error:
    train(config, tmp_path)
  step = int(re.search(r"at step (\d+) ", str(error.value))[1])
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    assert checkpoints.latest() == step - 1


@pytest.mark.parametrize(
  "change, message",
  [
    (lambda c: c.update(batch_size=12), "batch_size=12 does not split over 8 devices.*8 or 16"),
    (lambda c: c.eval.update(batch_size=3), "eval.batch_size=3 does not split over 8 devices"),
    (lambda c: c.model.update(name="tsm_tinny_1x1x8"), "no model is called 'tsm_tinny_1x1x8'.*Near it: tsm_tiny_1x1x8"),
    (lambda c: c.model.update(num_classes=3), r"train.txt:4.*3"),
    (lambda c: c.data.update(train="trian.txt"), "trian.txt"),
    (lambda c: c.eval.update(metric="top5"), "'top5' is not known; wanted one of top1, mean_class_accuracy"),
    (lambda c: c.loss.update(name="crossentropy"), "Near it: cross_entropy"),
    (lambda c: c.duration.update(steps=0), "exactly one above zero"),
  ],
)
def test_what_does_not_fit_is_refused_before_the_workdir_is_made(config, tmp_path, change, message):
  change(config)
  with pytest.raises(InputError, match=message):
    train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()
