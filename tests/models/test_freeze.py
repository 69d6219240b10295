"""What training leaves as it is, and blocks whose inside is computed again."""

import importlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaction import converters
from jaction.converters import from_torch, to_torch
from jaction.errors import InputError
from jaction.models import create_model, frozen_leaves, initialize
from jaction.train.classification import classification, normalized_clips
from jaction.train.mesh import make_mesh, whole
from jaction.train.optim import leaving, make_optimizer
from jaction.train.state import new_state
from jaction.train.step import make_train_step

ADAMW = {
  "name": "adamw", "momentum": 0.9, "nesterov": False, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.1,
  "clip_norm": 1.0, "groups": (), "no_decay": (),
}  # fmt: skip


def shapes(model, channels=3):
  return jax.ShapeDtypeStruct((1, 1, *model.clip, channels), np.float32)


def changes(model, steps=2):
  """Of some steps of training with weight decay: paths of params and batch_stats -> whether a bit of them changed."""
  mesh = make_mesh(jax.devices()[:1])
  optimizer = leaving(frozen_leaves(model, shapes(model)), make_optimizer(ADAMW))
  variables = initialize(model, shapes(model))
  state = jax.device_put(new_state(variables, optimizer), whole(mesh))
  task = classification("cross_entropy", label_smoothing=0.0)
  step = make_train_step(model, task, optimizer, mesh, seed=0, inputs=normalized_clips((127.5,) * 3, (64.0,) * 3))
  rng = np.random.default_rng(0)
  batch = {"clips": rng.integers(0, 256, (4, 1, *model.clip, 3), np.uint8), "label": np.arange(4), "mask": np.ones(4)}
  before = flatten_dict(variables, sep="/")
  for _ in range(steps):
    state, sums = step(state, batch, np.float32(0.1))
  assert np.isfinite(sums["loss"][0])
  after = flatten_dict(jax.device_get(state.variables), sep="/")
  return {path: not np.array_equal(before[path], after[path]) for path in before}


def small(**fields):
  return create_model("slowonly_tiny_4x4x1", num_classes=5, **fields).clone(clip=(4, 32, 32))


def test_frozen_stages_keep_every_bit_under_weight_decay_and_all_else_learns():
  changed = changes(small(frozen_stages=1))
  frozen = ("params/backbone/conv1", "params/backbone/res2", "batch_stats/backbone/conv1", "batch_stats/backbone/res2")
  assert {path for path, moved in changed.items() if not moved} == {p for p in changed if p.startswith(frozen)}


@pytest.mark.parametrize("norms", ["statistics", "all", "partial"])
def test_frozen_norms_keep_what_their_mode_says(norms):
  changed = changes(small(frozen_norms=norms))
  for path, moved in changed.items():
    parts, first = path.split("/"), "/conv1/bn/" in path
    still = parts[-2].startswith("bn") and not (norms == "partial" and first)
    if norms == "statistics":
      still = parts[0] == "batch_stats"
    assert moved != still, path


def test_partial_norms_and_frozen_stages_go_together():
  changed = changes(small(frozen_norms="partial", frozen_stages=0))
  assert not any(moved for path, moved in changed.items() if "/conv1/bn/" in path)
  assert changed["params/backbone/res2/block0/conv1/kernel"]
  assert not changed["batch_stats/backbone/res2/block0/bn1/mean"]


STEMS = {  # what lies before and in the first stage, as beginnings of paths
  "tsn_r18_1x1x3": (("conv1/",), ("res2/",)),
  "tanet_r50_1x1x8": (("conv1/",), ("res2/",)),
  "x3d_xs_4x12x1": (("conv1_s/", "conv1_t/", "bn1/"), ("res2/",)),
  "r2plus1d_r34_8x8x1": (("conv1/", "bn1/"), ("res2/",)),
  "ircsn_r50_32x2x1": (("conv1/",), ("res2/",)),
  "audioonly_r50": (("conv1/", "bn1/"), ("res2/",)),
  "tpn_tsm_r50_1x1x8": (("trunk/conv1/",), ("trunk/res2/",)),
  "slowfast_r50_4x16x1_fb": (("slow/conv1/", "fast/conv1/"), ("slow/res2/", "fast/res2/", "lateral_0", "lateral_bn_0")),
  "tsm_mobilenetv2_1x1x8": (("conv1/",), ("stage1_",)),
  "i3d_inception_v1_64x1x1": (("conv1/", "conv2"), ("inception_3",)),
  "tsn_bninception_1x1x3": (("conv1/", "conv2"), ("inception_3",)),
  "c3d_16x1x1": (("conv1a/",), ("conv2a/",)),
}


