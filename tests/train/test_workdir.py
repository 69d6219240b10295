"""A run's folder keeps to one config, and tells when the versions are others."""

import json
import subprocess
import sys
import time

import pytest

from jaction.errors import InputError
from jaction.train import workdir
from jaction.train.workdir import collect_versions, differences, locked_workdir, open_workdir

CONFIG = {
  "seed": 0,
  "model": {"name": "tsm_tiny_1x1x8", "fields": {}},
  "steps": ("resize", "flip"),
  "log": {"seconds": 1},
}


def saved(folder):
  """The folder, as if a run had left a checkpoint there."""
  (folder / "checkpoints" / "3").mkdir(parents=True, exist_ok=True)
  return folder


def test_the_config_and_the_versions_are_written(tmp_path):
  folder, changes = open_workdir(tmp_path / "a" / "b", CONFIG)
  assert changes == []
  assert json.loads((folder / "config.json").read_text())["steps"] == ["resize", "flip"]
  (versions,) = json.loads((folder / "versions.json").read_text())
  assert versions["devices"]["count"] == 8
  assert {"jax", "jaxlib", "flax", "numpy"} <= versions["packages"].keys()
  assert versions["cores"] >= 1


def test_the_same_config_may_go_on_and_its_log_may_differ(tmp_path):
  open_workdir(tmp_path, CONFIG)
  assert open_workdir(saved(tmp_path), CONFIG | {"log": {"seconds": 60, "more": True}})[1] == []


def test_another_config_is_refused_and_the_keys_named(tmp_path):
  open_workdir(tmp_path, CONFIG)
  saved(tmp_path)
  other = CONFIG | {"seed": 1, "model": {"name": "tsn_tiny_1x1x8", "fields": {"dropout": 0.5}}}
  with pytest.raises(InputError) as error:
    open_workdir(tmp_path, other)
  for part in (
    "seed: 0 there, 1 now",
    'model.name: "tsm_tiny_1x1x8" there',
    "model.fields.dropout: absent there, 0.5 now",
  ):
    assert part in str(error.value)
  assert "steps" not in str(error.value)


def test_other_versions_are_told(tmp_path, monkeypatch):
  open_workdir(tmp_path, CONFIG)
  saved(tmp_path)
  versions = collect_versions()
  versions["packages"]["jax"] = "9.9"
  monkeypatch.setattr(workdir, "collect_versions", lambda: versions)
  (change,) = open_workdir(tmp_path, CONFIG)[1]
  assert change.startswith("packages.jax: ") and change.endswith('"9.9" now')
  assert open_workdir(tmp_path, CONFIG)[1] == [change]  # and at every later start
  monkeypatch.undo()
  (back,) = open_workdir(tmp_path, CONFIG)[1]
  assert back.startswith('packages.jax: "9.9" then')
  starts = json.loads((tmp_path / "versions.json").read_text())
  assert [start["packages"]["jax"] == "9.9" for start in starts] == [False, True, True, False]


def test_versions_of_the_older_form_are_the_first_start(tmp_path):
  open_workdir(tmp_path, CONFIG)
  (tmp_path / "versions.json").write_text(json.dumps(collect_versions() | {"cores": -1}))
  (change,) = open_workdir(saved(tmp_path), CONFIG)[1]
  assert change.startswith("cores: -1 then")


def test_a_first_start_that_left_no_checkpoint_gives_way_to_another_config(tmp_path):
  open_workdir(tmp_path, CONFIG, {"videos": 3})
  open_workdir(tmp_path, CONFIG | {"seed": 1}, {"videos": 4})
  assert json.loads((tmp_path / "config.json").read_text())["seed"] == 1
  assert json.loads((tmp_path / "data.json").read_text()) == {"videos": 4}
  assert len(json.loads((tmp_path / "versions.json").read_text())) == 1
  (tmp_path / "model").mkdir()
  with pytest.raises(InputError, match="seed: 1 there, 0 now"):
    open_workdir(tmp_path, CONFIG)


def test_other_training_data_is_refused_and_told(tmp_path):
  open_workdir(tmp_path, CONFIG, {"videos": 3, "digest": "a"})
  saved(tmp_path)
  assert open_workdir(tmp_path, CONFIG, {"videos": 3, "digest": "a"})[1] == []
  with pytest.raises(InputError, match=r"training videos, their labels or their order(?s:.*)videos: 3 there, 4 now"):
    open_workdir(tmp_path, CONFIG, {"videos": 4, "digest": "b"})


def test_what_the_result_does_not_hang_on_may_differ(tmp_path):
  config = CONFIG | {
    "data": {"root": "a", "threads": 2, "prefetch": 4, "cache_mb": 0, "train": "train.txt"},
    "eval": {"batch_size": 8, "metric": "top1"},
    "checkpoint": {"keep": 2},
  }
  open_workdir(tmp_path, config)
  other = json.loads(json.dumps(config))
  other["data"] |= {"root": "b", "threads": 0, "prefetch": 1, "cache_mb": 9}
  other["eval"]["batch_size"], other["checkpoint"]["keep"] = 16, 5
  open_workdir(saved(tmp_path), other)
  assert json.loads((tmp_path / "config.json").read_text())["data"]["root"] == "b"
  other["data"]["train"] = "all.txt"
  with pytest.raises(InputError, match="data.train"):
    open_workdir(tmp_path, other)


def test_a_folder_is_one_runs_at_a_time(tmp_path):
  with locked_workdir(tmp_path / "run") as folder:
    with pytest.raises(InputError, match="another run is going on in .*process [0-9]+ on"):
      with locked_workdir(folder):
        pass
  with locked_workdir(folder):
    pass


def test_a_killed_process_lets_go_of_its_folder(tmp_path):
  code = f"from jaction.train.workdir import locked_workdir as l\nwith l({str(tmp_path)!r}): input()"
  with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as run:
    deadline = time.monotonic() + 60
    while not (tmp_path / "lock").exists() or not (tmp_path / "lock").read_text():
      assert time.monotonic() < deadline
      time.sleep(0.02)
    with pytest.raises(InputError, match=f"process {run.pid} "):
      with locked_workdir(tmp_path):
        pass
    run.kill()
  with locked_workdir(tmp_path):
    pass


def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  assert open_workdir("~/run", CONFIG)[0] == tmp_path / "run"
  with locked_workdir("~/run") as folder:
    assert folder == tmp_path / "run"


def test_odd_folders_are_refused(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(InputError, match="is a file"):
    open_workdir(tmp_path / "file", CONFIG)
  with pytest.raises(InputError, match="cannot be made"):
    open_workdir(tmp_path / "file" / "under", CONFIG)
  (tmp_path / "run" / "checkpoints").mkdir(parents=True)
  with pytest.raises(InputError, match="without config.json"):
    open_workdir(tmp_path / "run", CONFIG)
  saved(tmp_path / "broken")
  (tmp_path / "broken" / "config.json").write_text("{")
  with pytest.raises(InputError, match="cannot be read"):
    open_workdir(tmp_path / "broken", CONFIG)


def test_differences_go_down_to_the_leaves():
  assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == [("a.c", "2", "3")]
  assert differences({"log": 1, "a": 1}, {"log": 2, "a": 1}) == []
