"""What a run tells TensorBoard and Weights & Biases, its profile, the picture of its confusions."""

import json
import struct
import sys
import types

import cv2
import numpy as np
import pytest

from jaction.errors import InputError
from jaction.flops import model_cost
from jaction.train.experiment import Experiment
from jaction.train.loop import train
from jaction.train.watching import Profile, Wandb, draw_confusion


def short(config, **log):
  config.duration.steps, config.schedule.warmup.steps, config.log.every_steps = 6, 2, 3
  config.eval.every.steps = config.checkpoint.every.steps = 3
  config.log.update(log)
  return config


def events(folder):
  """(tag, step, number, or None for a picture) of the event files."""
  from tensorboardX.proto.event_pb2 import Event

  found = []
  for path in sorted(folder.glob("events*")):
    data, at = path.read_bytes(), 0
    while at < len(data):
      (size,) = struct.unpack_from("<Q", data, at)
      event = Event.FromString(data[at + 12 : at + 12 + size])
      found += [(v.tag, event.step, None if v.HasField("image") else v.simple_value) for v in event.summary.value]
      at += size + 16
  return found


def test_tensorboard_has_rates_by_group_norms_speed_memory_and_a_picture_of_confusions(config, tmp_path):
  config.optimizer.groups = (("head/*", 5.0, 0.0),)
  train(short(config, tensorboard=True, curves=True), tmp_path)
  found = events(tmp_path / "tb")
  numbers = {tag: value for tag, step, value in found if step == 6 and value is not None}
  wanted = ("lr", "lr/head/_", "grad_norm", "param_norm", "clips_per_second", "model_tflops", "host_memory_mb")
  assert {f"train/{name}" for name in wanted} <= numbers.keys() and "val/top1" in numbers
  assert numbers["train/lr/head/_"] == pytest.approx(5 * numbers["train/lr"])
  assert numbers["train/model_tflops"] > 0 and numbers["train/host_memory_mb"] > 10
  assert {step for tag, step, value in found if tag == "val/confusion"} == {3, 6}
  assert cv2.imread(str(tmp_path / "confusion.png")) is not None
  rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  assert not any("lr/head/*" in row for row in rows)  # it follows from the config


def test_the_operations_of_a_step_are_six_times_the_multiply_accumulates_of_its_clips(config):
  run = Experiment(config.to_dict())
  with run.training_batches(0, 1) as batches:
    batch = next(batches)
  model = run.task.model
  one = model_cost(model, (1, *batch["clips"].shape[1:])).macs
  assert run.flops(batch) == pytest.approx(6 * one * len(batch["clips"]), rel=1e-6)


def test_a_profile_is_written_of_the_steps_asked_for_alone(config, tmp_path, monkeypatch):
  train(short(config, profile=(2, 3)), tmp_path)
  assert list((tmp_path / "profile").rglob("*.xplane.pb"))
  calls = []
  monkeypatch.setattr("jax.profiler.start_trace", lambda folder: calls.append("start"))
  monkeypatch.setattr("jax.profiler.stop_trace", lambda: calls.append("stop"))
  with Profile(tmp_path / "other", (2, 3)) as profile:
    for step in range(1, 6):
      profile.before(step)
      calls.append(step)
      profile.after(step, np.zeros(1))
  assert calls == [1, "start", 2, 3, "stop", 4, 5]
  with pytest.raises(KeyError), Profile(tmp_path / "other", (2, 3)) as profile:
    profile.before(2)
    raise KeyError
  assert calls[-2:] == ["start", "stop"]  # an error between leaves no trace open
  with Profile(tmp_path / "other", (2, 3)) as profile:
    for step in (3, 4, 2, 3):  # a run that goes on at step 3, and then is rolled back
      profile.before(step)
      profile.after(step, np.zeros(1))
  assert calls[-3:] == ["stop", "start", "stop"]


@pytest.mark.parametrize("steps", [(3,), (3, 2), (0, 2), (1.5, 2), (99, 100)])
def test_steps_that_are_no_first_and_last_of_the_run_are_an_input_error_before_anything_is_written(
  config, tmp_path, steps
):
  config.log.update({"profile": steps})
  with pytest.raises(InputError, match="log.profile"):
    train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_is_the_same_run_at_weights_and_biases(config, tmp_path, monkeypatch):
  logged, started, finished = [], [], []

  def init(**given):
    started.append(given)
    return types.SimpleNamespace(
      define_metric=lambda *_, **__: None, log=logged.append, finish=lambda: finished.append(1)
    )

  monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init, Image=str))
  short(config, wandb="project", curves=True)
  train(config, tmp_path)
  Wandb(tmp_path, "project", {}).close()
  assert len(finished) == 2 and len({given["id"] for given in started}) == 1
  assert started[0]["project"] == "project" and started[0]["config"]["model"]["name"] == "tsm_tiny_1x1x8"
  assert [row["step"] for row in logged if "train/loss" in row] == [3, 6]
  assert any("val/top1" in row for row in logged) and any("val/confusion" in row for row in logged)


def test_wandb_asked_for_and_not_there_is_an_input_error(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "wandb", None)
  with pytest.raises(InputError, match="wants wandb, which is not installed"):
    Wandb(tmp_path, "project", {})


@pytest.mark.parametrize("classes", [2, 8, 40])
def test_a_confusion_is_darkest_where_a_class_is_always_taken_for_another(tmp_path, classes):
  matrix = np.zeros((classes, classes), int)
  matrix[np.arange(classes), (np.arange(classes) + 1) % classes] = 5
  draw_confusion(matrix, [], tmp_path / "a.png")
  draw_confusion(np.zeros_like(matrix), [], tmp_path / "b.png")
  drawn, empty = (cv2.imread(str(tmp_path / name)).astype(int) for name in ("a.png", "b.png"))
  assert drawn.shape == empty.shape and (empty - drawn).max() > 100
