"""`jaction data build` on the command line, and training from what it wrote."""

import json

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.launch import data, evaluate, train
from jaction.launch.train import parse_config
from jaction.records import read_label_map, read_records
from jaction.records.toy import TOY_CLASSES, make_toy_set


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set", videos=(16, 8, 8)).folder


@pytest.fixture(scope="module")
def built(toy, tmp_path_factory):
  folder = tmp_path_factory.mktemp("built") / "toy_tfds" / "1.0.0"
  lists = [str(toy / f"{split}.txt") for split in ("train", "val", "test")]
  assert data.main(["build", *lists, str(folder), "--labels", str(toy / "labels.txt")]) == 0
  return folder


def test_the_command_says_what_it_did_and_what_to_do_next(toy, tmp_path, capsys):
  argv = ["build", str(toy / "train.txt"), str(tmp_path / "set"), "--shard-mb", "0.1"]
  assert data.main(argv) == 0
  first = capsys.readouterr().out
  assert "train       16 of 16 videos stored, 0 missing, 0 damaged" in first and " 0 written now" not in first
  assert f"--config.data.root={tmp_path / 'set'} --config.data.format=tfds" in first
  assert data.main(argv) == 0
  assert " 0 written now" in capsys.readouterr().out


def test_a_version_is_not_the_name_of_a_set(built):
  assert json.loads((built / "dataset_info.json").read_text())["name"] == "toy_tfds"


def test_missing_files_end_in_status_1_and_are_told(toy, tmp_path, capsys):
  (tmp_path / "some.txt").write_text(f"{toy / 'videos/val/val_00000.mp4'} 0\n{tmp_path / 'gone.mp4'} 1\n")
  assert data.main(["build", str(tmp_path / "some.txt"), str(tmp_path / "set"), "--split", "val"]) == 1
  assert "val         1 of 2 videos stored, 1 missing, 0 damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
  ("more", "message"),
  [
    (["--workers", "0"], "wanted one worker or more"),
    (["--shard-mb", "0"], "shards of 0.001 to 1e6 MB"),
    (["--shard-mb", "nan"], "shards of 0.001 to 1e6 MB"),
    (["--shard-mb", "inf"], "shards of 0.001 to 1e6 MB"),
    (["--split", "my-list.v2"], "'my-list.v2' cannot name a split.* --split names it"),
    (["--name", "a/b"], "cannot be the name of a set"),
  ],
)
def test_a_wrong_flag_is_one_clear_error(toy, tmp_path, more, message):
  with pytest.raises(InputError, match=message):
    data.main(["build", str(toy / "train.txt"), str(tmp_path / "set"), *more])


def test_two_lists_of_one_name_are_an_error(toy, tmp_path):
  with pytest.raises(InputError, match="another list gives the split 'train' too"):
    data.main(["build", str(toy / "train.txt"), str(toy / "train.csv"), str(tmp_path / "set")])


def test_the_config_of_the_toy_set_names_what_the_command_writes(toy, built):
  facts = parse_config(["--config=toy_tsm:tfds"]).data
  for split, name in (("train", facts.train), ("val", facts.val)):
    stored, listed = read_records(built / name, format=facts.format), read_records(toy / f"{split}.txt")
    assert [(r.id, r.label) for r in stored] == [(r.id, r.label) for r in listed]
    assert all(r.stored for r in stored)
  assert read_label_map(built / facts.labels) == TOY_CLASSES


def test_training_from_shards_is_training_from_files(toy, built, tmp_path):
  """The same losses and the same scores, to the bit; evaluate reads a split too."""
  steps = ["--config.batch_size=8", "--config.eval.batch_size=8", "--config.duration.epochs=0",
           "--config.duration.steps=2", "--config.schedule.warmup.epochs=0", "--config.schedule.warmup.steps=1",
           "--config.log.every_steps=1", "--config.log.tensorboard=False", "--config.log.curves=False"]  # fmt: skip
  for name, config, root in (("files", "toy_tsm", toy), ("shards", "toy_tsm:tfds", built)):
    train.main([f"--config={config}", f"--workdir={tmp_path / name}", f"--config.data.root={root}", *steps])
  rows = [
    [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
    for name in ("files", "shards")
  ]
  losses = [[row[key] for row in one for key in row if key.endswith("loss")] for one in rows]
  assert losses[0] == losses[1] and len(losses[0]) >= 2
  scores = []
  for at, model, name in ((toy / "test.txt", "files", "a"), (built / "test", "shards", "b")):
    evaluate.main([f"--model={tmp_path / model}", f"--list={at}", f"--output={tmp_path / name}"])
    with np.load(tmp_path / name / "scores.npz") as found:
      scores.append(found["scores"])
  np.testing.assert_array_equal(scores[0], scores[1])
