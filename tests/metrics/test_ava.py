import json
import math
import os
import pathlib

import numpy as np
import pytest

from jaction.boxes import areas, covered, intersections, overlaps
from jaction.errors import InputError
from jaction.metrics.ava import Boxes, frame_ap, mean_ap
from jaction.metrics.boxes import box_recall_precision
from jaction.records.ava import read_ava_boxes, read_ava_labels

FOLDER = pathlib.Path(os.environ.get("JACTION_SHARED", pathlib.Path(__file__).parents[3] / "shared")) / "golden/metrics"
CASES = json.loads((FOLDER / "ava_map.json").read_text()) if (FOLDER / "ava_map.json").is_file() else []


@pytest.mark.reference
@pytest.mark.parametrize("case", CASES or [None], ids=lambda case: case["name"] if case else "none")
def test_the_reference_maps_are_met(case, tmp_path):
  if case is None:
    pytest.skip(f"no {FOLDER / 'ava_map.json'}; set JACTION_SHARED")
  for name in ("gt_csv", "pred_csv", "labelmap", "exclude_csv"):
    (tmp_path / name).write_text(case[name] or "")
  names = read_ava_labels(tmp_path / "labelmap")
  classes = [k for k in names if not case["custom_classes"] or k in case["custom_classes"]]
  read = lambda name: Boxes(*read_ava_boxes(tmp_path / name, exclude=tmp_path / "exclude_csv"))  # noqa: E731
  truth, found = read("gt_csv"), read("pred_csv")
  per_class = frame_ap(found, truth, classes)
  want = case["expect"]
  np.testing.assert_allclose(mean_ap(per_class), want["mAP"], atol=1e-9)
  got = {names[k]: value for k, value in per_class.items()}
  assert got.keys() == want["per_class_ap"].keys()
  for name, value in want["per_class_ap"].items():
    np.testing.assert_allclose(got[name], value, atol=1e-9, err_msg=name)


@pytest.mark.reference
def test_areas_and_overlaps_are_the_references():
  """Theirs have y before x, which changes nothing."""
  path = FOLDER / "ava_box_ops.npz"
  if not path.is_file():
    pytest.skip(f"no {path}; set JACTION_SHARED")
  with np.load(path) as z:
    first, second = z["boxes1"], z["boxes2"]
    for got, name in (
      (overlaps(first, second), "iou"),
      (covered(first, second), "ioa"),
      (areas(first), "area1"),
      (intersections(first, second), "intersection"),
    ):
      np.testing.assert_allclose(got, z[name], atol=1e-9)


def one_by_one(found, truth, classes):
  """The official rules, frame by frame and box by box."""
  result = {}
  for k in classes:
    rows, total = [], sum(label == k for label in truth.labels)
    frames = list(dict.fromkeys(f for f, label in zip(found.frames, found.labels, strict=True) if label in classes))
    for frame in frames:
      own = [
        b for f, b, label in zip(truth.frames, truth.boxes, truth.labels, strict=True) if f == frame and label == k
      ]
      order = [
        s for f, s, label in zip(truth.frames, truth.scores, truth.labels, strict=True) if f == frame and label == k
      ]
      own = [own[i] for i in sorted(range(len(own)), key=lambda i: -order[i])]
      taken = set()
      here = [i for i in range(len(found.labels)) if found.frames[i] == frame and found.labels[i] == k]
      for i in sorted(here, key=lambda i: -found.scores[i]):
        x1, y1, x2, y2 = found.boxes[i]
        if x2 <= x1 or y2 <= y1:
          continue
        ious = [float(overlaps(found.boxes[i][None], b[None])[0, 0]) for b in own]
        best = int(np.argmax(ious)) if ious else -1
        right = best >= 0 and ious[best] >= 0.5 and best not in taken
        taken |= {best} if right else set()
        rows.append((found.scores[i], right))
    ranked = [rows[i][1] for i in np.argsort([s for s, _ in rows], kind="stable")[::-1]] if rows else []
    if not total:
      result[k] = math.nan
      continue
    hits = np.cumsum(ranked)
    precision, recall, value, before = hits / np.arange(1, len(hits) + 1), hits / total, 0.0, 0.0
    for i in range(len(hits)):
      value += (recall[i] - before) * precision[i:].max()
      before = recall[i]
    result[k] = value
  return result


