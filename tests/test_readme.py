"""The README does what it says: its Python runs, and its commands exist with the flags it gives."""

import importlib
import pathlib
import re
import shlex

import pytest

from jaction.launch import main, train

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
