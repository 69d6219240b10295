"""Golden cases, scripted generators, small pictures."""

import json

import numpy as np
import pytest


class Scripted:
  """Draws what `pick(low, high)` says, and keeps what was asked for."""

  def __init__(self, pick):
    self.pick, self.draws = pick, []

  def integers(self, low, high, size=None):
    self.draws.append([int(low), int(high), size])
    value = self.pick(int(low), int(high))
    return value if size is None else np.full(size, value)


PICKS = {
  "low": lambda low, high: low,
  "mid": lambda low, high: (low + high - 1) // 2,
  "high": lambda low, high: high - 1,
}


@pytest.fixture
def scripted():
  """scripted("low" | "mid" | "high" | function) -> a generator that draws so."""
  return lambda pick: Scripted(PICKS.get(pick, pick))


@pytest.fixture(scope="session")
def golden(shared):
  """golden("sampling/test_mode") -> its records, or {case: (params, inputs, outputs)} where arrays go with it."""

  def load(name):
    path = shared / "golden" / f"{name}.json"
    if not path.is_file():
      pytest.skip(f"no {path}")
    table = json.loads(path.read_text())
    if isinstance(table, list):
      return table
    arrays = dict(np.load(path.with_suffix(".npz")))
    part = lambda case, kind: {  # noqa: E731
      key.removeprefix(f"{case}/{kind}/"): value for key, value in arrays.items() if key.startswith(f"{case}/{kind}/")
    }
    return {
      case: (entry["params"], part(case, "in"), part(case, "out")) if "params" in entry else entry
      for case, entry in table.items()
    }

  return load


@pytest.fixture
def pictures():
  """pictures(n, h, w, c) -> uint8 noise."""
  return lambda *shape: np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)
