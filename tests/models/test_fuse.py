"""Folding batch norms: the same scores with fewer arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import jaction
from jaction import folders
from jaction.converters import to_torch
from jaction.errors import CheckpointError, InputError
from jaction.models import create_model, fuse, initialize, variant
from jaction.models.csn import CsnBottleneck
from jaction.models.heads import PoolHead
from jaction.models.layers import BatchNorm
from jaction.models.r2plus1d import Conv2plus1d
from jaction.models.recognizer import Recognizer
from jaction.models.resnet import PatchStem, ResNet
from jaction.models.slowfast import SlowFast
from jaction.models.tanet import TABlock
from jaction.models.tin import tin_resnet
from jaction.models.tpn import TPN, TPNHead
from jaction.models.x3d import X3D, X3DHead


def drawn(model, *, channels=3, views=2):
  """A clip, and variables whose norms are far from the identity."""
  clip = np.random.default_rng(0).standard_normal((1, views, *model.clip, channels), np.float32)
  return clip, varied(initialize(model, jax.ShapeDtypeStruct(clip.shape, np.float32)))


def varied(variables):
  rng, flat = np.random.default_rng(1), jax.tree_util.tree_flatten_with_path(variables)
  leaves = []
  for path, leaf in flat[0]:
    kind = path[-1].key
    if kind in ("scale", "var"):
      leaf = rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    elif kind in ("mean", "bias"):
      leaf = rng.normal(0, 0.2, leaf.shape).astype(np.float32)
    leaves.append(leaf)
  return jax.tree_util.tree_unflatten(flat[1], leaves)


def outer(**fields):
  return BatchNorm(eps=1e-3, **fields)


class Factorised(ResNet):
  """Two factorised convolutions, as R(2+1)D has them."""

  def setup(self):
    self.conv = [Conv2plus1d(8, (3, 3), 2, norm=outer), Conv2plus1d(8, (3, 3))]
    self.bn = [BatchNorm(), outer()]

  def __call__(self, x, *, train):
    for conv, bn in zip(self.conv, self.bn, strict=True):
      x = bn(conv(x, train=train), train=train)
    return x


NETWORKS = {  # small ones of each kind: backbone, head, clip
  "tin": lambda: Recognizer(tin_resnet(11, width=16), PoolHead(5), (4, 32, 32)),
  "tanet": lambda: Recognizer(
    ResNet(11, 16, PatchStem, block=lambda *args, **name: TABlock(*args, **name)), PoolHead(5), (4, 32, 32)
  ),
  "tpn": lambda: Recognizer(TPN(ResNet(11, 16, PatchStem, 1), features=64, middle=32), TPNHead(5), (8, 32, 32)),
  "x3d": lambda: Recognizer(X3D(0.7, 1.0, 0.2), X3DHead(5, width=32), (4, 32, 32)),
  "csn": lambda: Recognizer(ResNet(11, 16, PatchStem, 3, block=CsnBottleneck, norm=outer), PoolHead(5), (8, 32, 32)),
  "r2plus1d": lambda: Recognizer(Factorised(), PoolHead(5), (4, 16, 16)),
  "slowfast_fb": lambda: Recognizer(SlowFast((11, 11), 16, facebook=True, stem=PatchStem), PoolHead(5), (8, 32, 32)),
}


RECOGNIZERS = [name for name in jaction.list_models("*_tiny_*") if variant(name).task == "recognition"]


@pytest.mark.parametrize("name", [*RECOGNIZERS, *NETWORKS])
def test_a_fused_network_gives_the_same_scores_and_holds_no_statistics(name):
  model = NETWORKS[name]() if name in NETWORKS else create_model(name, num_classes=5)
  clip, variables = drawn(model)
  same, fused = fuse(model, variables)
  assert same is model and not fused["batch_stats"]
  paths = flatten_dict(fused["params"])
  assert not any(path[-1] == "scale" for path in paths) and any(path[-1] == "shift" for path in paths)
  apply = jax.jit(lambda variables: model.apply(variables, clip))
  wanted, got = np.asarray(apply(variables)), np.asarray(apply(fused))
  assert np.abs(wanted).max() > 1e-3
  np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max(), rtol=1e-4)


def test_a_fused_detector_gives_the_same_scores():
  model = create_model("slowonly_tiny_8x2x1_ava")
  variables = varied(initialize(model, *model.inputs()))
  clips = np.random.default_rng(0).standard_normal(model.inputs()[0].shape, np.float32)
  apply = jax.jit(
    lambda variables: model.apply(variables, clips, np.array([[[0.1, 0.2, 0.7, 0.8]]]), np.ones((1, 1), bool))
  )
  _, fused = fuse(model, variables)
  wanted = np.asarray(apply(variables))
  assert not fused["batch_stats"] and np.abs(wanted).max() > 1e-3
  np.testing.assert_allclose(apply(fused), wanted, atol=2e-5 * np.abs(wanted).max(), rtol=1e-4)


def test_a_norm_over_a_sum_stays_a_norm_and_a_bias_moves_into_the_shift():
  sound = create_model("audioonly_r50", num_classes=5, depth=11, width=8)
  sound = sound.clone(clip=(16, 16))
  clip, variables = drawn(sound, channels=1)
  _, fused = fuse(sound, variables)
  assert set(flatten_dict(fused["batch_stats"], sep="/")) == {"backbone/bn1/mean", "backbone/bn1/var"}
  wanted, got = sound.apply(variables, clip), sound.apply(fused, clip)
  np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max(), rtol=1e-4)


@pytest.mark.parametrize("name, channels", [("tsn_tiny_1x1x8", 2), ("slowfast_tiny_2x8x1", 3), ("audioonly_r50", 1)])
def test_a_fused_network_is_saved_and_comes_back_bit_for_bit(tmp_path, name, channels):
  fields = {"num_classes": 5} | ({"depth": 11, "width": 8} if name == "audioonly_r50" else {})
  model = create_model(name, **fields)
  clip, variables = drawn(model, channels=channels, views=1)
  model, fused = fuse(model, variables)
  folders.save_model(tmp_path, name=name, fields=fields, variables=fused)
  again, loaded = jaction.load(tmp_path)
  jax.tree.map(np.testing.assert_array_equal, loaded, fused)
  np.testing.assert_array_equal(again.apply(loaded, clip), model.apply(fused, clip))


def test_a_fused_folder_of_another_network_and_one_without_a_norms_shift_are_errors(tmp_path):
  model = create_model("tsn_tiny_1x1x8", num_classes=5)
  _, fused = fuse(model, drawn(model)[1])
  folders.save_model(tmp_path, name="tsm_tiny_1x1x8", fields={"num_classes": 6}, variables=fused)
  with pytest.raises(CheckpointError, match="head/fc/kernel"):
    jaction.load(tmp_path)
  del fused["params"]["backbone"]["conv1"]["bn"]
  folders.save_model(tmp_path, name="tsn_tiny_1x1x8", fields={"num_classes": 5}, variables=fused)
  with pytest.raises(CheckpointError, match=r"params/backbone/conv1/bn/shift \(16,\): missing"):
    jaction.load(tmp_path)


def test_a_fused_network_has_no_names_in_pytorch():
  model = create_model("tsn_tiny_1x1x8", num_classes=5)
  _, fused = fuse(model, drawn(model)[1])
  with pytest.raises(InputError, match="before fusing"):
    to_torch(fused, model)


def test_a_fused_network_is_not_trained_and_fusing_twice_changes_nothing():
  model = create_model("tsn_tiny_1x1x8", num_classes=5)
  clip, variables = drawn(model, channels=2)  # flow
  _, fused = fuse(model, variables)
  _, again = fuse(model, fused)
  jax.tree.map(np.testing.assert_array_equal, fused, again)
  np.testing.assert_allclose(model.apply(fused, clip), model.apply(variables, clip), rtol=1e-3, atol=1e-5)
  with pytest.raises(ValueError, match="cannot be trained"):
    model.apply(fused, jnp.asarray(clip), train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)})
