"""What training carries from step to step, and what a checkpoint holds."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct


@struct.dataclass
class TrainState:
  """`step` counts finished steps; the schedule, the dropout keys and the position in the data all follow from it."""

  step: jax.Array  # int32 scalar
  params: Any
  batch_stats: Any
  opt_state: Any
  ema: Any = struct.field(default_factory=dict)  # moving averages of params and batch_stats, by these names; or empty

  @property
  def variables(self) -> dict[str, Any]:
    """What `model.apply` takes."""
    return {"params": self.params, "batch_stats": self.batch_stats}

  def tree(self) -> dict[str, Any]:
    """The plain dict that goes into a checkpoint."""
    tree = {"step": self.step, "params": self.params, "batch_stats": self.batch_stats, "opt_state": self.opt_state}
    return tree | ({"ema": self.ema} if self.ema else {})


def new_state(
  variables: Mapping[str, Any], optimizer: optax.GradientTransformation, *, ema: bool = False
) -> TrainState:
  """The state before the first step; with `ema` it carries moving averages of the variables too."""
  params, batch_stats = variables["params"], variables.get("batch_stats", {})
  # Copies: the step is given both, and no two buffers of what it is given may be one.
  average = jax.tree.map(jnp.array, {"params": params, "batch_stats": batch_stats}) if ema else {}
  return TrainState(np.zeros((), np.int32), params, batch_stats, optimizer.init(params), average)


def averaged(ema: Any, now: Any, step: jax.Array, decay: float) -> Any:
  """The moving averages after step number `step` (from 0), which left `now`.

  The decay of the first steps is (1 + step) / (10 + step), until that reaches `decay`: what the net was drawn with
  weighs little soon.  The running statistics of batch norms are averaged as parameters are, as they belong to them.
  """
  share = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
  # As a step towards the new value, which leaves what does not change as it is, to the bit.
  return jax.tree.map(lambda old, new: old + share.astype(old.dtype) * (new - old), ema, now)
