"""Views are averaged as the reference does it, and scores come back in the order of the records."""

import json

import jax
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import AxisType

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.predict.scoring import (
  average_views,
  make_predict_step,
  mean_loss,
  probabilities,
  score_batches,
  weighted_fusion,
)


class Toy(nn.Module):
  """Mean colours of a view times a matrix: enough of a model to see every number."""

  @nn.compact
  def __call__(self, clips, train=False):
    return nn.Dense(4, name="fc")(clips.mean(axis=(2, 3, 4)))


def preprocessing(average="prob"):
  return Preprocessing(
    sampler="uniform",
    clip_len=1,
    frame_interval=1,
    num_clips=2,
    frames_per_view=2,
    steps=("resize", "center_crop"),
    settings={"resize": {"size": 8}, "center_crop": {"size": 8}},
    mean=(120.0, 110.0, 100.0),
    std=(50.0, 60.0, 70.0),
    average=average,
  )


@pytest.fixture(scope="module")
def toy():
  model = Toy()
  rng = np.random.default_rng(0)
  variables = {
    "params": {"fc": {"kernel": rng.normal(size=(3, 4)).astype("f4"), "bias": rng.normal(size=4).astype("f4")}}
  }
  clips = rng.integers(0, 256, (4, 5, 2, 8, 8, 3), dtype=np.uint8)
  return model, variables, clips


def expected(variables, clips, kind):
  fc = variables["params"]["fc"]
  x = ((clips - np.array([120.0, 110, 100])) / np.array([50.0, 60, 70])).mean(axis=(2, 3, 4))
  logits = x @ fc["kernel"] + fc["bias"]
  return {
    "none": logits,
    "score": logits.mean(axis=1),
    "prob": (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).mean(axis=1),
  }[kind]


def golden_cases(shared, fn):
  path = shared / "golden" / "aggregation" / "aggregation.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  arrays = np.load(path.with_suffix(".npz"))
  cases = {name: case["params"] for name, case in json.loads(path.read_text()).items() if "params" in case}
  cases = {name: params for name, params in cases.items() if params["fn"] == fn}
  assert cases
  for name, params in cases.items():
    yield name, params, lambda key, name=name: arrays[f"{name}/{key}"]


@pytest.mark.reference
def test_views_are_averaged_as_the_reference_does_it(shared):
  for name, params, array in golden_cases(shared, "average_clip"):
    rows = array("in/score")
    views = rows.reshape(-1, params["num_segs"], rows.shape[-1])
    out = np.asarray(average_views(views, params["average_clips"] or "none")).reshape(array("out/out").shape)
    np.testing.assert_allclose(out, array("out/out"), rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.reference
def test_two_streams_are_fused_as_the_reference_does_it(shared):
  for name, params, array in golden_cases(shared, "get_weighted_score"):
    out = weighted_fusion([array("in/rgb"), array("in/flow")], params["coeff"], softmax=params["apply_softmax"])
    np.testing.assert_allclose(out, array("out/fused"), rtol=1e-5, atol=1e-6, err_msg=name)
    top1 = (out.argmax(-1) == array("in/label")).mean()
    np.testing.assert_allclose(top1, array("out/top1_top5")[0], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("kind", ["prob", "score", "none"])
def test_the_step_normalises_applies_and_averages(toy, kind):
  model, variables, clips = toy
  out = make_predict_step(model, preprocessing(), average=kind)(variables, clips)
  np.testing.assert_allclose(out, expected(variables, clips, kind), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("max_views", [1, 2, 3, 5, 9])
def test_views_in_parts_give_the_same_scores(toy, max_views):
  model, variables, clips = toy
  out = make_predict_step(model, preprocessing("score"), max_views=max_views)(variables, clips)
  np.testing.assert_allclose(out, expected(variables, clips, "score"), rtol=1e-4, atol=1e-5)


def test_a_mesh_gives_the_same_scores(toy):
  model, variables, clips = toy
  mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
  out = make_predict_step(model, preprocessing().to_json(), mesh, max_views=2)(variables, clips)
  np.testing.assert_allclose(out, expected(variables, clips, "prob"), rtol=1e-4, atol=1e-5)


def test_scores_come_in_the_order_of_the_records_without_the_padding(toy):
  model, variables, clips = toy
  step = make_predict_step(model, preprocessing())
  closed, seen = [], []

  def batches():
    try:
      yield {"clips": clips[:2], "label": np.array([3, 1]), "mask": np.array([True, True]), "index": np.array([2, 0])}
      yield {"clips": clips[2:], "label": np.array([0, 0]), "mask": np.array([True, False]), "index": np.array([1, 0])}
    finally:
      closed.append(True)

  out = score_batches(step, variables, batches(), progress=seen.append)
  assert out.index.tolist() == [0, 1, 2]
  assert out.labels.tolist() == [1, 0, 3]
  np.testing.assert_allclose(out.scores, expected(variables, clips[[1, 2, 0]], "prob"), rtol=1e-4, atol=1e-5)
  assert seen == [2, 1] and closed


def test_batches_are_closed_when_the_model_fails(toy):
  model, variables, clips = toy

  class Batches:
    closed = False

    def __iter__(self):
      return iter([{"clips": clips.astype("f4"), "label": None, "mask": None, "index": None}])

    def close(self):
      self.closed = True

  batches = Batches()
  with pytest.raises(InputError, match=r"wanted clips uint8 \[B,V,T,H,W,C\], got float32"):
    score_batches(make_predict_step(model, preprocessing()), variables, batches)
  assert batches.closed


def test_nothing_to_score_is_an_error(toy):
  with pytest.raises(InputError, match="nothing to score"):
    score_batches(make_predict_step(toy[0], preprocessing()), toy[1], iter(()))


def test_an_unknown_average_is_named_with_the_nearest():
  with pytest.raises(InputError, match="'probs'.*Near it: prob"):
    average_views(np.zeros((1, 2, 3)), "probs")


def test_scores_of_one_view_without_its_axis_are_refused():
  with pytest.raises(InputError, match=r"\[B,V,K\], got shape \(2, 3\)"):
    average_views(np.zeros((2, 3)))


def test_the_loss_is_the_same_from_scores_and_from_their_softmax():
  scores = np.random.default_rng(1).normal(size=(6, 5))
  labels = np.array([0, 1, 2, 3, 4, 0])
  by_hand = -np.log(np.exp(scores)[np.arange(6), labels] / np.exp(scores).sum(-1)).mean()
  assert mean_loss(scores, labels, "score") == pytest.approx(by_hand)
  assert mean_loss(probabilities(scores, "score"), labels, "prob") == pytest.approx(by_hand)


def test_streams_that_do_not_match_are_refused():
  with pytest.raises(InputError, match="one weight for each stream"):
    weighted_fusion([np.zeros((2, 3))], [1, 2])
  with pytest.raises(InputError, match="differ in shape"):
    weighted_fusion([np.zeros((2, 3)), np.zeros((2, 4))], [1, 1])
