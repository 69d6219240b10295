"""Several draws of each video in a batch (Hoffer et al.), by config."""

import collections

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.train.experiment import Experiment


def batches(config, repeats, start=0, stop=7, **data):
  config.data.repeats = repeats
  config.data.update(data)
  run = Experiment(config.to_dict())
  with run.training_batches(start, stop) as found:
    return run, list(found)


def brute_force(run, repeats, seed, steps, size):
  """The same stream written out: epochs shuffled one by one, each record so often, each place with its own draws."""
  records, numbers = run.task.records, []
  for epoch in range(steps * size):
    for number in np.random.default_rng([seed, 0, epoch]).permutation(len(records)).tolist():
      numbers += [number] * repeats
  rows = [
    (n, run.task.prepare["train"](records[n], np.random.default_rng((seed, 1, at))))
    for at, n in enumerate(numbers[: steps * size])
  ]
  return [rows[step * size : (step + 1) * size] for step in range(steps)]


@pytest.mark.parametrize("repeats", [1, 2, 4])
def test_a_batch_holds_every_video_so_many_times_with_draws_of_its_own(config, repeats):
  run, found = batches(config, repeats)
  assert run.epoch == repeats * len(run.task.records)
  for batch, rows in zip(found, brute_force(run, repeats, config.seed, 7, 8), strict=True):
    assert batch["index"].tolist() == [number for number, _ in rows]
    np.testing.assert_array_equal(batch["clips"], np.stack([sample["clips"] for _, sample in rows]))
    assert all(count % repeats == 0 for count in collections.Counter(batch["index"].tolist()).values())
  if repeats > 1:
    groups = [batch["clips"].reshape(8 // repeats, repeats, -1) for batch in found]
    assert any((group[:, 0] != group[:, 1]).any() for group in groups)


def test_repeats_go_on_after_a_resume_and_do_not_depend_on_the_threads(config):
  _, whole = batches(config, 2)
  for start, threads in ((3, 0), (6, 3)):
    _, rest = batches(config, 2, start, threads=threads)
    for one, other in zip(whole[start:], rest, strict=True):
      assert one["index"].tolist() == other["index"].tolist()
      np.testing.assert_array_equal(one["clips"], other["clips"])


def test_repeats_that_do_not_divide_the_batch_are_an_error(config):
  with pytest.raises(InputError, match="data.repeats=3 does not divide batch_size=8"):
    batches(config, 3)
