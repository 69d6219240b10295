"""Accuracies and the confusion matrix against golden/metrics/classification and slow twins."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaction.errors import InputError
from jaction.metrics.classification import confusion_matrix, mean_class_accuracy, top_k_accuracy, top_k_correct

quick = settings(max_examples=60, deadline=None, database=None, derandomize=True)
tables = st.integers(1, 6).flatmap(
  lambda classes: st.lists(
    st.tuples(st.lists(st.integers(0, 3), min_size=classes, max_size=classes), st.integers(0, classes - 1)),
    min_size=1,
    max_size=8,
  )
)  # few different scores, so that there are ties


@pytest.mark.reference
def test_the_reference_is_met(shared):
  path = shared / "golden/metrics/classification.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  cases, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
  assert cases
  for name, case in cases.items():
    params = case["params"]
    read = lambda key, name=name: arrays[f"{name}/{key}"]  # noqa: E731
    if params["fn"] == "confusion_matrix":
      got = confusion_matrix(read("in/pred"), read("in/real"), normalize=params["normalize"])
      assert got.dtype == read("out/cm").dtype and got.shape == read("out/cm").shape, name
      np.testing.assert_allclose(got, read("out/cm"), atol=1e-9, rtol=0, err_msg=name)
    elif params["fn"] == "top_k_accuracy":
      scores, labels = read("in/scores"), read("in/labels")
      np.testing.assert_allclose(top_k_accuracy(scores, labels, params["topk"]), read("out/acc"), atol=1e-9, rtol=0)
      mask = np.ones(len(labels), bool)
      for k, wanted in zip(params["topk"], read("out/acc"), strict=True):
        ranks = np.unique(scores, return_inverse=True)[1].reshape(scores.shape)  # float32 could make ties of its own
        correct, seen = top_k_correct(jnp.asarray(ranks.astype(np.float32)), jnp.asarray(labels), mask, k=k)
        assert abs(int(correct) / int(seen) - wanted) < 1e-6, name
    else:
      assert params["fn"] == "mean_class_accuracy", name
      got = mean_class_accuracy(read("in/scores"), read("in/labels"))
      assert abs(got - float(read("out/acc"))) < 1e-9, name


@quick
@given(tables, st.integers(1, 7))
def test_top_k_is_a_stable_ascending_sort_reversed(table, k):
  scores, labels = np.array([row for row, _ in table], float), np.array([label for _, label in table])
  right = [label in np.argsort(row, kind="stable")[::-1][:k] for row, label in zip(scores, labels, strict=True)]
  assert top_k_accuracy(scores, labels, k) == [np.mean(right)]


@quick
@given(tables)
def test_mean_class_accuracy_is_that_of_a_loop(table):
  predicted = [int(np.argmax(row)) for row, _ in table]
  labels = [label for _, label in table]
  shares = []
  for name in sorted(set(predicted) | set(labels)):
    own = [guess == name for guess, label in zip(predicted, labels, strict=True) if label == name]
    shares.append(np.mean(own) if own else 0.0)
  got = mean_class_accuracy(np.array([row for row, _ in table]), np.array(labels))
  assert abs(got - np.mean(shares)) < 1e-12


@quick
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_the_confusion_matrix_counts_pairs(pairs):
  predicted, labels = (np.array([pair[i] for pair in pairs], int) for i in (0, 1))
  seen = sorted(set(predicted) | set(labels))
  got = confusion_matrix(predicted, labels)
  assert got.shape == (len(seen), len(seen)) and got.sum() == len(pairs)
  for row, label in enumerate(seen):
    for column, guess in enumerate(seen):
      assert got[row, column] == pairs.count((guess, label))
  full = confusion_matrix(predicted, labels, classes=range(10))
  assert np.array_equal(full[np.ix_(seen, seen)], got) and full.sum() == len(pairs)
  for kind, axis in (("true", 1), ("pred", 0), ("all", None)):
    share = confusion_matrix(predicted, labels, normalize=kind, classes=range(10))
    sums = share.sum(axis=axis)
    assert np.isfinite(share).all() and (np.isclose(sums, 1) | (sums == 0)).all()


def test_masked_rows_do_not_count_whatever_they_hold():
  scores = jnp.array([[0.1, 0.9], [0.9, 0.1], [jnp.nan, 0.0], [0.0, 1.0]])
  labels, mask = jnp.array([1, 1, 0, -1]), jnp.array([True, True, True, False])
  correct, seen = top_k_correct(scores, labels, mask, k=1)
  assert (int(correct), int(seen)) == (1, 3)
  correct, seen = top_k_correct(scores, labels, jnp.zeros(4, bool), k=1)
  assert (int(correct), int(seen)) == (0, 0)


def test_a_row_with_a_nan_is_wrong():
  scores, labels = np.array([[np.nan, 0.0], [0.0, 1.0]]), np.array([0, 1])
  assert top_k_accuracy(scores, labels, (1, 2)) == [0.5, 0.5]
  assert mean_class_accuracy(scores, labels) == 0.5


def test_wrong_arrays_are_named():
  with pytest.raises(InputError, match="labels from 0 to 2 for scores of 2 classes"):
    top_k_accuracy(np.zeros((2, 2)), np.array([0, 2]))
  with pytest.raises(InputError, match=r"scores \(2, 2\) for labels \(3,\)"):
    mean_class_accuracy(np.zeros((2, 2)), np.array([0, 1, 1]))
  with pytest.raises(InputError, match="at least one row"):
    top_k_accuracy(np.zeros((0, 2)), np.zeros(0, int))
  with pytest.raises(InputError, match="k=0"):
    top_k_accuracy(np.zeros((1, 2)), np.array([0]), 0)
  with pytest.raises(InputError, match="wanted whole numbers"):
    confusion_matrix(np.array([0.5]), np.array([1]))
  with pytest.raises(InputError, match="normalize is 'rows'"):
    confusion_matrix(np.array([0]), np.array([1]), normalize="rows")
  with pytest.raises(InputError, match="class 7 was seen"):
    confusion_matrix(np.array([7]), np.array([1]), classes=[0, 1])
