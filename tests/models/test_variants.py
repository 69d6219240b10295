import json
import pathlib
import re

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import jaction
from jaction.errors import InputError
from jaction.flops import model_cost
from jaction.models import VARIANTS, create_model, variant

TREES = pathlib.Path(__file__).parent.parent / "trees"


RECOGNIZERS = [name for name in VARIANTS if variant(name).task == "recognition"]


def shapes(name):
  model = create_model(name)
  channels = {"channels": variant(name).shape[-1]} if name in RECOGNIZERS else {}
  return jax.eval_shape(model.init, jax.random.key(0), *model.inputs(**channels))


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


@pytest.mark.parametrize("name", RECOGNIZERS)
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


@pytest.mark.parametrize("name", RECOGNIZERS)
def test_every_name_has_a_preprocessing_that_makes_its_clip(name):
  from jaction.clips.preprocessing import Preprocessing

  facts = variant(name)
  preprocessing = Preprocessing.from_json(facts.preprocessing)
  assert preprocessing.channels == facts.shape[-1]
  assert preprocessing.to_json() == Preprocessing.from_json(preprocessing.to_json()).to_json()
  assert facts.segments or preprocessing.frames_per_view == facts.clip[0]


@pytest.mark.parametrize(
  "name, frames, views",  # of a video of 300 frames, before crops
  [
    ("tsm_r50_1x1x8", 8, 1),
    ("trn_r50_1x1x8", 8, 2),  # twice_sample
    ("tanet_r50_1x1x8", 8, 2),
    ("tpn_tsm_r50_1x1x8", 8, 2),
    ("tanet_r50_dense_1x1x8", 8, 10),  # ten windows
    ("tsm_mobilenetv2_1x1x8", 8, 10),
    ("tsm_r50_dense_1x1x8", 8, 10),
    ("i3d_r50_dense_32x2x1", 32, 10),
    ("i3d_r50_32x2x1", 32, 10),
  ],
)
def test_the_published_sampling_is_that_of_the_row(name, frames, views):
  from jaction.clips.preprocessing import Preprocessing

  preprocessing = Preprocessing.from_json(variant(name).preprocessing)
  indices = preprocessing.indices(300)
  assert (preprocessing.frames_per_view, len(indices) // frames) == (frames, views)
  dense = preprocessing.sampler == "dense"
  span = np.ptp(indices.reshape(views, frames), axis=1)
  assert ((span < 64) == (dense or frames == 32)).all()


PROTOCOL = (
  "sampler",
  "clip_len",
  "frame_interval",
  "num_clips_or_segments",
  "twice_sample",
  "spatial_crop",
  "crop_size",
)


@pytest.mark.reference
def test_the_rows_test_as_the_configs_of_their_names_do(shared):
  """Those of Kinetics-400; the zoo says no protocol of Something-Something's networks."""
  path = shared / "zoo" / "mmaction2_v0.9.0_zoo.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  checked = set()
  for row in json.loads(path.read_text())["results"]:
    wanted = row.get("test_protocol_from_config")
    match = re.match(r"(.+?_\d+x\d+x\d+)_(\d+e|facebook)_kinetics400_rgb$", pathlib.Path(str(row.get("config"))).stem)
    if not wanted or not match or match[1] not in VARIANTS:
      continue
    got = variant(match[1]).preprocessing
    crop = got["steps"][-1]
    found = {
      "sampler": {"uniform": "SampleFrames", "dense": "DenseSampleFrames"}[got["sampler"]],
      "clip_len": got["clip_len"],
      "frame_interval": got["frame_interval"],
      "num_clips_or_segments": got["num_clips"],
      "twice_sample": got["twice_sample"],
      "spatial_crop": "".join(part.title() for part in crop.split("_")),
      "crop_size": got["settings"][crop]["size"],
    }
    assert found == {key: wanted[key] for key in PROTOCOL}, match[1]
    assert wanted["resize"] in ([], [[-1, got["settings"]["resize"]["size"]]]), match[1]
    checked.add(match[1])
  assert {"tsm_r50_dense_1x1x8", "i3d_r50_dense_32x2x1", "slowonly_r50_4x16x1", "x3d_m_16x5x1"} <= checked


def test_weights_for_flow_have_a_preprocessing_of_flow():
  from jaction.clips.preprocessing import Preprocessing

  tsn, slow, sound = map(variant, ("tsn_r50_1x1x3", "slowonly_r50_4x16x1", "audioonly_r50"))
  for row, channels, modality in ((tsn, 3, "rgb"), (tsn, 2, "flow"), (tsn, 10, "stacked_flow"), (slow, 2, "flow")):
    preprocessing = Preprocessing.from_json(row.preprocessing_for(channels))
    assert (preprocessing.modality, preprocessing.channels) == (modality, channels)
  assert Preprocessing.from_json(sound.preprocessing_for(1)).channels == 1
  assert tsn.preprocessing_for(5) is slow.preprocessing_for(10) is sound.preprocessing_for(2) is None