def scene(rng, frames=12, classes=5):
  """People at random, each with a few actions; detections near them or anywhere, with many equal scores."""
  truth, found = [], []
  for f in range(frames):
    for person in range(int(rng.integers(0, 4))):
      corner, side = rng.uniform(0, 0.6, 2), rng.uniform(0.1, 0.4, 2)
      box = np.concatenate([corner, corner + side]).round(2)
      truth += [(f, box, int(k), person) for k in rng.choice(classes, 2, replace=False)]
      for _ in range(2):
        near = (box + rng.uniform(-0.08, 0.08, 4)).round(2)
        found += [(f, near, int(k), round(float(rng.random()), 1)) for k in rng.choice(classes, 3, replace=False)]
    found.append((f, rng.uniform(0, 1, 4).round(2), int(rng.integers(classes)), 0.5))
  rng.shuffle(found)
  return tuple(Boxes(*map(np.array, zip(*rows, strict=True))) for rows in (found, truth))


@pytest.mark.parametrize("seed", range(6))
def test_the_columns_give_what_frame_by_frame_gives(seed):
  found, truth = scene(np.random.default_rng(seed))
  got, want = frame_ap(found, truth, range(1, 5)), one_by_one(found, truth, range(1, 5))
  assert got.keys() == want.keys()
  np.testing.assert_allclose(list(got.values()), list(want.values()), atol=1e-12)
  assert 0.05 < mean_ap(got) < 0.95  # the control: a scene in which boxes are both right and wrong
  other = frame_ap(found._replace(scores=-found.scores), truth, range(1, 5))
  assert not np.allclose(list(other.values()), list(want.values()), atol=1e-3)


def columns(*rows):
  return Boxes(*map(np.array, zip(*rows, strict=True))) if rows else NOTHING


NOTHING = Boxes(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
BOX = (0.1, 0.1, 0.5, 0.5)


def test_nothing_detected_nothing_annotated():
  assert frame_ap(NOTHING, columns((0, BOX, 1, 0)), [1, 2])[1] == 0.0
  assert math.isnan(frame_ap(columns((0, BOX, 1, 0.5)), NOTHING, [1])[1])
  assert math.isnan(mean_ap(frame_ap(NOTHING, NOTHING, [1, 2])))
  assert frame_ap(NOTHING, NOTHING, []) == {}


def test_a_second_detection_of_a_person_and_one_on_an_empty_frame_are_false():
  truth = columns((0, BOX, 1, 0))
  assert frame_ap(columns((0, BOX, 1, 0.9), (0, BOX, 1, 0.8)), truth, [1])[1] == 1.0
  assert frame_ap(columns((0, BOX, 1, 0.8), (7, BOX, 1, 0.9)), truth, [1])[1] == 0.5


def test_columns_that_do_not_fit_are_named():
  with pytest.raises(InputError, match=r"\[N,4\]"):
    frame_ap(NOTHING._replace(boxes=np.zeros((1, 4))), NOTHING, [1])
  with pytest.raises(InputError, match="finite"):
    frame_ap(columns((0, BOX, 1, np.nan)), NOTHING, [1])
  with pytest.raises(InputError, match="once"):
    frame_ap(NOTHING, NOTHING, [1, 1])


def test_recall_and_precision_are_those_of_each_box():
  scores = np.array([[9.0, 2.0, -1.0, 3.0, -2.0], [9.0, -1.0, -1.0, -1.0, -2.0], [0.0, 1.0, 1.0, 1.0, 1.0]], np.float32)
  labels = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]], np.float32)
  found, valid = box_recall_precision(scores, labels, ks=(1, 2, 9))
  assert valid.tolist() == [True, True, False]  # column 0 is nobody's action
  np.testing.assert_allclose(found["recall@0.5"][:2], [0.5, 0])
  np.testing.assert_allclose(found["precision@0.5"][:2], [0.5, 0], atol=1e-6)
  np.testing.assert_allclose(found["recall@top2"][:2], [0.5, 0])
  np.testing.assert_allclose(found["recall@top9"][:2], [1, 1])  # at most as many as there are classes
  single, _ = box_recall_precision(scores, labels, multi_label=False)
  np.testing.assert_allclose(single["precision@0.5"][:2], [0, 0])
