"""Training on several sets at once, and on classes of unlike size."""

import collections

import pytest

from jaction.configs.recipes import also
from jaction.errors import InputError
from jaction.train.experiment import Experiment


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
  return tiny.make_set(tmp_path_factory.mktemp("sets"), (("train", 20), ("val", 4), ("more", 12), ("extra", 6)))


@pytest.fixture
def experiment(tiny, folder):
  def make(change):
    config = tiny.get_config().unlock()
    config.data.root = str(folder)
    change(config)
    return Experiment(config.to_dict())

  return make


def mix(config):
  config.data.share = 2
  config.data.mix.more = also("more.txt", format="frame_list")
  config.data.mix.extra = also("extra.txt", format="frame_list", balance=0.0)


def test_every_batch_holds_each_set_by_its_share(experiment):
  run = experiment(mix)
  assert len(run.task.records) == 20 + 6 + 12 and run.epoch == 40
  with run.training_batches(0) as batches:
    first = [next(batches) for _ in range(5)]
  names = [[run.task.records[n].id.split("_")[0] for n in batch["index"]] for batch in first]
  assert [collections.Counter(batch) for batch in names] == [{"train": 4, "extra": 2, "more": 2}] * 5
  drawn = sorted(n for batch in first for n in batch["index"].tolist() if n < 20)
  assert drawn == list(range(20))  # 5 steps x 8 clips are an epoch of the first set
  assert all(
    run.task.records[n].label == label
    for batch in first
    for n, label in zip(batch["index"], batch["label"], strict=True)
  )


def test_a_resumed_run_goes_on_with_the_same_clips_of_the_mixture(experiment):
  run = experiment(mix)
  with run.training_batches(0) as whole, run.training_batches(3) as rest:
    batches = [next(whole) for _ in range(6)]
    for batch in batches[3:]:
      other = next(rest)
      assert batch["index"].tolist() == other["index"].tolist() and (batch["clips"] == other["clips"]).all()


def test_the_sets_are_part_of_what_a_resumed_run_must_find_again(experiment):
  assert experiment(mix).task.facts() != experiment(lambda config: None).task.facts()


@pytest.mark.parametrize(
  "change, message",
  [
    ({"data.share": 0}, "data.share=0"),
    ({"data.balance": 1.5}, "balance=1.5: wanted 0"),
    ({"data.mix.more.share": 0}, "data.mix.more.share=0"),
    ({"data.mix.more.list": "nothing.txt"}, "nothing.txt"),
  ],
)
def test_a_mistake_in_the_mixture_is_named(experiment, change, message):
  def apply(config):
    mix(config)
    config.update_from_flattened_dict(change)

  with pytest.raises(InputError, match=message):
    experiment(apply)
