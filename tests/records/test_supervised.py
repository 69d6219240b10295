"""One file may crash or hang its process; the others do not notice.

The functions are the standard library's, since a spawned process cannot import a test.
"""

import math
import multiprocessing
import operator
import os
import time

import pytest

from jaction.errors import InputError
from jaction.records.supervised import supervised


def by_index(function, items, **options):
  found = list(supervised(function, items, **options))
  assert sorted(outcome.index for outcome in found) == list(range(len(items)))
  return {outcome.index: outcome for outcome in found}


@pytest.mark.parametrize("processes", [1, 3])
def test_every_item_has_one_outcome(processes):
  found = by_index(math.factorial, list(range(8)), processes=processes)
  assert [found[i].value for i in range(8)] == [math.factorial(i) for i in range(8)]


def test_an_exception_is_the_items_own():
  found = by_index(operator.neg, [1, "two", 3])
  assert (found[0].value, found[2].value) == (-1, -3)
  assert found[1].value is None and "TypeError" in found[1].error


def test_a_process_that_ends_costs_its_item_alone():
  found = by_index(os._exit, [7, 9], processes=1)
  assert [found[i].error for i in (0, 1)] == ["its process ended (7)", "its process ended (9)"]


def test_an_item_that_hangs_is_given_up_and_the_next_one_is_done():
  began = time.monotonic()
  found = by_index(time.sleep, [0, 600, 0, 0], processes=1, seconds=1)
  assert [found[i].error for i in range(4)] == [None, "took more than 1 s", None, None]
  assert time.monotonic() - began < 60


def test_no_process_is_left_behind_by_whoever_stops_early():
  outcomes = supervised(time.sleep, [0, 600, 600], processes=2)
  next(outcomes)
  outcomes.close()
  assert multiprocessing.active_children() == []


def test_no_items_are_no_processes():
  assert list(supervised(math.sqrt, [])) == []


def test_nonsense_is_a_clear_error():
  with pytest.raises(InputError, match="processes=0"):
    list(supervised(math.sqrt, [1], processes=0))
