"""What a run says of a config that is allowed and seldom meant."""

import pytest

from jaction.configs.base import base, duration
from jaction.errors import InputError
from jaction.train.cautions import norm_warning, schedule_warnings
from jaction.train.experiment import Experiment
from jaction.train.schedules import make_schedule

SIZES = {"batch_size": 10, "examples": 100}  # ten steps an epoch


def said(total=100, **changes):
  schedule = base().schedule.unlock()
  schedule.update(changes)
  rate = make_schedule(schedule, total=total, warmup=0, **SIZES)
  return schedule_warnings(schedule, rate, total=total, **SIZES)


def test_milestones_behind_the_end_are_told_and_others_are_not():
  assert not said(name="step", milestones=(4, 8))
  (line,) = said(name="step", milestones=(4, 10, 80))
  assert "milestones=(4, 10, 80): the run ends at epoch 10, so that the rate does not fall at 10, 80" in line
  assert not said(name="cosine", milestones=(80,))  # which has no use for them


def test_a_rate_of_next_to_nothing_is_told_with_its_first_step():
  for name in ("constant", "cosine", "linear"):
    assert not said(name=name)  # the very end of a cosine is small, and meant
  assert not said(name="exponential", gamma=0.5)
  (line,) = said(name="exponential", gamma=0.1)
  assert "from step 71 of 100 on (its highest is 0.1)" in line  # 0.1 ** 7.1
  assert said(name="step", milestones=(1, 2, 3, 4, 5, 6, 7, 8), gamma=0.1)


def test_few_clips_of_a_batch_norm_are_told_but_where_it_is_frozen(config):
  config.batch_size, config.accumulate = 16, 1
  lines = Experiment(config.to_dict()).describe()
  assert not any(line.startswith("warning") for line in lines)
  config.accumulate = 2
  assert not any("batch norm sees" in line for line in Experiment(config.to_dict()).describe() if "warning" in line)
  model = Experiment(config.to_dict()).task.model
  assert "batch norm sees 4 clips at a time" in norm_warning(model, {"a": 1}, 4)[0]
  assert not norm_warning(model.clone(frozen_norms="all"), {"a": 1}, 4)
  assert not norm_warning(model, {}, 1)  # no norms


def test_a_label_outside_of_the_head_is_an_input_error(config):
  config.model.num_classes = 3
  with pytest.raises(InputError, match="label 3"):
    Experiment(config.to_dict())


def test_the_run_says_its_warnings(config):
  config.schedule.name, config.schedule.milestones = "step", (2, 99)
  config.duration = duration(steps=20)
  assert any("does not fall at 99" in line for line in Experiment(config.to_dict()).describe())
