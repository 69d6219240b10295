"""Whole runs over a set with a damaged picture."""

import json
import shutil

import pytest

from jaction.errors import InputError, MediaError
from jaction.train.loop import train


@pytest.fixture
def damaged(tiny_set, config, tmp_path):
  root = tmp_path / "set"
  shutil.copytree(tiny_set, root)
  for name in ("train_03", "val_02"):
    for image in (root / name).iterdir():
      image.write_bytes(b"no image")
  config.data.root, config.data.on_error, config.data.max_errors = str(root), "substitute", 1.0
  return config


def rows(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_goes_on_counts_and_lists_what_it_could_not_read(damaged, tmp_path):
  damaged.duration.steps = 16
  metrics = train(damaged, tmp_path / "run")
  assert metrics["bad_files"] == 1
  found = rows(tmp_path / "run" / "bad_files.jsonl")
  assert {row["id"] for row in found} == {"train_03", "val_02"}
  trained = [row for row in found if row["kind"] == "train"]
  assert all(row["instead"] != "train_03" and "train_03" in row["reason"] for row in trained)
  assert sum(row.get("bad_files", 0) for row in rows(tmp_path / "run" / "metrics.jsonl") if row["kind"] == "train") == (
    len(trained)
  )


def test_too_many_stop_the_run_and_raise_stops_at_the_first(damaged, tmp_path):
  damaged.data.max_errors = 0.0
  with pytest.raises(InputError, match=r"1 files of epoch 0 cannot be read, 0 are allowed.*\n  train_03"):
    train(damaged, tmp_path / "run")
  damaged.data.on_error = "raise"
  with pytest.raises(MediaError, match="no image that can be decoded"):
    train(damaged, tmp_path / "other")
