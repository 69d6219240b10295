"""Cross entropies against golden/losses, gradients included, and by their properties."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaction.errors import InputError
from jaction.losses import (
  LOSSES,
  actions,
  binary_cross_entropy,
  class_balanced_focal,
  cross_entropy,
  hvu,
  label_weights,
)
from jaction.metrics.classification import top_k_accuracy
from jaction.metrics.multilabel import row_recall_and_precision


def mean(params, labels, weights):
  """The reference's scalar of a case, as a function of the scores; None for losses of later stages."""
  factor, smoothing = params.get("loss_weight", 1.0), params.get("label_smooth_eps", 0.0)
  kind = params.get("loss", params["fn"])
  if params.get("multi_class") is False:
    smoothing = 0.0  # the release behind these cases ignored it for single labels
  if kind.startswith("BCE"):
    return lambda x: factor * binary_cross_entropy(x, labels, label_smoothing=smoothing, class_weights=weights).mean()
  if kind == "CBFocalLoss":
    own = {"samples": params["samples_per_cls"], "beta": params["beta"], "gamma": params["gamma"]}
    return lambda x: factor * class_balanced_focal(x, labels, **own).mean()
  if not (kind.startswith(("CrossEntropy", "NLL")) or kind == "head.loss"):
    return None
  own = {"label_smoothing": smoothing}
  if weights is None:
    return lambda x: factor * cross_entropy(x, labels, **own).mean()
  return lambda x: (
    factor
    * cross_entropy(x, labels, class_weights=weights, **own).sum()
    / label_weights(x, labels, weights, **own).sum()
  )


@pytest.mark.reference
@pytest.mark.parametrize("file", ["losses", "later_losses"])
def test_losses_and_gradients_are_those_of_the_reference(shared, file):
  path = shared / f"golden/losses/{file}.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  cases, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
  seen = 0
  for name, case in cases.items():
    params = case["params"]
    read = lambda key, name=name: arrays.get(f"{name}/{key}")  # noqa: E731
    if read("in/label") is None:
      continue
    weights = read("in/weight") if params.get("class_weight") is None else np.array(params["class_weight"], np.float32)
    loss = mean(params, jnp.asarray(read("in/label")), weights)
    if loss is None:
      continue
    value, grad = jax.value_and_grad(loss)(jnp.asarray(read("in/score")))
    np.testing.assert_allclose(value, read("out/loss"), rtol=1e-5, atol=1e-6, err_msg=name)
    if read("out/grad") is not None:
      np.testing.assert_allclose(grad, read("out/grad"), rtol=1e-5, atol=1e-6, err_msg=name)
    for k in (1, 5):
      if read(f"out/top{k}") is not None:
        assert abs(top_k_accuracy(read("in/score"), read("in/label"), k)[0] - read(f"out/top{k}")) < 1e-9, name
    seen += 1
  assert seen


