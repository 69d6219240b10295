"""What training carries from step to step, and what a checkpoint holds."""

from collections.abc import Mapping
from typing import Any

import jax
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

  @property
  def variables(self) -> dict[str, Any]:
    """What `model.apply` takes."""
    return {"params": self.params, "batch_stats": self.batch_stats}

  def tree(self) -> dict[str, Any]:
    """The plain dict that goes into a checkpoint."""
    return {"step": self.step, "params": self.params, "batch_stats": self.batch_stats, "opt_state": self.opt_state}


def new_state(variables: Mapping[str, Any], optimizer: optax.GradientTransformation) -> TrainState:
  """The state before the first step."""
  params = variables["params"]
  return TrainState(np.zeros((), np.int32), params, variables.get("batch_stats", {}), optimizer.init(params))
