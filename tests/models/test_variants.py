import pathlib

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import jaction
from jaction.errors import InputError
from jaction.flops import model_cost
from jaction.models import VARIANTS, create_model, variant

TREES = pathlib.Path(__file__).parent.parent / "trees"


def shapes(name):
  clips = jax.ShapeDtypeStruct((1, 1, *variant(name).shape), np.float32)
  return jax.eval_shape(create_model(name).init, jax.random.key(0), clips)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_name_builds_with_the_size_of_its_row_and_the_tree_on_file(name):
  found = shapes(name)
  assert sum(x.size for x in jax.tree.leaves(found["params"])) == variant(name).params
  lines = [f"{path} {'x'.join(map(str, leaf.shape))}" for path, leaf in sorted(flatten_dict(found, sep="/").items())]
  tree = "\n".join(lines) + "\n"
  path = TREES / f"{name}.txt"
  if not path.exists():
    path.write_text(tree)
    pytest.fail(f"{path} did not exist and was written: look at it and commit it")
  assert tree == path.read_text(), f"the tree of {name} changed; if that is meant, delete {path} and run again"


@pytest.mark.parametrize("name", VARIANTS)
def test_every_name_has_the_operations_of_its_row(name):
  assert model_cost(create_model(name), (1, 1, *variant(name).shape)).macs == variant(name).macs


@pytest.mark.parametrize(
  "name, macs",
  [  # published by MMAction2 v0.24.1 for these inputs (../shared/zoo), which counts norms and pools as well
    ("slowonly_r50_4x16x1", 27_430_649_856 * (224 / 256) ** 2),
    ("slowonly_r50_8x8x1", 54_860_480_512 * (224 / 256) ** 2),
    ("tsn_r50_1x1x3", 102_997_721_600 / 25 * 3),
    ("c3d_16x1x1", 38_615_475_200),
  ],
)
def test_the_operations_are_within_one_percent_of_the_published_ones(name, macs):
  assert abs(variant(name).macs / macs - 1) < 0.01


def test_a_near_miss_is_named():
  with pytest.raises(InputError, match="slowfast_r50_8x8x1"):
    create_model("slowfast_50_8x8x1")
  with pytest.raises(InputError, match="dropout"):
    create_model("tsn_r50_1x1x3", drop_out=0.2)
  with pytest.raises(InputError, match="at least 1"):
    create_model("tsn_r50_1x1x3", num_classes=0)


def test_fields_reach_the_part_that_has_them():
  model = create_model("slowfast_r50_4x16x1", num_classes=7, dropout=0.25, dtype="bfloat16", alpha=4)
  assert (model.head.dropout, model.head.num_classes, model.backbone.alpha, model.dtype.name) == (
    0.25,
    7,
    4,
    "bfloat16",
  )


def test_list_models_takes_a_pattern():
  assert jaction.list_models("slowfast_r50_*1") == ["slowfast_r50_4x16x1", "slowfast_r50_8x8x1"]
  assert set(jaction.list_models()) == set(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_name_has_a_preprocessing_that_makes_its_clip(name):
  from jaction.clips.preprocessing import Preprocessing

  facts = variant(name)
  if facts.views[0] == "spectrograms":
    assert facts.preprocessing is None
    return
  preprocessing = Preprocessing.from_json(facts.preprocessing)
  assert preprocessing.to_json() == Preprocessing.from_json(preprocessing.to_json()).to_json()
  assert facts.segments or preprocessing.frames_per_view == facts.clip[0]
