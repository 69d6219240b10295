"""Mixup and cutmix against golden/blending, a loop over pixels, and by what labels must sum to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaction.clips.blending import BLENDINGS, cutmix, mixup
from jaction.errors import InputError


@pytest.mark.reference
def test_blended_batches_are_those_of_the_reference(golden):
  cases = golden("blending/blending")
  assert cases
  for name, (params, given, wanted) in cases.items():
    labels = np.eye(params["num_classes"], dtype=np.float32)[given["label"][:, 0]]
    own = {"lam": params["lam"], "permutation": given["perm"]}
    if params["center_xy"] is not None:
      own["centre"] = tuple(params["center_xy"])
    step = {"MixupBlending": mixup, "CutmixBlending": cutmix}[params["fn"]]
    channel = 2 if given["imgs"].ndim == 6 else given["imgs"].ndim - 3  # [B,V,C,T,H,W] or [B,V,C,H,W]
    clips, soft = step(jnp.asarray(np.moveaxis(given["imgs"], channel, -1)), jnp.asarray(labels), **own)
    np.testing.assert_allclose(
      np.moveaxis(np.asarray(clips), -1, channel), wanted["imgs"], rtol=1e-5, atol=1e-6, err_msg=name
    )
    np.testing.assert_allclose(soft, wanted["label"][:, 0], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.fixture
def batch(pictures):
  return jnp.asarray(pictures(4, 2, 3, 10, 14, 3)), jax.nn.one_hot(jnp.array([0, 1, 2, 1]), 5)


def test_cutmix_is_the_loop_over_pixels(batch):
  clips, labels = batch
  images, order = np.asarray(clips), np.array([2, 3, 0, 1])
  for lam, (x, y) in ((0.3, (4, 5)), (0.75, (0, 9)), (0.36, (13, 0)), (1.0, (5, 5)), (0.0, (7, 5))):
    width, height = int(14 * np.sqrt(1 - lam)), int(10 * np.sqrt(1 - lam))
    wanted, area = images.copy(), 0
    for row in range(max(y - height // 2, 0), min(y + height // 2, 10)):
      for column in range(max(x - width // 2, 0), min(x + width // 2, 14)):
        wanted[..., row, column, :] = images[order][..., row, column, :]
        area += 1
    got, soft = cutmix(clips, labels, lam=lam, permutation=order, centre=(x, y))
    assert got.dtype == np.uint8 and np.array_equal(got, wanted)
    share = 1 - area / 140
    np.testing.assert_allclose(soft, share * labels + (1 - share) * labels[order], atol=1e-6)


@pytest.mark.parametrize("name", sorted(BLENDINGS))
def test_drawn_blends_run_in_a_jitted_step_and_labels_still_sum_to_one(batch, name):
  clips, labels = batch
  step = jax.jit(lambda key: BLENDINGS[name](clips, labels, key, alpha=1.0))
  outs = [step(jax.random.key(seed)) for seed in range(20)]
  for mixed, soft in outs:
    assert mixed.shape == clips.shape and soft.dtype == jnp.float32
    np.testing.assert_allclose(soft.sum(axis=-1), 1, atol=1e-6)
  assert mixed.dtype == {"mixup": jnp.float32, "cutmix": jnp.uint8}[name]
  again = step(jax.random.key(3))
  assert all(np.array_equal(a, b) for a, b in zip(again, outs[3], strict=True))
  assert len({np.asarray(soft).tobytes() for _, soft in outs}) > 15


@pytest.mark.parametrize("name", sorted(BLENDINGS))
def test_the_share_of_the_label_is_the_share_of_the_pixels(name):
  """Rows of one value each: the mean of a mixed row says how much of either it holds."""
  clips = jnp.broadcast_to(jnp.array([0.0, 1.0])[:, None, None, None, None], (2, 2, 20, 30, 1))
  step = jax.jit(lambda key: BLENDINGS[name](clips, jnp.eye(2), key, alpha=1.0, permutation=jnp.array([1, 0])))
  for seed in range(10):
    mixed, soft = step(jax.random.key(seed))
    mean = np.asarray(mixed, np.float64).mean(axis=(1, 2, 3, 4))  # 1200 equal numbers: float32 sums of them drift
    np.testing.assert_allclose(mean, soft[:, 1], atol=1e-6)


def test_mixup_before_and_after_normalisation_is_the_same(batch):
  clips, labels = batch
  own = {"lam": 0.3, "permutation": np.array([1, 0, 3, 2])}
  before, _ = mixup(clips, labels, **own)
  after, _ = mixup((clips.astype(jnp.float32) - 120) / 60, labels, **own)
  np.testing.assert_allclose((before - 120) / 60, after, atol=1e-5)
  assert mixup(clips.astype(jnp.bfloat16), labels, **own)[0].dtype == jnp.bfloat16


def test_the_shares_follow_beta(batch):
  clips, labels = batch[0][:2, :, :, :2, :2], jnp.eye(2)
  step = jax.jit(jax.vmap(lambda key: mixup(clips, labels, key, alpha=0.2, permutation=jnp.array([1, 0]))[1][0, 0]))
  lam = np.asarray(step(jax.random.split(jax.random.key(0), 2000)))
  assert abs(lam.mean() - 0.5) < 0.04 and abs(lam.var() - 0.25 / 1.4) < 0.015  # a * b / ((a + b)^2 (a + b + 1))


def test_missing_draws_and_wrong_labels_are_named(batch):
  clips, labels = batch
  with pytest.raises(InputError, match="labels \\[4\\]; wanted one-hot"):
    mixup(clips, jnp.arange(4), jax.random.key(0))
  with pytest.raises(InputError, match="neither a key nor both"):
    cutmix(clips, labels, lam=0.5)
  with pytest.raises(InputError, match="neither a key nor a centre"):
    cutmix(clips, labels, lam=0.5, permutation=np.arange(4))
  with pytest.raises(InputError, match="alpha is 0"):
    mixup(clips, labels, jax.random.key(0), alpha=0)
  with pytest.raises(InputError, match="wanted \\[B,...,H,W,C\\]"):
    cutmix(clips[:, 0, 0, 0], labels, jax.random.key(0))


@pytest.mark.parametrize("name", sorted(BLENDINGS))
def test_a_batch_split_over_devices_is_blended_as_a_whole_one(batch, name):
  clips, labels = batch
  mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
  rows = NamedSharding(mesh, PartitionSpec("data"))
  step = jax.jit(lambda clips, labels, key: BLENDINGS[name](clips, labels, key, alpha=1.0), out_shardings=rows)
  split = step(*jax.device_put((clips, labels), rows), jax.random.key(2))
  whole = BLENDINGS[name](clips, labels, jax.random.key(2), alpha=1.0)
  for a, b in zip(split, whole, strict=True):
    assert a.sharding == rows
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-4)
