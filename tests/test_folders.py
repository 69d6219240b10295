"""A model folder holds a whole model or none, and says what is wrong with it; merge reports every difference."""

import json
import os
import subprocess
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import jaction
from jaction import folders
from jaction.errors import CheckpointError, InputError
from jaction.folders import load_folder, merge, save_model

NAME = "tsn_tiny_1x1x8"


def drawn(model, seed=0, channels=3):
  rng = np.random.default_rng(seed)
  shapes = folders._shapes(model, channels)
  return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(leaf.dtype), shapes)


@pytest.fixture(scope="module")
def variables():
  return drawn(jaction.create_model(NAME, num_classes=3))


def save(folder, variables, **facts):
  save_model(folder, name=NAME, fields={"num_classes": 3}, variables=variables, **facts)
  return folder


def equal(a, b):
  a, b = flatten_dict(a, sep="/"), flatten_dict(b, sep="/")
  return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a)


def edit(folder, **facts):
  path = folder / "model.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def refused(folder, *words, error=CheckpointError):
  with pytest.raises(error) as caught:
    load_folder(folder)
  for word in words:
    assert word in str(caught.value)


# --- folders


def test_a_saved_model_comes_back_with_all_that_is_known_of_it(tmp_path, variables):
  facts = {
    "labels": ["wave", "jump", "späť"],
    "preprocessing": {"mean": [1.5, 2, 3]},
    "source": {"checkpoint": "a.pth"},
  }
  save(tmp_path / "deep" / "m", variables, reinitialized=["params/head/fc/bias"], **facts)
  folder = load_folder(tmp_path / "deep" / "m")
  assert equal(folder.variables, variables)
  assert (folder.name, folder.fields, folder.labels) == (NAME, {"num_classes": 3}, ("wave", "jump", "späť"))
  assert (folder.preprocessing, folder.source) == (facts["preprocessing"], facts["source"])
  assert folder.reinitialized == ("params/head/fc/bias",)
  model, loaded = jaction.load(tmp_path / "deep" / "m")
  assert model == folder.model and model.head.num_classes == 3 and equal(loaded, variables)
  assert "späť" in (tmp_path / "deep" / "m" / "model.json").read_text("utf-8")


def test_the_best_model_of_a_training_work_directory_is_opened(tmp_path, variables):
  save(tmp_path / "model", variables)
  assert equal(load_folder(tmp_path).variables, variables)
  assert equal(load_folder(str(tmp_path)).variables, variables)


def test_fields_of_the_network_are_kept(tmp_path, variables):
  save_model(tmp_path, name=NAME, fields={"num_classes": 3, "dropout": 0.75}, variables=variables)
  assert load_folder(tmp_path).model.head.dropout == 0.75


def test_weights_of_a_flow_network_are_those_of_its_channels(tmp_path):
  flow = drawn(jaction.create_model(NAME, num_classes=3), channels=10)
  assert equal(load_folder(save(tmp_path, flow)).variables, flow)


def test_a_later_save_replaces_the_model_and_its_weights(tmp_path, variables):
  save(tmp_path, variables)
  other = drawn(jaction.create_model(NAME, num_classes=3), seed=1)
  save(tmp_path, other)
  assert equal(load_folder(tmp_path).variables, other)
  assert len(list(tmp_path.iterdir())) == 2
  save(tmp_path, other)
  assert len(list(tmp_path.iterdir())) == 2


def test_numbers_that_npz_does_not_know_are_kept(tmp_path, variables):
  half = jax.tree.map(lambda leaf: leaf.astype(ml_dtypes.bfloat16), variables)
  save(tmp_path, half)
  flat = folders._weights(tmp_path, json.loads((tmp_path / "model.json").read_text())["weights"])
  assert equal(unflatten_dict(flat, sep="/"), half)
  refused(tmp_path, "the weights are bfloat16, the model's are float32")


@pytest.mark.parametrize("broken", ["weights", "json"])
def test_a_save_that_fails_leaves_the_earlier_model(broken, tmp_path, variables, monkeypatch):
  save(tmp_path, variables)
  before = sorted(path.name for path in tmp_path.iterdir())
  replace = os.replace

  def full(source, target):
    if str(target).endswith(".npz" if broken == "weights" else ".json"):
      raise OSError(28, "No space left on device")
    replace(source, target)

  monkeypatch.setattr(folders.os, "replace", full)
  with pytest.raises(CheckpointError, match="No space left on device; what was there stays"):
    save(tmp_path, drawn(jaction.create_model(NAME, num_classes=3), seed=1))
  monkeypatch.undo()
  assert equal(load_folder(tmp_path).variables, variables)
  assert set(before) <= {path.name for path in tmp_path.iterdir()}
  assert not list(tmp_path.glob("*.part"))


def test_a_folder_of_a_killed_save_is_never_opened(tmp_path, variables, monkeypatch):
  monkeypatch.setattr(folders, "_write", lambda path, put: path.write_bytes(b"") if path.suffix == ".npz" else 1 / 0)
  with pytest.raises(ZeroDivisionError):
    save(tmp_path / "m", variables)
  refused(tmp_path / "m", "a save that never ended")


