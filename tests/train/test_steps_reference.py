"""Whole optimizer steps of our train step, against recorded ones of MMAction2 (../shared/parity/train_steps_*.npz)."""

import json
import sys

import jax
import numpy as np
import pytest

import converters
import jaction
from jaction.batches import put
from jaction.launch.train import parse_config
from jaction.train.classification import classification, normalized_clips
from jaction.train.mesh import make_mesh, whole
from jaction.train.optim import make_optimizer
from jaction.train.state import new_state
from jaction.train.step import make_train_step

# The recorded case -> our network, and the config whose rates and decays for each kind of leaf are put to the test.
CASES = {
  "train_steps_tsn_r18": ("tsn_r18_1x1x3", "tsn_r50_1x1x3_100e_kinetics400_rgb"),
  "train_steps_tsm_r18": ("tsm_r18_1x1x8", "tsm_r50_1x1x8_50e_kinetics400_rgb"),
}


@pytest.fixture
def weights(shared):
  sys.path.insert(0, str(shared / "parity"))
  yield pytest.importorskip("weights")
  sys.path.remove(str(shared / "parity"))


@pytest.mark.reference
@pytest.mark.parametrize("case", [pytest.param("train_steps_tsn_r18", marks=pytest.mark.slow), "train_steps_tsm_r18"])
def test_four_steps_of_sgd_with_clipping_are_those_of_the_reference(shared, weights, case):
  path = shared / "parity" / f"{case}.npz"
  if not path.exists():
    pytest.skip(f"no {path}")
  with np.load(path) as arrays:
    meta, losses, norms = json.loads(bytes(arrays["meta"]).decode()), arrays["loss"], arrays["total_grad_norm"]
  name, config = CASES[case]
  settings = parse_config([f"--config={config}"]).optimizer
  recorded = meta["optimizer"]
  assert (settings.momentum, settings.weight_decay) == (recorded["momentum"], recorded["weight_decay"])
  assert settings.clip_norm == meta["grad_clip"]["max_norm"]

  model = jaction.create_model(name, dropout=0.0)
  filled = weights.fill(meta["state_dict"], meta["constants"], meta["scale_rules"])
  variables = converters.from_torch(filled, model)
  mesh, optimizer = make_mesh(jax.devices()[:1]), make_optimizer(settings)
  task = classification("cross_entropy")
  step = make_train_step(model, task, optimizer, mesh, seed=0, inputs=normalized_clips((0.0,) * 3, (1.0,) * 3))
  images = weights.make_input(meta["input"]["imgs"]["seed"], meta["input"]["imgs"]["shape"])  # [N,S,C,H,W]
  labels = np.array(meta["input"]["labels"], np.int32)
  data = {
    "clips": images.transpose(0, 1, 3, 4, 2)[:, None],
    "label": labels,
    "mask": np.ones(len(labels), bool),
    "index": np.arange(len(labels)),
  }
  state = jax.device_put(new_state(variables, optimizer), whole(mesh))
  # How far float32 carries: the record's own distance to float64, which grows with the steps.
  limits = [max(1e-5, 20 * off) for off in meta["float64_check"]["loss"]]
  for loss, norm, limit in zip(losses, norms, limits, strict=True):
    state, sums = step(state, put(data, mesh), np.float32(recorded["lr"]))
    # A loss near 0 is a small difference of numbers as large as the first loss: their rounding is all it can have.
    found = float(sums["loss"][0] / sums["loss"][1])
    np.testing.assert_allclose(found, loss, rtol=limit, atol=1e-6 * float(losses[0]))
    np.testing.assert_allclose(float(sums["grad_norm"][0]), norm, rtol=max(2e-3, 2 * limit))

  ends = converters.to_torch(jax.device_get(state.variables), model)
  off = []
  for key, (end, change) in meta["final_norm_and_change_norm"].items():
    if key in ends:
      value = np.asarray(ends[key], np.float64)
      np.testing.assert_allclose(np.linalg.norm(value), end, rtol=1e-3, err_msg=key)
      off.append(abs(np.linalg.norm(value - filled[key]) / change - 1) if change else 0.0)
  assert len(off) > 60
  assert np.median(off) < 20 * meta["float64_check"]["median_change"]
  assert max(off) < 20 * meta["float64_check"]["worst_change"]
