"""A loss that is not finite, a run that stands still, saves by the clock: what a long run lives through."""

import json
import time

import jax
import numpy as np
import pytest

import jaction
from jaction.batches import place_of
from jaction.checkpoints import Checkpoints
from jaction.errors import CheckpointError, InputError
from jaction.train import experiment, loop
from jaction.train.loop import train
from jaction.train.watchdog import Watchdog

POISON = (20, 21)  # batches of the stream


@pytest.fixture
def poisoned(monkeypatch):
  """The batches in POISON, whatever step they come to, make every loss nan; the list of batches that were given."""
  real, given = experiment.training_batches, []

  def training_batches(*args, start_step, skip, **options):
    batches = real(*args, start_step=start_step, skip=skip, **options)
    step, following = start_step, type(batches).__next__

    class Poisoned(type(batches)):
      def __next__(self):
        nonlocal step
        batch = following(self)
        given.append(place_of(step, skip))
        step += 1
        if given[-1] in POISON:
          batch["mask"] = np.full(batch["mask"].shape, np.nan, np.float32)
        else:
          batch["mask"] = batch["mask"].astype(np.float32)  # of one type, so that one program is compiled
        return batch

    batches.__class__ = Poisoned
    return batches

  monkeypatch.setattr(experiment, "training_batches", training_batches)
  return given


def leaves(folder):
  return [leaf.tobytes() for leaf in jax.tree.leaves(jaction.load(folder)[1])]


def rows(folder):
  return [json.loads(line) for line in (folder / "diverged.jsonl").read_text().splitlines()]


def test_a_run_rolls_back_leaves_the_batches_out_and_learns_and_a_kill_in_between_changes_no_bit(
  config, tmp_path, poisoned, monkeypatch, capfd
):
  config.divergence.action = "rollback"
  metrics = train(config, tmp_path / "quiet")
  assert metrics["top1"] == 1.0 and metrics["step"] == 48
  noted = rows(tmp_path / "quiet")
  assert [(row["step"], row["batch"], row["since"], row["action"]) for row in noted] == [
    (21, 20, 18, "rollback"),
    (21, 21, 18, "rollback"),
  ]
  assert all(len(row["records"]) == 8 and row["records"][0].startswith("train_") for row in noted)
  assert poisoned[-1] == 49 and set(poisoned) == set(range(50))
  assert "rolling back to step 18: the loss is nan at step 21" in capfd.readouterr().err
  steps = [json.loads(line)["step"] for line in (tmp_path / "quiet/metrics.jsonl").read_text().splitlines()]
  assert steps == sorted(steps)

  save, killed = Checkpoints.save, tmp_path / "killed"

  def dies(self, step, *args, **options):
    if step == 30:
      raise KeyboardInterrupt
    return save(self, step, *args, **options)

  monkeypatch.setattr(Checkpoints, "save", dies)
  with pytest.raises(KeyboardInterrupt):
    train(config, killed)
  monkeypatch.setattr(Checkpoints, "save", save)
  assert train(config, killed) == metrics
  assert leaves(killed) == leaves(tmp_path / "quiet")


def test_without_rollback_the_run_stops_and_says_which_records_and_steps(config, tmp_path, poisoned):
  with pytest.raises(InputError, match=r"nan at step 21 .*\(19 to 21\).*diverged.jsonl.*rollback"):
    train(config, tmp_path)
  (row,) = rows(tmp_path)
  assert row["action"] == "stop" and len(row["records"]) == 8
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    assert checkpoints.latest() == 18


def test_a_run_stops_when_its_rollbacks_are_spent_and_goes_on_with_more(config, tmp_path, poisoned):
  config.divergence.action, config.divergence.limit, config.duration.steps = "rollback", 1, 24
  with pytest.raises(InputError, match="divergence.limit=1 rollbacks are spent"):
    train(config, tmp_path)
  assert [row["action"] for row in rows(tmp_path)] == ["rollback", "stop"]
  config.divergence.limit = 2
  assert train(config, tmp_path)["step"] == 24


def test_a_stopped_run_goes_on_in_its_workdir_where_rollback_is_asked_for(config, tmp_path, poisoned):
  config.duration.steps = 24
  with pytest.raises(InputError, match="rollback"):
    train(config, tmp_path / "stopped")
  config.divergence.action = "rollback"
  metrics = train(config, tmp_path / "stopped")
  assert [row["action"] for row in rows(tmp_path / "stopped")] == ["stop", "rollback", "rollback"]
  assert train(config, tmp_path / "other") == metrics
  assert leaves(tmp_path / "stopped") == leaves(tmp_path / "other")


