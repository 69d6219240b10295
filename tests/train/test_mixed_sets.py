"""Training on several sets at once, and on classes of unlike size."""

import collections

import pytest

from jaction.configs.base import preprocessing
from jaction.configs.recipes import also
from jaction.errors import InputError
from jaction.records.frames import read_image
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


def own_transforms(config, **fields):
  """The images of "more" are read as clips of one picture eight times, and cropped in the middle."""
  mix(config)
  kept = {key: config.preprocessing.train[key] for key in ("mean", "std")}
  views = {"num_clips": 8, "frames_per_view": 8, **kept, **fields}
  config.data.mix.more = also(
    "images.txt", format="image_list",
    preprocessing=preprocessing(**views, steps=("center_crop",), settings={"center_crop": {"size": 16}}),
  )  # fmt: skip


@pytest.mark.parametrize("workers", [{"threads": 2}, {"processes": 2}], ids=str)
def test_images_and_videos_each_go_through_transforms_of_their_own(experiment, folder, workers):
  (folder / "images.txt").write_text("".join(f"more_{n:02d}/img_00003.jpg {n % 4}\n" for n in range(12)))

  def change(config):
    own_transforms(config)
    config.data.update(workers)

  run, plain = experiment(change), experiment(mix)
  with run.training_batches(0, 5) as found, plain.training_batches(0, 5) as others:
    for batch, other in zip(found, others, strict=True):
      assert batch["index"].tolist() == other["index"].tolist()  # the order does not depend on the transforms
      for row, number in enumerate(batch["index"].tolist()):
        clip, record = batch["clips"][row, 0], run.task.records[number]
        if record.id.startswith("more"):
          image = read_image(record.source)[2:18, 2:18]
          assert record.set == 2 and (clip == image).all()
        else:
          assert (clip == other["clips"][row, 0]).all()


@pytest.mark.parametrize("fields, message", [
  ({"mean": (0.0,) * 3}, r"data.mix.more.preprocessing.mean is \(0.0"),
  ({"num_clips": 4, "frames_per_view": 4}, "data.mix.more.preprocessing.frames_per_view is 4"),
  ({"sampler": "unifrom"}, "data.mix.more.preprocessing: there is no sampler"),
])  # fmt: skip
def test_transforms_that_do_not_fit_into_the_batch_are_named(experiment, fields, message):
  with pytest.raises(InputError, match=message):
    experiment(lambda config: own_transforms(config, **fields))


def weigh(config, folder, weights="1\n0\n3\n" + "0\n" * 9):
  (folder / "weights.txt").write_text(weights)
  mix(config)
  config.data.mix.more = also("more.txt", format="frame_list", weights="weights.txt")


def test_videos_come_as_often_as_their_weights_say(experiment, folder):
  run = experiment(lambda config: weigh(config, folder))
  drawn = [run.task.records[run.task.order(place)].id for place in range(4000)]
  counts = collections.Counter(id for id in drawn if id.startswith("more"))
  assert sorted(counts) == ["more_00", "more_02"] and counts["more_02"] / counts["more_00"] == pytest.approx(3, rel=0.2)
  assert len({id for id in drawn if id.startswith("train")}) == 20
  facts = run.task.facts()
  assert facts != experiment(lambda config: weigh(config, folder, "1\n0\n2\n" + "0\n" * 9)).task.facts()


@pytest.mark.parametrize("weights, message", [
  ("1\n" * 11, "weights.txt: 11 weights for 12 records"),
  ("1\n" * 5 + "x\n" + "1\n" * 6, "weights.txt:6: 'x' is no number"),
  ("1\n" * 5 + "-1\n" + "1\n" * 6, "weights.txt:6: a weight of '-1'"),
  ("1\n" * 5 + "\n" + "1\n" * 6, "weights.txt:6: '' is no number"),
  ("nan\n" * 12, "weights.txt:1: a weight of 'nan'"),
  ("0\n" * 12, "weights.txt: all weights are 0"),
])  # fmt: skip
def test_a_mistake_in_the_weights_is_named_with_its_line(experiment, folder, weights, message):
  with pytest.raises(InputError, match=message):
    experiment(lambda config: weigh(config, folder, weights))


def test_the_sets_are_part_of_what_a_resumed_run_must_find_again(experiment):
  assert experiment(mix).task.facts() != experiment(lambda config: None).task.facts()


@pytest.mark.parametrize(
  "change, message",
  [
    ({"data.share": 0}, "data.share=0"),
    ({"data.balance": 1.5}, "balance=1.5: wanted 0"),
    ({"data.weights": "gone.txt"}, "gone.txt: cannot be read"),
    ({"data.weights": "w.txt", "data.balance": 0.5}, "weights='w.txt' and balance=0.5"),
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
