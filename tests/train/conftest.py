"""The tiny set, made once; its config is tests/train/tiny.py."""

import importlib.util
import pathlib

import pytest


@pytest.fixture(scope="session")
def tiny():
  """The module tiny.py (tests are no package)."""
  spec = importlib.util.spec_from_file_location("tiny", pathlib.Path(__file__).with_name("tiny.py"))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="session")
def tiny_set(tiny, tmp_path_factory):
  """The folder of the tiny set."""
  return tiny.make_set(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def config(tiny, tiny_set):
  """The tiny config with the set's folder, not locked."""
  config = tiny.get_config().unlock()
  config.data.root = str(tiny_set)
  return config
