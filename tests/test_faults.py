"""The list of bad files and its limit."""

import json

import pytest

from jaction.errors import InputError
from jaction.faults import BadFiles, Fault

IDS = [f"video{i}" for i in range(20)]


def fault(number, place=0):
  return Fault(place, number, IDS[number], f"{IDS[number]}: is empty", 5)


def test_rows_are_written_as_they_come(tmp_path):
  bad = BadFiles(tmp_path / "bad.jsonl", limit=3)
  assert bad.add([fault(1, 7)], IDS, step=2, epoch=0, videos=20) == 1
  row = json.loads((tmp_path / "bad.jsonl").read_text())
  wanted = {"step": 2, "kind": "train", "epoch": 0, "place": 7, "number": 1, "id": "video1", "instead": "video5"}
  assert row == wanted | {"reason": "video1: is empty"}
  assert bad.add([], IDS, step=3, epoch=0, videos=20) == 0


@pytest.mark.parametrize("limit, allowed", [(0, 0), (0.01, 1), (0.1, 2), (3, 3), (1.0, 1)])
def test_more_different_files_than_the_limit_in_an_epoch_stop_the_run_and_are_named(limit, allowed, tmp_path):
  bad = BadFiles(tmp_path / "bad.jsonl", limit=limit)
  for number in range(allowed):
    bad.add([fault(number)] * 3, IDS, step=1, epoch=0, videos=20)
    bad.add([fault(number + 10)], IDS, step=9, epoch=1, videos=20)  # another epoch has its own
  with pytest.raises(InputError, match=rf"{allowed + 1} files of epoch 0 .*{allowed} are allowed") as error:
    bad.add([fault(allowed)], IDS, step=2, epoch=0, videos=20)
  assert all(f"video{number}: is empty" in str(error.value) for number in range(allowed + 1))
  assert str(tmp_path / "bad.jsonl") in str(error.value)


def test_a_resumed_run_counts_on_from_its_step(tmp_path):
  path = tmp_path / "bad.jsonl"
  first = BadFiles(path, limit=2)
  first.add([fault(1)], IDS, step=3, epoch=0, videos=20)
  first.add([fault(2)], IDS, step=5, epoch=0, videos=20)
  path.write_text(path.read_text() + '{"step": 6, "ki')
  again = BadFiles(path, limit=2, start=4)
  assert [row["number"] for row in again.rows] == [1]
  again.add([fault(2)], IDS, step=5, epoch=0, videos=20)
  assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [3, 5]
  with pytest.raises(InputError, match="3 files of epoch 0"):
    again.add([fault(3)], IDS, step=6, epoch=0, videos=20)


@pytest.mark.parametrize("limit", [-1, float("nan"), float("inf"), True, "2"])
def test_an_odd_limit_is_an_error(limit):
  with pytest.raises(InputError, match="max_errors"):
    BadFiles(None, limit=limit)
