"""The mesh: every device along one axis, "data"; parameters whole on each, batches split."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaction.errors import InputError


def make_mesh(devices: list[jax.Device] | None = None) -> Mesh:
  """A mesh of the given devices (all there are by default) with the axis "data"."""
  devices = jax.devices() if devices is None else devices
  # Auto: under explicit axes, make_mesh's default, linen's dropout raises.
  return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def whole(mesh: Mesh) -> NamedSharding:
  """A copy on every device."""
  return NamedSharding(mesh, P())


def split(mesh: Mesh) -> NamedSharding:
  """The first axis split over the devices."""
  return NamedSharding(mesh, P("data"))


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
