"""A whole run on eight CPU devices: what it writes, how it resumes, what it refuses."""

import concurrent.futures
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
from jaction.train.loop import STOPPED, _fetch, train
from jaction.train.workdir import locked_workdir

TIMES = {"clips_per_second", "waiting", "seconds", "model_tflops", "host_memory_mb", "device_memory_mb"}


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
    "config.json", "data.json", "versions.json", "metrics.jsonl", "curves.png", "tb", "checkpoints", "model"
  }  # fmt: skip
  losses = [row["loss"] for row in rows(folder) if row["kind"] == "train"]
  assert losses[-1] < losses[0] / 2
  assert metrics["step"] == 48
  assert metrics["best_top1"] >= metrics["top1"] > 0.5
  assert [row["step"] for row in rows(folder) if row["kind"] == "val"] == [16, 32, 48]
  assert json.loads((folder / "versions.json").read_text())[0]["devices"]["count"] == 8
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

  monkeypatch.setattr(experiment, "make_mesh", lambda model: mesh.make_mesh(jax.devices()[:1], model=model))
  config.duration.steps, config.eval.every.steps = 12, 12
  config.schedule.name = "constant"  # so that the first steps are those of a longer run
  train(config, tmp_path / "one")
  monkeypatch.undo()
  train(config, tmp_path / "eight")
  one, eight = ([r for r in rows(tmp_path / name) if r["kind"] == "train"] for name in ("one", "eight"))
  assert len(one) == len(eight) > 2
  np.testing.assert_allclose([r["loss"] for r in one], [r["loss"] for r in eight], rtol=2e-3)
  np.testing.assert_allclose(one[0]["loss"], eight[0]["loss"], rtol=1e-5)


def test_a_run_can_start_from_a_model_folder_and_says_what_it_took(finished, config, tmp_path, capfd):
  folder, _ = finished
  config.init.folder = str(folder)
  state = Experiment(config.to_dict()).first_state()
  assert equal(jax.tree.leaves(state.params), jax.tree.leaves(jaction.load(folder)[1]["params"]))
  config.init.reinit = ("params/head",)
  capfd.readouterr()
  fresh = Experiment(config.to_dict()).first_state()
  taken = len(jax.tree.leaves(jaction.load(folder)[1])) - 2
  assert f"{taken} arrays taken; drawn anew: params/head/fc/bias, params/head/fc/kernel" in capfd.readouterr().err
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


def test_a_training_list_that_has_changed_is_refused(finished, config, tiny_set, tmp_path):
  folder, _ = finished
  for path in tiny_set.iterdir():
    (tmp_path / path.name).symlink_to(path)
  config.data.root, config.log.progress = str(tmp_path), False
  train(config, folder)  # the same list in another place
  lines = (tiny_set / "train.txt").read_text().splitlines()
  (tmp_path / "train.txt").unlink()
  (tmp_path / "train.txt").write_text("\n".join(lines[1:]))
  with pytest.raises(InputError, match="videos: 20 there, 19 now"):
    train(config, folder)


def test_a_first_start_that_failed_leaves_the_workdir_free(config, tmp_path):
  config.init.folder = str(tmp_path / "gone")
  with pytest.raises(InputError, match="gone"):
    train(config, tmp_path / "run")
  config.init.folder, config.data.val = "", ""
  config.duration.steps, config.schedule.warmup.steps, config.checkpoint.every.steps = 1, 0, 0
  assert train(config, tmp_path / "run")["step"] == 1


def test_a_second_run_in_one_workdir_is_refused(config, tmp_path):
  with locked_workdir(tmp_path):
    with pytest.raises(InputError, match="another run is going on in"):
      train(config, tmp_path)


