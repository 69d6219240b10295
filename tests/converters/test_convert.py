"""A PyTorch file becomes a folder that `jaction.load` opens, and the folder a PyTorch file, by one command."""

import json

import jax
import numpy as np
import pytest

import jaction
from jaction import folders
from jaction.converters import convert, from_torch, to_torch
from jaction.converters.names import reversed_channels
from jaction.converters.reader import read_checkpoint
from jaction.converters.writer import write_checkpoint
from jaction.errors import CheckpointError, InputError
from jaction.launch import cli

NAME = "tsn_tiny_1x1x8"


@pytest.fixture(scope="module")
def state():
  model = jaction.create_model(NAME, num_classes=5)
  rng = np.random.default_rng(0)
  shapes = folders._shapes(model, 3)
  variables = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)
  return to_torch(variables, model, strict_keys=True)


@pytest.fixture
def checkpoint(tmp_path, state):
  write_checkpoint(tmp_path / "in.pth", {f"module.{name}": value for name, value in state.items()})
  return tmp_path / "in.pth"


def run(*arguments, model=NAME):
  return convert.main([*(["--model", model] if model else []), *map(str, arguments)])


def test_a_checkpoint_becomes_a_folder_that_needs_nothing_else(checkpoint, tmp_path, state, capsys):
  (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
  assert run("--checkpoint", checkpoint, "--output", tmp_path / "m", "--labels", tmp_path / "labels.txt") == 0
  folder = folders.load_folder(tmp_path / "m")
  back = to_torch(folder.variables, folder.model, strict_keys=True)
  assert back.keys() == state.keys() and all(np.array_equal(back[name], state[name]) for name in state)
  assert folder.labels == tuple("abcde") and folder.reinitialized == ()
  assert folder.preprocessing["frames_per_view"] == 8
  assert folder.source["checkpoint"] == "in.pth" and len(folder.source["sha256"]) == 64
  told = capsys.readouterr().out
  parameters = sum(leaf.size for leaf in jax.tree.leaves(folder.variables["params"]))
  assert f"{NAME}: {parameters:,} parameters, 5 classes" in told
  counters = [name for name in state if name.endswith("num_batches_tracked")]
  rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in told.splitlines() if line.count("│") == 5}
  assert rows["loaded"] == str(len(state) - len(counters))
  assert rows["ignored"] == str(len(counters)) and rows["re-initialised"] == "0"


def test_another_class_count_starts_the_last_layer_anew_and_only_that(checkpoint, tmp_path, capsys):
  assert run("--checkpoint", checkpoint, "--output", tmp_path / "five") == 0
  assert run("--checkpoint", checkpoint, "--output", tmp_path / "nine", "--num-classes", 9) == 0
  five, nine = folders.load_folder(tmp_path / "five"), folders.load_folder(tmp_path / "nine")
  assert nine.model.head.num_classes == 9
  assert nine.reinitialized == ("params/head/fc/bias", "params/head/fc/kernel")
  assert "re-initialised: params/head/fc/bias, params/head/fc/kernel" in capsys.readouterr().out
  kernel = nine.variables["params"]["head"]["fc"]["kernel"]
  assert kernel.shape[-1] == 9 and 0 < kernel.std() < 0.2 and not nine.variables["params"]["head"]["fc"]["bias"].any()
  for part in ("params", "batch_stats"):
    pairs = zip(*(jax.tree.leaves(folder.variables[part]["backbone"]) for folder in (five, nine)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_the_way_back_gives_the_file_back(checkpoint, tmp_path, state, capsys):
  run("--checkpoint", checkpoint, "--output", tmp_path / "m")
  run("--checkpoint", tmp_path / "m", "--output", tmp_path / "out.pth", "--to-torch", model=None)
  back = read_checkpoint(tmp_path / "out.pth")
  assert back.keys() == state.keys() and all(np.array_equal(back[name], state[name]) for name in state)
  with pytest.raises(InputError, match=f"holds a {NAME}, not a tsm_tiny"):
    run("--checkpoint", tmp_path / "m", "--output", tmp_path / "o.pth", "--to-torch", model="tsm_tiny_1x1x8")


def test_half_precision_is_widened_and_said(tmp_path, state, capsys):
  write_checkpoint(
    tmp_path / "h.pth", {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in state.items()}
  )
  run("--checkpoint", tmp_path / "h.pth", "--output", tmp_path / "m")
  leaves = jax.tree.leaves(folders.load_folder(tmp_path / "m").variables)
  assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}
  assert "stored as float32" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["drop", "add", "reshape"])
def test_a_checkpoint_that_does_not_fit_names_its_file_and_the_tensor_and_writes_nothing(change, tmp_path, state):
  state = dict(state)
  name = next(key for key in state if key.endswith("conv.weight"))
  if change == "add":
    name, state["extra.weight"] = "extra.weight", np.ones(3, np.float32)
  elif change == "drop":
    del state[name]
  else:
    state[name] = state[name][:1]
  write_checkpoint(tmp_path / "in.pth", state)
  with pytest.raises(CheckpointError) as caught:
    run("--checkpoint", tmp_path / "in.pth", "--output", tmp_path / "m")
  assert name in str(caught.value) and str(tmp_path / "in.pth") in str(caught.value)
  assert not (tmp_path / "m").exists()