@pytest.mark.reference
def test_the_loss_of_actions_and_its_recall_and_precision_are_those_of_the_reference(shared):
  path = shared / "golden/losses/later_losses.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  cases, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
  cases = {name: case["params"] for name, case in cases.items() if case["params"]["fn"] == "BBoxHeadAVA.loss"}
  assert cases
  for name, params in cases.items():
    scores, labels = arrays[f"{name}/in/score"], arrays[f"{name}/in/label"]
    options = {"multi_label": params["multilabel"], "focal_gamma": params["focal_gamma"]}

    def loss(x, labels=labels, options=options, alpha=params["focal_alpha"]):
      losses, counts = actions(x, jnp.asarray(labels), focal_alpha=alpha, **options)
      return (losses * counts).sum() / counts.sum()

    value, grad = jax.value_and_grad(loss)(jnp.asarray(scores))
    np.testing.assert_allclose(value, arrays[f"{name}/out/loss_action_cls"], rtol=1e-5, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(grad, arrays[f"{name}/out/grad"], rtol=1e-5, atol=1e-6, err_msg=name)
    x, y = scores[:, 1:], labels[:, 1:] > 0
    x, y = x[y.any(1)], y[y.any(1)]
    ranks = np.argsort(np.argsort(-x, axis=1, kind="stable"), axis=1)
    found = {"thr0.5": row_recall_and_precision(x > 0 if params["multilabel"] else ranks < 1, y)}
    for k in [params["topk"]] if isinstance(params["topk"], int) else params["topk"] or ():
      found[f"top{k}"] = row_recall_and_precision(ranks < k, y)
    for at, (recall, precision) in found.items():
      assert abs(recall - arrays[f"{name}/out/recall_at_{at}"]) < 2e-6, (name, at)
      assert abs(precision - arrays[f"{name}/out/prec_at_{at}"]) < 2e-6, (name, at)


def test_boxes_without_an_action_do_not_count_and_shapes_must_fit():
  logits = jnp.array([[9.0, 1.0, -1.0], [9.0, 5.0, 5.0]])
  losses, counts = actions(logits, jnp.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
  np.testing.assert_allclose(losses[0], np.log1p(np.exp(-1)), rtol=1e-6)
  assert counts.tolist() == [1.0, 0.0]
  assert np.isfinite(
    jax.grad(lambda x: actions(x, jnp.ones((1, 3)), focal_gamma=2.0)[0].sum())(jnp.zeros((1, 3)))
  ).all()
  with pytest.raises(InputError, match="wanted the same"):
    actions(logits, jnp.zeros((2,)))


@pytest.mark.reference
def test_the_loss_of_hvu_is_that_of_the_reference(shared):
  path = shared / "golden/losses/losses.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  cases, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
  cases = {name: case["params"] for name, case in cases.items() if case["params"]["fn"] == "HVULoss"}
  assert cases
  for name, params in cases.items():
    scores, labels, present = (jnp.asarray(arrays[f"{name}/in/{key}"]) for key in ("score", "label", "category_mask"))
    counts, weights = params["category_nums"], params["category_loss_weights"]
    options = {"with_mask": params["with_mask"], "reduction": params["reduction"]}

    def loss(x, kind=params["loss_type"], labels=labels, present=present, c=counts, w=weights, o=options):
      return hvu(x, labels, counts=c, weights=w, present=present, kind=kind, **o).mean()

    value, grad = jax.value_and_grad(loss)(scores)
    np.testing.assert_allclose(value, arrays[f"{name}/out/loss_cls"], rtol=1e-5, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(grad, arrays[f"{name}/out/grad"], rtol=1e-5, atol=1e-6, err_msg=name)
    for at, category in enumerate(params["categories"]):  # one category alone is what the reference's monitor shows
      if f"{name}/out/{category}_LOSS" in arrays:
        alone = hvu(scores, labels, counts=counts, weights=np.eye(len(counts))[at], present=present, **options).mean()
        np.testing.assert_allclose(alone, arrays[f"{name}/out/{category}_LOSS"], rtol=1e-5, atol=1e-6, err_msg=name)


def hvu_by_hand(logits, labels, present, rows, counts, weights, mean):
  """Loops, in float64: the mean over the real rows."""
  total, shares, start = 0.0, 0.0, 0
  for category, count in enumerate(counts):
    costs = []
    for x, y, has, real in zip(logits, labels, present, rows, strict=True):
      if real and has[category]:
        own = [np.log1p(np.exp(-v if t else v)) for v, t in zip(x, y, strict=True)][start : start + count]
        costs.append(np.mean(own) if mean else np.sum(own))
    if costs:
      total, shares = total + weights[category] * np.mean(costs), shares + weights[category]
    start += count
  return total / shares


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_of_hvu_is_that_of_loops_over_rows_and_categories(reduction):
  rng, counts, weights = np.random.default_rng(1), (2, 4, 3), (1.0, 0.5, 2.0)
  for _ in range(8):
    logits = rng.normal(size=(6, 9)) * 2
    labels = (rng.random((6, 9)) < 0.2).astype(np.float32)
    rows = np.array([True] * 5 + [False])
    labels[:5, :2] *= rng.random() < 0.5  # at times no row has the first category
    if not labels[:5].any():
      continue
    present = np.stack([part.any(axis=1) for part in np.split(labels, [2, 6], axis=1)], axis=1)
    got = hvu(jnp.asarray(logits), labels, counts=counts, weights=weights, rows=rows, reduction=reduction)
    assert got.shape == (6,) and got[5] == 0
    want = hvu_by_hand(logits, labels, present, rows, counts, weights, reduction == "mean")
    np.testing.assert_allclose(got.sum() / 5, want, rtol=1e-5)


def test_a_batch_without_a_category_leaves_it_out_and_without_any_costs_nothing():
  logits, labels = jnp.array([[2.0, -1.0, 0.5, 3.0]]), np.array([[1.0, 0.0, 0.0, 0.0]])
  value, grad = jax.value_and_grad(lambda x: hvu(x, labels, counts=(2, 2)).mean())(logits)
  np.testing.assert_allclose(value, binary_cross_entropy(logits[:, :2], labels[:, :2])[0], rtol=1e-6)
  assert not np.any(grad[:, 2:]) and np.all(grad[:, :2])
  assert np.any(jax.grad(lambda x: hvu(x, labels, counts=(2, 2), with_mask=False).mean())(logits)[:, 2:])
  value, grad = jax.value_and_grad(lambda x: hvu(x, 0 * labels, counts=(2, 2)).mean())(logits)
  assert value == 0 and not np.any(grad)
  for kind in ("all", "individual"):
    assert np.isfinite(hvu(logits, 0 * labels, counts=(2, 2), kind=kind)).all()


def test_categories_that_do_not_fit_are_named():
  with pytest.raises(InputError, match=r"2 \+ 1 = 3"):
    hvu(jnp.zeros((1, 4)), jnp.zeros((1, 4)), counts=(2, 1))
  with pytest.raises(InputError, match="1 weights for 2 categories"):
    hvu(jnp.zeros((1, 4)), jnp.zeros((1, 4)), counts=(2, 2), weights=(1,))
  with pytest.raises(InputError, match="Near it: individual"):
    hvu(jnp.zeros((1, 4)), jnp.zeros((1, 4)), counts=(2, 2), kind="indivdual")


@pytest.fixture
def logits():
  return jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32) * 3)


def test_class_balance_is_a_weighted_focal_sum_by_hand(logits):
  scores, labels, samples = (
    np.asarray(logits, np.float64),
    np.arange(len(logits)) % logits.shape[1],
    np.arange(1, 1 + logits.shape[1]) * 9,
  )
  with jax.numpy_dtype_promotion("strict"):
    got = class_balanced_focal(
      jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.int32), samples=samples, beta=0.99, gamma=1.5
    )
  weights = [0.01 / (1 - 0.99**n) for n in samples]
  for row, (own, label) in enumerate(zip(scores, labels, strict=True)):
    right = [1 / (1 + np.exp(-x if k == label else x)) for k, x in enumerate(own)]
    cost = sum(-((1 - p) ** 1.5) * np.log(p) for p in right) * weights[label] / np.mean(weights)
    np.testing.assert_allclose(got[row], cost, rtol=1e-5)
  padded = class_balanced_focal(jnp.asarray(logits, jnp.float32), jnp.full(len(logits), -1), samples=samples)
  assert (padded == 0).all()
  far = jax.grad(lambda x: class_balanced_focal(x, jnp.array([0, 1]), samples=[3, 4]).sum())
  assert np.isfinite(far(jnp.array([[1e4, -1e4], [1e4, -1e4]]))).all()
  for wrong in ({"samples": samples[1:]}, {"samples": samples * 0}, {"samples": samples, "beta": 1}):
    with pytest.raises(InputError, match="K counts of at least 1"):
      class_balanced_focal(jnp.asarray(logits), jnp.asarray(labels), **wrong)