def test_waiting_is_the_part_of_a_fetch_in_which_the_device_idles():
  class Computing:
    def __init__(self, seconds):
      self.until = time.perf_counter() + seconds

    def block_until_ready(self):
      time.sleep(max(0.0, self.until - time.perf_counter()))

  def batches(seconds):
    time.sleep(seconds)
    yield "batch"

  with concurrent.futures.ThreadPoolExecutor(1) as watcher:
    batch, waited = _fetch(batches(0.4), Computing(0.2), watcher)
    assert batch == "batch" and 0.05 < waited < 0.35
    assert _fetch(batches(0.0), Computing(0.1), watcher)[1] == 0
  with concurrent.futures.ThreadPoolExecutor(1) as watcher:
    assert _fetch(batches(0.2), Computing(0.0), watcher)[1] > 0.15


def test_folders_are_numbered_as_the_labels_say_and_a_tilde_is_the_home_folder(config, tmp_path, monkeypatch):
  for name in ("train/b/1.mp4", "train/a/1.mp4", "train/c/1.mp4", "train/__MACOSX/x", "val/c/1.mp4", "val/a/1.mp4"):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"")
  monkeypatch.setenv("HOME", str(tmp_path))
  config.data.root, config.data.train, config.data.val, config.data.format = "~", "train", "val", "auto"
  config.model.num_classes = 3
  run = Experiment(config.to_dict())
  assert run.task.labels == ("a", "b", "c")
  assert [(r.id, r.label) for r in run.task.val_records] == [("a/1.mp4", 0), ("c/1.mp4", 2)]
  assert run.task.val_records[0].source == str(tmp_path / "val" / "a" / "1.mp4")
  (tmp_path / "labels.txt").write_text("c\nb\na\n")
  config.data.labels = "labels.txt"
  run = Experiment(config.to_dict())
  assert run.task.labels == ("c", "b", "a") and [r.label for r in run.task.records] == [2, 1, 0]
  (tmp_path / "labels.txt").write_text("c\nb\nd\n")
  with pytest.raises(InputError, match="no class 'a' among the 3 known ones"):
    Experiment(config.to_dict())
  config.data.labels, config.model.num_classes = "", 4
  with pytest.raises(InputError, match=r"train names 3 classes \(a, b, c\), model.num_classes is 4"):
    Experiment(config.to_dict())


def test_a_list_of_several_labels_a_video_is_refused(config, tiny_set, tmp_path):
  (tmp_path / "multi.txt").write_text(f"{tiny_set}/train_00 9 1 2\n")
  config.data.train, config.data.format = str(tmp_path / "multi.txt"), "frame_multi_label_list"
  with pytest.raises(InputError, match=r"multi.txt: .*train_00 has several labels .*\(1, 2\).*wants one label each"):
    train(config, tmp_path / "run")


@pytest.mark.parametrize(
  "key, value, wanted",
  [
    ("log.every_steps", 0, "a whole number, 1 or more"),
    ("data.threads", -1, "a whole number, 0 or more"),
    ("data.prefetch", -1, "a whole number, 0 or more"),
    ("seed", -1, "a whole number, 0 or more"),
    ("model.fields.dropout", 1.0, "a number, 0 or more, below 1"),
    ("model.fields.dropout", -0.5, "a number, 0 or more, below 1"),
    ("optimizer.clip_norm", -1.0, "a number, 0 or more"),
    ("optimizer.weight_decay", float("nan"), "a number, 0 or more"),
    ("checkpoint.keep", 0, "a whole number, 1 or more"),
    ("batch_size", 0, "a whole number, 1 or more"),
    ("eval.batch_size", 0, "a whole number, 1 or more"),
  ],
)
def test_a_number_out_of_its_range_is_named_with_what_was_wanted(config, tmp_path, key, value, wanted):
  config.update_from_flattened_dict({key: value})
  with pytest.raises(InputError, match=f"^{key}={value}: wanted {wanted}"):
    train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()


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
    (lambda c: c.preprocessing.test.update(average="none"), 'preprocessing.test.average="none".*prob or score'),
    (
      lambda c: c.preprocessing.train.settings.update(flip={"labels": (1, 0)}),
      r"train.settings.flip.labels has 2 entries and model.num_classes is 4.*toy_tsm:own",
    ),
  ],
)
def test_what_does_not_fit_is_refused_before_the_workdir_is_made(config, tmp_path, change, message):
  change(config)
  with pytest.raises(InputError, match=message):
    train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()
