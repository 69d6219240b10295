"""A run's folder keeps to one config, and tells when the versions are others."""

import json

import pytest

from jaction.errors import InputError
from jaction.train import workdir
from jaction.train.workdir import collect_versions, differences, open_workdir

CONFIG = {
  "seed": 0,
  "model": {"name": "tsm_tiny_1x1x8", "fields": {}},
  "steps": ("resize", "flip"),
  "log": {"seconds": 1},
}


def test_the_config_and_the_versions_are_written(tmp_path):
  folder, changes = open_workdir(tmp_path / "a" / "b", CONFIG)
  assert changes == []
  assert json.loads((folder / "config.json").read_text())["steps"] == ["resize", "flip"]
  versions = json.loads((folder / "versions.json").read_text())
  assert versions["devices"]["count"] == 8
  assert {"jax", "jaxlib", "flax", "numpy"} <= versions["packages"].keys()
  assert versions["cores"] >= 1


def test_the_same_config_may_go_on_and_its_log_may_differ(tmp_path):
  open_workdir(tmp_path, CONFIG)
  assert open_workdir(tmp_path, CONFIG | {"log": {"seconds": 60, "more": True}})[1] == []


def test_another_config_is_refused_and_the_keys_named(tmp_path):
  open_workdir(tmp_path, CONFIG)
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
  versions = collect_versions()
  versions["packages"]["jax"] = "9.9"
  monkeypatch.setattr(workdir, "collect_versions", lambda: versions)
  (change,) = open_workdir(tmp_path, CONFIG)[1]
  assert change.startswith("packages.jax: ") and change.endswith('"9.9" now')
  assert json.loads((tmp_path / "versions.json").read_text())["packages"]["jax"] == "9.9"


def test_odd_folders_are_refused(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(InputError, match="is a file"):
    open_workdir(tmp_path / "file", CONFIG)
  with pytest.raises(InputError, match="cannot be made"):
    open_workdir(tmp_path / "file" / "under", CONFIG)
  (tmp_path / "run" / "checkpoints").mkdir(parents=True)
  with pytest.raises(InputError, match="without config.json"):
    open_workdir(tmp_path / "run", CONFIG)
  (tmp_path / "broken").mkdir()
  (tmp_path / "broken" / "config.json").write_text("{")
  with pytest.raises(InputError, match="cannot be read"):
    open_workdir(tmp_path / "broken", CONFIG)


def test_differences_go_down_to_the_leaves():
  assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == [("a.c", "2", "3")]
  assert differences({"log": 1, "a": 1}, {"log": 2, "a": 1}) == []
