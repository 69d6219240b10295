"""BMN, BSN and SSN: sizes, weights both ways, the matching layer against the dense mask, the reference's SSN cases."""

import json
import os
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaction import converters
from jaction.errors import CheckpointError
from jaction.flops import inputs_cost
from jaction.launch.benchmark_localization import dense
from jaction.models import create_model, initialize, variant
from jaction.models.bmn import BoundaryMatching, matching, sample_mask
from jaction.models.ssn import SSNHead, denormalize, pool_test
from jaction.models.variants_localization import VARIANTS_LOCALIZATION

SHARED = pathlib.Path(os.environ.get("JACTION_SHARED", pathlib.Path(__file__).parents[3] / "shared"))
SMALL = {
  "bmn_400x100": {"temporal_dim": 6, "feat_dim": 8, "num_samples": 4, "hidden_1d": 8, "hidden_2d": 4, "hidden_3d": 4},
  "bsn_tem_400x100": {"temporal_dim": 6, "feat_dim": 8, "hidden": 4},
  "bsn_pem_400x100": {"hidden": 4},
  "ssn_r50": {"depth": 8, "width": 4, "clip": (9, 32, 32)},
}


@pytest.mark.parametrize("name", VARIANTS_LOCALIZATION)
def test_every_localizer_has_the_operations_of_its_row(name):
  assert inputs_cost(create_model(name)).macs == variant(name).macs


@pytest.mark.parametrize("name", SMALL)
def test_weights_go_to_torch_and_back_and_a_fault_is_named(name):
  model = create_model(name, num_classes=3, **SMALL[name])
  variables = initialize(model, *model.inputs())
  state = converters.to_torch(variables, model)
  back = converters.from_torch(state, model)
  jax.tree.map(np.testing.assert_array_equal, {k: variables[k] for k in back}, back)
  key = next(key for key in state if key.endswith("weight"))
  for fault in ({k: v for k, v in state.items() if k != key}, state | {"odd.weight": np.zeros(3, np.float32)}):
    with pytest.raises(CheckpointError, match=key if key not in fault else "odd.weight"):
      converters.from_torch(fault, model)
  last = key if name == "ssn_r50" else next(k for k in state if k.endswith("bias"))
  with pytest.raises(CheckpointError, match=last):
    converters.from_torch(state | {last: np.zeros((9, 9), np.float32)}, model)


def test_bmn_takes_its_samples_and_channels_from_the_weights_and_gives_its_table_back():
  made = create_model("bmn_400x100", **SMALL["bmn_400x100"])
  variables = initialize(made, *made.inputs())
  strict = converters.to_torch(variables, made, strict_keys=True)
  assert strict["sample_mask"].shape == (6, 4 * 36)
  other = create_model("bmn_400x100", **SMALL["bmn_400x100"] | {"num_samples": 32, "feat_dim": 400})
  got = other.apply(converters.from_torch(strict, other), jnp.ones((1, 6, 8)))
  want = made.apply(variables, jnp.ones((1, 6, 8)))
  jax.tree.map(np.testing.assert_array_equal, got, want)


def naive_mask(size, samples, bins, ratio):
  """One proposal, sample and point after another."""
  out = np.zeros((size, samples, size, size))
  for d in range(size):
    for s in range(size - d):
      low, high = s - (d + 1) * ratio, s + d + (d + 1) * ratio
      for i in range(samples * bins):
        x = low + (high - low) / (samples * bins - 1) * i
        down, up = int(x), int(np.ceil(x))
        part = x - down
        for place, weight in ((down, 1 - part), (up, part)):
          if 0 <= place < size:
            out[place, i // bins, d, s] += weight / bins
  return out.reshape(size, -1)


@pytest.mark.parametrize("size, samples, bins, ratio", [(1, 2, 3, 0.5), (5, 3, 3, 0.5), (8, 4, 2, 0.3), (9, 1, 4, 1.0)])
def test_the_table_is_that_of_one_point_after_another(size, samples, bins, ratio):
  np.testing.assert_allclose(sample_mask(size, samples, bins, ratio), naive_mask(size, samples, bins, ratio), atol=1e-6)
  assert len(matching(size, samples, bins, ratio).cell) == size * (size + 1) // 2


@pytest.mark.parametrize("size, samples, batch", [(7, 6, 2), (12, 5, 1), (3, 8, 3)])
def test_the_matching_layer_and_its_gradients_are_those_of_the_dense_form(size, samples, batch):
  rng = np.random.default_rng(size)
  x, kernel = rng.standard_normal((batch, size, 4)), rng.standard_normal((samples, 4, 5))
  bias, pull = rng.standard_normal(5), rng.standard_normal((batch, size, size, 5))
  given = [jnp.asarray(one, jnp.float32) for one in (kernel, bias, x)]
  net = BoundaryMatching(5, samples)

  def fast(kernel, bias, x):
    return (net.apply({"params": {"kernel": kernel, "bias": bias}}, x) * pull).sum()

  def slow(kernel, bias, x):
    return (dense(jnp.asarray(sample_mask(size, samples, 3, 0.5)), kernel, bias, x) * pull).sum()

  got, want = (jax.value_and_grad(each, argnums=(0, 1, 2))(*given) for each in (fast, slow))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), got, want)


