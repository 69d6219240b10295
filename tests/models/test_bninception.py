import math

import jax
import numpy as np
import pytest

from jaction.models import create_model


def test_the_size_is_the_published_networks():
  model = create_model("tsn_bninception_1x1x3", num_classes=1000)
  shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 1, 1, 224, 224, 3), np.float32))
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 11_295_240


@pytest.mark.reference
def test_the_scores_are_those_of_the_same_layers_in_torch():
  torch = pytest.importorskip("torch")
  from torch.nn import functional as F

  from jaction.converters import from_torch, to_torch

  model = create_model("tsn_bninception_1x1x3", num_classes=7)
  shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 1, 1, 32, 32, 3), np.float32))
  rng = np.random.default_rng(0)
  state = {}
  for name, leaf in to_torch(jax.tree.map(lambda s: np.broadcast_to(np.float32(0), s.shape), shapes), model).items():
    scale = math.sqrt(2 / math.prod(leaf.shape[1:])) if leaf.ndim > 1 else 0.1
    mean = float(name.endswith(("_bn.weight", "running_var")))
    state[name] = mean + scale * rng.standard_normal(leaf.shape, np.float32)
  weights = {name: torch.from_numpy(leaf) for name, leaf in state.items()}
  clips = rng.standard_normal((2, 1, 2, 95, 101, 3), np.float32)  # sides that the last windows of the pools reach over

  def unit(x, name, stride=1):
    kernel, bias = weights[f"backbone.{name}.weight"], weights[f"backbone.{name}.bias"]
    norm = [weights[f"backbone.{name}_bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return F.relu(F.batch_norm(F.conv2d(x, kernel, bias, stride, kernel.shape[-1] // 2), *norm))

  def pool(x):
    return F.max_pool2d(x, 3, 2, ceil_mode=True)

  x = pool(unit(torch.from_numpy(clips.reshape(-1, 95, 101, 3).transpose(0, 3, 1, 2).copy()), "conv1_7x7_s2", 2))
  x = pool(unit(unit(x, "conv2_3x3_reduce"), "conv2_3x3"))
  for block in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
    name, strides = f"inception_{block}_", block in ("3c", "4e")
    three = unit(unit(x, name + "3x3_reduce"), name + "3x3", 1 + strides)
    double = unit(unit(unit(x, name + "double_3x3_reduce"), name + "double_3x3_1"), name + "double_3x3_2", 1 + strides)
    if strides:
      x = torch.cat([three, double, pool(x)], 1)
    else:
      pooled = F.max_pool2d(x, 3, 1, 1) if block == "5b" else F.avg_pool2d(x, 3, 1, 1)
      x = torch.cat([unit(x, name + "1x1"), three, double, unit(pooled, name + "pool_proj")], 1)
  features = x.mean((2, 3)).reshape(2, 2, -1).mean(1)
  want = (features @ weights["cls_head.fc_cls.weight"].T + weights["cls_head.fc_cls.bias"]).numpy()
  scores = jax.jit(model.apply)(from_torch(state, model), clips)[:, 0]
  np.testing.assert_allclose(scores, want, atol=1e-5 * np.abs(want).max())