def test_mistakes_on_the_command_line_are_one_line_each(checkpoint, tmp_path, capsys):
  (tmp_path / "labels.txt").write_text("a\nb\n")
  (tmp_path / "full").mkdir()
  (tmp_path / "full" / "thesis.txt").write_text("mine")
  where = ["--checkpoint", str(checkpoint), "--output"]
  for arguments, words in [
    (["--model", "tsn_tny_1x1x8", *where, "m"], "Near it: tsn_tiny_1x1x8"),
    ([*where, str(tmp_path / "m")], "--model is missing"),
    (["--model", NAME, *where, str(tmp_path / "full")], "--overwrite to replace it"),
    (
      ["--model", NAME, *where, str(tmp_path / "m"), "--labels", str(tmp_path / "labels.txt")],
      "2 labels for 5 classes",
    ),
    (["--model", NAME, *where, str(tmp_path / "m"), "--labels", str(tmp_path / "none.txt")], "none.txt"),
    (["--model", NAME, *where, str(tmp_path / "m"), "--num-classes", "0"], "num_classes must be at least 1"),
    (["--model", NAME, "--checkpoint", "none.pth", "--output", str(tmp_path / "m")], "none.pth: there is no such file"),
    (["--checkpoint", "none", "--output", str(tmp_path / "o.pth"), "--to-torch"], "none: there is no such folder"),
    (["--checkpoint", "none", "--output", "o.pth", "--to-torch", "--num-classes", "3"], "say nothing together"),
  ]:
    assert cli.run(convert.main, arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and "Traceback" not in error
  assert not (tmp_path / "m").exists()
  assert cli.run(convert.main, ["--model", NAME, *where, str(tmp_path / "full"), "--overwrite"]) == 0
  assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
  assert json.loads((tmp_path / "full" / "model.json").read_text())["fields"] == {"num_classes": 5}


@pytest.mark.reference
def test_torch_opens_what_the_command_writes(checkpoint, tmp_path, state):
  torch = pytest.importorskip("torch")
  run("--checkpoint", checkpoint, "--output", tmp_path / "m")
  run("--checkpoint", tmp_path / "m", "--output", tmp_path / "out.pth", "--to-torch", model=None)
  got = torch.load(tmp_path / "out.pth", weights_only=True)
  assert all(np.array_equal(got[name].numpy(), state[name]) for name in state)
  torch.save({"state_dict": got, "meta": {}}, tmp_path / "again.pth", _use_new_zipfile_serialization=False)
  model = jaction.create_model(NAME, num_classes=5)
  again = from_torch(read_checkpoint(tmp_path / "again.pth"), model)
  first = folders.load_folder(tmp_path / "m").variables
  assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (again, first)), strict=True))


def test_weights_for_blue_green_red_become_a_folder_for_red_green_blue_and_the_way_back_is_exact(tmp_path):
  name = "tsn_bninception_1x1x3"
  model, rng = jaction.create_model(name, num_classes=3), np.random.default_rng(0)
  shapes = folders._shapes(model, 3)
  variables = jax.tree.map(lambda leaf: rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32), shapes)
  state = to_torch(variables, model, strict_keys=True)
  write_checkpoint(tmp_path / "in.pth", state)
  run("--checkpoint", tmp_path / "in.pth", "--output", tmp_path / "m", model=name)
  loaded = jaction.load(tmp_path / "m")[1]
  stem = "backbone.conv1_7x7_s2.weight"
  np.testing.assert_array_equal(to_torch(loaded, model)[stem], state[stem][:, ::-1])
  changed = [a.shape for a, b in zip(*map(jax.tree.leaves, (loaded, variables)), strict=True) if (a != b).any()]
  assert changed == [(7, 7, 3, 64)]
  run("--checkpoint", tmp_path / "m", "--output", tmp_path / "out.pth", "--to-torch", model=None)
  back = read_checkpoint(tmp_path / "out.pth")
  assert back.keys() == state.keys() and all(np.array_equal(back[key], state[key]) for key in state)


def test_colours_are_reversed_for_pictures_and_not_for_flow():
  model = jaction.create_model("tsn_r18_1x1x3", num_classes=3)
  for channels, same in ((3, False), (10, True)):
    variables = jax.tree.map(lambda s: np.arange(np.prod(s.shape)).reshape(s.shape), folders._shapes(model, channels))
    turned = reversed_channels(variables)
    kernels = [tree["params"]["backbone"]["conv1"]["conv"]["kernel"] for tree in (variables, turned)]
    assert np.array_equal(*kernels) == same
    assert same or np.array_equal(kernels[0][..., ::-1, :], kernels[1])
    jax.tree.map(np.testing.assert_array_equal, reversed_channels(turned), variables)
