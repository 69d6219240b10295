"""Detectors are trained, evaluated, stored and used like recognizers."""

import json

import jax
import numpy as np
import pytest

import jaction
from jaction.configs.recipes import also
from jaction.errors import InputError
from jaction.launch import detect
from jaction.launch.data import main as data
from jaction.launch.train import parse_config
from jaction.records.ava import read_ava, write_ava
from jaction.records.toy_actors import make_toy_actors
from jaction.train.detection import box_actions
from jaction.train.experiment import Experiment
from jaction.train.loop import train


@pytest.fixture(scope="module")
def actors(tmp_path_factory):
  return make_toy_actors(tmp_path_factory.mktemp("set") / "actors", videos=(8, 4))


def test_the_toy_set_is_the_same_byte_for_byte_each_time(tmp_path):
  sets = [make_toy_actors(tmp_path / str(i), videos=(8, 4)) for i in range(3)]
  made = [{path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()} for root in sets]
  assert made[0] == made[1] == made[2]  # x264's macroblock trees would differ, in a quarter of the videos


def config(root, form=":short", *more):
  c = parse_config([f"--config=toy_ava{form}", f"--config.data.root={root}", *more])
  return c.to_dict()


def tiny(root, **changes):
  """Few steps of eight clips, a clip a device."""
  c = config(root, ":short", "--config.batch_size=8", "--config.eval.batch_size=8")
  c["duration"] = c["duration"] | {"steps": 2}
  c["schedule"]["warmup"]["steps"] = 1
  c["eval"]["every"]["steps"] = c["checkpoint"]["every"]["steps"] = 2
  c["log"] |= {"progress": False, "tensorboard": False, "curves": False}
  for name, value in changes.items():
    c["detection"][name] = value
  return c


