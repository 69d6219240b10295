"""torchvision's ImageNet ResNets in 2-D and 3-D networks."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaction import folders
from jaction.clips.preprocessing import Preprocessing
from jaction.converters import convert, inflate
from jaction.converters.writer import write_checkpoint
from jaction.errors import CheckpointError, InputError
from jaction.models import create_model

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


def imagenet(depth=18, width=4):
  """A state dict with torchvision's names, of fewer channels."""
  rng, out = np.random.default_rng(0), {}

  def conv(name, outputs, inputs, size):
    out[f"{name}.weight"] = rng.normal(0, (inputs * size**2) ** -0.5, (outputs, inputs, size, size)).astype(np.float32)

  def norm(name, features):
    for key, low, high in (("weight", 0.5, 1.5), ("bias", -0.2, 0.2), ("running_mean", -0.2, 0.2)):
      out[f"{name}.{key}"] = rng.uniform(low, high, features).astype(np.float32)
    out[f"{name}.running_var"] = rng.uniform(0.5, 1.5, features).astype(np.float32)
    out[f"{name}.num_batches_tracked"] = np.int64(7)

  conv("conv1", width, 3, 7)
  norm("bn1", width)
  before, grown = width, 1 if depth < 50 else 4
  for s, blocks in enumerate(BLOCKS[depth], start=1):
    inner = width * 2 ** (s - 1)
    sizes = [(inner, 3), (inner, 3)] if grown == 1 else [(inner, 1), (inner, 3), (4 * inner, 1)]
    for b in range(blocks):
      inputs = before
      for c, (outputs, size) in enumerate(sizes, start=1):
        conv(f"layer{s}.{b}.conv{c}", outputs, inputs, size)
        norm(f"layer{s}.{b}.bn{c}", outputs)
        inputs = outputs
      if b == 0 and (s > 1 or grown == 4):
        conv(f"layer{s}.0.downsample.0", grown * inner, before, 1)
        norm(f"layer{s}.0.downsample.1", grown * inner)
      before = grown * inner
  out["fc.weight"] = np.zeros((1000, before), np.float32)
  out["fc.bias"] = np.zeros(1000, np.float32)
  return out


def network(name, **fields):
  model = create_model(name, num_classes=5, width=4, **fields)
  return model.clone(clip=(model.clip[0], 32, 32))


def maps(model, variables, clip):
  """What the backbone makes of clips [B, T, H, W, C]."""
  inner = {key: tree["backbone"] for key, tree in variables.items()}
  return jax.jit(lambda: model.backbone.apply(inner, clip, train=False))()


def test_a_2d_network_holds_the_kernels_themselves():
  state = imagenet()
  variables, initial = inflate(state, network("tsm_r18_1x1x8"))
  assert set(initial) == {"params/head/fc/kernel", "params/head/fc/bias"}
  block = variables["params"]["backbone"]["res3"]["block0"]
  np.testing.assert_array_equal(block["conv2"]["kernel"], state["layer2.0.conv2.weight"].transpose(2, 3, 1, 0))
  np.testing.assert_array_equal(block["proj"]["kernel"][0, 0], state["layer2.0.downsample.0.weight"][:, :, 0, 0].T)
  stats = variables["batch_stats"]["backbone"]["res3"]["block0"]["bn_proj"]
  np.testing.assert_array_equal(stats["var"], state["layer2.0.downsample.1.running_var"])


@pytest.mark.parametrize("form", ["centred", "averaged"])
def test_an_inflated_network_gives_what_the_2d_one_gives(form):
  """Centred: on every frame.  Averaged: of a still picture, in the frame that no padding of zeros reaches."""
  state, frames = imagenet(50), 33
  flat, deep = network("tsn_r50_1x1x8"), network("slowonly_r50_4x16x1")
  clip = np.random.default_rng(1).standard_normal((1, frames, 32, 32, 3), np.float32)
  seen = slice(None)
  if form == "averaged":
    clip, seen = np.broadcast_to(clip[:, :1], clip.shape), slice(16, 17)
  wanted = maps(flat, inflate(state, flat).variables, clip[:, seen])
  got = maps(deep, inflate(state, deep, form=form).variables, clip)[:, seen]
  assert np.abs(wanted).max() > 0.1
  np.testing.assert_allclose(got, wanted, atol=1e-4 * np.abs(wanted).max(), rtol=1e-3)


