import json

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.launch import benchmark
from jaction.models import conv


def test_models_are_timed_forward_and_in_training(tmp_path, capsys):
  out = tmp_path / "figures.json"
  benchmark.main(["models", "tsm_tiny*", "--side", "16", "--repeat", "1", "--train", "--json", str(out)])
  (row,) = json.loads(out.read_text())["rows"]
  assert row["clips"] == [1, 1, 8, 16, 16, 3] and row["forward_ms"] > 0 and row["train_ms"] > 0
  assert "forward" in capsys.readouterr().out


def test_a_network_is_timed_beside_the_plain_convolutions(tmp_path, monkeypatch):
  used = []
  real = conv.FORMS["lax"]
  monkeypatch.setitem(conv.FORMS, "lax", lambda *args: used.append(args[1].shape) or real(*args))
  out = tmp_path / "figures.json"
  where = ["--side", "16", "--repeat", "1", "--json", str(out)]
  benchmark.main(["models", "tsm_tiny_1x1x8", *where])
  assert not used
  benchmark.main(["models", "tsm_tiny_1x1x8", "--lax", "--train", *where])
  (row,) = json.loads(out.read_text())["rows"]
  assert used and row["train / train lax"] == row["train_ms"] / row["train lax_ms"] and row["forward / forward lax"] > 0


def test_a_pattern_without_a_model_is_an_error():
  with pytest.raises(InputError, match="nothing_like"):
    benchmark.main(["models", "nothing_like*"])


def test_a_name_that_fails_is_in_the_table_and_the_others_still_run(tmp_path, monkeypatch):
  real = benchmark.create_model

  def broken(name):
    if name.startswith("tsn"):
      raise TypeError("no such layer")
    return real(name)

  monkeypatch.setattr(benchmark, "create_model", broken)
  out = tmp_path / "figures.json"
  with pytest.raises(InputError, match="1 of 2 names failed: tsn_tiny_1x1x8"):
    benchmark.main(["models", "ts?_tiny*", "--side", "16", "--frames", "small", "--repeat", "1", "--json", str(out)])
  good, bad = json.loads(out.read_text())["rows"]
  assert good["forward_ms"] > 0 and bad["error"] == "TypeError: no such layer"
  with pytest.raises(InputError, match="1 of 1 names failed: tsn_tiny_1x1x8"):
    benchmark.main(["models", "tsn_tiny_1x1x8", "--json", str(out)])
  assert json.loads(out.read_text())["rows"] == [{"name": "tsn_tiny_1x1x8", "error": "TypeError: no such layer"}]


def test_small_clips_are_ones_that_the_network_takes():
  assert benchmark.clip_shape("c3d_16x1x1", "small", 64) == (16, 112, 112, 3)
  assert benchmark.clip_shape("slowfast_r50_4x16x1", "small", 64) == (8, 64, 64, 3)
  assert benchmark.clip_shape("tsm_r50_1x1x16", "small", 64) == (16, 64, 64, 3)
  assert benchmark.clip_shape("tsn_r18_audio", "small", 64) == (64, 80, 1)
  assert benchmark.clip_shape("tsn_r50_1x1x3", None, None) == (3, 224, 224, 3)


def test_candidates_take_turns():
  order = []
  benchmark.turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeat=2)
  assert order == ["a", "b"] * 3


@pytest.mark.reference
def test_the_torch_twin_gives_the_numbers_of_the_parity_case(shared):
  torch = pytest.importorskip("torch")
  import importlib.util
  import sys

  from jaction.launch.torch_slowonly import SlowOnly

  folder = shared / "parity"
  sys.path.insert(0, str(folder))
  spec = importlib.util.spec_from_file_location("check", folder / "check.py")
  check = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(check)
  sys.path.remove(str(folder))
  meta, arrays = check.load_case(folder / "slowonly_r50_4x16x1.npz")
  state = {key: torch.from_numpy(np.array(value)) for key, value in check.state_dict_of(meta, arrays).items()}
  model = SlowOnly(arrays["logits"].shape[-1]).eval()
  model.load_state_dict(state)
  clips = check.weights.make_input(meta["input"]["imgs"]["seed"], meta["input"]["imgs"]["shape"])
  with torch.inference_mode():
    scores = model(torch.from_numpy(clips.reshape(-1, *clips.shape[2:]))).numpy()
  assert check.rel(scores, arrays["logits"]) < 1e-5
