"""Detectors: the reference's box features and losses, and twins of what no case holds."""

import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import jaction
from jaction.clips.key_frames import KeyFrames
from jaction.converters.engine import names_of
from jaction.converters.tables import layouts
from jaction.errors import InputError
from jaction.flops import model_cost
from jaction.losses import actions
from jaction.metrics.boxes import box_recall_precision
from jaction.models import create_model, initialize
from jaction.models.acrn import ActorRelation
from jaction.models.detector import BoxFeatures, BoxHead, adaptive_mean
from jaction.models.feature_bank import FeatureBank
from jaction.models.variants_detection import VARIANTS

RNG = np.random.default_rng(0)
FOLDER = pathlib.Path(os.environ.get("JACTION_SHARED", pathlib.Path(__file__).parents[3] / "shared")) / "parity"
CASES = [c for c in json.loads((FOLDER / "index.json").read_text())] if (FOLDER / "index.json").is_file() else []
CASES = [case["name"] for case in CASES if case["task"] == "detection"]
POOLED = [name for name in CASES if name.startswith("ava_") and not name.endswith("_loss")]
ENTRIES = json.loads((FOLDER / "models.json").read_text()) if CASES else {}


@pytest.fixture
def check():
  import importlib.util
  import sys

  sys.path.insert(0, str(FOLDER))
  spec = importlib.util.spec_from_file_location("check", FOLDER / "check.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  yield module
  sys.path.remove(str(FOLDER))


def rows_of(found, where):
  return np.stack([np.asarray(found[b, i]) for b, i in where])


def model_of(name, meta):
  """The network of a case; of one that check.py leaves out, by what its configuration says."""
  if name in ENTRIES:
    return create_model(ENTRIES[name]["model"], **ENTRIES[name].get("kwargs", {}))
  said = meta["model"]["roi_head"]["bbox_roi_extractor"]
  assert meta["model"]["backbone"]["type"] == "ResNet3dSlowOnly" and not said["with_temporal_pool"]
  return create_model("slowonly_r50_4x16x1_ava", temporal_pool="none")


@pytest.mark.reference
@pytest.mark.parametrize(
  "name",
  [pytest.param(name, marks=pytest.mark.slow if "temporal_max" in name else ()) for name in POOLED] or ["none"],
)
def test_the_features_in_the_boxes_are_the_references(check, name):
  if not POOLED:
    pytest.skip(f"no detection cases in {FOLDER}; set JACTION_SHARED")
  import converters

  meta, arrays = check.load_case(FOLDER / f"{name}.npz")
  model, spec = model_of(name, meta), meta["input"]["imgs"]
  variables = converters.from_torch(check.state_dict_of(meta, arrays), model)
  clips = check.clips_of({}, spec)[:, 0]
  boxes, mask, where = check.boxes_of(meta["input"]["rois"]["values"], len(clips), *spec["shape"][-2:])

  @jax.jit
  def run(variables, clips, boxes, mask):
    features = model.apply(variables, clips, boxes, mask, method="box_features")
    return features, model.apply(variables, clips, boxes, mask)

  features, scores = run(variables, clips, boxes, mask)
  found = rows_of(features, where)  # [R,T,h,w,C]
  channels = found.shape[-1] // 8
  assert check.rel(found[..., ::channels][..., :8].transpose(0, 4, 1, 2, 3), arrays["roi_feat_map"]) < 1e-4
  assert check.rel(found.mean(axis=(1, 2, 3)), arrays["roi_feat_ch_mean"]) < 1e-4
  assert check.rel(rows_of(scores, where), arrays["cls_score"]) < 1e-4


@pytest.mark.reference
@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("_loss")] or ["none"])
def test_the_heads_loss_and_its_recalls_are_the_references(check, name):
  if not CASES:
    pytest.skip(f"no detection cases in {FOLDER}; set JACTION_SHARED")
  meta, arrays = check.load_case(FOLDER / f"{name}.npz")
  state, spec = check.state_dict_of(meta, arrays), meta["input"]["roi_feat"]
  x = check.weights.make_input(spec["seed"], spec["shape"]).transpose(0, 2, 3, 4, 1)[None]  # [1,R,T,h,w,C]
  head = BoxHead(len(state["fc_cls.bias"]))
  params = {"fc": {"kernel": state["fc_cls.weight"].T, "bias": state["fc_cls.bias"]}}
  scores = head.apply({"params": params}, jnp.asarray(x), train=False)[0]
  assert check.rel(scores, arrays["cls_score"]) < 1e-5
  labels = jnp.asarray(meta["input"]["labels"], jnp.float32)
  losses, counts = actions(scores, labels)
  np.testing.assert_allclose((losses * counts).sum() / counts.sum(), arrays["loss_action_cls"][0], rtol=1e-5)
  found, valid = box_recall_precision(scores, labels)
  for key, values in found.items():
    theirs = key.replace("precision", "prec").replace("@0.5", "@thr=0.5")
    got = (values * valid).sum() / valid.sum()
    np.testing.assert_allclose(got, arrays[theirs][0], rtol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_leaf_has_a_name_of_its_own_in_every_layout(name):
  model = create_model(name)
  shapes = jax.eval_shape(model.init, jax.random.key(0), *model.inputs())
  leaves = flatten_dict(shapes, sep="/")
  for layout, rows in layouts(model).items():
    names = names_of(leaves, rows)
    assert len({torch for torch, _ in names.values()}) == len(leaves), layout


def test_the_necks_have_the_references_names():
  def names(name):
    model = create_model(name)
    leaves = flatten_dict(jax.eval_shape(model.init, jax.random.key(0), *model.inputs()), sep="/")
    found = names_of(leaves, layouts(model)["mmaction2"])
    return {torch for torch, _ in found.values() if "shared_head" in torch}

  norm = ("weight", "bias", "running_mean", "running_var")
  parts = [f"{c}.conv.weight" for c in ("conv1", "conv2")] + [f"{c}.bn.{n}" for c in ("conv1", "conv2") for n in norm]
  assert names("slowfast_acrn_r50_8x8x1_ava") == {f"roi_head.shared_head.{part}" for part in parts}
  layers = [f"{c}.conv" for c in ("st_feat_conv", "lt_feat_conv", "global_conv", "out_conv")] + ["ln"]
  modules = ["st_feat_conv", "lt_feat_conv"] + [f"non_local_layer_{i}.{layer}" for i in (1, 2) for layer in layers]
  wanted = {f"roi_head.shared_head.fbo.{module}.{leaf}" for module in modules for leaf in ("weight", "bias")}
  assert names("lfb_slowonly_r50_4x16x1_ava") == wanted


def tiny(name="slowonly_tiny_8x2x1_ava", **fields):
  model = create_model(name, num_classes=5, **fields)
  return model, initialize(model, *model.inputs())


def test_padding_changes_no_score_and_no_gradient():
  model, variables = tiny(dropout=0.0)
  clips = RNG.standard_normal((2, 8, 64, 64, 3)).astype(np.float32)
  boxes = RNG.uniform(0, 1, (2, 3, 4)).astype(np.float32)
  more = np.concatenate([boxes, np.full((2, 2, 4), np.nan, np.float32)], axis=1)
  mask = np.array([[True] * 3 + [False] * 2] * 2)
  np.testing.assert_allclose(
    model.apply(variables, clips, more, mask)[:, :3], model.apply(variables, clips, boxes), atol=1e-5
  )


def test_the_longer_pathway_gives_the_frames_where_time_is_not_pooled():
  slow, fast = RNG.standard_normal((1, 2, 4, 4, 3)), RNG.standard_normal((1, 6, 4, 4, 2))
  module = BoxFeatures(output_size=2, temporal_pool="none")
  boxes = np.array([[[0.1, 0.1, 0.9, 0.8]]], np.float32)
  maps = (jnp.asarray(slow, jnp.float32), jnp.asarray(fast, jnp.float32))
  rois, joined = module.apply({}, maps, boxes, None, (64, 64))
  assert rois.shape == (1, 1, 6, 2, 2, 5)
  np.testing.assert_allclose(joined[0, :, 0, 0, 0], slow[0, [0, 0, 0, 1, 1, 1], 0, 0, 0], rtol=1e-6)


def test_context_is_the_mean_of_the_frame_in_overlapping_bins():
  x = RNG.standard_normal((1, 1, 5, 7, 2)).astype(np.float32)
  got = np.asarray(adaptive_mean(jnp.asarray(x), 3))
  ends = {5: [(0, 2), (1, 4), (3, 5)], 7: [(0, 3), (2, 5), (4, 7)]}
  for i, (top, bottom) in enumerate(ends[5]):
    for j, (left, right) in enumerate(ends[7]):
      np.testing.assert_allclose(got[0, 0, i, j], x[0, 0, top:bottom, left:right].mean(axis=(0, 1)), atol=1e-6)
  module = BoxFeatures(output_size=3, with_global=True)
  rois, _ = module.apply({}, jnp.asarray(x), np.array([[[0, 0, 1, 1], [0, 0, 0.5, 1]]], np.float32), None, (80, 112))
  assert rois.shape == (1, 2, 1, 3, 3, 4)
  for r in range(2):
    np.testing.assert_allclose(rois[0, r, ..., 2:], got[0], atol=1e-6)


def test_actor_relation_is_a_convolution_over_person_and_place_side_by_side():
  rois, scene = (jnp.asarray(RNG.standard_normal(s), jnp.float32) for s in ((2, 3, 1, 2, 2, 4), (2, 1, 5, 6, 4)))
  module = ActorRelation(out=3)
  variables = initialize_neck(module, rois, scene, jnp.ones((2, 3), bool))
  got = module.apply(variables, rois, scene, None, train=False)
  assert got.shape == (2, 3, 1, 5, 6, 3)
  kernel = variables["params"]["conv1"]["kernel"][0, 0, 0]
  for b in range(2):
    for r in range(3):
      person = np.asarray(rois[b, r]).max(axis=(0, 1, 2))
      pair = np.concatenate([np.broadcast_to(person, (5, 6, 4)), np.asarray(scene[b, 0])], axis=-1)
      x = np.maximum(pair @ kernel / np.sqrt(1 + 1e-5), 0)
      padded, want = np.pad(x, ((1, 1), (1, 1), (0, 0))), 0
      for i in range(3):
        for j in range(3):
          want = want + padded[i : i + 5, j : j + 6] @ variables["params"]["conv2"]["kernel"][0, i, j]
      np.testing.assert_allclose(got[b, r, 0], np.maximum(want / np.sqrt(1 + 1e-5), 0), atol=1e-5)


def initialize_neck(module, *inputs):
  shapes = jax.eval_shape(lambda *x: module.init(jax.random.key(0), *x, train=False), *inputs)
  rng = np.random.default_rng(1)
  params = jax.tree.map(lambda x: rng.standard_normal(x.shape).astype(np.float32) * 0.3, shapes.get("params", {}))
  for name in params:
    if name.startswith(("bn", "ln")):
      params[name] = {"scale": np.ones_like(params[name]["scale"]), "bias": np.zeros_like(params[name]["bias"])}
  stats = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), shapes.get("batch_stats", {}))
  for name in stats:
    stats[name]["var"] += 1
  return {"params": params, "batch_stats": stats}


