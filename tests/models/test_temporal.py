"""TIN, TANet, MobileNetV2, TRN, TPN: what the recorded logits do not show."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaction
from jaction.converters.names import num_classes
from jaction.models import create_model, initialize
from jaction.models.mobilenet_v2 import InvertedResidual
from jaction.models.recognizer import Recognizer
from jaction.models.resnet import ResNet
from jaction.models.tanet import TAM
from jaction.models.tin import Interlace, shift_by
from jaction.models.tpn import TPN, TPNHead
from jaction.models.trn import RelationHead
from jaction.models.tsm import temporal_shift


def normal(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_a_fractional_shift_interpolates_between_whole_ones_and_brings_zeros_in():
  x = normal(2, 5, 1, 2, 4)
  offset = np.array([[-2.0, -0.25, 0.0, 1.75], [1.0, 0.5, -1.5, 2.0]], np.float32)
  wanted = np.zeros_like(x)
  for b, t, c in itertools.product(range(2), range(5), range(4)):
    low = int(np.floor(offset[b, c]))
    share = offset[b, c] - low
    for source, weight in ((t - low, 1 - share), (t - low - 1, share)):
      if 0 <= source < 5:
        wanted[b, t, :, :, c] += weight * x[b, source, :, :, c]
  np.testing.assert_allclose(shift_by(jnp.asarray(x), jnp.asarray(offset)), wanted, atol=1e-6)


def test_an_interlace_begins_half_a_frame_apart_and_leaves_the_other_channels():
  x = normal(2, 8, 3, 3, 32)
  variables = initialize(Interlace(), x)
  assert abs(variables["params"]["offset"]["fc2"]["bias"][0] - 0.5108) < 1e-6  # 4 (sigmoid(0.5108) - 0.5) = 0.5
  y = Interlace().apply(variables, x)
  np.testing.assert_array_equal(y[..., 8:], x[..., 8:])
  assert np.abs(np.asarray(y[..., :8]) - x[..., :8]).max() > 0.1
  with pytest.raises(ValueError, match="do not divide"):
    Interlace().apply(variables, x[..., :24])


def test_a_tam_is_a_convolution_in_time_with_a_kernel_of_each_clip_and_channel():
  x = normal(2, 8, 2, 2, 8)
  module = TAM()
  variables = module.init(jax.random.key(0), x, train=False)
  variables = jax.tree.map(lambda v: v + 0.3 * np.abs(normal(*v.shape)), variables)
  _, seen = module.apply(variables, x, train=False, capture_intermediates=True)
  seen = seen["intermediates"]
  kernel, importance = np.asarray(seen["g"]["__call__"][0]), np.asarray(seen["l"]["__call__"][0])
  np.testing.assert_allclose(kernel.sum(axis=1), 1, rtol=1e-5)
  weighted, wanted = x * importance[:, :, None, None], np.zeros_like(x)
  for t, i in itertools.product(range(8), range(3)):
    if 0 <= t + i - 1 < 8:
      wanted[:, t] += kernel[:, i, None, None] * weighted[:, t + i - 1]
  np.testing.assert_allclose(module.apply(variables, x, train=False), wanted, atol=1e-5)


def test_a_mobile_block_sees_time_only_where_it_has_a_shortcut():
  x = normal(1, 4, 4, 4, 8)
  for features, moved in ((8, True), (16, False)):
    plain, shifted = InvertedResidual(features, 6), InvertedResidual(features, 6, before=temporal_shift)
    variables = plain.init(jax.random.key(0), x, train=False)
    same = np.array_equal(plain.apply(variables, x, train=False), shifted.apply(variables, x, train=False))
    assert same is not moved


def test_relations_are_drawn_in_training_and_fixed_in_evaluation():
  head, x = RelationHead(5, dropout=0.0, segments=5, hidden=8, std=1.0), normal(2, 5, 1, 1, 6)
  variables = head.init(jax.random.key(0), x, train=False)

  def scores(train, seed):
    return np.asarray(head.apply(variables, x, train=train, rngs={"dropout": jax.random.key(seed)}))

  np.testing.assert_array_equal(scores(False, 0), head.apply(variables, x, train=False))
  assert len({scores(True, seed).tobytes() for seed in range(4)}) > 1
  every = RelationHead(5, dropout=0.0, segments=5, hidden=8, std=1.0, draws=10)  # all tuples: nothing is left to chance
  np.testing.assert_allclose(
    every.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)}), every.apply(variables, x, train=False)
  )
  with pytest.raises(ValueError, match="5 frames, got 4"):
    head.apply(variables, x[:, :4], train=False)


def test_the_classes_of_a_relation_checkpoint_are_those_of_its_last_layers():
  state = {
    "cls_head.fc_cls.weight": np.zeros((256, 2048)),
    "cls_head.consensus.fc_fusion_scales.0.3.weight": np.zeros((174, 256)),
  }
  assert num_classes(state) == 174


def test_auxiliary_scores_come_only_where_they_are_asked_for():
  trunk = ResNet(8, 16)
  model = Recognizer(TPN(trunk, (4, 4), 64, 32), TPNHead(5), (4, 32, 32))
  x = normal(2, 1, 4, 32, 32, 3)
  variables = initialize(model, jax.ShapeDtypeStruct(x.shape, x.dtype))
  assert "aux" in variables["params"]["head"]
  scores = model.apply(variables, x)
  again, extra = model.apply(variables, x, aux=True)
  np.testing.assert_array_equal(scores, again)
  assert scores.shape == extra["aux"].shape == (2, 1, 5) and not np.allclose(scores, extra["aux"])
  (_, extra), new = model.apply(
    variables, x, train=True, aux=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
  )
  old = variables["batch_stats"]["head"]["aux"]["conv"]["bn"]["mean"]
  assert not np.allclose(new["batch_stats"]["head"]["aux"]["conv"]["bn"]["mean"], old)


def test_a_network_without_auxiliary_heads_says_so():
  model = create_model("tsn_tiny_1x1x8")
  clips = jax.ShapeDtypeStruct((1, 1, 8, 64, 64, 3), np.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), clips)
  with pytest.raises(ValueError, match="PoolHead has none"):
    jax.eval_shape(lambda v, x: model.apply(v, x, aux=True), variables, clips)


def test_their_names_are_known():
  wanted = {"tin_r50_1x1x8", "tin_tsm_r50_1x1x8", "tanet_r50_1x1x8", "trn_r50_1x1x8", "tsm_mobilenetv2_1x1x8"}
  assert wanted | {"tpn_slowonly_r50_8x8x1", "tpn_tsm_r50_1x1x8"} <= set(jaction.list_models())
