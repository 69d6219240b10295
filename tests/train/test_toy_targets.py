"""What a tiny video network reaches on the toy set, through a forced divergence, and without the order of time."""

import json

import jax
import numpy as np
import pytest

import jaction
from jaction.clips.device import normalize
from jaction.clips.preprocessing import Preprocessing
from jaction.configs import toy_slowfast, toy_x3d
from jaction.records import read_records
from jaction.records.toy import make_toy_set
from jaction.train.experiment import Experiment
from jaction.train.loop import train

pytestmark = pytest.mark.slow  # minutes each
NETWORKS = pytest.mark.parametrize(
  "toy_config, epochs", [(toy_slowfast, 12.0), (toy_x3d, 36.0)], ids=["slowfast", "x3d"]
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set").folder


@NETWORKS
def test_a_tiny_network_learns_the_toy_set_though_its_parameters_once_become_nan(
  toy, tmp_path, monkeypatch, toy_config, epochs
):
  c = toy_config.get_config().unlock()
  c.data.root, c.duration.epochs, c.log.progress, c.divergence.action = str(toy), epochs, False, "rollback"
  c.eval.every.epochs = 4.0
  step, calls = Experiment.step, []

  def once_without_a_rate(self, state, batch, lr):
    calls.append(None)
    return step(self, state, batch, np.float32("nan") if len(calls) == 170 else lr)

  monkeypatch.setattr(Experiment, "step", once_without_a_rate)
  metrics = train(c, tmp_path / "run")
  print(metrics)
  (row,) = [json.loads(line) for line in (tmp_path / "run/diverged.jsonl").read_text().splitlines()]
  assert (row["step"], row["since"], row["action"]) == (171, 160, "rollback")
  assert metrics["top1"] >= 0.95
  records = read_records(f"{toy}/val.txt")
  model, variables = jaction.load(tmp_path / "run")
  prepare = Preprocessing.from_json(c.preprocessing.test.to_dict())
  see = jax.jit(lambda clips: model.apply(variables, normalize(clips, prepare.mean, prepare.std)).mean(axis=1))

  def accuracy(order):
    clips = np.stack([prepare(record)["clips"][:, order] for record in records])
    scores = [see(clips[i : i + 16]) for i in range(0, len(clips), 16)]
    return np.mean(np.concatenate(scores).argmax(-1) == [record.label for record in records])

  assert accuracy(np.arange(8)) >= 0.95
  assert accuracy(np.full(8, 4)) <= 0.55  # of one frame: the shape alone


@NETWORKS
def test_with_the_labels_shuffled_nothing_is_learnt(toy, tmp_path, toy_config, epochs):
  lines = [line.rsplit(" ", 1) for line in (toy / "train.txt").read_text().splitlines()]
  labels = np.random.default_rng(0).permutation([label for _, label in lines])
  (toy / "shuffled.txt").write_text(
    "".join(f"{path} {label}\n" for (path, _), label in zip(lines, labels, strict=True))
  )
  c = toy_config.get_config().unlock()
  c.data.root, c.data.train, c.duration.epochs, c.eval.every.epochs = str(toy), "shuffled.txt", epochs, epochs
  c.log.progress = False
  assert train(c, tmp_path / "run")["top1"] < 0.3
