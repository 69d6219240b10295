"""Several processes of one run, on one host or many: how they find each other, and who writes.

Every process runs the same program over one mesh of all devices, loads its own rows of each batch, and computes its
part of each step; the first alone writes logs, configs and models, and all of them their parts of a checkpoint.
"""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaction.errors import InputError

HEARTBEAT = (
  20  # seconds without a sign of a process, after which the others end too; the last checkpoint is what counts
)


def start(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
  """Joins the processes of a run; before anything is computed.

  coordinator: host:port of the first process; processes: of the run; process: number of this one, from 0.  What is None
  is taken from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID, or asked of the cluster: JAX knows Slurm,
  Open MPI, Kubernetes and TPU pods.  Raises InputError where the three do not fit or the others are not met.
  """
  coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
  if processes is None and (given := os.environ.get("JAX_NUM_PROCESSES")):
    processes = int(given)
  if process is None and (given := os.environ.get("JAX_PROCESS_ID")):
    process = int(given)
  if processes is not None and process is not None and not 0 <= process < processes:
    raise InputError(f"--process_id={process} of --processes={processes}: wanted 0 to {processes - 1}")
  try:
    jax.distributed.initialize(coordinator, processes, process, heartbeat_timeout_seconds=HEARTBEAT)
  except (ValueError, RuntimeError) as error:
    raise InputError(
      f"the processes of the run do not find each other ({str(error).splitlines()[0]}): wanted --coordinator=HOST:PORT "
      "of the first, --processes=N and --process_id=0 ... N-1, or a cluster that JAX knows (Slurm, Open MPI, "
      "Kubernetes, TPU)"
    ) from error


def is_first() -> bool:
  """Whether this process is the one that writes."""
  return jax.process_index() == 0


def meet(name: str) -> None:
  """Waits for the other processes; `name` says where, in the error of one that waits in vain."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def gathered(rows: Sequence[Any]) -> list[Any]:
  """The rows of all processes, those of the first in front; what JSON can hold.  All processes have to call it."""
  if jax.process_count() == 1:
    return list(rows)
  own = np.frombuffer(json.dumps(list(rows)).encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.array([own.size], np.int32)).ravel()
  parts = multihost_utils.process_allgather(np.pad(own, (0, int(sizes.max()) - own.size)))
  return [row for part, size in zip(parts, sizes, strict=True) for row in json.loads(bytes(part[:size]))]


@contextlib.contextmanager
def alone() -> Iterator[None]:
  """Of several processes one that fails ends at once: JAX would have it wait for the others, who wait for it, for
  minutes.  They end as they miss it."""
  try:
    yield
  except Exception as error:
    if jax.process_count() == 1:
      raise
    if isinstance(error, InputError):
      print(f"error: {error}", file=sys.stderr)
    else:
      traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2 if isinstance(error, InputError) else 1)


@contextlib.contextmanager
def stop_asked(own: Callable[[], contextlib.AbstractContextManager[list[int]]]) -> Iterator[Callable[[int], bool]]:
  """A function (finished steps) -> whether SIGTERM has come; with several processes all say so after the same step.

  own: the context that notes the signal in a single process.  With several, JAX's own notifier takes the signal.
  """
  if jax.process_count() > 1:
    yield multihost_utils.reached_preemption_sync_point
    return
  with own() as came:
    yield lambda _: bool(came)
