"""The demo's own arithmetic and drawing; the whole demo, in its short form, is run by CI (`make demo-short`)."""

import numpy as np
import pytest

from jaction.launch import demo
from jaction.records.toy import TOY_CLASSES


def result(labels, guesses):
  rows = [{"step": i, "epoch": i / 4, "kind": "train", "loss": 2.0 / i} for i in (1, 2, 3)]
  rows.append({"step": 3, "epoch": 0.75, "kind": "val", "top1": 0.5})
  return demo.Result(np.eye(len(TOY_CLASSES))[guesses], np.array(labels), rows, 1.0)


def test_the_direction_is_left_out_by_pairs():
  found = result([0, 1, 2, 3, 6, 7], [0, 0, 3, 5, 7, 6])
  assert found.accuracy == pytest.approx(1 / 6)
  assert found.blind == pytest.approx(5 / 6)  # 3 -> 5 leaves its pair


def test_losses_are_those_of_training():
  assert result([0], [0]).losses == [2.0, 1.0, pytest.approx(2 / 3)]


def test_the_picture_is_a_png_of_both_networks(tmp_path):
  demo.draw({"tsm": result([0, 1], [0, 1]), "tsn": result([0, 1], [1, 1])}, tmp_path / "demo.png")
  assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
  assert [path.name for path in tmp_path.iterdir()] == ["demo.png"]


def test_help_tells_the_flags(capsys):
  with pytest.raises(SystemExit) as stop:
    demo.main(["--help"])
  assert stop.value.code == 0
  shown = capsys.readouterr().out
  assert all(flag in shown for flag in ("--short", "--workdir", "--seed"))
