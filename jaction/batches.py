"""Batches of clips: order, threads, padding with a mask, and onto the mesh.

The whole position of a training run is its step number: which record stands at which place follows from the seed and
the place alone, and so do the random draws made for it, whatever the number of threads and wherever a run starts.
Threads by default: decoding and resizing release the GIL.  Processes (jaction.workers) where that does not suffice, or
where a file that crashes the decoder must not take the run with it.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
from absl import flags
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaction.errors import InputError, MediaError
from jaction.faults import ATTEMPTS, Fault, check_on_error
from jaction.hands import Hands
from jaction.order import Order, shuffled
from jaction.records.frames import FrameCache
from jaction.workers import Workers

Batch = dict[str, np.ndarray]
Preprocess = Callable[
  ..., Mapping[str, Any]
]  # (record, rng, cache) -> {"clips": uint8 [V,T,H,W,C], "label": int or [K]}


class Processes(NamedTuple):
  """How records are prepared in processes instead of in the threads, which then only wait for them."""

  count: int = 0  # 0: none
  recycle: int = 0  # records after which a process makes place for a new one; 0: never
  timeout: float = 0.0  # seconds for a record, in a thread too, after which it counts as unreadable; 0: any


class Batches(Iterator[Batch]):
  """An iterator of batches that stops its threads and processes when it is closed; use it as a context manager.

  Attributes:
    workers: the processes, or None.
    hands: the threads that are left standing where they do not come back in time, or None.
    on_next: called with each batch that is given.
  """

  def __init__(
    self,
    dataset: grain.MapDataset,
    threads: int,
    prefetch: int,
    workers: Workers | None = None,
    hands: Hands | None = None,
  ):
    if not flags.FLAGS.is_parsed():  # grain reads absl's flags, which a library user never parsed
      flags.FLAGS.mark_as_parsed()
    if workers is not None:  # a thread more than processes, so that none waits while a batch is put together
      threads = workers.count + 1
      prefetch = max(prefetch, threads)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch if threads else 0)
    self.workers, self.hands = workers, hands
    self._faults: list[Fault] = []
    self.on_next: Callable[[], None] = lambda: None
    self._iterator = iter(dataset.to_iter_dataset(options))
    self._size = len(dataset)

  def __len__(self) -> int:
    """How many batches it gives from its start to its end."""
    return self._size

  def __next__(self) -> Batch:
    batch, faults = next(self._iterator)
    self._faults += faults
    self.on_next()
    return batch

  def take_faults(self) -> list[Fault]:
    """What could not be read for the batches given since this was last asked; in the order of the stream."""
    faults, self._faults = self._faults, []
    return faults

  def __enter__(self) -> "Batches":
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def close(self) -> None:
    if self.workers is not None:  # first: threads wait for them
      self.workers.close()
    if self.hands is not None:
      self.hands.close()
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
  processes: Processes = Processes(),  # noqa: B008, a tuple
  prefetch: int = 4,
  shard: tuple[int, int] = (0, 1),
  cache: FrameCache | None = None,
  order: Order | None = None,
  on_error: str = "raise",
  skip: Sequence[int] = (),
  plan: Callable[[int], tuple[int, int, Callable[[Any], Any]]] | None = None,
) -> Batches:
  """Batches from step `start_step` on, shuffled anew each epoch; a batch may reach over the end of an epoch.

  `order` says which record stands at place B * step + row of the stream (see jaction.order); None: shuffled.

  `batch_size` is the global one; `shard` = (i, n) gives rows i*B/n ... (i+1)*B/n of each batch.  `prefetch` counts
  batches.  Each batch is {"clips": uint8 [B,V,T,H,W,C], "label": int32 [B], "mask": bool [B] (all True), "index":
  int64 [B], the record's number}; with `clips.multihot.MultiHot` "label" is float32 [B,K], and "known" bool [B,K] is
  there too.  Raises InputError for no records or a batch that the shards do not divide.

  `plan` is for batches of several shapes: the batch's number in the stream -> (its first place, its rows over all
  shards, record -> what `preprocess` takes for this shape).

  `skip` holds batches of the stream (0, 1, ...) that are left out: those behind them move up.

  `on_error` says what becomes of a record that cannot be read (MediaError): "raise"; "substitute" takes the first
  that can be read from a place of the same epoch on, which is drawn from the seed and the place; "skip" from the next
  place on.  Where records are of several sets (`set`), it is one of the same.  Which one depends on the place alone,
  and it is put through the draws of the place.  `Batches.take_faults` tells of them.
  """
  index, _ = _local(batch_size, shard, records, "train on")
  if start_step < 0:
    raise InputError(f"start_step={start_step}: wanted 0 or more")
  check_on_error(on_error)
  order = shuffled(len(records), seed) if order is None else order
  prepare, workers, hands = _preparer(preprocess, processes, cache)

  def set_of(number: int) -> Any:  # of several that are mixed
    return getattr(records[number], "set", None)

  def at(place: int, dressed: Callable[[Any], Any]) -> tuple[Mapping[str, Any], int, list[Fault]]:
    tried: dict[int, str] = {}
    for other in itertools.islice(_places(place, on_error, len(records), seed), 200 * ATTEMPTS):
      number = order(other)
      if number in tried or (tried and set_of(number) != set_of(next(iter(tried)))):  # the first is the place's own
        continue
      try:
        sample = prepare(dressed(records[number]), (seed, 1, place))
      except MediaError as error:
        if on_error == "raise":
          raise
        tried[number] = str(error)
        if len(tried) >= ATTEMPTS:
          break
      else:
        return sample, number, _faults(tried, records, place, number)
    raise _hopeless(tried)

  def batch(step: int) -> tuple[Batch, list[Fault]]:
    number = place_of(step, skip)
    first, rows, dressed = (number * batch_size, batch_size, lambda record: record) if plan is None else plan(number)
    _, own = _local(rows, shard, records, "train on")
    first += index * own
    samples, numbers, faults = zip(*(at(place, dressed) for place in range(first, first + own)), strict=True)
    return _stack(samples, numbers), list(itertools.chain(*faults))

  stop_step = 2**40 if stop_step is None else max(stop_step, start_step)  # about for ever
  return Batches(grain.MapDataset.range(start_step, stop_step).map(batch), threads, prefetch, workers, hands)


def evaluation_batches(
  records: Sequence[Any],
  preprocess: Preprocess,
  *,
  batch_size: int,
  threads: int = 2,
  processes: Processes = Processes(),  # noqa: B008, a tuple
  prefetch: int = 4,
  shard: tuple[int, int] = (0, 1),
  cache: FrameCache | None = None,
  on_error: str = "raise",
) -> Batches:
  """Every record once, in order, in the test form; the last batch is filled up with rows whose mask is False.

  As `training_batches` otherwise.  Rows of padding repeat clips of the batch; their index is -1.  With on_error="skip"
  rows of records that cannot be read are such rows too.  "substitute" is refused: one video is not scored by another.
  """
  index, local = _local(batch_size, shard, records, "evaluate")
  check_on_error(on_error, ("raise", "skip"))
  prepare, workers, hands = _preparer(preprocess, processes, cache)

  def clip_for_padding(first: int) -> Mapping[str, Any]:
    """A batch whose rows are all masked out still needs clips of the right shape: the next record's that has some."""
    tried: dict[int, str] = {}
    for number in range(first, first + min(len(records), ATTEMPTS)):
      try:
        return prepare(records[number % len(records)], None)
      except MediaError as error:
        if on_error == "raise":
          raise
        tried[number] = str(error)
    raise _hopeless(tried)

  def batch(step: int) -> tuple[Batch, list[Fault]]:
    first = step * batch_size + index * local
    samples: list[Mapping[str, Any] | None] = [None] * local
    faults = []
    for number in range(first, min(first + local, len(records))):
      try:
        samples[number - first] = prepare(records[number], None)
      except MediaError as error:
        if on_error == "raise":
          raise
        faults += _faults({number: str(error)}, records, number, -1)
    numbers = [-1 if sample is None else first + row for row, sample in enumerate(samples)]
    good = [sample for sample in samples if sample is not None] or [clip_for_padding(first + local)]
    return _stack([good[0] if sample is None else sample for sample in samples], numbers), faults

  dataset = grain.MapDataset.range(-(-len(records) // batch_size)).map(batch)
  return Batches(dataset, threads, prefetch, workers, hands)


def put(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
  """The batch on the devices of the mesh, its rows split over all of them.

  Raises InputError where the rows cannot be split evenly.  The copy runs in the background.
  """
  local = mesh.local_mesh.devices.size
  rows = next(iter(batch.values())).shape[0]
  if rows % local:
    raise InputError(f"a batch of {rows} does not split over {local} devices: wanted a multiple of {local}")
  split = NamedSharding(mesh, P(mesh.axis_names))
  return {k: jax.make_array_from_process_local_data(split, _on_device_type(v)) for k, v in batch.items()}


def spread(function: Callable[[Any, Mapping[str, jax.Array]], Any], mesh: Mesh | None = None) -> Callable:
  """`function` (variables, batch) -> a tree of arrays, jitted: for evaluation.

  With a mesh the rows are split over its devices and those of all processes come out, whole, in each of them; see
  `of_all_processes` for the rest of such a batch.
  """
  if mesh is None:
    return jax.jit(function)
  run = jax.jit(function, out_shardings=NamedSharding(mesh, P()))
  return lambda variables, batch: run(variables, put(batch, mesh))


def of_all_processes(batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
  """The rows of all processes, in the order in which `put` has them."""
  return multihost_utils.process_allgather(dict(batch), tiled=True) if jax.process_count() > 1 else batch


def _on_device_type(array: np.ndarray) -> np.ndarray:
  return array.astype(np.int32) if array.dtype == np.int64 else array  # without x64, JAX would narrow it with a warning


def _local(batch_size: int, shard: tuple[int, int], records: Sequence[Any], purpose: str) -> tuple[int, int]:
  """(the shard's number, its rows of each batch); InputError where the batch does not split, or is of no records."""
  index, shards = shard
  if not records:
    raise InputError(f"there are no records to {purpose}: the list is empty")
  if shards < 1 or batch_size < 1 or batch_size % shards or not 0 <= index < shards:
    raise InputError(f"batch_size={batch_size} does not fit shard {index} of {shards}: wanted a multiple of {shards}")
  return index, batch_size // shards


def _preparer(
  preprocess: Preprocess, processes: Processes, cache: FrameCache | None
) -> tuple[Callable[[Any, tuple[int, ...] | None], Mapping[str, Any]], Workers | None, Hands | None]:
  """(record, key of the draws) -> sample, here or in processes; None as key is the test form."""
  workers, hands = None, None
  if processes.count:
    count, recycle, timeout = processes
    cache_bytes = 0 if cache is None else cache.max_bytes
    workers = Workers(preprocess, count, recycle=recycle, timeout=timeout, cache_bytes=cache_bytes)

  def here(record: Any, key: tuple[int, ...] | None) -> Mapping[str, Any]:
    return preprocess(record, None if key is None else np.random.default_rng(key), cache)

  if workers is None and processes.timeout:
    hands = Hands(here, processes.timeout)
  make = workers or hands or here

  def prepare(record: Any, key: tuple[int, ...] | None) -> Mapping[str, Any]:
    try:
      return make(record, key)
    except Exception as error:
      error.add_note(f"while preparing record {getattr(record, 'id', record)!r}")
      raise

  return prepare, workers, hands


def _places(place: int, on_error: str, count: int, seed: int) -> Iterator[int]:
  """The place, then those whose records may stand in for its own."""
  yield place
  if on_error == "skip":
    yield from itertools.count(place + 1)
  elif on_error == "substitute":
    draw, epoch = np.random.default_rng((seed, 3, place)), place - place % count
    yield from itertools.count(epoch + int(draw.integers(count)))


def place_of(step: int, skip: Sequence[int]) -> int:
  """Which batch of the stream is that of `step`, where those in `skip` are left out."""
  for left in sorted(set(skip)):
    step += left <= step
  return step


def _faults(tried: Mapping[int, str], records: Sequence[Any], place: int, instead: int) -> list[Fault]:
  names = {number: str(getattr(records[number], "id", records[number])) for number in tried}
  return [Fault(place, number, names[number], reason, instead) for number, reason in tried.items()]


def _hopeless(tried: Mapping[int, str]) -> InputError:
  reasons = list(tried.values())
  named = "".join(f"\n  {reason}" for reason in reasons[:5])
  return InputError(f"not one of {len(reasons)} records tried can be read; is the root right? The first:{named}")


def _stack(samples: Iterable[Mapping[str, Any]], numbers: Sequence[int]) -> Batch:
  """Rows of one batch; a number of -1 is a row that is masked out."""
  samples, index, batch = list(samples), np.array(numbers, np.int64), {}
  for name in samples[0]:
    values = [sample[name] for sample in samples]
    if name == "label":  # of one class, or rows of several [K]; no label is -1
      values = [-1 if value is None else value for value in values]
      batch[name] = np.array(values, np.float32 if np.ndim(values[0]) else np.int32)
      continue
    shapes = {np.shape(value) for value in values}
    if len(shapes) > 1:
      wanted = "end the steps with a crop or a resize to a fixed (width, height)" if name == "clips" else "wanted one"
      raise InputError(
        f"{name} of one batch differ in shape: {sorted(shapes)}{' [V,T,H,W,C]' * (name == 'clips')}; {wanted}"
      )
    batch[name] = np.stack(values)
  return batch | {"mask": index >= 0, "index": index}
