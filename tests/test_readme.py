"""The README does what it says: its Python runs, and its commands exist with the flags it gives."""

import importlib
import json
import pathlib
import re
import shlex
import shutil

import numpy as np
import pytest

from jaction import folders
from jaction.errors import InputError
from jaction.launch import evaluate, main, train
from jaction.records import read_records
from jaction.records.toy import make_toy_set
from jaction.train.experiment import Experiment

ROOT = pathlib.Path(__file__).parent.parent
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}


def blocks(name: str, language: str) -> list[str]:
  return re.findall(rf"^```{language}\n(.*?)^```", TEXTS[name], re.DOTALL | re.MULTILINE)


COMMANDS = [line for name in TEXTS for block in blocks(name, "sh") for line in block.replace("\\\n", "").splitlines()]


def test_the_python_blocks_run_in_order(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  sources = blocks("README.md", "python")
  assert len(sources) == 3
  names = {"__name__": "readme"}
  for number, source in enumerate(sources):
    line = TEXTS["README.md"][: TEXTS["README.md"].index(source)].count("\n")
    exec(compile("\n" * line + source, f"README.md, block {number + 1}", "exec"), names)
  assert names["logits"].shape == (2, 1, 8)
  assert float(names["value"]) < 3  # a class out of eight by guessing: 2.08


def test_the_first_block_is_six_lines_that_do_something():
  first = [
    line for line in blocks("README.md", "python")[0].splitlines() if line and not line.startswith(("import", "from"))
  ]
  assert len(first) <= 6


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("jaction ")])
def test_commands_and_flags_of_jaction_exist(line):
  _, command, *words = shlex.split(line, comments=True)
  assert command in main.COMMANDS
  if command == "train":
    config = train.parse_config([word for word in words if word.startswith("--config")])
    assert config is not None
    return
  source = pathlib.Path(importlib.import_module(main.COMMANDS[command].module).__file__).read_text(encoding="utf-8")
  for word in words:
    if word.startswith("--"):
      assert f'"{word.split("=")[0]}"' in source, f"jaction {command} has no {word}"


def own_videos(folder, toy):
  """videos/{train,val}/{run,jump}, of two toy classes, with what an unpacked archive leaves beside them."""
  make_toy_set(toy, videos=(16, 8, 8))
  for split in ("train", "val"):
    for name, source in (("run", "right"), ("jump", "up")):
      shutil.copytree(toy / "by_class" / split / source, folder / split / name)
    (folder / split / "__MACOSX").mkdir()
  next((folder / "val" / "run").iterdir()).rename(folder / "val" / "run" / "c.mp4")


def test_the_block_for_own_videos_does_what_it_says(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  own_videos(tmp_path / "videos", tmp_path / "toy")
  (block,) = (block for block in blocks("README.md", "sh") if "toy_tsm:own" in block)
  first, *others = (shlex.split(line) for line in block.replace("\\\n", "").splitlines())
  short = ["duration.epochs=0", "duration.steps=2", "schedule.warmup.epochs=0", "log.tensorboard=False"]
  assert not main.main([*first[1:], *(f"--config.{change}" for change in short)])
  assert folders.load_folder("mine").labels == ("jump", "run")
  config = json.loads((tmp_path / "mine" / "config.json").read_text())
  with Experiment(config).training_batches(0) as batches:
    batch = next(batches)
  records = read_records("videos/train")
  assert batch["label"].tolist() == [records[n].label for n in batch["index"]]  # no step has changed one
  for words in others:
    assert not main.main(words[1:])

  # a folder of one class, which alone would be number 0, is still that class
  shutil.rmtree("videos/val/jump")
  assert not main.main(["evaluate", "--model", "mine", "--list", "videos/val", "--output", "scores"])
  assert set(np.load("scores/scores.npz")["labels"]) == {1}
  (tmp_path / "videos" / "val" / "run").rename("videos/val/runs")
  with pytest.raises(InputError, match="no class 'runs' .*Near it: run"):
    evaluate.main(["--model", "mine", "--list", "videos/val"])
  for flag in ("--batch-size=0", "--threads=-1"):
    with pytest.raises(InputError, match=f"^{flag}: wanted"):
      evaluate.main(["--model", "mine", "--list", "videos/val", flag])

  # of a model without names a folder for each class is wanted
  facts = json.loads((tmp_path / "mine" / "model" / "model.json").read_text())
  (tmp_path / "mine" / "model" / "model.json").write_text(json.dumps(facts | {"labels": []}))
  with pytest.raises(InputError, match="has 1 class folders, and mine tells 2 classes apart but does not name them"):
    evaluate.main(["--model", "mine", "--list", "videos/val"])


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_make_targets_exist(line):
  target = shlex.split(line, comments=True)[1]
  assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", TEXTS)
def test_files_that_are_named_are_there(name):
  """Paths in backticks that begin with a folder or file of the checkout."""
  tops = {path.name for path in ROOT.iterdir()}
  for text in re.findall(r"`([\w./-]+)`", re.sub(r"```.*?```", "", TEXTS[name], flags=re.DOTALL)):
    if text.split("/")[0] in tops and not any(word in text for word in ("NAME", "demo/")):
      assert (ROOT / text).exists(), text


@pytest.mark.parametrize("name", TEXTS)
def test_lines_fit(name):
  outside = re.sub(r"```.*?```", "", TEXTS[name], flags=re.DOTALL)
  assert max(map(len, outside.splitlines())) <= 120
