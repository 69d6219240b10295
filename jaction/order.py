"""Which record stands at which place of the endless training stream: pure functions of the seed and the place.

Nothing is kept from place to place, so that a run can start anywhere, on any number of hosts and threads.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from jaction.errors import InputError

Order = Callable[[int], int]  # place -> number of the record


def shuffled(count: int, seed: int, *, stream: int = 0) -> Order:
  """Every epoch is a new permutation of `count` records.  `stream` tells the permutations of several sets apart."""
  if count < 1:
    raise InputError("there are no records to train on: the list is empty")
  kept: dict[int, np.ndarray] = {}  # the epochs in use: threads may stand in two of them

  def order(place: int) -> int:
    epoch, within = divmod(place, count)
    permutation = kept.get(epoch)
    if permutation is None:
      key = [seed, 0, epoch, stream] if stream else [seed, 0, epoch]
      permutation = np.random.default_rng(key).permutation(count)
      if len(kept) > 2:
        kept.clear()
      kept[epoch] = permutation
    return int(permutation[within])

  return order


def balanced(labels: Sequence[int | None], power: float, seed: int, *, stream: int = 0) -> Order:
  """Draws a class in proportion to its size to the power of `power`, then any of its records: 0 draws classes alike.

  Every place is a draw of its own, so that an epoch may hold a record twice and another not at all; power 1 has the
  proportions of the set.  InputError for a record without a single label.  Source: MMAction2's sample_by_class.
  """
  if any(label is None for label in labels):
    raise InputError("a set with several labels a record, or none, cannot be balanced over its classes")
  if not labels:
    raise InputError("there are no records to train on: the list is empty")
  if not 0 <= power <= 1:
    raise InputError(f"balance={power}: wanted 0 (classes alike) to 1 (as they are)")
  members: dict[int, list[int]] = {}
  for number, label in enumerate(labels):
    members.setdefault(label, []).append(number)
  classes = [np.array(members[label]) for label in sorted(members)]
  edges = np.cumsum([len(records) ** power for records in classes])

  def order(place: int) -> int:
    rng = np.random.default_rng([seed, 2, place, stream])
    found = min(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")), len(classes) - 1)
    return int(classes[found][rng.integers(len(classes[found]))])

  return order


def weighted(weights: Sequence[float], seed: int, *, stream: int = 0) -> Order:
  """Draws each record in proportion to its weight; one of weight 0 never comes.

  Every place is a draw of its own, so that an epoch may hold a record several times and another not at all.
  InputError for weights of which one is negative or no number, or none is above 0.
  """
  values = np.asarray(weights, np.float64)
  if not len(values):
    raise InputError("there are no records to train on: the list is empty")
  odd = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
  if len(odd):
    raise InputError(f"weight {values[odd[0]]} of record {odd[0]}: wanted numbers of 0 or more")
  if not values.any():
    raise InputError(f"all {len(values)} weights are 0: wanted one above 0 at least")
  edges = np.cumsum(values / values.max())
  last = int(np.flatnonzero(values)[-1])

  def order(place: int) -> int:
    drawn = np.random.default_rng([seed, 3, place, stream]).random() * edges[-1]
    return min(int(np.searchsorted(edges, drawn, side="right")), last)

  return order


def repeated(order: Order, times: int) -> Order:
  """Each record at `times` places in a row, which have draws of their own: so many views of a video in one batch.

  Source: Hoffer et al., Augment Your Batch (CVPR 2020): a batch holds batch_size / times different records.
  """
  if isinstance(times, bool) or not isinstance(times, int) or times < 1:
    raise InputError(f"repeats={times}: wanted a whole number of 1 or more")
  return lambda place: order(place // times)


def mixed(orders: Sequence[Order], sizes: Sequence[int], shares: Sequence[int]) -> Order:
  """Several sets in one stream, numbered one behind the other: of any sum(shares) places in a row, set i has shares[i].

  The places of a set are spread evenly over the cycle, and are counted by themselves, so that each set goes through its
  own epochs.  Source: OmniSource (arXiv:2003.13042), which trains on web data and the target set together.
  """
  if not len(orders) == len(sizes) == len(shares) > 0:
    raise InputError(f"{len(orders)} orders, {len(sizes)} sizes and {len(shares)} shares; wanted one of each a set")
  if any(isinstance(share, bool) or not isinstance(share, int) or share < 1 for share in shares):
    raise InputError(f"shares={tuple(shares)}: wanted whole numbers of 1 or more")
  common = math.gcd(*shares)
  shares = [share // common for share in shares]
  # (k + 1/2) / share is where the k-th place of a set would stand in the cycle if there were no others.
  wished = sorted(((k + 0.5) / share, i, k) for i, share in enumerate(shares) for k in range(share))
  cycle = [(i, k) for _, i, k in wished]
  starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()

  def order(place: int) -> int:
    round_, within = divmod(place, len(cycle))
    i, k = cycle[within]
    return starts[i] + orders[i](round_ * shares[i] + k)

  return order
