import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaction.converters import from_torch, to_torch
from jaction.converters.engine import Row, names_of
from jaction.converters.names import num_classes
from jaction.converters.tables import layouts
from jaction.errors import CheckpointError, InputError
from jaction.models import create_model, initialize, list_models

NAME = "slowfast_tiny_2x8x1"


@pytest.fixture(scope="module")
def case():
  model = create_model(NAME, num_classes=5)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, 8, 32, 32, 3), np.float32))
  return model, variables, to_torch(variables, model)


def same_trees(a, b):
  a, b = flatten_dict(a, sep="/"), flatten_dict(b, sep="/")
  assert a.keys() == b.keys()
  for path in a:
    np.testing.assert_array_equal(a[path], b[path], err_msg=path)


@pytest.mark.parametrize("name", list_models("*tiny*") + ["tsn_r18_1x1x3"])
def test_there_and_back_is_exact(name):
  model = create_model(name, num_classes=3)
  variables = initialize(model, *model.inputs())
  state = to_torch(variables, model)
  assert len(state) == len(jax.tree.leaves(variables))
  same_trees(from_torch(state, model), variables)


def test_the_reference_names_appear(case):
  state = case[2]
  assert state["backbone.slow_path.layer2.0.conv1.conv.weight"].shape == (
    32,
    80,
    1,
    1,
    1,
  )  # 64 of the pathway, 16 lateral
  assert {
    "backbone.slow_path.conv1_lateral.conv.weight",
    "backbone.fast_path.layer3.0.downsample.bn.running_var",
  } <= state.keys()
  tsm = create_model("tsm_r50_1x1x8")
  shapes = jax.eval_shape(tsm.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 1, 8, 64, 64, 3), np.float32))
  names = to_torch(jax.tree.map(lambda s: np.broadcast_to(np.float32(0), s.shape), shapes), tsm)
  assert {"backbone.layer4.2.conv1.conv.net.weight", "backbone.layer4.2.conv2.conv.weight"} <= names.keys()


@pytest.mark.parametrize(
  "name",
  ["backbone.slow_path.layer1.0.conv2.conv.weight", "cls_head.fc_cls.bias", "backbone.fast_path.conv1.bn.running_mean"],
)
def test_a_dropped_an_added_and_a_reshaped_name_are_named(case, name):
  model, _, state = case
  with pytest.raises(CheckpointError, match=f"{name}.*not in the checkpoint"):
    from_torch({k: v for k, v in state.items() if k != name}, model)
  with pytest.raises(CheckpointError, match=f"{name}_too.*nothing of this name. Near it: {name}"):
    from_torch(state | {f"{name}_too": state[name]}, model)
  with pytest.raises(CheckpointError, match=f"{name}: shape"):
    from_torch(state | {name: state[name][..., None]}, model)
  with pytest.raises(CheckpointError, match=f"{name}: numbers of type int64"):
    from_torch(state | {name: state[name].astype(np.int64)}, model)


def test_all_problems_are_in_one_error(case):
  model, _, state = case
  broken = {k: v for k, v in state.items() if "fast_path" not in k}
  with pytest.raises(CheckpointError, match=r"and \d+ more"):
    from_torch(broken, model)


def test_a_checkpoint_of_another_class_count_is_an_error_that_gives_both_shapes(case):
  _, _, state = case
  with pytest.raises(CheckpointError, match=r"cls_head.fc_cls.weight: shape \(5, .*want \(7, "):
    from_torch(state, create_model(NAME, num_classes=7))
  assert num_classes(state) == 5


@pytest.mark.parametrize(
  "name",
  ["tsn_r18_1x1x3", "trn_r50_1x1x8", "x3d_s_13x6x1", "x3d_s_13x6x1_fb", "slowfast_r50_4x16x1_fb", "i3d_r50_8x8x1_fb"],
)
def test_the_class_count_is_read_off_every_layout(name):
  model = create_model(name, num_classes=397)
  clip = jax.ShapeDtypeStruct((1, 1, *model.clip, 3), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), clip)
  variables = jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), shapes)
  for layout in layouts(model):
    assert num_classes(to_torch(variables, model, layout=layout)) == 397, layout


def test_counters_are_ignored_on_the_way_in_and_written_where_strict_loading_wants_them(case):
  model, variables, state = case
  strict = to_torch(variables, model, strict_keys=True)
  counters = strict.keys() - state.keys()
  assert counters == {k.replace("running_mean", "num_batches_tracked") for k in state if k.endswith("running_mean")}
  same_trees(from_torch(strict, model), variables)


def test_half_precision_weights_become_float32(case):
  model, variables, state = case
  got = from_torch({k: v.astype(np.float16) for k, v in state.items()}, model)
  assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {np.dtype("float32")}


def test_input_channels_are_read_off_the_first_kernel():
  model = create_model("tsn_tiny_1x1x8", num_classes=3)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, 8, 64, 64, 10), np.float32))
  assert variables["params"]["backbone"]["conv1"]["conv"]["kernel"].shape[2] == 160
  model = create_model("tsn_r18_1x1x3", num_classes=3)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, 3, 64, 64, 10), np.float32))
  same_trees(from_torch(to_torch(variables, model), model), variables)


def test_an_unknown_layout_is_an_error(case):
  model, variables, _ = case
  with pytest.raises(InputError, match="mmaction2"):
    to_torch(variables, model, layout="mmaction")


def test_numbers_shift_both_ways():
  rows = (Row("a{s}.{b}", "params/r{s+1}/x{b}"), Row("first", "params/r1/x0"))
  assert names_of(["params/r4/x2", "params/r1/x0"], rows) == {
    "params/r4/x2": ("a3.2", "as-is"),
    "params/r1/x0": ("first", "as-is"),
  }


@pytest.mark.parametrize("name", ["tsn_r50_1x1x3", "slowonly_r50_4x16x1", "i3d_r50_32x2x1"])
def test_mmaction_0_2_names_a_resnet_as_torchvision_does(name):
  model = create_model(name, num_classes=3)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, 8, 32, 32, 3), np.float32))
  state = to_torch(variables, model, layout="mmaction0.2")
  assert {"backbone.conv1.weight", "backbone.bn1.running_var", "backbone.layer2.0.downsample.1.bias"} <= state.keys()
  assert len(state) == len(jax.tree.leaves(variables)) and "cls_head.fc_cls.weight" in state
  same_trees(from_torch(state, model), variables)


@pytest.mark.parametrize("name", ["tsm_r50_1x1x8", "tin_r50_1x1x8", "slowonly_nl_embedded_gaussian_r50_4x16x1"])
def test_networks_that_mmaction_0_2_has_not_have_no_such_layout(name):
  with pytest.raises(InputError, match="no layout 'mmaction0.2'"):
    to_torch({}, create_model(name), layout="mmaction0.2")
