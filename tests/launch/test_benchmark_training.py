"""The benchmark of a run: all figures come, of a few steps; targets are for quiet machines."""

import json

import pytest

from jaction.errors import InputError
from jaction.launch import benchmark
from jaction.records.toy import make_toy_set


def test_a_run_is_measured_beside_its_steps_alone(tmp_path, capsys):
  folder = make_toy_set(tmp_path / "toy", videos=(32, 0, 0)).folder
  argv = ["training", "--config=toy_tsm:short", "--root", str(folder), "--steps=8", "--repeat=1"]
  assert benchmark.main([*argv, "--json", str(tmp_path / "found.json")]) in (0, 1)
  found = json.loads((tmp_path / "found.json").read_text())
  assert found["ratio"] == pytest.approx(found["run_ms"] / found["steps_ms"])
  assert min(found["steps_ms"], found["decoding_ms"]) > 0 and 0 <= found["waiting"] <= 1 and found["rows"] == 1
  assert "waiting" in capsys.readouterr().out


def test_too_few_steps_are_an_input_error(tmp_path):
  with pytest.raises(InputError, match="--steps=5"):
    benchmark.main(["training", "--root", str(tmp_path), "--steps=5"])