@pytest.fixture(scope="module")
def trained(actors, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("run")
  return workdir, train(tiny(actors), workdir)


def test_a_run_leaves_metrics_and_a_model_that_says_what_people_do(trained, actors, tmp_path, monkeypatch, capsys):
  workdir, found = trained
  assert {"mAP", "best_mAP", "ap_stays"} <= found.keys() and 0 <= found["mAP"] <= 1
  rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  assert {"recall@top3", "precision@0.5", "loss", "grad_norm"} <= next(r for r in rows if r["kind"] == "train").keys()
  model, variables = jaction.load(workdir)
  scores = model.apply(variables, *(np.zeros(x.shape, x.dtype) for x in model.inputs()))
  assert scores.shape == (1, 1, 7)

  monkeypatch.chdir(tmp_path)
  video = str(actors / "videos" / "val0000.mp4")
  detect.main([video, "--model", str(workdir), "--boxes", str(actors / "val.csv"), "--draw", "drawn.mp4"])
  told = json.loads((tmp_path / "val0000.actions.json").read_text())["detections"]
  assert {row["second"] for row in told} == {1, 2}
  assert all(row["actions"] and row["actions"][0]["action"] != "(nobody)" for row in told)
  assert (tmp_path / "drawn.mp4").stat().st_size > 1000
  result = ["evaluate-ava", str(actors / "val.csv"), "--labels", str(actors / "actions.pbtxt")]
  data([*result, "--model", str(workdir), "--media", str(actors / "videos"), "--write", "result.csv"])
  by_model = capsys.readouterr().out.splitlines()[-1]
  data([*result, "--result", "result.csv"])
  assert capsys.readouterr().out.splitlines()[-1] == by_model
  data(["bank", str(workdir), "bank.npz", str(actors / "videos"), str(actors / "val.csv")])
  with np.load(tmp_path / "bank.npz") as bank:
    assert bank["val0000,0001"].shape[1] == 256


def test_detect_works_with_nothing_but_a_video(actors, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  detect.main([str(actors / "videos" / "val0001.mp4")])
  told = json.loads((tmp_path / "val0001.actions.json").read_text())
  assert told["detections"] and "moves" in told["boxes"] and (tmp_path / "val0001.actions.mp4").is_file()
  with pytest.raises(InputError, match="one of them"):
    detect.main(["x.mp4", "--boxes", "b", "--detector", "d"])
  (tmp_path / "none.json").write_text('{"val0001,0001": []}')
  with pytest.raises(InputError, match="not one box"):
    detect.main([str(actors / "videos" / "val0001.mp4"), "--boxes", "none.json"])


@pytest.mark.slow
def test_a_bank_of_a_trained_detector_trains_one_with_a_bank(trained, actors, tmp_path):
  workdir, _ = trained
  bank = str(tmp_path / "bank.npz")
  lists = [str(actors / f"{split}.csv") for split in ("train", "val")]
  data(["bank", str(workdir), bank, str(actors / "videos"), *lists])
  c = tiny(actors, bank=bank, bank_seconds=4)
  c["model"]["name"] = "lfb_slowonly_r50_4x16x1_ava"
  c["model"]["fields"] = {"depth": 11, "width": 16, "output_size": 4, "stride": 8, "bank_shape": (8, 256)}
  assert 0 <= train(c, tmp_path / "run")["mAP"] <= 1
  with pytest.raises(InputError, match="wants a feature bank"):
    detect.main([str(actors / "videos" / "val0000.mp4"), "--model", str(tmp_path / "run")])
  c["detection"]["bank"] = ""
  with pytest.raises(InputError, match="detection.bank"):
    Experiment(c)


@pytest.mark.parametrize(
  ("change", "told"),
  [
    (lambda c: c["model"].update(num_classes=6), "action 6"),
    (lambda c: c["detection"].update(classes=(1, 2)), "num_classes=3"),
    (lambda c: c["detection"].update(classes=(1, 99)), "action 99"),
    (lambda c: c["model"].update(name="tsn_tiny_1x1x8"), "_ava"),
    (lambda c: c["eval"].update(metric="top1"), "mAP"),
    (lambda c: c["detection"].update(bank="bank.npz"), "lfb_"),
    (lambda c: c["detection"].update(media="nowhere"), "are not in"),
    (lambda c: c["preprocessing"]["test"].update(max_boxes=1), "max_boxes"),
    (lambda c: c["data"].update(weights="w.txt"), "data.weights='w.txt' with task='detection': wanted ''"),
    (lambda c: c["data"].update(repeats=2), "data.repeats=2 with task='detection': wanted 1"),
    (lambda c: c["data"].update(mix={"more": also("more.csv").to_dict()}), r"data.mix=\['more'\] with task="),
    (lambda c: c["blending"].update(name="mixup"), "blending.name='mixup' with task='detection': wanted ''"),
  ],
)
def test_what_does_not_fit_is_named(actors, change, told):
  c = tiny(actors)
  change(c)
  with pytest.raises(InputError, match=told):
    Experiment(c)


def test_some_actions_alone_can_be_learned(actors):
  c = tiny(actors, classes=(6, 5))
  c["model"]["num_classes"] = 3
  run = Experiment(c)
  assert run.task.labels == ("(nobody)", "spins", "stays")
  assert {k for r in run.task.records for labels in r.key.labels for k in labels} <= {1, 2}


def test_boxes_weigh_the_same_whichever_clip_they_are_of():
  rng = np.random.default_rng(0)
  scores = rng.standard_normal((2, 3, 4)).astype(np.float32)
  labels = np.zeros((2, 3, 4), np.float32)
  labels[0, :, 1], labels[1, 0, 2], labels[1, 1, 3] = 1, 1, 1
  mask = np.array([[True] * 3, [True, True, False]])
  batch = {"label": labels, "box_mask": mask}
  task = box_actions()
  total = task.loss(scores, batch).sum() / task.weights(scores, batch).sum()
  own = np.maximum(scores, 0) - scores * labels + np.log1p(np.exp(-np.abs(scores)))
  np.testing.assert_allclose(total, own[..., 1:].mean(-1)[mask].mean(), rtol=1e-5)
  facebook = box_actions(background=False)
  same = {"label": labels[..., 1:], "box_mask": mask}
  np.testing.assert_allclose(facebook.loss(scores[..., 1:], same), task.loss(scores, batch), rtol=1e-6)
  for name, metric in task.metrics.items():
    assert metric(scores, batch).shape == (2,), name


def trained_to(root, workdir, seed=0):
  c = config(root, "", f"--config.seed={seed}", "--config.batch_size=16", "--config.eval.batch_size=16")
  c["log"] |= {"progress": False, "tensorboard": False, "curves": False}
  return train(c, workdir)["mAP"]


@pytest.mark.slow
@pytest.mark.skipif(jax.device_count() not in (1, 2, 4, 8, 16), reason="the batch does not split")
def test_a_detector_learns_the_toy_set_and_not_one_with_the_labels_shuffled_over_actors(tmp_path):
  root = make_toy_actors(tmp_path / "actors")
  assert trained_to(root, tmp_path / "run") >= 0.8
  shuffle_actors(root / "train.csv", seed=1)
  assert trained_to(root, tmp_path / "control") < 0.5


def shuffle_actors(path, seed):
  """The same boxes, the same actions, but of other actors."""
  import dataclasses

  frames = read_ava(path)
  actions = [labels for frame in frames for labels in frame.labels]
  order = iter(np.random.default_rng(seed).permutation(len(actions)).tolist())
  write_ava(path, [dataclasses.replace(f, labels=tuple(actions[next(order)] for _ in f.labels)) for f in frames])
