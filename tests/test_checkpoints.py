"""What is saved comes back bit for bit, the right steps stay, and errors leave the earlier ones whole."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from orbax.checkpoint import checkpoint_manager

from jaction.checkpoints import Checkpoints
from jaction.errors import CheckpointError


def state(value=1.0):
  params = {"head": {"kernel": jnp.full((2, 3), value), "bias": jnp.arange(3.0)}}
  optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.trace(0.9), optax.scale_by_adam())
  return {"step": jnp.int32(3), "params": params, "batch_stats": {}, "opt_state": optimizer.init(params)}


def test_a_state_comes_back_bit_for_bit(tmp_path):
  saved = state(np.pi)
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(3, saved)
  with Checkpoints(tmp_path) as checkpoints:
    restored = checkpoints.restore(jax.eval_shape(lambda: state()))
  assert jax.tree.structure(restored) == jax.tree.structure(saved)
  for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(saved), strict=True):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a, np.asarray(b))


def test_the_latest_and_the_best_are_kept(tmp_path):
  with Checkpoints(tmp_path, keep=2, metric="top1") as checkpoints:
    for step, top1 in enumerate([0.1, 0.5, 0.3, 0.5, None, 0.2, 0.1]):
      checkpoints.save(step, state(), None if top1 is None else {"top1": top1})
    assert (checkpoints.steps(), checkpoints.best(), checkpoints.latest()) == ([3, 5, 6], 3, 6)
  with Checkpoints(tmp_path, keep=2, metric="top1") as again:
    assert again.best() == 3
    assert again.metrics(3) == {"top1": 0.5}


def test_the_best_may_be_the_least(tmp_path):
  with Checkpoints(tmp_path, keep=1, metric="loss", mode="min") as checkpoints:
    for step, loss in enumerate([2.0, 1.0, 3.0]):
      checkpoints.save(step, state(), {"loss": loss})
    assert (checkpoints.steps(), checkpoints.best()) == ([1, 2], 1)


def test_parameters_alone_can_be_restored(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, state(2.0))
    restored = checkpoints.restore({"params": state()["params"]})
  assert restored.keys() == {"params"}
  assert restored["params"]["head"]["kernel"][0, 0] == 2


def test_every_difference_is_listed(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, state())
    head = {"kernel": jnp.zeros((2, 4)), "bias": jnp.zeros(3, jnp.bfloat16), "scale": jnp.zeros(3)}
    with pytest.raises(CheckpointError) as error:
      checkpoints.restore({"params": {"head": head}})
  for part in (
    "kernel: float32[2, 3]",
    "float32[2, 4] wanted",
    "bias: float32[3]",
    "bfloat16[3] wanted",
    "scale: not in",
  ):
    assert part in str(error.value)


def test_a_step_that_is_not_there_is_an_error(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    with pytest.raises(CheckpointError, match="holds none"):
      checkpoints.restore(state())
    checkpoints.save(1, state())
    with pytest.raises(CheckpointError, match=r"step 2; it holds \[1\]"):
      checkpoints.restore(state(), 2)


def test_a_damaged_checkpoint_is_a_clear_error(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, state())
  for file in (tmp_path / "1").rglob("*"):
    if file.is_file():
      file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
  with Checkpoints(tmp_path) as checkpoints, pytest.raises(CheckpointError, match="cannot be read"):
    checkpoints.restore(state())


def test_a_full_disk_leaves_the_earlier_checkpoint_whole(tmp_path, monkeypatch):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, state(1.5))

    def full(*_, **__):
      raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_manager.CheckpointManager, "save", full)
    with pytest.raises(CheckpointError, match="No space left on device.*free there.*stay: \\[1\\]"):
      checkpoints.save(2, state())
  monkeypatch.undo()
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.latest() == 1
    assert checkpoints.restore(state())["params"]["head"]["kernel"][0, 0] == 1.5


def test_what_a_killed_save_leaves_behind_is_not_a_checkpoint(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, state())
  (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
  with Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.steps() == [1]
    checkpoints.save(2, state())
    assert checkpoints.steps() == [1, 2]


def test_impossible_settings_are_refused(tmp_path):
  with pytest.raises(CheckpointError, match="keep=0"):
    Checkpoints(tmp_path, keep=0)
  with pytest.raises(CheckpointError, match="'mxa'"):
    Checkpoints(tmp_path, mode="mxa")


def test_a_save_that_need_not_be_waited_for_is_whole_when_the_next_call_returns(tmp_path):
  state = {"w": np.arange(200_000, dtype=np.float32)}
  with Checkpoints(tmp_path, keep=9) as checkpoints:
    for step in range(1, 4):
      checkpoints.save(step, state, wait=False)
      state["w"] = state["w"] + 1
      state["w"][0] = -step  # what is written over afterwards was copied
    assert checkpoints.latest() == 3
    for step in range(1, 4):
      np.testing.assert_array_equal(checkpoints.restore(state, step)["w"][1:], np.arange(1, 200_000) + step - 1)


def test_a_save_that_fails_behind_the_training_is_an_error_of_the_next_call_and_never_lost(tmp_path, monkeypatch):
  state = {"w": np.zeros(3)}
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, state)
  wait = checkpoints._manager.wait_until_finished

  def fails():
    monkeypatch.setattr(checkpoints._manager, "wait_until_finished", wait)
    raise ValueError("No space left on device")

  for following in (lambda: checkpoints.save(3, state), checkpoints.latest, checkpoints.settle):
    monkeypatch.setattr(checkpoints._manager, "wait_until_finished", wait)
    checkpoints.save(2, state, wait=False)
    monkeypatch.setattr(checkpoints._manager, "wait_until_finished", fails)
    with pytest.raises(CheckpointError, match="step 2 could not be saved"):
      following()
  checkpoints.close()