def test_each_row_has_its_own_number_in_float32(logits):
  labels = jnp.array([0, 1, 2, 3, 4, 0])
  with jax.numpy_dtype_promotion("strict"):
    for loss in LOSSES.values():
      for dtype in (jnp.float32, jnp.bfloat16):
        got = loss(logits.astype(dtype), labels, label_smoothing=0.1, class_weights=np.arange(1, 6))
        assert got.shape == (6,) and got.dtype == jnp.float32
  rows = [cross_entropy(logits[i : i + 1], labels[i : i + 1])[0] for i in range(6)]
  np.testing.assert_allclose(cross_entropy(logits, labels), jnp.stack(rows), rtol=1e-6)


def test_whole_numbers_are_one_hot_rows(logits):
  labels = jnp.array([0, 1, 2, 3, 4, 0])
  for loss in LOSSES.values():
    for smoothing in (0.0, 0.2):
      one, two = (loss(logits, x, label_smoothing=smoothing) for x in (labels, jax.nn.one_hot(labels, 5)))
      np.testing.assert_allclose(one, two, rtol=1e-6)


def test_uniform_labels_make_smoothing_idle_and_equal_logits_cost_log_k():
  uniform = jnp.full((2, 4), 0.25)
  np.testing.assert_allclose(cross_entropy(jnp.zeros((2, 4)), uniform), np.log(4), rtol=1e-6)
  np.testing.assert_allclose(
    cross_entropy(jnp.ones((2, 4)), uniform, label_smoothing=0.3), cross_entropy(jnp.ones((2, 4)), uniform), rtol=1e-6
  )


def test_huge_logits_stay_finite_with_finite_gradients():
  logits, labels = jnp.array([[1e4, -1e4, 0.0]]), jnp.array([1])
  for loss in LOSSES.values():
    value, grad = jax.value_and_grad(lambda x, loss=loss: loss(x, labels).sum())(logits)
    assert np.isfinite(value) and np.isfinite(grad).all()


def test_a_padded_row_costs_nothing_and_hurts_no_gradient(logits):
  labels = jnp.array([-1, 1, 2, 3, 4, 0])
  grad = jax.grad(lambda x: cross_entropy(x, labels).sum())(logits)
  assert cross_entropy(logits, labels)[0] == 0 and (grad[0] == 0).all() and np.isfinite(grad).all()


def test_wrong_shapes_and_settings_are_named(logits):
  with pytest.raises(InputError, match=r"wanted \[B,K\]"):
    cross_entropy(logits[None], jnp.zeros(6, int))
  with pytest.raises(InputError, match=r"labels of shape \(5,\)"):
    cross_entropy(logits, jnp.zeros(5, int))
  with pytest.raises(InputError, match="type float32"):
    binary_cross_entropy(logits, jnp.zeros(6))
  with pytest.raises(InputError, match="label_smoothing is 1"):
    cross_entropy(logits, jnp.zeros(6, int), label_smoothing=1)
  with pytest.raises(InputError, match=r"class_weights of shape \(3,\) for 5 classes"):
    cross_entropy(logits, jnp.zeros(6, int), class_weights=jnp.ones(3))
