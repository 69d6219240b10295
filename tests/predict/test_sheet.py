"""What `jaction data show` says of a clip is what the network is given."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.launch import show
from jaction.launch.train import parse_config
from jaction.predict.sheet import draw_sheet, sample
from jaction.records import read_label_map, read_records
from jaction.records.frames import open_frames
from jaction.records.toy import make_toy_set


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  folder = tmp_path_factory.mktemp("toy")
  make_toy_set(folder, videos=(16, 8, 8))
  return folder


def preprocessing(kind):
  return Preprocessing.from_json(parse_config(["--config=toy_tsm"]).preprocessing[kind].to_dict())


@pytest.mark.parametrize("place", range(12))
def test_the_frames_are_those_of_training_and_their_numbers_follow_them_through_reversals(toy, place):
  record, train = read_records(toy / "train.txt")[place], preprocessing("train")
  rng = lambda: np.random.default_rng([0, 1, place])  # noqa: E731
  made, plain = train.explained(record, rng()), train(record, rng())
  np.testing.assert_array_equal(made["clips"], plain["clips"])
  assert made["label"] == plain["label"]
  with open_frames(record) as video:
    frames = video.read(made["numbers"][0]).astype(np.float32)
  # the same frames, cropped and perhaps mirrored: their order shows in the brightness of what moves
  mean = frames.mean(axis=(1, 2, 3))
  shown = made["clips"][0].astype(np.float32).mean(axis=(1, 2, 3))
  assert np.abs(mean - shown).max() < 25
  assert sorted(made["numbers"][0]) == sorted(train.indices(made["total"], rng()))


def test_numbers_turn_around_with_the_frames(toy):
  record = read_records(toy / "train.txt")[0]
  plain = dataclasses.replace(preprocessing("train"), steps=("center_crop",), settings={"center_crop": {"size": 64}})
  settings = {"center_crop": {"size": 64}, "reverse": {"ratio": 1.0}}
  back = dataclasses.replace(plain, steps=("center_crop", "reverse"), settings=settings)
  one, two = (p.explained(record, np.random.default_rng(5)) for p in (plain, back))
  np.testing.assert_array_equal(one["numbers"], two["numbers"][:, ::-1])
  np.testing.assert_array_equal(one["clips"], two["clips"][:, ::-1])


def test_each_crop_has_the_numbers_of_all_its_frames(toy):
  record = read_records(toy / "val.txt")[0]
  settings = {"resize": {"size": 72}, "three_crop": {"size": 72}}
  three = dataclasses.replace(preprocessing("test"), steps=("resize", "three_crop"), settings=settings)
  made = three.explained(record)
  assert made["numbers"].shape == (3, 8)
  assert (made["numbers"] == three.indices(made["total"])).all()


def test_a_changed_class_is_told_and_the_picture_is_written(toy, tmp_path):
  records, labels = read_records(toy / "train.txt"), read_label_map(toy / "labels.txt")
  samples = [sample(r, preprocessing("train"), key=[0, 1, i], labels=labels) for i, r in enumerate(records)]
  assert any(" -> " in one.title for one in samples) and any(" -> " not in one.title for one in samples)
  draw_sheet(samples[:3], tmp_path / "new" / "sheet.png")
  with Image.open(tmp_path / "new" / "sheet.png") as picture:
    assert picture.width > 900 and picture.height > 400
    assert len(set(picture.convert("L").tobytes())) > 50


def test_the_command_writes_the_sheet_of_each_kind(toy, tmp_path, capsys):
  for kind in show.KINDS:
    argv = ["--config=toy_tsm", f"--config.data.root={toy}", f"--kind={kind}", f"--output={tmp_path / kind}.png"]
    show.show([*argv, "--videos=2"])
    assert (tmp_path / f"{kind}.png").stat().st_size > 5000
  assert "2 videos" in capsys.readouterr().out


def test_a_set_of_a_mixture_is_shown_by_its_own_list_and_transforms(toy, tmp_path, capsys):
  (tmp_path / "mixed.py").write_text(
    "from jaction.configs import recipes, toy_tsm\n"
    "from jaction.configs.base import preprocessing\n"
    "def get_config():\n"
    "  c = toy_tsm.get_config().unlock()\n"
    "  own = c.preprocessing.train.copy_and_resolve_references()\n"
    "  own.steps = ('resize', 'center_crop')\n"
    "  own.settings = {'resize': {'size': 64}, 'center_crop': {'size': 64}}\n"
    "  c.data.mix.more = recipes.also('val.txt', preprocessing=own)\n"
    "  return c\n"
  )
  argv = [f"--config={tmp_path / 'mixed.py'}", f"--config.data.root={toy}", f"--output={tmp_path / 'a.png'}"]
  show.show([*argv, "--videos=1"])
  assert "further sets: --set more" in capsys.readouterr().out
  show.show([*argv, "--videos=1", "--set=more"])
  assert "val.txt" in capsys.readouterr().out
  for more in (["--set=moer"], ["--set=more", "--kind=test"]):
    with pytest.raises(InputError, match="data.mix, which is trained on, has more"):
      show.show([*argv, *more])


@pytest.mark.parametrize(
  "argv, message",
  [
    ([], "--config is missing"),
    (["--config=toy_tsm", "--videos=0"], "--videos=0: wanted 1"),
    (["--config=toy_tsm", "--first=99"], "--first=99: the list has 16 videos"),
  ],
)
def test_a_mistake_is_one_clear_error(toy, tmp_path, argv, message):
  with pytest.raises(InputError, match=message):
    show.show([*argv, *([f"--config.data.root={toy}"] if argv else []), f"--output={tmp_path / 'x.png'}"])
