"""A whole run with averaged parameters, parts, blending and precise norms: what it resumes to, what it exports."""

import jax
import numpy as np
import pytest

import jaction
from jaction import folders
from jaction.checkpoints import Checkpoints
from jaction.errors import InputError
from jaction.train.experiment import Experiment
from jaction.train.loop import train


@pytest.fixture
def full(config):
  config.batch_size, config.accumulate, config.duration.steps = 16, 2, 5
  config.eval.every.steps, config.checkpoint.every.steps, config.schedule.warmup.steps = 3, 2, 2
  config.optimizer.ema, config.eval.metric, config.eval.precise_norm = 0.9, "ema_top1", 2
  config.optimizer.layer_decay, config.optimizer.no_decay = 0.7, ("*/bias", "re:.*/scale")
  config.blending.name, config.schedule.reference_batch = "mixup", 32
  return config


def test_a_run_cut_off_in_an_evaluation_resumes_to_the_bit_and_exports_the_average(full, tmp_path, monkeypatch, capfd):
  metrics = train(full, tmp_path / "whole")
  assert "learning rate 0.0015 = 0.003 x 16 / 32 (schedule.reference_batch)" in capfd.readouterr().err
  evaluate = Experiment.evaluate

  def cut(run, state, log, done, *more):
    if done == 5:
      raise KeyboardInterrupt
    return evaluate(run, state, log, done, *more)

  monkeypatch.setattr(Experiment, "evaluate", cut)
  with pytest.raises(KeyboardInterrupt):
    train(full, tmp_path / "cut")
  monkeypatch.undo()
  assert train(full, tmp_path / "cut") == metrics
  assert {"best_ema_top1", "ema_loss", "ema_mean_class_accuracy"} <= set(metrics)

  states = []
  for name in ("whole", "cut"):
    with Checkpoints(tmp_path / name / "checkpoints", metric="ema_top1") as checkpoints:
      run = Experiment(full.to_dict())
      states.append(jax.device_get(run.restore(checkpoints)))
      best = checkpoints.restore({"ema": states[-1].ema}, checkpoints.best())["ema"]
    exported = jaction.load(tmp_path / name)[1]
    for a, b in zip(jax.tree.leaves(best), jax.tree.leaves(exported), strict=True):
      np.testing.assert_array_equal(a, b)
    assert folders.load_folder(tmp_path / name / "model").source["weights"] == "ema"
  for a, b in zip(*map(jax.tree.leaves, states), strict=True):
    np.testing.assert_array_equal(a, b)
  # The kernels have gone apart, and the statistics are not the running ones.
  kernel = states[0].params["head"]["fc"]["kernel"]
  assert np.abs(kernel - states[0].ema["params"]["head"]["fc"]["kernel"]).max() > 1e-5


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"optimizer.ema": 0.0}, "eval.metric='ema_top1' is not known"),
    ({"accumulate": 4}, "accumulate=4: batch_size=16 does not split .* over 8 devices; wanted a multiple of 32"),
    ({"optimizer.no_decay": ("head/fc/bais",)}, "no_decay: .*'head/fc/bais'.*Near it: head/fc/bias"),
    ({"optimizer.layer_decay": -1.0}, "optimizer.layer_decay=-1.0: wanted a number"),
    ({"blending.name": "mixap"}, "Near it: mixup"),
  ],
)
def test_what_does_not_go_together_is_refused(full, tmp_path, changes, message):
  full.update_from_flattened_dict(changes)
  with pytest.raises(InputError, match=message):
    train(full, tmp_path / "run")
  assert not (tmp_path / "run").exists()
