"""Every file of the reference data on clips, lists and losses is read by a test that goes over its cases."""

import pathlib
import re

import pytest

pytestmark = pytest.mark.reference
TESTS = pathlib.Path(__file__).parent
FOLDERS = ("sampling", "transforms", "datasets", "blending", "aggregation", "losses")


def readers(folder: str, name: str) -> list[str]:
  """The test files marked `reference` that name this file, by its path or by its folder and its stem."""
  stem = name.rpartition(".")[0]
  found = []
  for path in sorted(TESTS.rglob("test_*.py")):
    text = path.read_text()
    if path != pathlib.Path(__file__) and "mark.reference" in text and re.search(pattern(folder, stem, name), text):
      found.append(path.name)
  return found


def pattern(folder: str, stem: str, name: str) -> str:
  """ "sampling/test_mode", "golden/losses/losses.json", and "ava_v09.json" where one function joins the folder on."""
  stem, name, folder = map(re.escape, (stem, name, folder))
  return rf'"(golden/)?{folder}/{stem}(\.json)?"|"{folder}" / "{stem}\.json"|"{name}"|losses\("{stem}"'


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_golden_file_has_a_reader(shared, folder):
  place = shared / "golden" / folder
  if not place.is_dir():
    pytest.skip(f"no {place}")
  files = sorted(path.name for path in place.glob("*.json"))
  assert files, f"{place} holds no case"
  unread = [name for name in files if not readers(folder, name)]
  assert not unread, f"no test reads {', '.join(unread)} of {place}"
  alone = [path.name for path in place.glob("*.npz") if path.with_suffix(".json").name not in files]
  assert not alone, f"{', '.join(alone)}: arrays without their cases"


def test_a_file_that_no_test_names_is_noticed():
  """The control."""
  assert not readers("sampling", "test_modes.json") and not readers("transforms", "resiz.json")