def test_padding_takes_no_part_in_the_statistics_of_the_relation():
  rois, scene = (jnp.asarray(RNG.standard_normal(s), jnp.float32) for s in ((2, 3, 1, 2, 2, 4), (2, 1, 5, 6, 4)))
  module, mask = ActorRelation(out=3), jnp.ones((2, 3), bool)
  variables = initialize_neck(module, rois, scene, mask)

  def run(rois, mask):
    return module.apply(variables, rois, scene, mask, train=True, mutable=["batch_stats"])

  plain, stats = run(rois, mask)
  more = jnp.concatenate([rois, 100 * jnp.ones_like(rois[:, :2])], axis=1)
  padded, same = run(more, jnp.concatenate([mask, jnp.zeros((2, 2), bool)], axis=1))
  np.testing.assert_allclose(padded[:, :3], plain, atol=1e-4)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), stats, same)
  _, other = run(more, jnp.ones((2, 5), bool))  # the control: with padding they would be others
  assert np.abs(other["batch_stats"]["bn1"]["mean"] - stats["batch_stats"]["bn1"]["mean"]).max() > 1


BANK = RNG.standard_normal((2, 6, 4)).astype(np.float32)
PRESENT = np.array([[True] * 4 + [False] * 2, [True] * 6])


@pytest.mark.parametrize("operator", ["avg", "max", "non_local"])
@pytest.mark.parametrize("empty", [True, False])
def test_the_bank_joins_the_box_as_each_operator_says(operator, empty):
  rois = RNG.standard_normal((2, 3, 2, 2, 2, 5)).astype(np.float32)
  module = FeatureBank(operator=operator, bank_shape=(6, 4), latent=3, empty_counts=empty)
  variables = initialize_neck(module, *map(jnp.asarray, (rois, rois, np.ones((2, 3), bool), BANK, PRESENT)))
  got = module.apply(variables, jnp.asarray(rois), None, None, jnp.asarray(BANK), jnp.asarray(PRESENT), train=False)
  got, p = np.asarray(got)[:, :, 0, 0, 0], variables["params"]
  dense = lambda name, x: x @ name["kernel"] + name["bias"]  # noqa: E731
  for b in range(2):
    bank = np.where(PRESENT[b][:, None], BANK[b], 0) if empty else BANK[b][PRESENT[b]]
    for r in range(3):
      own = rois[b, r].mean(axis=0).max(axis=(0, 1))
      if operator == "avg":
        want = bank.mean(axis=0)
      elif operator == "max":
        want = bank.max(axis=0)
      else:
        want, seen = dense(p["own"], own), dense(p["bank"], bank)
        for i in (1, 2):
          layer = p[f"layer{i}"]
          scores = dense(layer["phi"], seen) @ dense(layer["theta"], want) / np.sqrt(3)
          share = np.exp(scores - scores.max())
          y = (share / share.sum()) @ dense(layer["g"], seen)
          y = (y - y.mean()) / np.sqrt(y.var() + 1e-5) * layer["ln"]["scale"] + layer["ln"]["bias"]
          want = want + dense(layer["out"], np.maximum(y, 0))
      np.testing.assert_allclose(got[b, r], np.concatenate([own, want]), atol=2e-4)


