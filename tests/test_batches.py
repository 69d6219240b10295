"""Order, draws and padding of batches; nothing is decoded here: a record is a number."""

import jax
import numpy as np
import pytest

from jaction.batches import evaluation_batches, put, training_batches
from jaction.errors import InputError
from jaction.train.mesh import make_mesh


def preprocess(record, rng=None, cache=None):
  drawn = 0 if rng is None else int(rng.integers(0, 100))
  return {"clips": np.full((1, 2, 4, 4, 3), record + drawn, np.uint8), "label": record % 3}


def take(count, **options):
  options = {"batch_size": 4, "seed": 7, "threads": 2} | options
  with training_batches(list(range(10)), preprocess, **options) as batches:
    return [next(batches) for _ in range(count)]


def same(left, right):
  assert len(left) == len(right)
  for a, b in zip(left, right, strict=True):
    assert a.keys() == b.keys()
    for key in a:
      np.testing.assert_array_equal(a[key], b[key])


@pytest.mark.parametrize("threads", [0, 1, 5])
def test_any_number_of_threads_gives_the_same_batches(threads):
  same(take(12, threads=threads), take(12, threads=2))


@pytest.mark.parametrize("start", [1, 3, 8])
def test_the_step_alone_is_the_position(start):
  same(take(12 - start, start_step=start), take(12)[start:])


def test_an_order_says_which_record_stands_where():
  assert [batch["index"].tolist() for batch in take(3, order=lambda place: place % 2)] == [[0, 1, 0, 1]] * 3


def test_shards_make_up_the_whole_batch():
  whole, parts = take(5), [take(5, shard=(i, 2)) for i in (0, 1)]
  for step in range(5):
    for key in whole[step]:
      np.testing.assert_array_equal(np.concatenate([part[step][key] for part in parts]), whole[step][key])


def test_draws_differ_between_epochs_and_records():
  batches = take(25)
  drawn = np.concatenate([b["clips"][:, 0, 0, 0, 0, 0].astype(int) - b["index"] for b in batches])
  assert len(set(drawn.tolist())) > 40


def test_training_stops_where_it_is_told():
  with training_batches([0, 1, 2], preprocess, batch_size=2, seed=0, start_step=3, stop_step=5) as batches:
    assert len(list(batches)) == 2


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_evaluation_sees_each_record_once_and_pads_with_a_mask(count):
  with evaluation_batches(list(range(count)), preprocess, batch_size=4) as batches:
    got = list(batches)
  assert all(len(b["clips"]) == 4 and b["clips"].dtype == np.uint8 for b in got)
  index, mask = (np.concatenate([b[key] for b in got]) for key in ("index", "mask"))
  assert index[mask].tolist() == list(range(count))
  assert (index[~mask] == -1).all()
  assert not got[-1]["mask"].all() or count % 4 == 0


def test_shards_of_an_evaluation_have_equally_many_batches():
  parts = []
  for i in range(4):
    with evaluation_batches(list(range(5)), preprocess, batch_size=4, shard=(i, 4)) as batches:
      parts.append(list(batches))
  assert {len(part) for part in parts} == {2}
  assert sorted(int(b["index"][0]) for part in parts for b in part if b["mask"][0]) == [0, 1, 2, 3, 4]


def test_a_batch_is_split_over_the_devices():
  batch = take(1, batch_size=16)[0]
  on = put(batch, make_mesh())
  assert on["clips"].dtype == np.uint8
  assert len(on["clips"].addressable_shards) == jax.device_count()
  assert on["clips"].addressable_shards[0].data.shape[0] == 16 // jax.device_count()
  np.testing.assert_array_equal(np.asarray(on["label"]), batch["label"])


def test_a_batch_that_does_not_split_is_an_error():
  with pytest.raises(InputError, match="batch of 4 does not split over 8 devices"):
    put(take(1)[0], make_mesh())


def test_an_error_in_a_thread_names_the_record():
  def broken(record, rng=None, cache=None):
    if record == 5:
      raise InputError("no frames")
    return preprocess(record, rng, cache)

  with evaluation_batches(list(range(10)), broken, batch_size=2) as batches:
    assert len([next(batches) for _ in range(2)]) == 2
    with pytest.raises(InputError, match="no frames") as error:
      next(batches)
  assert any("record 5" in note for note in error.value.__notes__)


def test_clips_of_two_shapes_are_an_error():
  def ragged(record, rng=None, cache=None):
    return {"clips": np.zeros((1, 2, 4 + record, 4, 3), np.uint8), "label": 0}

  with evaluation_batches([0, 1], ragged, batch_size=2) as batches, pytest.raises(InputError, match="differ in shape"):
    next(batches)


@pytest.mark.parametrize("function, options", [(training_batches, {"seed": 0}), (evaluation_batches, {})])
def test_no_records_and_odd_shards_are_errors(function, options):
  with pytest.raises(InputError, match="no records"):
    function([], preprocess, batch_size=2, **options)
  with pytest.raises(InputError, match="multiple of 2"):
    function([1], preprocess, batch_size=3, shard=(0, 2), **options)