def test_the_first_kernel_for_flow_is_the_mean_over_the_colours():
  state = imagenet()
  variables, _ = inflate(state, network("tsn_r18_1x1x3"), channels=10)
  kernel = variables["params"]["backbone"]["conv1"]["conv"]["kernel"]
  mean = state["conv1.weight"].mean(axis=1).transpose(1, 2, 0)
  assert kernel.shape == (7, 7, 10, 4)
  for i in range(10):
    np.testing.assert_allclose(kernel[:, :, i], mean, atol=1e-6)
  other = inflate(state, network("tsn_r18_1x1x3")).variables
  np.testing.assert_array_equal(
    variables["params"]["backbone"]["res2"]["block0"]["conv1"]["kernel"],
    other["params"]["backbone"]["res2"]["block0"]["conv1"]["kernel"],
  )


def test_what_imagenet_has_not_stays_at_initial_values_and_is_named():
  deep = network("i3d_nl_dot_product_r50_32x2x1")
  variables, initial = inflate(imagenet(50), deep)
  assert all("/head/" in path or "/after" in path for path in initial)
  assert "params/backbone/res3/after1/theta/kernel" in initial and "batch_stats/backbone/res3/after1/bn/var" in initial
  assert variables["params"]["backbone"]["conv1"]["conv"]["kernel"].shape[0] == 5
  tin = inflate(imagenet(50, 16), create_model("tin_r50_1x1x8", num_classes=5, width=16)).initial
  assert {path.split("/")[4] for path in tin if "backbone" in path} == {"interlace"}
  _, tam = inflate(imagenet(50), network("tanet_r50_1x1x8"))
  assert {path.split("/")[4] for path in tam if "backbone" in path} == {"tam"}


def test_one_key_dropped_added_or_reshaped_is_an_error_that_names_it():
  state, model = imagenet(), network("tsn_r18_1x1x3")
  less = {name: value for name, value in state.items() if name != "layer3.1.bn2.running_var"}
  more = state | {"layer1.2.conv1.weight": state["layer1.1.conv1.weight"]}
  shape = state | {"layer1.1.conv1.weight": state["layer1.1.conv1.weight"][:3]}
  kind = state | {"bn1.bias": np.zeros(4, np.int64)}
  for bad, name in (
    (less, "layer3.1.bn2.running_var"), (more, "layer1.2.conv1"), (shape, "layer1.1.conv1"), (kind, "bn1.bias"),
  ):  # fmt: skip
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
      inflate(bad, model)
  with pytest.raises(CheckpointError, match=r"layer1\.0\.conv3\.weight"):
    inflate(imagenet(50), model)
  with pytest.raises(InputError, match="centred"):
    inflate(state, model, form="centered")
  with pytest.raises(InputError, match="SlowFast"):
    inflate(state, create_model("slowfast_tiny_2x8x1"))


def test_the_command_writes_a_folder_to_train_from(tmp_path, capsys):
  write_checkpoint(tmp_path / "resnet18.pth", imagenet(18, 64))
  arguments = ["--model", "tsn_r18_1x1x3", "--checkpoint", str(tmp_path / "resnet18.pth"), "--num-classes", "5"]
  assert convert.main([*arguments, "--output", str(tmp_path / "m"), "--inflate", "averaged", "--channels", "2"]) == 0
  folder = folders.load_folder(tmp_path / "m")
  assert set(folder.reinitialized) == {"params/head/fc/kernel", "params/head/fc/bias"}
  assert flatten_dict(folder.variables, sep="/")["params/backbone/conv1/conv/kernel"].shape == (7, 7, 2, 64)
  assert folder.source["inflated"] == "averaged"
  assert Preprocessing.from_json(folder.preprocessing).modality == "flow"
  told = capsys.readouterr().out
  assert "the classifier of ImageNet" in told and "params/head/fc/kernel" in told
  with pytest.raises(InputError, match="--channels"):
    convert.main([*arguments, "--output", str(tmp_path / "n"), "--channels", "2"])


def test_the_command_gives_sound_one_channel_and_names_inflate_where_it_is_wanted(tmp_path):
  write_checkpoint(tmp_path / "resnet18.pth", imagenet(18, 64))
  checkpoint = ["--checkpoint", str(tmp_path / "resnet18.pth")]
  assert convert.main(["--model", "tsn_r18_audio", *checkpoint, "--output", str(tmp_path / "m"), "--inflate"]) == 0
  folder = folders.load_folder(tmp_path / "m")
  assert flatten_dict(folder.variables, sep="/")["params/backbone/conv1/conv/kernel"].shape == (7, 7, 1, 64)
  assert Preprocessing.from_json(folder.preprocessing).modality == "spectrogram"
  with pytest.raises(CheckpointError, match="--inflate"):
    convert.main(["--model", "tsn_r18_1x1x3", *checkpoint, "--output", str(tmp_path / "n")])
