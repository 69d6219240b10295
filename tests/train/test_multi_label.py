"""Several labels a video, from a list through training and export to evaluate; and what may not be combined."""

import json

import numpy as np
import pytest

from jaction.batches import evaluation_batches
from jaction.clips.multihot import MultiHot, known_classes
from jaction.clips.preprocessing import Preprocessing
from jaction.configs.base import duration
from jaction.errors import InputError
from jaction.launch import evaluate
from jaction.predict.predictor import Predictor
from jaction.records import Record
from jaction.records.toy import make_toy_set
from jaction.train.experiment import Experiment
from jaction.train.loop import train

CLASSES = 6  # four shapes, then "moves along a line" and "does not"


def labels(toy_class):
  return (toy_class // 2, 4 if toy_class < 4 else 5)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  """The folder of a toy set with lists of several labels; the config's other facts are tiny.py's."""
  folder = make_toy_set(tmp_path_factory.mktemp("several") / "set", videos=(16, 11, 0)).folder
  for split in ("train", "val"):
    rows = [line.rsplit(" ", 1) for line in (folder / f"{split}.txt").read_text().splitlines()]
    lines = [f"{path} {' '.join(map(str, labels(int(label))))}\n" for path, label in rows]
    (folder / f"{split}_multi.txt").write_text("".join(lines))
  return folder


@pytest.fixture
def several(tiny, toy):
  """The tiny config on that list, for a few steps, not locked."""
  c = tiny.get_config().unlock()
  c.data.root, c.data.format, c.data.multi_label = str(toy), "multi_label_list", True
  c.data.train, c.data.val = "train_multi.txt", "val_multi.txt"
  c.model.num_classes, c.duration, c.eval.every = CLASSES, duration(steps=4), duration(steps=4)
  c.schedule.warmup = duration()
  c.preprocessing.test.average, c.eval.metric = "score", "mean_average_precision"
  c.loss.name, c.loss.categories = "hvu", (("shape", 4, 1.0), ("path", 2, 0.5))
  return c


def test_a_run_and_evaluate_agree_on_several_labels(several, toy, tmp_path):
  metrics = train(several, tmp_path / "run")
  assert 0 < metrics["best_mean_average_precision"] <= 1
  names = {"mean_average_precision", "mmit_mean_average_precision", "top1", "top5", "shape_mAP", "path_mAP"}
  assert names < set(metrics)
  args = [
    "--list",
    f"{toy}/val_multi.txt",
    "--format",
    "multi_label_list",
    "--output",
    f"{tmp_path}",
    "--root",
    f"{toy}",
  ]
  evaluate.main(["--model", f"{tmp_path}/run", *args])
  found = json.loads((tmp_path / "metrics.json").read_text())
  assert found["videos"] == 11  # a last batch that is not full
  for name in (*names, "loss", "categories_mAP"):
    assert found[name] == pytest.approx(metrics[f"best_{name}"], rel=1e-5), name
  written = np.load(tmp_path / "scores.npz")
  assert written["labels"].shape == written["scores"].shape == (11, CLASSES) and (written["labels"].sum(1) == 2).all()
  predictor = Predictor(tmp_path / "run")
  assert predictor.multi_label and predictor.categories == (("shape", 4), ("path", 2))
  rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
  assert all(np.isfinite(row["loss"]) for row in rows)
  scores = predictor.score([Record("a", str(next(toy.glob("videos/val/*.mp4"))))])
  np.testing.assert_allclose(predictor.probabilities(scores), 1 / (1 + np.exp(-scores.scores)), rtol=1e-6)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"loss.name": "cross_entropy"}, "data.multi_label=True: wanted binary_cross_entropy or hvu"),
    ({"loss.name": "binary_cross_entrop"}, "Near it: binary_cross_entropy"),
    ({"loss.categories": (("shape", 4, 1.0),)}, "have 4 classes and model.num_classes is 6"),
    ({"loss.categories": (("shape", 6),)}, r"wanted \(name, how many classes, weight\)"),
    ({"loss.name": "binary_cross_entropy", "loss.class_weights": (1.0, 2.0)}, "has 2 numbers for 6 classes"),
    ({"loss.weight": -1.0}, "loss.weight=-1.0"),
    ({"data.balance": 0.5}, "data.balance draws by the label of a video"),
    ({"preprocessing.test.average": "prob"}, 'wanted "score"'),
    ({"eval.metric": "mean_class_accuracy"}, "one of data.multi_label=False, and that is True"),
    ({"eval.metric": "mean_average_precison"}, "Near it: mean_average_precision"),
    ({"eval.metric": "shap_mAP"}, "Near it: shape_mAP"),
    ({"preprocessing.train.settings.flip.labels": (1, 0, 2, 3, 4, 5)}, "the step flip maps the label"),
    ({"data.multi_label": False, "loss.categories": ()}, "loss.name='hvu' with data.multi_label=False"),
  ],
)
def test_what_does_not_go_together_is_refused(several, change, message):
  for key, value in change.items():
    *folders, last = key.split(".")
    at = several
    for folder in folders:
      at = at[folder]
    at[last] = value
  with pytest.raises(InputError, match=message):
    Experiment(several.to_dict())


def test_a_metric_of_several_labels_is_refused_for_one(config):
  config.eval.metric = "mean_average_precision"
  with pytest.raises(InputError, match="one of data.multi_label=True, and that is False; wanted one of top1"):
    Experiment(config.to_dict())


def test_a_metric_over_nothing_is_refused(several, toy):
  (toy / "no_shape.txt").write_text("".join(f"videos/val/val_{i:05d}.mp4 5\n" for i in range(8)))
  several.data.val, several.eval.metric = "no_shape.txt", "shape_mAP"
  with pytest.raises(InputError, match="no video of data.val has a label of shape"):
    Experiment(several.to_dict())


def fake(record, rng=None, cache=None):
  return {"clips": np.zeros((1, 1, 2, 2, 3), np.uint8), "label": -1}


fake.steps, fake.settings = (), {}


def test_rows_of_several_labels_stack_whatever_their_number():
  records = [
    Record("a", "a", labels=(0, 2, 2)),
    Record("b", "b", label=1),
    Record("c", "c", labels=(4,), known=((3, 5),)),
  ]
  with evaluation_batches(records, MultiHot(fake, 5), batch_size=4, threads=0) as batches:
    batch = next(batches)
  want = [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]
  assert batch["label"].dtype == np.float32 and batch["known"].dtype == bool
  np.testing.assert_array_equal(batch["label"][:3], want)
  np.testing.assert_array_equal(batch["known"][:3], [[1] * 5, [1] * 5, [0, 0, 0, 1, 1]])
  np.testing.assert_array_equal(batch["mask"], [True, True, True, False])
  np.testing.assert_array_equal(known_classes(records, 5), batch["known"][:3])
  assert known_classes(records[:2], 5) is None
  with pytest.raises(InputError, match="outside the 3 classes"):
    MultiHot(fake, 3)(records[2])


def test_a_step_that_maps_labels_is_refused():
  fields = {"clip_len": 1, "num_clips": 1, "frames_per_view": 1, "frame_interval": 1}
  flips = {"steps": ("flip",), "settings": {"flip": {"labels": (1, 0)}}, "mean": (0.0,) * 3, "std": (1.0,) * 3}
  with pytest.raises(InputError, match="the step flip maps the label of a video"):
    MultiHot(Preprocessing("uniform", **fields, **flips), 2)
  flips["settings"] = {}
  MultiHot(Preprocessing("uniform", **fields, **flips), 2)
