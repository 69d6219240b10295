"""A run whose config freezes part of the network."""

import jax
import numpy as np
import pytest

import jaction
from jaction.errors import InputError
from jaction.train.experiment import Experiment
from jaction.train.loop import train


def test_a_run_goes_on_with_frozen_stages_and_leaves_them_as_they_were(config, tmp_path):
  config.model.fields = {"dropout": 0.2, "frozen_stages": 1, "frozen_norms": "partial", "remat": True}
  config.data.val, config.duration.steps, config.checkpoint.every.steps = "", 6, 0
  before = Experiment(config.to_dict()).first_state().params["backbone"]
  train(config, tmp_path)
  model, variables = jaction.load(tmp_path)
  after = variables["params"]["backbone"]
  assert model.frozen_stages == 1 and model.remat
  for stage in ("conv1", "res2"):
    jax.tree.map(np.testing.assert_array_equal, before[stage], after[stage])
  assert not np.array_equal(before["res3"]["block0"]["conv1"]["kernel"], after["res3"]["block0"]["conv1"]["kernel"])


def test_a_config_that_freezes_more_stages_than_there_are_is_refused(config):
  config.model.fields = {"frozen_stages": 9}
  with pytest.raises(InputError, match="frozen_stages=9: this network has 3 stages"):
    Experiment(config.to_dict())