@pytest.mark.parametrize("name", STEMS)
def test_one_rule_finds_the_stem_and_the_first_stage_of_every_backbone(name):
  stem, first = STEMS[name]
  for stages, begins in ((0, stem), (1, (*stem, *first))):
    model = create_model(name, frozen_stages=stages)
    inputs = shapes(model, 1 if len(model.clip) == 2 else 3)
    leaves = flatten_dict(jax.eval_shape(model.init, jax.random.key(0), inputs)["params"], sep="/")
    wanted = {p for p in leaves if p.removeprefix("backbone/").startswith(begins) and p.startswith("backbone/")}
    assert frozen_leaves(model, inputs) == wanted


def test_stages_that_a_network_has_not_are_an_input_error():
  model = small(frozen_stages=3).clone(frozen_stages=4)
  with pytest.raises(InputError, match="has 3 stages"):
    model.init(jax.random.key(0), jnp.zeros((1, 1, 4, 32, 32, 3)))
  with pytest.raises(InputError, match="statistics"):
    frozen_leaves(small(frozen_norms="statistic"), shapes(small()))
  with pytest.raises(InputError, match="frozen_stages=-2"):
    frozen_leaves(small(frozen_stages=-2), shapes(small()))
  assert not frozen_leaves(small(), shapes(small()))


@pytest.mark.parametrize(
  "name, stages", [("slowfast_tiny_2x8x1", 3), ("tsm_mobilenetv2_1x1x8", 7), ("tsn_r18_audio", 4)]
)
def test_create_model_refuses_more_stages_than_there_are(name, stages):
  assert create_model(name, frozen_stages=stages).frozen_stages == stages
  with pytest.raises(InputError, match=f"has {stages} stages"):
    create_model(name, frozen_stages=stages + 1)


def test_the_names_with_frozen_norms_keep_them_as_their_papers_and_mmaction2_do():
  csn, trn = create_model("ircsn_bnfrozen_r50_32x2x1"), create_model("trn_r50_1x1x8")
  assert (csn.frozen_norms, trn.frozen_norms) == ("all", "partial")
  frozen = frozen_leaves(csn, shapes(csn))
  assert frozen and {path.split("/")[-1] for path in frozen} == {"scale", "bias"}
  assert create_model("trn_r50_1x1x8", frozen_norms="none").frozen_norms == "none"


@pytest.mark.reference
@pytest.mark.parametrize("case", ["train_ircsn_r50_bnfrozen_soft"])
def test_frozen_norms_train_as_the_reference_does(shared, case):
  """Which parameters get a gradient, the norm of each, the loss, and running statistics that stay."""
  path = shared / "parity" / f"{case}.npz"
  if not path.is_file():
    pytest.skip(f"no {path}")
  sys.path.insert(0, str(path.parent))
  try:
    check = importlib.import_module("check")
  finally:
    sys.path.remove(str(path.parent))
  meta, arrays = check.load_case(path)
  model = create_model("ircsn_bnfrozen_r50_32x2x1", dropout=0.0)
  variables = from_torch(check.state_dict_of(meta, arrays), model)
  clips = check.clips_of({}, meta["input"]["imgs"])
  assert check.train_differences(model, converters, variables, clips, meta) < 1e-4
  frozen = frozen_leaves(model, jax.ShapeDtypeStruct(clips.shape, np.float32))
  flags = {p: np.full(np.shape(leaf), p in frozen, np.float32) for p, leaf in _flat(variables["params"]).items()}
  named = to_torch({"params": unflatten_dict(flags, sep="/")}, model)
  assert {name: bool(flag.all()) for name, flag in named.items()} == {
    name: norm is None for name, norm in meta["grad_norm"].items()
  }


def _flat(tree):
  return flatten_dict(tree, sep="/")
