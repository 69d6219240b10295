"""Order, draws and padding of batches; nothing is decoded here: a record is a number."""

import types

import jax
import numpy as np
import pytest

from jaction.batches import evaluation_batches, put, training_batches
from jaction.errors import InputError, MediaError
from jaction.order import mixed, shuffled
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


def damaged(*bad):
  def prepare(record, rng=None, cache=None):
    if record in bad:
      raise MediaError(f"{record}: cannot be read")
    return preprocess(record, rng, cache)

  return prepare


def taken(prepare, on_error, count=10, **options):
  options = {"batch_size": 4, "seed": 7} | options
  with training_batches(list(range(10)), prepare, on_error=on_error, **options) as batches:
    pairs = [(next(batches), batches.take_faults()) for _ in range(count)]
  return [batch for batch, _ in pairs], [fault for _, faults in pairs for fault in faults]


@pytest.mark.parametrize("on_error", ["substitute", "skip"])
def test_what_stands_in_for_a_bad_file_depends_on_its_place_alone(on_error):
  batches, faults = taken(damaged(3, 8), on_error)
  assert not {3, 8} & set(np.concatenate([b["index"] for b in batches]).tolist())
  assert all(b["mask"].all() for b in batches)
  for options in ({"threads": 0}, {"threads": 5, "prefetch": 9}):
    other, others = taken(damaged(3, 8), on_error, **options)
    same(batches, other)
    assert faults == others
  same(taken(damaged(3, 8), on_error, 6, start_step=4)[0], batches[4:])
  parts = [taken(damaged(3, 8), on_error, shard=(i, 2)) for i in (0, 1)]
  for step, batch in enumerate(batches):
    np.testing.assert_array_equal(np.concatenate([part[0][step]["clips"] for part in parts]), batch["clips"])
  assert sorted(parts[0][1] + parts[1][1]) == sorted(faults)


@pytest.mark.parametrize("on_error", ["substitute", "skip"])
def test_other_places_keep_their_records_and_draws(on_error):
  good, (batches, faults) = taken(preprocess, "raise")[0], taken(damaged(3, 8), on_error)
  at_fault = {fault.place for fault in faults}
  wanted = {4 * step + row for step in range(10) for row in range(4) if good[step]["index"][row] in (3, 8)}
  assert at_fault == wanted and len(wanted) == 8
  for step in range(10):
    for row in set(range(4)) - {place - 4 * step for place in at_fault}:
      np.testing.assert_array_equal(batches[step]["clips"][row], good[step]["clips"][row])
  for fault in faults:
    assert fault.instead == batches[fault.place // 4]["index"][fault.place % 4]
    assert fault.id == str(fault.number) and fault.reason == f"{fault.number}: cannot be read"


def test_skipping_takes_the_next_good_record_of_the_stream():
  order = list(range(10)).__getitem__
  batches, faults = taken(damaged(1, 2, 5), "skip", 2, order=lambda place: order(place % 10))
  assert np.concatenate([b["index"] for b in batches]).tolist() == [0, 3, 3, 3, 4, 6, 6, 7]
  assert [(f.place, f.number, f.instead) for f in faults] == [(1, 1, 3), (1, 2, 3), (2, 2, 3), (5, 5, 6)]


@pytest.mark.parametrize("on_error", ["substitute", "skip"])
def test_what_stands_in_is_of_the_same_set_so_that_shares_stay(on_error):
  records = [types.SimpleNamespace(id=str(i), set=int(i >= 10)) for i in range(30)]

  def prepare(record, rng=None, cache=None):
    if record.set == 1 and int(record.id) != 17:
      raise MediaError(f"{record.id}: cannot be read")
    return {"clips": np.zeros(1), "label": record.set}

  order = mixed([shuffled(10, 0), shuffled(20, 0, stream=1)], (10, 20), (9, 1))
  with training_batches(records, prepare, batch_size=10, seed=0, on_error=on_error, order=order) as batches:
    for _ in range(20):
      batch = next(batches)
      assert sorted(batch["label"].tolist()) == [0] * 9 + [1]
      assert batch["index"][batch["label"] == 1].tolist() == [17]


@pytest.mark.parametrize("on_error", ["substitute", "skip"])
def test_a_set_of_which_nothing_can_be_read_ends_with_an_error(on_error):
  with pytest.raises(InputError, match="not one of 10 records tried can be read"):
    taken(damaged(*range(10)), on_error)


def test_an_unknown_policy_is_an_error_and_an_evaluation_refuses_substitutes():
  with pytest.raises(InputError, match="Near it: substitute"):
    taken(preprocess, "substitut")
  with pytest.raises(InputError, match="wanted one of raise, skip"):
    evaluation_batches([1], preprocess, batch_size=1, on_error="substitute")


def test_other_errors_than_of_media_are_raised_whatever_the_policy():
  def broken(record, rng=None, cache=None):
    raise InputError("a setting is wrong")

  with pytest.raises(InputError, match="a setting is wrong"):
    taken(broken, "skip", 1)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("count, batch", [(1, 6), (7, 6), (11, 6), (13, 12), (12, 6)])
@pytest.mark.parametrize("bad", [(), (0,), (6, 7, 8, 9, 10)])
def test_shards_of_an_evaluation_cover_it_exactly_but_for_bad_files(shards, count, batch, bad):
  bad = [number for number in bad if number < count and count > 1]
  seen, faults, sizes = [], [], set()
  for i in range(shards):
    with evaluation_batches(
      list(range(count)), damaged(*bad), batch_size=batch, shard=(i, shards), on_error="skip"
    ) as batches:
      got = list(batches)
      faults += batches.take_faults()
    sizes.add(len(got))
    for b in got:
      assert len(b["clips"]) == batch // shards and ((b["index"] >= 0) == b["mask"]).all()
      seen += b["index"][b["mask"]].tolist()
      np.testing.assert_array_equal(b["clips"][b["mask"], 0, 0, 0, 0, 0], b["index"][b["mask"]])
  assert sorted(seen) == [number for number in range(count) if number not in bad]
  assert len(sizes) == 1
  assert sorted(fault.number for fault in faults) == bad and all(fault.instead == -1 for fault in faults)
