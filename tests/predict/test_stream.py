"""Scores on the disk: an evaluation that is killed goes on, and each video counts once."""

import json

import jax
import numpy as np
import pytest

from jaction import folders
from jaction.errors import InputError
from jaction.launch import evaluate
from jaction.models import create_model, initialize, variant
from jaction.predict.predictor import Predictor
from jaction.predict.stream import NAME, ScoreFile
from jaction.records import read_records
from jaction.records.toy import TOY_CLASSES, make_toy_set

MODEL, VIDEOS, VIEWS = "slowonly_tiny_4x4x1", 11, 30  # ten clips of three crops: 11 is no multiple of 8 devices


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set", videos=(0, 0, VIDEOS)).folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  folder = tmp_path_factory.mktemp("model") / "net"
  net = create_model(MODEL, num_classes=8)
  variables = initialize(net, jax.ShapeDtypeStruct((1, 1, *net.clip, 3), np.float32))
  facts = {"labels": TOY_CLASSES, "preprocessing": variant(MODEL).preprocessing}
  folders.save_model(folder, name=MODEL, fields={"num_classes": 8}, variables=variables, **facts)
  return folder


@pytest.fixture(scope="module")
def plain_loop(model, toy):
  """The scores of one video after another, on one device."""
  records = read_records(f"{toy}/test.txt")
  predictor = Predictor(model, clips=10, crops=3, max_views=7)
  return np.concatenate([predictor.score([record], batch_size=1).scores for record in records])


def run(model, toy, output, *more):
  views = ["--clips=10", "--crops=3", "--max-views=7", "--batch-size=8"]
  evaluate.main(["--model", f"{model}", "--list", f"{toy}/test.txt", "--output", f"{output}", *views, *more])
  return np.load(output / "scores.npz")["scores"]


def test_thirty_views_over_eight_devices_equal_a_plain_loop_over_videos(model, toy, plain_loop, tmp_path):
  assert jax.device_count() == 8
  found = run(model, toy, tmp_path)
  assert found.shape == (VIDEOS, 8)
  np.testing.assert_array_equal(found, plain_loop)
  assert json.loads((tmp_path / "metrics.json").read_text())["videos"] == VIDEOS
  assert not (tmp_path / NAME).exists()


def test_an_evaluation_that_stopped_goes_on_and_scores_no_video_twice(model, toy, plain_loop, tmp_path, monkeypatch):
  scored, add = [], ScoreFile.add

  def killed(self, numbers, scores):
    add(self, numbers, scores)
    scored.extend(int(n) for n in numbers)
    if len(scored) == 8:
      raise KeyboardInterrupt

  monkeypatch.setattr(ScoreFile, "add", killed)
  with pytest.raises(KeyboardInterrupt):
    run(model, toy, tmp_path)
  assert (tmp_path / NAME).exists() and not (tmp_path / "scores.npz").exists()
  np.testing.assert_array_equal(run(model, toy, tmp_path), plain_loop)
  assert scored == list(range(VIDEOS))


def test_every_torn_end_of_the_file_is_cut_off(tmp_path):
  scores = np.random.default_rng(0).normal(size=(3, 2, 4)).astype("f4")
  with ScoreFile(tmp_path, {"a": 1}, 3) as file:
    file.add([2, 0, 1], scores)
  whole = (tmp_path / NAME).read_bytes()
  head, row = whole.index(b"\n") + 1, 8 + 4 * 8 + 4
  for size in range(len(whole) + 1):
    (tmp_path / NAME).write_bytes(whole[:size])
    with ScoreFile(tmp_path, {"a": 1}, 3) as file:
      kept = max(0, size - head) // row if size >= head else 0
      assert len(file.missing) == 3 - kept
      file.add(file.missing, np.stack([scores[[1, 2, 0][n]] for n in file.missing]) if file.missing else scores[:0])
      np.testing.assert_array_equal(file.scores()[0], scores[[1, 2, 0]])


def test_a_row_whose_bytes_changed_is_scored_again(tmp_path):
  with ScoreFile(tmp_path, {}, 2) as file:
    file.add([0, 1], np.zeros((2, 4), "f4"))
  data = bytearray((tmp_path / NAME).read_bytes())
  data[-6] ^= 1
  (tmp_path / NAME).write_bytes(data)
  with ScoreFile(tmp_path, {}, 2) as file:
    assert file.missing == [1]


def test_scores_of_another_evaluation_are_refused_unless_begun_anew(tmp_path):
  with ScoreFile(tmp_path, {"weights": "a"}, 2) as file:
    file.add([0], np.zeros((1, 4), "f4"))
  with pytest.raises(InputError, match="weights differ"):
    ScoreFile(tmp_path, {"weights": "b"}, 2)
  with ScoreFile(tmp_path, {"weights": "b"}, 2, resume=False) as file:
    assert file.missing == [0, 1]


def test_a_record_twice_is_an_error(tmp_path):
  with ScoreFile(tmp_path, {}, 2) as file, pytest.raises(InputError, match="once"):
    file.add([0, 0], np.zeros((2, 4), "f4"))