def test_a_gradient_that_is_not_finite_under_a_finite_loss_is_never_saved(config, tmp_path, monkeypatch):
  make = experiment.make_train_step

  def poisoning(*args, **options):
    step = make(*args, **options)

    def once(state, batch, lr):
      done = int(state.step) + 1
      state, sums = step(state, batch, lr)
      if done == 6 and not (tmp_path / "diverged.jsonl").exists():  # 6 is saved, and its loss shows nothing
        state = state.replace(params=jax.tree.map(lambda leaf: leaf * np.float32("nan"), state.params))
        sums = sums | {"grad_norm": (np.float32("nan"), np.float32(1))}
      return state, sums

    return once

  monkeypatch.setattr(experiment, "make_train_step", poisoning)
  config.divergence.action, config.duration.steps = "rollback", 12
  assert train(config, tmp_path)["step"] == 12
  (row,) = rows(tmp_path)
  assert (row["step"], row["batch"], row["since"]) == (6, 5, 3) and np.isfinite(float(row["loss"]))


def test_a_workdir_begun_anew_with_another_config_leaves_no_batch_out(config, tmp_path):
  config.divergence.action, config.divergence.loss, config.divergence.limit = "rollback", 0.5, 1
  with pytest.raises(InputError, match="limit=1 rollbacks are spent"):
    train(config, tmp_path)  # before the first checkpoint
  assert rows(tmp_path)[0]["action"] == "rollback"
  config.divergence.loss, config.duration.steps = 0.0, 6
  train(config, tmp_path)
  assert not (tmp_path / "diverged.jsonl").exists()


def test_a_loss_above_the_limit_counts_as_a_divergence(config, tmp_path):
  config.divergence.loss = 0.5
  with pytest.raises(InputError, match=r"the loss is 1\.\d+ at step 1 "):
    train(config, tmp_path)


@pytest.mark.parametrize("skip", [(), (0,), (3, 4, 9), (9, 3, 3, 4)])
def test_the_batches_left_out_are_those_named_and_the_rest_keeps_its_order(skip):
  wanted = [n for n in range(30) if n not in skip][:20]
  assert [place_of(step, skip) for step in range(20)] == wanted


def test_an_action_that_is_not_known_is_an_input_error(config, tmp_path):
  config.divergence.action = "rolback"
  with pytest.raises(InputError, match="rollback"):
    train(config, tmp_path)


def test_the_watchdog_says_which_stage_stands_still_and_for_how_long():
  said = []
  with Watchdog(0.2, said.append) as dog:
    dog.stage("step", ", step 3")
    for _ in range(8):
      time.sleep(0.05)
      dog.beat()
    assert not said
    dog.stage("data", ", the batch of step 4")
    time.sleep(1.0)
  assert said[0].startswith("watchdog: data has stood still for") and said[0].endswith(", the batch of step 4")
  assert 1 <= len(said) <= 3  # after 0.2, 0.4 and 0.8 seconds


def test_a_watchdog_of_no_seconds_is_no_thread():
  with Watchdog(0, print) as dog:
    assert not dog._thread.is_alive()


def test_a_loader_that_stands_still_is_named_in_the_log_of_the_run(config, tmp_path, monkeypatch, capfd):
  fetch = loop._fetch

  def slow(batches, computing, watcher):
    time.sleep(1.0 if len(seen) == 4 else 0)
    seen.append(1)
    return fetch(batches, computing, watcher)

  seen = []
  monkeypatch.setattr(loop, "_fetch", slow)
  config.log.watchdog, config.duration.steps, config.eval.every.steps = 0.5, 8, 8
  train(config, tmp_path)
  assert "watchdog: data has stood still for" in capfd.readouterr().err


def test_checkpoints_come_by_the_clock_too(config, tmp_path, monkeypatch):
  config.checkpoint.every.steps, config.eval.every.steps, config.duration.steps = 0, 0, 9
  config.checkpoint.minutes, config.checkpoint.keep = 2.0, 9
  now = [0.0]

  class Clock:
    perf_counter = staticmethod(time.perf_counter)

    @staticmethod
    def monotonic():
      now[0] += 40.0  # seconds a step
      return now[0]

  monkeypatch.setattr(loop, "time", Clock)
  train(config, tmp_path)
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    saved = checkpoints.steps()
  assert len(saved) > 2 and saved[-1] == 9 and all(b - a >= 2 for a, b in zip(saved, saved[1:-1], strict=False))


def test_a_full_disk_leaves_the_earlier_checkpoint_and_says_so(config, tmp_path, monkeypatch):
  real = Checkpoints.save

  def full(self, step, *args, **options):
    if step == 6:
      monkeypatch.setattr(self._manager, "save", raises)
    return real(self, step, *args, **options)

  def raises(*args, **kwargs):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(Checkpoints, "save", full)
  with pytest.raises(CheckpointError, match=r"(?s)step 6 could not be saved.*No space left.*stay: \[3\]"):
    train(config, tmp_path)
  monkeypatch.setattr(Checkpoints, "save", real)
  config.duration.steps = 48
  assert train(config, tmp_path)["step"] == 48
