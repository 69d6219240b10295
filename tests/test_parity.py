"""The networks and their weights against the reference's own numbers, whatever cases the folder holds."""

import importlib.util
import json
import os
import pathlib
import sys

import pytest

from jaction.models import VARIANTS

pytestmark = pytest.mark.reference
SHARED = pathlib.Path(os.environ.get("JACTION_SHARED", pathlib.Path(__file__).parent.parent.parent / "shared"))
FOLDER = SHARED / "parity"
MODELS = json.loads((FOLDER / "models.json").read_text()) if (FOLDER / "models.json").is_file() else {}
KNOWN = {case: entry for case, entry in MODELS.items() if entry["model"] in VARIANTS}


@pytest.fixture(scope="module")
def check():
  if not KNOWN:
    pytest.skip(f"no parity cases in {FOLDER}; set JACTION_SHARED")
  sys.path.insert(0, str(FOLDER))
  spec = importlib.util.spec_from_file_location("check", FOLDER / "check.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  yield module
  sys.path.remove(str(FOLDER))


DEEP = ("_r101", "_r152", "x3d_l", "x3d_m")  # compile for long


def cases():
  """Every case; by default neither the deep networks nor, but for one, the training ones, which compile for long."""
  first = next((case for case in KNOWN if case.startswith("train_")), None)
  for case in KNOWN or ["none"]:
    slow = case.startswith("train_") and case != first or any(part in KNOWN[case]["model"] for part in DEEP if KNOWN)
    yield pytest.param(case, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize("case", list(cases()))
def test_the_reference_numbers_are_met(check, case):
  meta, arrays = check.load_case(FOLDER / f"{case}.npz")
  limit = max(
    [1e-4, *(20 * v for k, v in (meta.get("float64_check") or {}).items() if k in arrays and k != "prob" and v)]
  )
  assert check.run_case(meta, arrays, MODELS[case]) <= limit


def test_a_broken_network_misses_them(check):
  """The control: a shift the wrong way round must not pass."""
  import functools

  from jaction.models import tsm

  if "tsm_r50_1x1x8" not in KNOWN:
    pytest.skip("no TSM case")
  meta, arrays = check.load_case(FOLDER / "tsm_r50_1x1x8.npz")
  backwards = functools.partial(lambda x, div: tsm.temporal_shift(x[:, ::-1], div=div)[:, ::-1], div=8)
  entry = MODELS["tsm_r50_1x1x8"]
  entry = entry | {"kwargs": entry["kwargs"] | {"before": backwards}}
  assert check.run_case(meta, arrays, entry) > 1e-3
