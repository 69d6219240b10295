"""A network with an auxiliary head: what training makes of it, and that evaluation leaves it alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaction.batches import put
from jaction.clips.preprocessing import Preprocessing
from jaction.models.recognizer import Recognizer
from jaction.models.resnet import ResNet
from jaction.models.tpn import TPN, TPNHead
from jaction.predict.scoring import make_predict_step
from jaction.train.classification import classification, normalized_clips
from jaction.train.mesh import make_mesh, whole
from jaction.train.optim import make_optimizer
from jaction.train.state import new_state
from jaction.train.step import auxiliary_weight, make_train_step

PLAIN = {
  "name": "sgd", "momentum": 0.0, "nesterov": False, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.0,
  "clip_norm": 0.0, "groups": (), "no_decay": (),
}  # fmt: skip
MEAN = STD = (64.0,) * 3


def tiny(weight):
  """A TPN on a trunk of three stages, for clips of 2 frames of 32 x 32."""
  trunk = ResNet(8, width=8)
  head = TPNHead(3, dropout=0.0, aux_weight=weight)
  return Recognizer(TPN(trunk, rates=(2, 2), features=32, middle=32), head, clip=(2, 32, 32))


@pytest.fixture(scope="module")
def variables():
  return jax.jit(tiny(0.5).init)(jax.random.key(0), jnp.zeros((1, 1, 2, 32, 32, 3)))


@pytest.fixture(scope="module")
def batch():
  rng = np.random.default_rng(0)
  return {
    "clips": rng.integers(0, 256, (8, 1, 2, 32, 32, 3), np.uint8),
    "label": rng.integers(0, 3, 8).astype(np.int32),
    "mask": np.arange(8) < 6,
  }


def stepped(weight, variables, batch):
  """The state before and after one step of learning rate 1, as numpy, and the step's sums."""
  mesh, optimizer = make_mesh(jax.devices()[:1]), make_optimizer(PLAIN)
  step = make_train_step(
    tiny(weight), classification("cross_entropy"), optimizer, mesh, seed=0, inputs=normalized_clips(MEAN, STD)
  )
  state = jax.device_put(new_state(jax.tree.map(np.array, variables), optimizer), whole(mesh))
  after, sums = step(state, put(batch, mesh), np.float32(1))
  return jax.device_get(after), jax.device_get(sums)


def moved(before, after):
  return max(float(np.abs(a - b).max()) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True))


def test_the_auxiliary_head_learns_and_its_loss_joins_the_loss_under_its_own_name(variables, batch):
  after, sums = stepped(0.5, variables, batch)
  assert auxiliary_weight(tiny(0.5)) == 0.5
  assert moved(variables["params"]["head"]["aux"], after.params["head"]["aux"]) > 1e-4
  assert moved(variables["batch_stats"]["head"]["aux"], after.batch_stats["head"]["aux"]) > 1e-4
  clips = (batch["clips"].astype(np.float32) - 64) / 64
  (logits, side), _ = tiny(0.5).apply(variables, clips, train=True, aux=True, mutable=["batch_stats"])
  own, other = (
    optax.softmax_cross_entropy_with_integer_labels(x[:, 0], jnp.asarray(batch["label"]))[:6].sum()
    for x in (logits, side["aux"])
  )
  np.testing.assert_allclose(sums["loss_aux"], (0.5 * other, 6), rtol=1e-4)
  np.testing.assert_allclose(sums["loss"], (own + 0.5 * other, 6), rtol=1e-4)


def test_a_head_that_weighs_nothing_stays_as_it_is(variables, batch):
  after, sums = stepped(0.0, variables, batch)
  assert "loss_aux" not in sums
  assert moved(variables["params"]["head"]["aux"], after.params["head"]["aux"]) == 0
  assert moved(variables["batch_stats"]["head"]["aux"], after.batch_stats["head"]["aux"]) == 0
  assert moved(variables["params"]["head"]["fc"], after.params["head"]["fc"]) > 1e-4
  with_head, _ = stepped(0.5, variables, batch)
  low = lambda state: state.params["backbone"]["trunk"]["res3"]  # noqa: E731  (the auxiliary head sees this)
  assert moved(low(with_head), low(after)) > 1e-5


def test_evaluation_does_not_compute_it(variables, batch):
  fields = {"clip_len": 1, "num_clips": 2, "frames_per_view": 2, "frame_interval": 1, "mean": MEAN, "std": STD}
  preprocessing = Preprocessing("uniform", steps=(), settings={}, average="score", **fields)
  step = make_predict_step(tiny(0.5), preprocessing)
  broken = jax.tree.map(lambda x: x, variables)
  broken["params"]["head"] = broken["params"]["head"] | {
    "aux": jax.tree.map(lambda x: x * np.nan, variables["params"]["head"]["aux"])
  }
  scores = step(broken, batch["clips"])
  assert np.isfinite(scores).all()
  np.testing.assert_array_equal(scores, step(variables, batch["clips"]))
  _, side = tiny(0.5).apply(broken, jnp.zeros((1, 1, 2, 32, 32, 3)), aux=True)
  assert np.isnan(side["aux"]).all()  # the control: whoever computes it sees it
