"""Average precisions against golden/metrics/multilabel and hvu, and slow twins."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaction.errors import InputError
from jaction.metrics import multilabel
from jaction.metrics.classification import top_k_accuracy
from jaction.predict.scoring import weighted_fusion

quick = settings(max_examples=80, deadline=None, database=None, derandomize=True)
rankings = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=10)  # few scores: ties
tables = st.tuples(st.integers(1, 7), st.integers(1, 6), st.integers(0, 2**32 - 1))


@pytest.mark.reference
def test_the_reference_is_met(shared):
  path = shared / "golden/metrics/multilabel.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  cases, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
  assert cases
  close = lambda got, want, name: np.testing.assert_allclose(got, want, atol=1e-9, rtol=0, err_msg=name)  # noqa: E731
  for name, case in cases.items():
    params = case["params"]
    read = lambda key, name=name: arrays[f"{name}/{key}"]  # noqa: E731
    if params["fn"] == "binary_precision_recall_curve":
      got = multilabel.precision_recall_curve(read("in/score"), read("in/true"))
      for values, key in zip(got, ("precision", "recall", "thresholds"), strict=True):
        close(values, read(f"out/{key}"), name)
    elif params["fn"] == "get_weighted_score":
      close(weighted_fusion(list(read("in/scores")), params["coeff"]), read("out/fused"), name)
    else:
      close(getattr(multilabel, params["fn"])(read("in/scores"), read("in/labels")), read("out/value"), name)


@pytest.mark.reference
def test_the_reference_is_met_for_each_category_of_hvu(shared):
  path = shared / "golden/metrics/hvu.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  cases = json.loads(path.read_text())
  assert cases
  for case in cases:
    categories = list(zip(case["tag_categories"], case["tag_category_nums"], strict=True))
    starts = dict(zip(case["tag_categories"], np.cumsum([0, *case["tag_category_nums"]]), strict=False))
    labels = np.zeros((len(case["annotations"]), sum(case["tag_category_nums"])))
    known = np.zeros(labels.shape, bool)
    for row, seen, annotation in zip(labels, known, case["annotations"], strict=True):
      for category, tags in annotation["label"].items():
        row[starts[category] + np.array(tags)] = 1
        seen[starts[category] : starts[category] + dict(categories)[category]] = True
    got = multilabel.category_mean_average_precision(np.array(case["results"]), labels, categories, known)
    assert {f"{name}_mAP" for name in got} == set(case["expect"])
    for name, value in got.items():
      assert abs(value - case["expect"][f"{name}_mAP"]) < 1e-9, (case["name"], name)


def ap_by_hand(scores, positive):
  """For each different score, from the top: the precision of all rows at least as high, times the recall it adds."""
  total, before = 0.0, 0
  for threshold in sorted(set(scores), reverse=True):
    taken = [label for score, label in zip(scores, positive, strict=True) if score >= threshold]
    total += (sum(taken) - before) / sum(positive) * sum(taken) / len(taken)
    before = sum(taken)
  return total


@quick
@given(rankings)
def test_average_precision_is_that_of_a_loop_over_thresholds(rows):
  scores, positive = [score for score, _ in rows], [int(label) for _, label in rows]
  got = multilabel.average_precision(np.array(scores), np.array(positive))
  assert np.isnan(got) if not any(positive) else abs(got - ap_by_hand(scores, positive)) < 1e-12


@quick
@given(rankings)
def test_the_curve_counts_the_rows_above_each_threshold(rows):
  scores, positive = (np.array([row[i] for row in rows], int) for i in (0, 1))
  precision, recall, thresholds = multilabel.precision_recall_curve(scores, positive)
  assert precision[-1] == 1 and recall[-1] == 0 and (np.diff(thresholds) > 0).all()
  for p, r, threshold in zip(precision, recall, thresholds, strict=False):
    taken = positive[scores >= threshold]
    assert abs(p - taken.mean()) < 1e-12
    assert np.isnan(r) if not positive.any() else abs(r - taken.sum() / positive.sum()) < 1e-12


def drawn(table):
  rows, classes, seed = table
  rng = np.random.default_rng(seed)
  return rng.integers(0, 5, (rows, classes)).astype(float), rng.integers(0, 2, (rows, classes))


@quick
@given(tables)
def test_means_are_over_classes_or_over_videos(table):
  scores, labels = drawn(table)
  classes = [ap_by_hand(list(s), list(y)) for s, y in zip(scores.T, labels.T, strict=True) if y.any()]
  got = multilabel.mean_average_precision(scores, labels)
  assert np.isnan(got) if not classes else abs(got - np.mean(classes)) < 1e-12
  got = multilabel.mmit_mean_average_precision(scores, labels)
  if labels.any(axis=1).all():
    assert abs(got - np.mean([ap_by_hand(list(s), list(y)) for s, y in zip(scores, labels, strict=True)])) < 1e-12
  else:
    assert np.isnan(got)


@quick
@given(tables)
def test_a_category_is_the_classes_it_holds(table):
  scores, labels = drawn(table)
  classes = scores.shape[1]
  first = classes // 2
  categories = [("one", first), ("two", classes - first)] if first else [("two", classes)]
  known = np.random.default_rng(table[2]).random(labels.shape) < 0.4
  got = multilabel.category_mean_average_precision(scores, labels, categories)
  got_known = multilabel.category_mean_average_precision(scores, labels, categories, known)
  for name, part in (("one", slice(0, first)), ("two", slice(first, None))):
    if name in got:
      np.testing.assert_equal(got[name], multilabel.mean_average_precision(scores[:, part], labels[:, part]))
      rows = [i for i, row in enumerate(known[:, part]) if any(row)]
      some = multilabel.mean_average_precision(scores[rows, part], labels[rows, part]) if rows else np.nan
      np.testing.assert_equal(got_known[name], some)


@quick
@given(tables, st.integers(1, 7))
def test_a_hit_is_any_label_among_the_largest_scores(table, k):
  scores, labels = drawn(table)
  right = [any(labels[i, j] for j in np.argsort(row, kind="stable")[::-1][:k]) for i, row in enumerate(scores)]
  assert multilabel.top_k_hits(scores, labels, k) == [np.mean(right)]
  single = labels.argmax(axis=1)
  one_hot = np.eye(scores.shape[1], dtype=int)[single]
  assert multilabel.top_k_hits(scores, one_hot, (1, k)) == top_k_accuracy(scores, single, (1, k))


def test_shuffled_labels_of_scores_that_separate_give_a_lower_mean():
  rng = np.random.default_rng(0)
  labels = (rng.random((60, 6)) < 0.3).astype(int)
  labels[np.arange(60), np.arange(60) % 6] = 1
  scores = labels + rng.uniform(0, 0.9, labels.shape)
  for metric in (multilabel.mean_average_precision, multilabel.mmit_mean_average_precision):
    assert metric(scores, labels) == 1
    assert metric(scores, rng.permutation(labels)) < 0.7


def test_nan_scores_rank_last_and_never_hit():
  scores, labels = np.array([np.nan, 0.0, -1.0, np.nan]), np.array([1, 0, 1, 0])
  assert multilabel.average_precision(scores, labels) == pytest.approx(0.5 * 1 / 2 + 0.5 * 2 / 4)
  assert multilabel.top_k_hits(np.array([[np.nan, 1.0]]), np.array([[1, 1]]), 2) == [0.0]


def test_the_summary_leaves_out_what_is_not_defined():
  scores, labels = np.random.default_rng(0).normal(size=(4, 5)), np.zeros((4, 5), int)
  labels[:3, 1] = 1
  got = multilabel.summary(scores, labels, [("a", 2), ("b", 3)])
  assert set(got) == {"mean_average_precision", "top1", "top5", "a_mAP", "categories_mAP"}
  labels[3, 4] = 1
  got = multilabel.summary(scores, labels, [("a", 2), ("b", 3)])
  assert "mmit_mean_average_precision" in got and got["categories_mAP"] == (got["a_mAP"] + got["b_mAP"]) / 2
  assert "top5" not in multilabel.summary(scores[:, :4], labels[:, :4])


def test_wrong_arrays_are_named():
  with pytest.raises(InputError, match=r"scores \(2, 2\) for labels \(2,\)"):
    multilabel.mean_average_precision(np.zeros((2, 2)), np.array([0, 1]))
  with pytest.raises(InputError, match="labels from 0 to 2; wanted 0 and 1"):
    multilabel.mean_average_precision(np.zeros((1, 2)), np.array([[0, 2]]))
  with pytest.raises(InputError, match="at least one row"):
    multilabel.average_precision(np.zeros(0), np.zeros(0))
  with pytest.raises(InputError, match="categories of a 1 classes and"):
    multilabel.category_mean_average_precision(np.zeros((1, 2)), np.zeros((1, 2)), [("a", 1)])
  with pytest.raises(InputError, match="k=0"):
    multilabel.top_k_hits(np.zeros((1, 2)), np.zeros((1, 2)), 0)
