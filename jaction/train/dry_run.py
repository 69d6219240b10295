"""A config tried from end to end, with nothing written: some batches, the program, some steps, an estimate."""

import math
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaction.batches import put
from jaction.errors import InputError
from jaction.train.experiment import Experiment
from jaction.train.mesh import bytes_per_device

BATCHES = 3  # that are loaded, and steps that are timed


def dry_run(config: Mapping[str, Any]) -> dict[str, str]:
  """What a run of `config` would be: {what: said}.  Reads all lists, loads a few batches, compiles and times a step.

  The times are those of this machine as busy as it is; of the first batches, which may be read more slowly than later
  ones.  Raises InputError for whatever in the config does not fit, a loss that is not finite in these steps included.
  """
  config = config.to_dict() if hasattr(config, "to_dict") else dict(config)
  run = Experiment(config)
  state = run.first_state()
  held = bytes_per_device(state)
  said = {
    "model": f"{config['model']['name']}, {sum(x.size for x in jax.tree.leaves(state.params)) / 1e6:.2f} M parameters",
    "records": f"{len(run.task.records)} to train on, {len(run.task.val_records)} to evaluate",
    "devices": f"{run.mesh.devices.size} {jax.devices()[0].device_kind}, mesh {dict(run.mesh.shape)}",
  }
  began = time.perf_counter()
  with run.training_batches(0, BATCHES, whole=True) as batches:  # of multigrid's shapes the full one wants most memory
    loaded = list(batches)
  loading = (time.perf_counter() - began) / len(loaded)
  said |= {f"batch, {name}": f"{array.dtype} {list(array.shape)}" for name, array in loaded[0].items()}
  if run.task.val_records:
    row = run.task.prepare["test"](run.task.val_records[0])
    said |= {f"evaluated, {name}": f"{np.asarray(x).dtype} {list(np.shape(x))}" for name, x in row.items()}

  began, lr = time.perf_counter(), np.float32(run.schedule(0))
  first = put(loaded[0], run.mesh)
  compiled = run.step_of(first).lower(state, first, lr).compile()
  said["compiling"] = f"{time.perf_counter() - began:.1f} s"
  memory = compiled.memory_analysis()
  temporary = getattr(memory, "temp_size_in_bytes", None)  # not every backend tells
  said["memory of a device"] = f"{held / 2**20:.1f} MiB of state" + (
    "" if temporary is None else f", {temporary / 2**20:.1f} MiB while computing"
  )
  times = []
  for batch in loaded:
    began = time.perf_counter()
    state, sums = compiled(state, put(batch, run.mesh), lr)
    loss = float(sums["loss"][0] / sums["loss"][1])
    times.append(time.perf_counter() - began)
    if not math.isfinite(loss):
      raise InputError(f"the loss is {loss} in step {len(times)}, at a learning rate of {lr:.3g}: lower schedule.lr")
  step = min(times)
  said["loss"] = f"{loss:.4f} after {len(loaded)} steps"
  slower = "the step" if step >= loading else "loading"
  said["a step"] = f"{step:.3f} s to compute, {loading:.3f} s to load its batch: {slower} decides"
  said["in all"] = f"{run.total} steps, about {_hours(run.total * max(step, loading))} without evaluations"
  return said | {f"note {number}": line for number, line in enumerate(run.describe(), 1)}


def _hours(seconds: float) -> str:
  if seconds < 120:
    return f"{seconds:.0f} s"
  return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