def test_a_network_with_a_bank_asks_for_it_and_one_without_refuses_it():
  model, variables = tiny()
  x, boxes, mask = (np.zeros(s.shape, s.dtype) for s in model.inputs())
  with pytest.raises(InputError, match="lfb_"):
    model.apply(variables, x, boxes, mask, BANK[:1])
  lfb = create_model("lfb_slowonly_r50_4x16x1_ava")
  clips, boxes, mask, bank, present = lfb.inputs()
  assert (bank.shape, present.shape) == ((1, 300, 2048), (1, 300))
  with pytest.raises(InputError, match="bank_mask"):
    jax.eval_shape(lfb.init, jax.random.key(0), clips, boxes, mask)


def test_wrong_inputs_are_named():
  model, variables = tiny()
  clips, boxes = np.zeros((1, 8, 64, 64, 3), np.float32), np.zeros((1, 2, 4), np.float32)
  with pytest.raises(InputError, match=r"\[B,T,H,W,C\]"):
    model.apply(variables, clips[None], boxes)
  with pytest.raises(InputError, match=r"\[B,R,4\]"):
    model.apply(variables, clips, boxes[..., :3])
  with pytest.raises(InputError, match="mask"):
    model.apply(variables, clips, boxes, np.ones((1, 3), bool))
  with pytest.raises(InputError, match="temporal_pool"):
    tiny(temporal_pool="mean")


