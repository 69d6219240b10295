"""What to_torch writes, loaded strictly into PyTorchVideo's own classes: pip install pytorchvideo==0.1.5.

Torchvision, which it imports for its detection heads alone, is stood in for where it is absent.
"""

import importlib
import sys
import types
import warnings

import jax
import numpy as np
import pytest

from jaction.converters import from_torch, to_torch
from jaction.models import create_model

pytestmark = pytest.mark.reference
MODULES = {"slowfast_r50_8x8x1_fb": "slowfast", "x3d_s_13x6x1_fb": "x3d"}


@pytest.fixture
def builders(monkeypatch):
  """PyTorchVideo's modules of builders, by name; skips where torch or it is absent."""
  pytest.importorskip("torch")
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
      importlib.import_module("torchvision.ops")
    except (ImportError, RuntimeError):  # only detection heads need it
      ops = types.ModuleType("torchvision.ops")
      ops.RoIAlign = object
      monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
      monkeypatch.setitem(sys.modules, "torchvision.ops", ops)
    pytest.importorskip("pytorchvideo", reason="pytorchvideo is not installed (0.1.5, pure Python)")
    return {key: importlib.import_module(f"pytorchvideo.models.{key}") for key in MODULES.values()}


def filled(model, shape):
  """Variables from a numpy fill that keeps activations near one, and statistics that a wrong layer would not have."""
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float32))

  def fill(path, leaf):
    name = path[-1].key
    if name == "kernel":
      draw = rng.standard_normal(leaf.shape) * (1.5 / np.prod(leaf.shape[:-1])) ** 0.5
    elif name in ("scale", "var"):
      draw = rng.uniform(0.5, 1.0, leaf.shape)
    else:
      draw = rng.standard_normal(leaf.shape) * 0.1
    return draw.astype(np.float32)

  return jax.tree_util.tree_map_with_path(fill, shapes)


def twin(builders, name, frames, side):
  """The reference's network for a clip of this size."""
  if name.startswith("x3d"):
    return builders["x3d"].create_x3d(input_clip_length=frames, input_crop_size=side, head_activation=None)
  heads = ((frames // 4, side // 32, side // 32), (frames, side // 32, side // 32))
  return builders["slowfast"].create_slowfast(head_pool_kernel_sizes=heads)


@pytest.mark.parametrize("name, frames, side", [("slowfast_r50_8x8x1_fb", 8, 64), ("x3d_s_13x6x1_fb", 4, 64)])
def test_a_written_state_dict_loads_strictly_and_gives_the_same_scores(builders, name, frames, side):
  import torch

  model = create_model(name)
  shape = (1, 1, frames, side, side, 3)
  variables = filled(model, shape)
  state = to_torch(variables, model, layout="pytorchvideo", strict_keys=True)
  reference = twin(builders, name, frames, side).eval()
  reference.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()}, strict=True)

  clips = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
  x = torch.from_numpy(np.ascontiguousarray(clips[:, 0].transpose(0, 4, 1, 2, 3)))
  with torch.inference_mode():
    slow = torch.linspace(0, frames - 1, frames // 4).long()  # as its hub's documentation packs the pathways
    theirs = reference([x[:, :, slow], x] if name.startswith("slowfast") else x).numpy()
  ours = np.asarray(model.apply(variables, clips))[:, 0]
  assert np.abs(theirs).max() > 0.1 and np.ptp(theirs) > 0.1
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)

  back = from_torch({key: value.numpy() for key, value in reference.state_dict().items()}, model)
  jax.tree.map(np.testing.assert_array_equal, back, {key: variables[key] for key in back})


@pytest.mark.parametrize("name", MODULES)
def test_a_state_dict_without_one_entry_is_refused_by_the_reference(builders, name):
  import torch

  model = create_model(name)
  state = to_torch(filled(model, (1, 1, 8, 64, 64, 3)), model, layout="pytorchvideo", strict_keys=True)
  state.pop(next(iter(state)))
  with pytest.raises(RuntimeError, match="Missing key"):
    twin(builders, name, 8, 64).load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
