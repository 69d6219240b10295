"""A record that never comes back, in threads: the loader goes on, says so, and ends."""

import logging
import threading
import time

import numpy as np
import pytest

from jaction.batches import Processes, evaluation_batches, training_batches
from jaction.errors import MediaError
from jaction.hands import Hands


class Stuck:
  """A decoder that stands still at records 3 and 7 until it is let go."""

  def __init__(self):
    self.go = threading.Event()

  def __call__(self, record, rng=None, cache=None):
    if record in (3, 7):
      self.go.wait()
    return {"clips": np.full((1, 1, 2, 2, 3), record, np.uint8), "label": 0}


@pytest.fixture
def stuck():
  decoder = Stuck()
  yield decoder
  decoder.go.set()


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_the_loader_goes_on_without_what_hangs_and_names_it(stuck, threads, caplog):
  began = time.perf_counter()
  with caplog.at_level(logging.WARNING, "jaction"), evaluation_batches(
    list(range(10)), stuck, batch_size=2, threads=threads, processes=Processes(timeout=0.3), on_error="skip"
  ) as batches:  # fmt: skip
    index = [n for batch in batches for n in batch["index"][batch["mask"]].tolist()]
    faults = batches.take_faults()
    assert sorted(batches.hands.left) == ["3", "7"]
  assert index == [0, 1, 2, 4, 5, 6, 8, 9] and [fault.id for fault in faults] == ["3", "7"]
  assert all("not read after 0.3 s; its thread cannot be ended" in fault.reason for fault in faults)
  assert "3: not read after 0.3 s" in caplog.text and "data.processes" in caplog.text
  assert time.perf_counter() - began < 10


def test_training_puts_another_in_its_place_or_stops_with_an_error(stuck):
  options = {"batch_size": 5, "seed": 0, "stop_step": 2, "threads": 2, "processes": Processes(timeout=0.3)}
  with training_batches(list(range(10)), stuck, on_error="substitute", **options) as batches:
    seen = [n for batch in batches for n in batch["index"].tolist()]
  assert len(seen) == 10 and not {3, 7} & set(seen)
  with (
    pytest.raises(MediaError, match="not read after"),
    training_batches(list(range(10)), stuck, **options) as batches,
  ):
    list(batches)


def test_threads_end_with_the_loader_and_errors_come_through():
  def bad(record, key):
    raise KeyError(record)

  hands = Hands(bad, 5.0)
  for record in range(3):
    with pytest.raises(KeyError, match=str(record)):
      hands(record, None)
  assert sum(thread.name == "jaction-hand" for thread in threading.enumerate()) >= 1
  hands.close()
  deadline = time.perf_counter() + 5
  while (
    any(t.name == "jaction-hand" and t.is_alive() for t in threading.enumerate()) and time.perf_counter() < deadline
  ):
    time.sleep(0.01)
  assert not hands.left
  with pytest.raises(RuntimeError, match="closed"):  # at once, not after the time limit
    hands(3, None)


def test_a_loader_that_is_closed_early_leaves_nobody_waiting():
  began = time.perf_counter()
  for _ in range(5):
    quick = lambda record, rng=None, cache=None: {"clips": np.zeros((1, 2, 2)), "label": 0}  # noqa: E731
    with training_batches(
      list(range(9)), quick, batch_size=3, seed=1, threads=2, processes=Processes(timeout=30.0)
    ) as batches:
      next(batches)
  while any(t.name == "jaction-hand" and t.is_alive() for t in threading.enumerate()):
    time.sleep(0.01)
    assert time.perf_counter() - began < 20
  assert not batches.hands.left


def test_what_is_made_is_the_same_with_and_without_a_time_limit():
  preprocess = lambda record, rng=None, cache=None: {"clips": rng.integers(0, 9, (1, 2, 2)) + record, "label": 0}  # noqa: E731
  streams = []
  for timeout in (0.0, 60.0):
    with training_batches(
      list(range(9)), preprocess, batch_size=3, seed=1, stop_step=8, processes=Processes(timeout=timeout)
    ) as batches:
      streams.append(np.stack([batch["clips"] for batch in batches]))
  np.testing.assert_array_equal(*streams)
