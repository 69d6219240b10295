"""Heads that see a map through a window of fixed size."""

import importlib
import sys

import jax
import numpy as np
import pytest

from jaction.converters import from_torch
from jaction.errors import InputError
from jaction.models import create_model, initialize
from jaction.models.heads import PoolHead, over_positions, pool


def maps(height, width, *, channels=6, seed=0):
  return np.random.default_rng(seed).standard_normal((2, 3, height, width, channels), np.float32)


def twin(x, h, w):
  """Windows one by one."""
  starts = [(i, j) for i in range(x.shape[2] - h + 1) for j in range(x.shape[3] - w + 1)]
  return np.stack([x[:, :, i : i + h, j : j + w].mean(axis=(1, 2, 3), dtype=np.float64) for i, j in starts], axis=1)


@pytest.mark.parametrize("height, width, h, w", [(8, 8, 7, 7), (3, 4, 2, 2), (2, 5, 1, 3), (4, 4, 4, 4), (1, 1, 1, 1)])
def test_windows_are_the_means_one_by_one(height, width, h, w):
  x = maps(height, width)
  got = pool(x, (h, w))
  assert got.shape == (2, (height - h + 1) * (width - w + 1), 6)
  np.testing.assert_allclose(got, twin(x, h, w), atol=1e-6)


@pytest.mark.parametrize("how", ["score", "prob"])
def test_positions_are_averaged_behind_the_classifier(how):
  x, head = maps(3, 3), PoolHead(5, std=1.0, pool_window=(2, 2), pool_average=how)
  variables = initialize(evaluated(head), x)
  got = np.asarray(evaluated(head).apply(variables, x), np.float64)
  fc = variables["params"]["head"]["fc"]
  scores = twin(x, 2, 2) @ fc["kernel"] + fc["bias"]
  probabilities = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
  if how == "score":
    np.testing.assert_allclose(got, scores.mean(axis=1), rtol=1e-5, atol=1e-6)
  else:
    np.testing.assert_allclose(np.exp(got), probabilities.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(np.exp(got).sum(axis=-1), 1, rtol=1e-5)


def evaluated(head):
  from flax import linen as nn

  class Eval(nn.Module):
    head: nn.Module

    def __call__(self, x):
      return self.head(x, train=False)

  return Eval(head)


def test_a_window_larger_than_the_map_and_an_unknown_average_are_errors():
  with pytest.raises(InputError, match="7 x 7 is larger than the map, 8 x 6"):
    pool(maps(8, 6), (7, 7))
  with pytest.raises(InputError, match="probs.*Near it: prob"):
    over_positions(np.zeros((1, 4, 3), np.float32), "probs", train=False)


@pytest.mark.parametrize(
  "name, side", [("slowonly_r50_8x8x1_fb", 7), ("slowfast_r50_4x16x1_fb", 7), ("x3d_m_16x5x1_fb", 7)]
)
def test_facebooks_networks_take_a_window(name, side):
  model = create_model(name, num_classes=3, pool_window=(side, side), pool_average="prob")
  clip = jax.ShapeDtypeStruct((1, 1, 8, 256, 256, 3), np.float32)
  assert jax.eval_shape(model.init_with_output, jax.random.key(0), clip)[0].shape == (1, 1, 3)


@pytest.mark.reference
def test_a_larger_crop_gives_pytorchvideos_scores(shared):
  path = shared / "parity" / "ptv_slow_r50_fullyconv.npz"
  if not path.is_file():
    pytest.skip(f"no {path}")
  sys.path.insert(0, str(path.parent))
  try:
    check = importlib.import_module("check")
  finally:
    sys.path.remove(str(path.parent))
  meta, arrays = check.load_case(path)
  window = tuple(meta["builder_kwargs"]["head_pool_kernel_size"][1:])
  model = create_model("slowonly_r50_8x8x1_fb", num_classes=arrays["output"].shape[-1], pool_window=window)
  variables = from_torch(check.state_dict_of(meta, arrays), model)
  (spec,) = meta["input"].values()
  got = np.asarray(jax.jit(model.apply)(variables, check.clips_of({}, spec)))[:, 0]
  assert check.rel(got, arrays["output"]) < 1e-5
  whole = create_model("slowonly_r50_8x8x1_fb", num_classes=arrays["output"].shape[-1])
  assert check.rel(np.asarray(jax.jit(whole.apply)(variables, check.clips_of({}, spec)))[:, 0], arrays["output"]) > 1e-3
