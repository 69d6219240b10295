"""Rows, dropped rows, lines for people, the picture."""

import json
import time

import cv2
import pytest

from jaction.errors import InputError
from jaction.train.log import Log, clock, draw_curves

SETTINGS = {"every_steps": 2, "seconds": 0.0, "progress": True, "tensorboard": True, "curves": True}


def sums(loss=1.0, rows=4):
  return {"loss": (loss * rows, rows), "accuracy": (rows / 2, rows), "grad_norm": (2.0, 1)}


def write(folder, start, stop, total=10, **settings):
  with Log(folder, SETTINGS | settings, start=start, total=total, examples=8, batch_size=4) as log:
    for step in range(start + 1, stop + 1):
      log.step(step, 0.1, sums(float(step)), waited=0.0)
    log.curves()


def rows(folder):
  return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_row_is_the_mean_of_its_steps(tmp_path):
  write(tmp_path, 0, 5)
  got = rows(tmp_path)
  assert [row["step"] for row in got] == [2, 4]
  assert [row["loss"] for row in got] == [1.5, 3.5]
  assert got[0]["accuracy"] == 0.5
  assert got[0]["epoch"] == 1.0
  assert got[0]["kind"] == "train"
  assert {"lr", "grad_norm", "clips_per_second", "waiting"} <= got[0].keys()
  assert list((tmp_path / "tb").glob("events*"))


def test_rows_after_the_restored_step_are_dropped(tmp_path):
  write(tmp_path, 0, 8)
  with open(tmp_path / "metrics.jsonl", "a") as file:
    file.write('{"step": 9, "kin')  # a killed run's last line
  write(tmp_path, 4, 10)
  assert [row["step"] for row in rows(tmp_path)] == [2, 4, 6, 8, 10]


def test_lines_that_are_no_rows_are_dropped(tmp_path):
  write(tmp_path, 0, 4)
  with open(tmp_path / "metrics.jsonl", "a") as file:
    file.write('3\n[]\n{"kind": "val"}\n{"step": "4"}\nnull\n')
  write(tmp_path, 4, 6)
  assert [row["step"] for row in rows(tmp_path)] == [2, 4, 6]


def test_evaluating_and_saving_do_not_count_as_training_time(tmp_path):
  with Log(tmp_path, SETTINGS, start=0, total=4, examples=8, batch_size=4) as log:
    for step in (1, 2):
      log.step(step, 0.1, sums(), waited=0.0)
    log.evaluation(2, {"loss": 1.0}, 0.0)
    time.sleep(0.5)  # saving
    log.restart_clock()
    for step in (3, 4):
      log.step(step, 0.1, sums(), waited=0.0)
  assert rows(tmp_path)[-1]["step"] == 4
  assert rows(tmp_path)[-1]["clips_per_second"] > 8 / 0.5


def test_a_run_that_starts_anew_keeps_no_rows(tmp_path):
  write(tmp_path, 0, 8)
  write(tmp_path, 0, 2)
  assert [row["step"] for row in rows(tmp_path)] == [2]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path, loss):
  with Log(tmp_path, SETTINGS, start=6, total=10, examples=8, batch_size=4) as log:
    with pytest.raises(InputError, match="at step 7 .*learning rate 0.1"):
      log.step(7, 0.1, sums(loss), waited=0.0)


def test_without_a_terminal_plain_lines_say_how_it_goes(tmp_path, capsys):
  write(tmp_path, 0, 4)
  said = capsys.readouterr().err
  assert "step 3/10  epoch 1.5  loss 2.333  accuracy 50.0%" in said or "step 3/10  epoch 1.5  loss 3.000" in said
  assert "clips/s" in said and "waiting" in said and "left" in said
  assert "\x1b" not in said
  write(tmp_path / ".." / tmp_path.name, 0, 4, progress=False)
  assert capsys.readouterr().err == ""


def test_an_evaluation_is_a_row_of_its_own(tmp_path, capsys):
  with Log(tmp_path, SETTINGS, start=0, total=10, examples=8, batch_size=4) as log:
    log.evaluation(2, {"loss": 1.0, "top1": 0.25}, 3.0)
  (row,) = rows(tmp_path)
  assert (row["kind"], row["top1"], row["seconds"]) == ("val", 0.25, 3.0)
  assert "val: loss 1.000  top1 25.0%" in capsys.readouterr().err


def test_the_curves_are_a_picture(tmp_path):
  made = [
    {"kind": "train", "step": i, "epoch": i / 5, "loss": 2 / (i + 1), "accuracy": i / 20, "lr": 0.1} for i in range(20)
  ]
  made += [{"kind": "val", "epoch": i / 5, "loss": 3 / (i + 1), "top1": i / 25} for i in range(0, 20, 5)]
  draw_curves(made, tmp_path / "curves.png")
  assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]
  picture = cv2.imread(str(tmp_path / "curves.png"))
  assert picture.shape[0] > 300 and picture.shape[1] > 1000
  assert picture.std() > 5


def test_time_left_reads_as_a_clock():
  assert [clock(s) for s in (5, 65, 3723, float("nan"))] == ["0:05", "1:05", "1:02:03", "?"]
