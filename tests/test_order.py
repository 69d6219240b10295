"""Places of the training stream: epochs, balance over classes, several sets by their shares."""

import collections

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.order import balanced, mixed, repeated, shuffled, weighted


def test_an_epoch_holds_every_record_once_and_the_next_has_another_order():
  order = shuffled(50, seed=3)
  epochs = [[order(place) for place in range(k * 50, (k + 1) * 50)] for k in range(3)]
  assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
  assert epochs[0] != epochs[1] != epochs[2]


def test_places_may_be_asked_for_in_any_order():
  one, two = shuffled(20, seed=1), shuffled(20, seed=1)
  places = np.random.default_rng(0).permutation(200)
  assert {int(p): one(int(p)) for p in places} == {p: two(p) for p in range(200)}


def test_streams_and_seeds_differ():
  first = [shuffled(30, seed=0)(p) for p in range(30)]
  assert first != [shuffled(30, seed=1)(p) for p in range(30)]
  assert first != [shuffled(30, seed=0, stream=1)(p) for p in range(30)]


@pytest.mark.parametrize("power, ratio", [(0.0, 1.0), (0.5, 3.0), (1.0, 9.0)])
def test_a_class_is_drawn_in_proportion_to_a_power_of_its_size(power, ratio):
  labels = [7] * 90 + [2] * 10
  order = balanced(labels, power, seed=0)
  drawn = [order(place) for place in range(4000)]
  counts = collections.Counter(labels[number] for number in drawn)
  assert counts[7] / counts[2] == pytest.approx(ratio, rel=0.15)
  assert set(drawn) == set(range(100))
  assert drawn == [balanced(labels, power, seed=0)(place) for place in range(4000)]


def test_a_record_is_drawn_in_proportion_to_its_weight():
  weights = [0.0, 1.0, 2.5, 0.0, 6.5, 0.0]
  order = weighted(weights, seed=0)
  counts = collections.Counter(order(place) for place in range(8000))
  assert set(counts) == {1, 2, 4}
  for number, count in counts.items():
    assert count / 8000 == pytest.approx(weights[number] / 10, rel=0.1)
  again = weighted([1e300 * w for w in weights], seed=0)  # their sum would be no number
  places = np.random.default_rng(0).permutation(200).tolist()
  assert [again(place) for place in places] == [order(place) for place in places]
  assert [weighted(weights, seed=1)(p) for p in range(50)] != [order(p) for p in range(50)]
  assert [weighted(weights, seed=0, stream=1)(p) for p in range(50)] != [order(p) for p in range(50)]


def test_every_cycle_of_a_mixture_holds_the_shares_and_every_set_its_own_epochs():
  sizes, shares = (6, 4, 10), (2, 1, 3)
  orders = [shuffled(size, seed=5, stream=i) for i, size in enumerate(sizes)]
  order = mixed(orders, sizes, shares)
  numbers = [order(place) for place in range(6 * 60)]
  owner = [0 if n < 6 else 1 if n < 10 else 2 for n in numbers]
  for start in range(len(owner) - 6):
    window = collections.Counter(owner[start : start + 6])
    assert [window[i] for i in range(3)] == list(shares)
  for i, (size, start) in enumerate(zip(sizes, (0, 6, 10), strict=True)):
    own = [n - start for n, o in zip(numbers, owner, strict=True) if o == i]
    assert own == [orders[i](place) for place in range(len(own))]
    assert sorted(own[:size]) == list(range(size))


def test_shares_with_a_common_factor_are_the_same_mixture_and_neighbours_are_spread():
  orders, sizes = [shuffled(9, seed=0), shuffled(9, seed=0, stream=1)], (9, 9)
  one, two = mixed(orders, sizes, (2, 4)), mixed(orders, sizes, (1, 2))
  assert [one(p) for p in range(90)] == [two(p) for p in range(90)]
  owners = [mixed(orders, sizes, (1, 1))(p) // 9 for p in range(10)]
  assert owners in ([0, 1] * 5, [1, 0] * 5)


@pytest.mark.parametrize(
  "make, message",
  [
    (lambda: shuffled(0, 0), "the list is empty"),
    (lambda: balanced([1, None], 0.5, 0), "cannot be balanced"),
    (lambda: balanced([1, 2], 2, 0), "balance=2: wanted 0"),
    (lambda: weighted([], 0), "the list is empty"),
    (lambda: weighted([1, -2], 0), "weight -2.0 of record 1"),
    (lambda: weighted([float("nan")], 0), "weight nan of record 0"),
    (lambda: weighted([0, 0], 0), "all 2 weights are 0"),
    (lambda: mixed([shuffled(1, 0)], (1,), (0,)), "whole numbers of 1 or more"),
    (lambda: mixed([shuffled(1, 0)], (1,), (1, 2)), "one of each a set"),
  ],
)
def test_nonsense_is_a_clear_error(make, message):
  with pytest.raises(InputError, match=message):
    make()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_repeats_are_the_places_of_the_plain_stream_written_out_several_times(times):
  plain = shuffled(7, seed=2)
  written = [plain(place) for place in range(40) for _ in range(times)]
  assert [repeated(plain, times)(place) for place in range(40 * times)] == written


@pytest.mark.parametrize("times", [0, -1, 1.5, True])
def test_repeats_are_whole_numbers(times):
  with pytest.raises(InputError, match="repeats"):
    repeated(shuffled(7, seed=2), times)
