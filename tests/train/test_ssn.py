"""SSN's task: what a video is trained with, the run on a small toy set, and what does not fit."""

import dataclasses

import numpy as np
import pytest

from jaction.clips import ssn as sampling
from jaction.configs import toy_bmn, toy_bsn_pem, toy_ssn
from jaction.errors import InputError, MediaError
from jaction.launch import train as launch_train
from jaction.losses_localization import pem
from jaction.records.activitynet import read_activitynet
from jaction.records.ssn import read_proposals, write_proposals
from jaction.records.toy_untrimmed import make_untrimmed_set
from jaction.train.experiment import Experiment
from jaction.train.localization import _pem


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  return make_untrimmed_set(tmp_path_factory.mktemp("ssn"), videos=(8, 2), processes=1)


def config(folder, **data):
  c = toy_ssn.get_config("short").unlock()
  c.data.root, c.data.threads = str(folder), 1
  c.data.update(data)
  return c.to_dict()


def test_a_row_is_one_positive_six_incomplete_and_one_background(made):
  task = Experiment(config(made)).task
  for video in task.records[:3]:
    row = task.prepare["train"](video, np.random.default_rng(0))
    assert row["clips"].shape == (1, 72, 64, 64, 3) and row["clips"].dtype == np.uint8
    assert row["scales"].shape == (8, 2) and ((row["scales"] >= 0) & (row["scales"] <= 1.2)).all()
    assert (row["classes"][:7] > 0).all() and row["classes"][7] == 0
    assert not row["target"][1:].any()  # of the positive one alone
    again = task.prepare["train"](video, np.random.default_rng(0))
    assert all(np.array_equal(row[name], again[name]) for name in row)


def test_targets_are_normalised_by_those_of_the_positive_proposals(made):
  task = Experiment(config(made)).task
  whole = sampling.joined([sampling.pools(video) for video in task.records])
  rows = [sampling.targets(video, one) for video, one in whole.positive if one not in video.instances]
  done = (np.array(rows) - task.normalizers[0]) / task.normalizers[1]
  np.testing.assert_allclose([done.mean(0), done.std(0)], [[0, 0], [1, 1]], atol=1e-9)
  assert task.about["regression"] == task.normalizers.tolist()


def test_the_test_sees_every_frame_of_its_interval_once_and_in_order(made):
  task = Experiment(config(made)).task
  for video in task._val:
    pieces = [piece for piece in task.val_records if piece.video is video]
    wanted = sampling.test_frames(video.frames, 4)
    firsts = [piece.first for piece in pieces]
    assert firsts == list(range(0, len(wanted), 16)) and len({piece.id for piece in pieces}) == len(pieces)
    assert task.prepare["test"](pieces[-1])["clips"].shape == (1, 16, 64, 64, 3)


def test_ssn_trains_and_is_evaluated(made, tmp_path):
  argv = ["--config=toy_ssn:short", f"--workdir={tmp_path}", f"--config.data.root={made}"]
  argv += ["--config.duration.steps=3", "--config.batch_size=8", "--config.log.progress=False"]
  assert not launch_train.main(argv)
  assert (tmp_path / "model/model.json").exists()


def test_a_class_beyond_the_model_is_refused_with_its_video(made):
  videos = read_proposals(made / "train_proposals.txt")
  bad = dataclasses.replace(videos[0], instances=(dataclasses.replace(videos[0].instances[0], label=9),))
  write_proposals(made / "bad.txt", [bad, *videos[1:]])
  with pytest.raises(InputError, match="train_0000.* has class 9"):
    Experiment(config(made, train="bad.txt"))


def test_lists_that_cannot_be_used_are_named(made):
  videos = read_proposals(made / "val_proposals.txt")
  write_proposals(made / "none.txt", [dataclasses.replace(video, instances=()) for video in videos])
  write_proposals(made / "twice.txt", [*videos, videos[0]])
  bare = [dataclasses.replace(video, proposals=video.instances) for video in videos]
  write_proposals(made / "bare.txt", bare)
  for data, message in (
    ({"val": "none.txt"}, "none.txt: no video with instances to evaluate"),
    ({"val": "twice.txt"}, "twice.txt: .*val_0000.* is there twice"),
    ({"train": "bare.txt"}, "bare.txt: no "),
  ):
    with pytest.raises(InputError, match=message):
      Experiment(config(made, **data))


@pytest.mark.parametrize("make", [toy_ssn, toy_bmn])
def test_a_metric_of_averages_wants_averages(make, made):
  c = make.get_config("short").unlock()
  c.data.root = str(made)
  c.eval.metric = "ema_" + c.eval.metric
  if make is toy_bmn:
    (made / "features").mkdir(exist_ok=True)
    for name in ("train", "val"):
      for video in read_activitynet(made / f"{name}.json"):
        np.save(made / f"features/{video.id}.npy", np.zeros((3, c.model.fields.feat_dim), np.float32))
  with pytest.raises(InputError, match="wants optimizer.ema above 0"):
    Experiment(c.to_dict())
  c.optimizer.ema = 0.9
  assert Experiment(c.to_dict()).metric == c.eval.metric


def test_a_video_shorter_than_its_proposals_say_is_an_error_that_names_it(made):
  task = Experiment(config(made)).task
  video = dataclasses.replace(task.records[0], frames=task.records[0].frames + 50)
  with pytest.raises(MediaError, match=r"train_0000\.mp4: \d+ frames; its proposals are of"):
    task.prepare["test"].media.read(video, np.array([0]), None)


def test_the_threshold_of_low_proposals_is_a_key_and_2_2_is_refused():
  settings = toy_bsn_pem.get_config().localization.to_dict()
  assert settings["pem_low_temporal_iou_threshold"] == 0.2
  with pytest.raises(InputError, match="2.2 was meant as 0.2"):
    _pem(settings | {"pem_low_temporal_iou_threshold": 2.2})
  rng = np.random.default_rng(0)
  batch = {"overlap": rng.random((2, 40), np.float32) ** 4, "there": np.ones((2, 40), np.float32)}
  batch |= {"mask": np.ones(2, np.float32), "draw": np.arange(2, dtype=np.int32)}
  scores = rng.random((2, 40), np.float32)
  plain = _pem(settings).loss(scores, batch)
  np.testing.assert_allclose(plain, pem(scores, batch["overlap"]), rtol=1e-6)
  one, other = (
    _pem(settings | {"pem_balanced": True, "pem_low_temporal_iou_threshold": low}).loss(scores, batch)
    for low in (0.2, 0.5)
  )
  assert not np.allclose(one, other) and not np.allclose(one, plain)
