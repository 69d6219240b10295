"""evaluate, predict, inspect and data, as a user calls them, on a small untrained model and the toy set."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaction import folders
from jaction.errors import InputError
from jaction.launch import cli, data, evaluate, inspect, predict
from jaction.models import create_model, initialize, variant
from jaction.records import Video
from jaction.records.toy import TOY_CLASSES, make_toy_set

NAME = "tsm_tiny_1x1x8"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set", videos=(0, 0, 16)).folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  folder = tmp_path_factory.mktemp("model") / "tsm"
  net = create_model(NAME, num_classes=8)
  variables = initialize(net, jax.ShapeDtypeStruct((1, 1, *net.clip, 3), np.float32))
  fields = {"num_classes": 8}
  facts = {"labels": TOY_CLASSES, "preprocessing": variant(NAME).preprocessing}
  folders.save_model(folder, name=NAME, fields=fields, variables=variables, **facts)
  return folder


def test_evaluate_prints_and_writes_what_numpy_makes_of_its_scores(model, toy, tmp_path, capsys):
  groups = ["--groups", f"{toy}/test_shape.txt"]
  evaluate.main(["--model", f"{model}", "--list", f"{toy}/test.txt", "--output", f"{tmp_path}", *groups])
  written = np.load(tmp_path / "scores.npz")
  guesses, labels = written["scores"].argmax(-1), written["labels"]
  metrics = json.loads((tmp_path / "metrics.json").read_text())
  assert metrics["videos"] == 16 == len(written["ids"])
  assert metrics["top1"] == pytest.approx((guesses == labels).mean())
  assert metrics["group_accuracy"] == pytest.approx((guesses // 2 == labels // 2).mean())
  own = written["scores"][np.arange(16), labels]
  assert metrics["top5"] == pytest.approx(((written["scores"] > own[:, None]).sum(-1) < 5).mean())
  assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
  assert "mean_class_accuracy" in capsys.readouterr().out


def test_views_that_are_not_averaged_are_written_one_by_one(model, toy, tmp_path):
  evaluate.main(
    ["--model", f"{model}", "--list", f"{toy}/test.txt", "--average=none", "--crops=3", "--output", f"{tmp_path}"]
  )
  assert np.load(tmp_path / "scores.npz")["scores"].shape == (16, 3, 8)


def test_predict_agrees_with_evaluate(model, toy, tmp_path):
  evaluate.main(["--model", f"{model}", "--list", f"{toy}/test.txt", "--output", f"{tmp_path}"])
  written = np.load(tmp_path / "scores.npz")
  predict.main([f"{toy}/videos/test", "--model", f"{model}", "--json", f"{tmp_path}/p.json", "--top", "8"])
  found = json.loads((tmp_path / "p.json").read_text())
  assert len(found) == 16
  order = {str(name).split("/")[-1]: row for name, row in zip(written["ids"], written["scores"], strict=True)}
  for item in found:
    row = order[item["video"].split("/")[-1]]
    for top in item["top"]:
      assert TOY_CLASSES[top["class"]] == top["label"]
      assert top["probability"] == pytest.approx(row[top["class"]], abs=1e-5)
    assert [t["probability"] for t in item["top"]] == sorted((t["probability"] for t in item["top"]), reverse=True)


def test_predict_draws_and_keeps_standard_output_for_json(model, toy, tmp_path, capsys):
  video = f"{toy}/videos/test/test_00004.mp4"
  predict.main([video, "--model", f"{model}", "--json", "-", "--draw", f"{tmp_path}/out.mp4"])
  assert json.loads(capsys.readouterr().out)[0]["video"] == video
  with Video(tmp_path / "out.mp4") as drawn, Video(video) as source:
    assert drawn.num_frames == source.num_frames
  predict.main([f"{toy}/videos/test", "--model", f"{model}", "--draw", f"{tmp_path}/many", "--top", "1"])
  assert len(list((tmp_path / "many").glob("*.annotated.mp4"))) == 16


def test_inspect_gives_the_facts_of_a_name_and_of_a_folder(model, capsys):
  inspect.main(["--model", "slowfast_r50_4x16x1", "--depth", "2"])
  shown = capsys.readouterr().out
  assert all(text in shown for text in ("34,479,288", "1812.03982", "backbone/lateral_3", "27.6 G"))
  inspect.main(["--model", f"{model}", "--leaves"])
  shown = capsys.readouterr().out
  assert NAME in shown and "num_classes=8" in shown and "3 x 3 x 48 x 16" in shown
  inspect.main(["--list"])
  assert NAME in capsys.readouterr().out.splitlines()


def bad(tmp_path, model, toy):
  """(command, arguments, what the message must hold)."""
  (tmp_path / "video.mp4").write_bytes(b"this is no video")
  (tmp_path / "wrong.txt").write_text("video.mp4 11\n")
  (tmp_path / "list.txt").write_text("video.mp4 1\n")
  (tmp_path / "gone.txt").write_text("gone.mp4 1\n")
  (tmp_path / "empty").mkdir()
  (tmp_path / "coarse.txt").write_text((toy / "test_shape.txt").read_text().replace(" 1\n", " 2\n", 1))
  lists = ["--root", f"{toy}"]
  return [
    (evaluate, ["--model", f"{model}", "--list", f"{tmp_path}/wrong.txt"], "wrong.txt:1"),
    (evaluate, ["--model", f"{model}", "--list", f"{tmp_path}/list.txt"], "video.mp4"),
    (evaluate, ["--model", f"{model}", "--list", f"{tmp_path}/gone.txt"], "gone.mp4"),
    (evaluate, ["--model", f"{model}", "--list", f"{tmp_path}/none.txt"], "none.txt"),
    (evaluate, ["--model", f"{tmp_path}", "--list", f"{toy}/test.txt"], "model"),
    (
      evaluate,
      ["--model", f"{model}", "--list", f"{toy}/test.txt", *lists, "--groups", f"{tmp_path}/coarse.txt"],
      "one group",
    ),
    (predict, [f"{tmp_path}/video.mp4", "--model", f"{model}"], "video.mp4"),
    (predict, [f"{tmp_path}/gone.mp4", "--model", f"{model}"], "no such file"),
    (predict, [f"{tmp_path}/empty", "--model", f"{model}"], "without videos"),
    (predict, [f"{toy}/videos/test", "--model", f"{model}", "--draw", "one.mp4"], "folder"),
    (inspect, ["--model", "slowfast_50_4x16x1"], "Near it: slowfast_r50_4x16x1"),
    (inspect, ["--model", f"{tmp_path}"], "model"),
    (data, ["tois"], "toy"),
  ]


def test_mistakes_are_one_message_that_names_them(tmp_path, model, toy):
  for command, arguments, words in bad(tmp_path, model, toy):
    with pytest.raises(InputError) as error:
      command.main(arguments)
    assert words in str(error.value), f"{command.__name__} {arguments}: {error.value}"
    assert len(str(error.value)) < 1000


def test_a_mistake_is_exit_status_two_without_a_traceback(tmp_path):
  code = "import sys; from jaction.launch import cli, main; sys.exit(cli.run(main.main))"
  run = subprocess.run(
    [sys.executable, "-c", code, "inspect", "--model", "tsn_r5_1x1x3"],
    capture_output=True,
    text=True,
    timeout=120,
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
  )
  assert run.returncode == 2 and run.stderr.startswith("error: ") and "Traceback" not in run.stderr


def test_what_the_system_refuses_is_one_message_and_is_told_before_the_work(tmp_path, model, toy, capsys):
  (tmp_path / "file").write_text("")
  video = f"{toy}/videos/test/test_00000.mp4"
  evaluated = ["--model", f"{model}", "--list", f"{toy}/test.txt", "--output", f"{tmp_path}/file"]
  assert cli.run(evaluate.main, evaluated) == 2
  assert f"{tmp_path}/file" in capsys.readouterr().err
  assert cli.run(predict.main, [video, "--model", f"{model}", "--json", f"{tmp_path}/gone/x.json"]) == 2
  assert "no such folder" in capsys.readouterr().err
  assert cli.run(predict.main, [video, "--model", f"{model}", "--draw", f"{tmp_path}/x.avi"]) == 2
  assert ".mp4" in capsys.readouterr().err


def test_drawings_of_videos_of_one_name_do_not_replace_each_other(tmp_path, model, toy):
  source = f"{toy}/videos/test/test_00000.mp4"
  for folder in ("a", "b"):
    (tmp_path / "in" / folder).mkdir(parents=True)
    shutil.copy(source, tmp_path / "in" / folder / "x.mp4")
  predict.main([f"{tmp_path}/in", "--model", f"{model}", "--draw", f"{tmp_path}/out"])
  drawn = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.mp4"))
  assert drawn == ["a/x.annotated.mp4", "b/x.annotated.mp4"]


def test_a_checkout_that_is_not_installed_says_what_to_do():
  root = pathlib.Path(__file__).parent.parent.parent
  for module in ("launch.train", "launch.demo", "converters.convert"):
    run = subprocess.run([sys.executable, "-S", "-m", module], cwd=root, capture_output=True, text=True, timeout=60)
    assert run.returncode != 0 and "not installed" in run.stderr and "pip install -e ." in run.stderr


def test_ctrl_c_is_not_a_traceback(capsys):
  def interrupted(argv):
    raise KeyboardInterrupt

  assert cli.run(interrupted, []) == 130