def naive_pool(scores, ticks, scales, stages):
  out = np.zeros((len(ticks), scores.shape[-1]))
  for r, row in enumerate(ticks):
    part = 0
    for i, n in enumerate(stages):
      left, right = row[i], max(row[i] + 1, row[i + 1])
      for k in range(n):
        low, high = left + (right - left) * k // n, left + (right - left) * (k + 1) // n
        piece = scores[low:high, part]
        if right > 0 and left < len(scores) and len(piece):
          out[r] += piece.mean(0) * (1, scales[r, 0], scales[r, 1])[(i == 0) + 2 * (i == 2)]
        part += 1
  return out


def test_the_pyramid_of_the_test_is_that_of_one_part_after_another():
  rng = np.random.default_rng(0)
  ticks = np.sort(rng.integers(0, 14, (40, 4)), axis=1)
  scores, scales = rng.standard_normal((12, 6, 3)), rng.random((40, 2))
  got = pool_test(
    *(jnp.asarray(x, jnp.float32) for x in (scores,)), jnp.asarray(ticks), jnp.asarray(scales), stages=(2, 3, 1)
  )
  np.testing.assert_allclose(got, naive_pool(scores, ticks, scales, (2, 3, 1)), atol=1e-5)


def test_features_of_another_length_are_refused_with_what_was_wanted():
  model = create_model("bmn_400x100", **SMALL["bmn_400x100"])
  with pytest.raises(ValueError, match="temporal_dim"):
    model.init(jax.random.key(0), jnp.ones((1, 7, 8)))


def cases():
  path = SHARED / "parity" / "index.json"
  rows = json.loads(path.read_text()) if path.exists() else []
  return [row["name"] for row in rows if row["task"] == "localization" and row["name"].startswith("ssn")]


@pytest.mark.reference
@pytest.mark.parametrize("name", cases() or [pytest.param("", marks=pytest.mark.skip("no cases of SSN"))])
def test_the_reference_cases_of_ssn_are_met(name):
  sys.path.insert(0, str(SHARED / "parity"))
  import check
  import weights

  meta, arrays = check.load_case(SHARED / "parity" / f"{name}.npz")
  given, head = meta["input"], meta["model"]["cls_head"]
  model = create_model("ssn_r50", num_classes=head["num_classes"])
  state = check.state_dict_of(meta, arrays)
  variables = converters.from_torch(state, model)
  back = converters.to_torch(variables, model)
  assert all(np.array_equal(back[k], state[k]) for k in state if not k.endswith("num_batches_tracked"))
  if "imgs" in given:
    frames = weights.make_input(given["imgs"]["seed"], given["imgs"]["shape"])
    ticks, scales = np.array(given["proposal_tick_list"]), np.array(given["scale_factor_list"], np.float32)
    out = jax.jit(model.apply)(variables, frames.transpose(0, 1, 3, 4, 2)[None], ticks, scales)
    out["regression"] = denormalize(out["regression"], given["reg_norm_consts"][0])
  else:
    pooled = np.abs(weights.make_input(given["pooled_feature"]["seed"], given["pooled_feature"]["shape"]))
    scales = np.array(given["proposal_scale_factor"], np.float32).reshape(1, -1, 2)
    own = SSNHead(head["num_classes"], tuple(head["consensus"]["stpp_stage"]))
    params = {"params": variables["params"]["head"]}
    out = own.apply(params, jnp.asarray(pooled)[None], None, jnp.asarray(scales), train=True)
    _losses(check, given, arrays, meta, weights, out)
  for key, wanted in (
    ("activity", "activity_scores"),
    ("completeness", "completeness_scores"),
    ("regression", "bbox_preds"),
  ):
    assert check.rel(np.asarray(out[key])[0].reshape(arrays[wanted].shape), arrays[wanted]) < 1e-5


def _losses(check, given, arrays, meta, weights, out):
  from jaction.losses_localization import ssn

  settings = meta["train_cfg"]["ssn"]
  sampler, weight = settings["sampler"], settings["loss_weight"]
  names = ("positive_ratio", "incomplete_ratio", "background_ratio")
  whole = sum(sampler[one] for one in names)
  label = np.array(given["proposal_labels"]).reshape(1, -1)
  target = weights.make_input(given["reg_targets"]["seed"], given["reg_targets"]["shape"])
  found = ssn(
    out,
    {"label": label, "target": target.reshape(1, -1, 2)},
    per_video=tuple(int(sampler["num_per_video"] * sampler[one] / whole) for one in names),
    weights=(weight["comp_loss_weight"], weight["reg_loss_weight"]),
  )
  for key, wanted in {"activity": "activity", "completeness": "completeness", "regression": "reg"}.items():
    assert np.allclose(found[key].mean(), arrays[f"loss_{wanted}"], rtol=1e-5)
