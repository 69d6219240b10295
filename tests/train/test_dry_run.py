"""--dry_run: what a run would be, with nothing written."""

import re

import pytest

from jaction.errors import InputError
from jaction.launch.train import main
from jaction.train.dry_run import dry_run


def test_a_dry_run_says_shapes_memory_and_time_and_writes_nothing(config, tiny_set, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  before = sorted(path for path in tiny_set.rglob("*"))
  said = dry_run(config)
  assert not list(tmp_path.iterdir()) and before == sorted(path for path in tiny_set.rglob("*"))
  assert said["records"] == "20 to train on, 11 to evaluate" and said["batch, clips"] == "uint8 [8, 1, 8, 16, 16, 3]"
  assert said["evaluated, clips"] == "uint8 [1, 8, 16, 16, 3]"
  assert re.match(r"\d\.\d MiB of state, \d+\.\d MiB while computing", said["memory of a device"])
  assert re.match(r"48 steps, about \d+ (s|min) without evaluations", said["in all"])
  assert "learning rate 0.003" in said["note 1"]


def test_split_parameters_show_in_the_memory_of_a_device(config):
  held = []
  for model in (1, 4):
    config.mesh.model = model
    held.append(float(dry_run(config)["memory of a device"].split()[0]))
  assert held[1] < 0.5 * held[0]


def test_a_rate_that_explodes_is_found_before_the_run(config):
  config.schedule.lr, config.schedule.warmup.steps, config.optimizer.name = 1e30, 0, "sgd"
  with pytest.raises(InputError, match="the loss is (nan|inf) in step"):
    dry_run(config)


def test_the_flag_wants_no_workdir_and_prints_a_table(config, tiny, tiny_set, capsys):
  assert main([f"--config={tiny.__file__}", f"--config.data.root={tiny_set}", "--dry_run"]) == 0
  assert "what a run would be" in capsys.readouterr().out