def test_the_last_stage_is_twice_as_fine_and_facebooks_is_dilated():
  for name, cells in (("slowonly_r50_4x16x1_ava", 4), ("slowonly_r50_4x16x1", 2)):
    backbone = create_model(name).backbone
    clip = jax.ShapeDtypeStruct((1, 1, 64, 64, 3), np.float32)
    shape = jax.eval_shape(lambda k, x, b=backbone: b.init_with_output(k, x, train=False)[0], jax.random.key(0), clip)
    assert shape.shape[2:4] == (cells, cells)
  assert create_model("slowonly_r50_4x16x1_ava").backbone.last_dilation == 1
  assert create_model("slowfast_r50_8x8x1_ava_fb").backbone.last_dilation == 2


def test_the_published_names_are_there():
  assert {name.removesuffix("_fb") for name in jaction.list_models("*_ava_fb")} <= set(jaction.list_models("*_ava")) | {
    "slowfast_r50_8x8x1_ava"
  }
  assert len(jaction.list_models("*ava*")) == len(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_detector_has_the_operations_and_the_clip_of_its_row(name):
  row, model = VARIANTS[name], create_model(name)
  assert model_cost(model, (1, *row.shape)).macs == row.macs
  form = KeyFrames.from_json(row.preprocessing)
  assert form.clip_len == model.clip[0] and (form.mean, form.std) == row.norm
  assert row.preprocessing_for(2) is None


@pytest.mark.reference
def test_parameters_are_the_published_ones(shared):
  """Of the detectors the zoo counts the relation network's alone."""
  path = shared / "zoo" / "mmaction2_v0.24.1_zoo.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  rows = {row["name"]: row for row in json.loads(path.read_text())["results"] if "acrn" in str(row.get("config"))}
  assert rows
  for row in rows.values():
    assert row["params"] == VARIANTS["slowfast_acrn_r50_8x8x1_ava"].params


def test_only_a_detectors_clip_has_a_cost_as_one():
  with pytest.raises(InputError, match=r"\[B,T,H,W,C\]"):
    model_cost(create_model("slowonly_tiny_8x2x1_ava"), (1, 1, 8, 64, 64, 3))