def test_what_cannot_be_saved_is_said_before_anything_is_written(tmp_path, variables):
  for words, facts in {
    "2 labels for a model of 3 classes": {"labels": ["a", "b"]},
    "JSON": {"source": {"x": np.zeros(3)}},
  }.items():
    with pytest.raises(InputError, match=words):
      save(tmp_path / "m", variables, **facts)
  with pytest.raises(InputError, match="params/x"):
    save(tmp_path / "m", {"params": {"x": np.array([None])}})
  assert not (tmp_path / "m").exists()


def test_missing_and_damaged_folders_are_named_for_what_they_are(tmp_path, variables):
  refused(tmp_path / "none", "none: there is no such folder")
  refused(tmp_path, "no model.json")
  (tmp_path / "a.pth").write_bytes(b"PK")
  refused(tmp_path / "a.pth", "a file, want a model folder", "convert")
  folder = save(tmp_path / "m", variables)
  whole = (folder / "model.json").read_bytes()
  for facts, words in [
    ({"format": 2}, "format 2, want 1"),
    ({"format": None}, "no model description"),
    ({"labels": "abc"}, "'labels' is a str, want list"),
    ({"labels": [1]}, "lists of text"),
    ({"name": "tsn_tiny_1x1x9"}, "Near it: tsn_tiny_1x1x8"),
    ({"fields": {"num_classes": 3, "dropuot": 1}}, "dropout"),
    ({"fields": {"num_classes": 4}}, "params/head/fc/kernel: the weights have (64, 3), the model (64, 4)"),
    ({"weights": {"file": "../../x"}}, "names no file of the folder"),
    ({"weights": {"file": "x.npz", "leaves": 1}}, "x.npz, are missing"),
  ]:
    edit(folder, **facts)
    refused(folder, words, str(folder))
    (folder / "model.json").write_bytes(whole)
  (folder / "model.json").write_bytes(whole[:-20])
  refused(folder, "cannot be read as JSON")
  facts = json.loads(whole)
  del facts["preprocessing"]
  (folder / "model.json").write_text(json.dumps(facts))
  refused(folder, "'preprocessing' is missing")


def test_damaged_weights_are_found(tmp_path, variables):
  folder = save(tmp_path, variables)
  (path,) = folder.glob("weights-*.npz")
  whole = path.read_bytes()
  for damaged in (whole[: len(whole) // 2], b"", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
    path.write_bytes(damaged)
    refused(folder, "damaged or truncated", path.name)


def test_a_folder_opens_in_a_fresh_process(tmp_path, variables):
  code = "import sys, jaction; m, v = jaction.load(sys.argv[1]); print(m.head.num_classes, 'torch' in sys.modules)"
  done = subprocess.run([sys.executable, "-c", code, save(tmp_path, variables)], capture_output=True, text=True)
  assert done.stdout.split() == ["3", "False"], done.stderr


# --- merge


def tree(**shapes):
  return unflatten_dict({path: np.zeros(shape, np.float32) for path, shape in shapes.items()}, sep="/")


INTO = tree(**{"params/a/kernel": (2, 3), "params/a/bias": (3,), "params/head/fc/kernel": (3, 5)})


def test_merge_takes_every_leaf_and_says_so():
  weights = jax.tree.map(lambda leaf: leaf + 1, INTO)
  merged, report = merge(weights, INTO)
  assert equal(merged, weights)
  assert set(report.loaded) == set(flatten_dict(INTO, sep="/")) and report.reinitialized == ()
  assert equal(merge(weights, jax.eval_shape(lambda: INTO))[0], weights)


def test_merge_names_every_difference_in_one_error():
  weights = tree(**{"params/a/kernel": (3, 2), "params/b/bias": (3,), "params/head/fc/kernel": (3, 5)})
  weights["params"]["head"]["fc"]["kernel"] = np.zeros((3, 5), np.float16)
  with pytest.raises(CheckpointError) as caught:
    merge(weights, INTO)
  text = str(caught.value)
  assert "4 difference(s)" in text
  assert "params/a/kernel: the weights have (3, 2), the model (2, 3)" in text
  assert "params/a/bias (3,): missing in the weights" in text
  assert "params/b/bias (3,): the model has no such leaf. Near it: params/a/bias" in text
  assert "params/head/fc/kernel: the weights are float16, the model's are float32" in text


def test_merge_counts_what_it_does_not_list():
  with pytest.raises(CheckpointError, match="and 70 more") as caught:
    merge({}, tree(**{f"params/x{i}": (1,) for i in range(100)}))
  assert len(str(caught.value).splitlines()) == 32


@pytest.mark.parametrize("prefix", ["params/head", "params/head/", "params/head/fc/kernel"])
def test_merge_leaves_what_the_caller_asks_for(prefix):
  weights = tree(**{"params/a/kernel": (2, 3), "params/a/bias": (3,), "params/head/fc/kernel": (3, 9)})
  merged, report = merge(weights, INTO, reinit=[prefix])
  assert merged["params"]["head"]["fc"]["kernel"] is INTO["params"]["head"]["fc"]["kernel"]
  assert report.reinitialized == ("params/head/fc/kernel",) and len(report.loaded) == 2


def test_merge_refuses_to_leave_what_is_not_there():
  with pytest.raises(InputError, match="Near it: params/head"):
    merge(INTO, INTO, reinit=["params/haed"])
  with pytest.raises(InputError, match="params/he"):  # a beginning of a name is no path
    merge(INTO, INTO, reinit=["params/he"])
  with pytest.raises(InputError, match="want arrays"):
    merge(INTO, jax.eval_shape(lambda: INTO), reinit=["params/head"])
