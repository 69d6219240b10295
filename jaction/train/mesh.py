"""The mesh: all devices, along the axes "data" and "model"; batches split over both, large parameters over "model"."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaction.errors import InputError

SMALL = 2**12  # numbers: what is not larger is whole on every device, as the exchange would cost more than it saves


def make_mesh(devices: list[jax.Device] | None = None, *, model: int = 1) -> Mesh:
  """A mesh of the given devices (all there are by default): n / model along "data", `model` along "model".

  Each device computes rows of its own, whatever `model` is; parameters and what the optimizer keeps for them are split
  over `model` devices and put together where they are used (arXiv:2004.13336, arXiv:2304.11277).  Raises InputError
  where `model` does not divide the devices.
  """
  devices = jax.devices() if devices is None else devices
  if model < 1 or len(devices) % model:
    fits = [n for n in range(1, len(devices) + 1) if len(devices) % n == 0]
    raise InputError(f"mesh.model={model} does not divide {len(devices)} devices; wanted one of {fits}")
  # Auto: under explicit axes, make_mesh's default, linen's dropout raises.
  axes = (AxisType.Auto, AxisType.Auto)
  return jax.make_mesh((len(devices) // model, model), ("data", "model"), axis_types=axes, devices=devices)


def whole(mesh: Mesh) -> NamedSharding:
  """A copy on every device."""
  return NamedSharding(mesh, P())


def split(mesh: Mesh) -> NamedSharding:
  """The first axis split over all devices."""
  return NamedSharding(mesh, P(mesh.axis_names))


def shared_out(tree: Any, mesh: Mesh) -> Any:
  """A sharding for each leaf (array or shape) of a training state.

  A leaf of more than SMALL numbers is split over "model" along its largest axis that divides, of equal ones the last;
  others, and all where "model" is 1, are whole.  Statistics of norms are small, and so whole.
  """
  parts = mesh.shape["model"]

  def of(leaf):
    shape = np.shape(leaf)
    fits = [axis for axis in range(len(shape)) if shape[axis] % parts == 0]
    if parts == 1 or np.prod(shape, dtype=np.int64) <= SMALL or not fits:
      return whole(mesh)
    chosen = max(fits, key=lambda axis: (shape[axis], axis))
    return NamedSharding(mesh, P(*("model" if axis == chosen else None for axis in range(len(shape)))))

  return jax.tree.map(of, tree)


def bytes_per_device(tree: Any) -> int:
  """The most bytes that one device holds of a tree of arrays on devices."""
  held: dict[jax.Device, int] = {}
  for leaf in jax.tree.leaves(tree):
    for shard in leaf.addressable_shards:
      held[shard.device] = held.get(shard.device, 0) + shard.data.nbytes
  return max(held.values(), default=0)


def check_batch_size(name: str, size: int, mesh: Mesh) -> None:
  """Raises InputError where a batch of this size does not split evenly over the mesh."""
  devices = mesh.devices.size
  if size < 1:
    raise InputError(f"{name}={size}: wanted a whole number, 1 or more")
  if size % devices:
    below, above = size // devices * devices, (size // devices + 1) * devices
    near = f"{below} or {above}" if below > 0 else above
    raise InputError(
      f"{name}={size} does not split over {devices} devices: wanted a multiple of {devices}, such as {near}"
    )
