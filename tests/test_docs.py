"""docs/models.md is what docs/make_models.py writes; commands in docs are ones that there are."""

import csv
import importlib.util
import pathlib
import re
import shlex

import pytest

from jaction.launch.train import parse_config
from jaction.models import VARIANTS

DOCS = pathlib.Path(__file__).parent.parent / "docs"
AGAIN = "run python docs/make_models.py"


@pytest.fixture(scope="module")
def script():
  spec = importlib.util.spec_from_file_location("make_models", DOCS / "make_models.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def rows():
  lines = [line for line in (DOCS / "models.md").read_text().splitlines() if line.startswith("| `")]
  return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_table_of_models_has_every_name_with_the_facts_of_its_row(script):
  assert [row[0].strip("`") for row in rows()] == list(VARIANTS), AGAIN
  for name, row in zip(VARIANTS, rows(), strict=True):
    assert row[: len(script.facts(name))] == script.facts(name), AGAIN


def test_the_table_of_models_has_the_measured_differences(script):
  measured = script.differences()
  with (DOCS / "parity.csv").open() as file:
    assert {row["model"] for row in csv.DictReader(file)} <= set(VARIANTS)
  assert [row[6] for row in rows()] == [measured.get(name, "-") for name in VARIANTS], AGAIN


@pytest.mark.reference
def test_the_table_of_models_is_what_the_script_writes(script, shared):
  assert (DOCS / "models.md").read_text() == script.table(shared / "zoo"), AGAIN


@pytest.mark.parametrize("name", ["training.md", "localization.md", "detection.md", "data.md", "recipes.md"])
def test_the_training_commands_of_the_docs_are_configs_with_the_keys_that_they_set(name):
  text = (DOCS / name).read_text().replace("\\\n", " ")
  commands = [shlex.split(line.split("#")[0]) for line in text.splitlines() if line.startswith("jaction train ")]
  flags = re.findall(r"`(--config\.[^`]+=[^`]+)`", text)
  if name in ("training.md", "localization.md"):
    assert commands
  for command in commands:
    argv = [flag for flag in command[2:] if flag.startswith("--config")]
    assert parse_config(argv) is not None, command
  for flag in flags:
    assert parse_config(["--config=tsn_r50_1x1x8_50e_hmdb51_kinetics400_rgb", *shlex.split(flag)]) is not None, flag
