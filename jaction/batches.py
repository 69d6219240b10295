"""Batches of clips: order, threads, padding with a mask, and onto the mesh.

The whole position of a training run is its step number: which record stands at which place follows from the seed and
the place alone, and so do the random draws made for it, whatever the number of threads and wherever a run starts.
Threads, not processes: decoding and resizing release the GIL.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grain
import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaction.errors import InputError
from jaction.order import Order, shuffled

Batch = dict[str, np.ndarray]
Preprocess = Callable[
  ..., Mapping[str, Any]
]  # (record, rng, cache) -> {"clips": uint8 [V,T,H,W,C], "label": int or [K]}


class Batches(Iterator[Batch]):
  """An iterator of batches that stops its threads when it is closed; use it as a context manager."""

  def __init__(self, dataset: grain.MapDataset, threads: int, prefetch: int):
    if not flags.FLAGS.is_parsed():  # grain reads absl's flags, which a library user never parsed
      flags.FLAGS.mark_as_parsed()
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch if threads else 0)
    self._iterator = iter(dataset.to_iter_dataset(options))
    self._size = len(dataset)

  def __len__(self) -> int:
    """How many batches it gives from its start to its end."""
    return self._size

  def __next__(self) -> Batch:
    return next(self._iterator)

  def __enter__(self) -> "Batches":
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def close(self) -> None:
    self._iterator.close()


def training_batches(
  records: Sequence[Any],
  preprocess: Preprocess,
  *,
  batch_size: int,
  seed: int,
  start_step: int = 0,
  stop_step: int | None = None,
  threads: int = 2,
  prefetch: int = 4,
  shard: tuple[int, int] = (0, 1),
  cache: Any = None,
  order: Order | None = None,
) -> Batches:
  """Batches from step `start_step` on, shuffled anew each epoch; a batch may reach over the end of an epoch.

  `order` says which record stands at place B * step + row of the stream (see jaction.order); None: shuffled.

  `batch_size` is the global one; `shard` = (i, n) gives rows i*B/n ... (i+1)*B/n of each batch.  `prefetch` counts
  batches.  Each batch is {"clips": uint8 [B,V,T,H,W,C], "label": int32 [B], "mask": bool [B] (all True), "index":
  int64 [B], the record's number}; with `clips.multihot.MultiHot` "label" is float32 [B,K], and "known" bool [B,K] is
  there too.  Raises InputError for no records or a batch that the shards do not divide.
  """
  index, shards = shard
  if not records:
    raise InputError("there are no records to train on: the list is empty")
  if batch_size < 1 or batch_size % shards or not 0 <= index < shards:
    raise InputError(f"batch_size={batch_size} does not fit shard {index} of {shards}: wanted a multiple of {shards}")
  if start_step < 0:
    raise InputError(f"start_step={start_step}: wanted 0 or more")
  local = batch_size // shards
  order = shuffled(len(records), seed) if order is None else order

  def batch(step: int) -> Batch:
    places = range(step * batch_size + index * local, step * batch_size + (index + 1) * local)
    numbers = [order(place) for place in places]
    draws = (np.random.default_rng([seed, 1, place]) for place in places)
    samples = [_sample(records[n], preprocess, rng, cache) for n, rng in zip(numbers, draws, strict=True)]
    return _stack(samples, numbers, local)

  stop_step = 2**40 if stop_step is None else max(stop_step, start_step)  # about for ever
  return Batches(grain.MapDataset.range(start_step, stop_step).map(batch), threads, prefetch)


def evaluation_batches(
  records: Sequence[Any],
  preprocess: Preprocess,
  *,
  batch_size: int,
  threads: int = 2,
  prefetch: int = 4,
  shard: tuple[int, int] = (0, 1),
  cache: Any = None,
) -> Batches:
  """Every record once, in order, in the test form; the last batch is filled up with rows whose mask is False.

  As `training_batches` otherwise.  Rows of padding repeat the batch's first clips; their index is -1.
  """
  index, shards = shard
  if not records:
    raise InputError("there are no records to evaluate: the list is empty")
  if batch_size < 1 or batch_size % shards or not 0 <= index < shards:
    raise InputError(f"batch_size={batch_size} does not fit shard {index} of {shards}: wanted a multiple of {shards}")
  local = batch_size // shards

  def batch(step: int) -> Batch:
    first = step * batch_size + index * local
    numbers = list(range(first, min(first + local, len(records))))
    # A shard whose rows are all padding still needs clips of the right shape: it takes the last record's.
    samples = [_sample(records[n], preprocess, None, cache) for n in numbers or [len(records) - 1]]
    return _stack(samples, numbers, local)

  return Batches(grain.MapDataset.range(-(-len(records) // batch_size)).map(batch), threads, prefetch)


def put(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
  """The batch on the devices of the mesh, its rows split over the axis "data".

  Raises InputError where the rows cannot be split evenly.  The copy runs in the background.
  """
  local = mesh.local_mesh.devices.size
  rows = next(iter(batch.values())).shape[0]
  if rows % local:
    raise InputError(f"a batch of {rows} does not split over {local} devices: wanted a multiple of {local}")
  split = NamedSharding(mesh, P("data"))
  return {k: jax.make_array_from_process_local_data(split, _on_device_type(v)) for k, v in batch.items()}


def _on_device_type(array: np.ndarray) -> np.ndarray:
  return array.astype(np.int32) if array.dtype == np.int64 else array  # without x64, JAX would narrow it with a warning


def _sample(record: Any, preprocess: Preprocess, rng: np.random.Generator | None, cache: Any) -> Mapping[str, Any]:
  try:
    return preprocess(record, rng, cache)
  except Exception as error:
    error.add_note(f"while preparing record {getattr(record, 'id', record)!r}")
    raise


def _stack(samples: Sequence[Mapping[str, Any]], numbers: Sequence[int], size: int) -> Batch:
  shapes = {np.shape(s["clips"]) for s in samples}
  if len(shapes) > 1:
    raise InputError(
      f"clips of one batch differ in shape: {sorted(shapes)} [V,T,H,W,C]; end the steps with a crop or a resize to a "
      "fixed (width, height)"
    )
  rows = [samples[i] if i < len(numbers) else samples[i % len(samples)] for i in range(size)]
  labels = [-1 if s["label"] is None else s["label"] for s in rows]
  return {
    "clips": np.stack([s["clips"] for s in rows]),
    "label": np.array(labels, np.float32 if np.ndim(labels[0]) else np.int32),  # [B], of several classes [B,K]
    "mask": np.arange(size) < len(numbers),
    "index": np.array([*numbers, *[-1] * (size - len(numbers))], np.int64),
  } | ({"known": np.stack([s["known"] for s in rows])} if "known" in rows[0] else {})
