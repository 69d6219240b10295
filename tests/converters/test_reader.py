"""Checkpoint files: every kind is read, nothing in them is run, and whatever is wrong is one CheckpointError."""

import io
import os
import pickle
import random
import struct
import time
import zipfile

import ml_dtypes
import numpy as np
import pytest
from checkpoint_files import good_files, legacy_bytes, named, number, numbers, pickled, storage, tensor, text, zip_file

from jaction.converters.reader import read_checkpoint, read_checkpoint_file
from jaction.converters.writer import write_checkpoint
from jaction.errors import CheckpointError, InputError

RAN = []
A = np.arange(12, dtype=np.float32).reshape(3, 4)


def canary(*_):
  RAN.append(1)
  return {}


class Hostile:
  """Its pickle calls `function` where it is loaded for good."""

  def __init__(self, function, *arguments):
    self.call = function, arguments

  def __reduce__(self):
    return self.call


def write(tmp_path, data: bytes):
  path = tmp_path / "file.pth"
  path.write_bytes(data)
  return path


def one(stored: bytes, size, stride, offset=0, function="_rebuild_tensor_v2") -> bytes:
  return pickled({"x": tensor(stored, size, stride, offset, function)})


def refused(path, *words):
  with pytest.raises(CheckpointError) as caught:
    read_checkpoint(path)
  for word in (str(path), *words):
    assert word in str(caught.value)


# --- what is read


@pytest.mark.parametrize("kind", good_files())
def test_every_kind_of_file_gives_the_same_arrays(kind, tmp_path):
  file = read_checkpoint_file(write(tmp_path, good_files()[kind]))
  assert file.kind == kind
  np.testing.assert_array_equal(file.weights["a.weight"], A)
  assert file.weights["a.weight"].flags.c_contiguous
  if kind != "tar":
    np.testing.assert_array_equal(file.weights["b"], np.arange(5))


def test_what_stands_beside_the_weights_comes_as_plain_data(tmp_path):
  file = read_checkpoint_file(write(tmp_path, good_files()["zip"]))
  assert file.meta["meta"] == {"epoch": 7}
  assert file.meta["history"] == "<mmengine.logging.HistoryBuffer>"
  assert file.inert == ("mmengine.logging.HistoryBuffer",)


@pytest.mark.parametrize("key", ["state_dict", "model_state", "model", None])
def test_the_state_dict_is_found_wherever_toolboxes_keep_it(key, tmp_path):
  inner = {"module.x": tensor(storage("0", 2), (2,), (1,)), "module.n": number(3)}
  data = pickled(inner) if key is None else pickled({key: pickled(inner)[2:-1], "epoch": number(1)})
  file = read_checkpoint_file(zip_file(tmp_path / "f.pth", data, {"0": np.float32([1, 2]).tobytes()}))
  assert list(file.weights) == ["x"]
  assert file.skipped == ("module.n",)


def test_module_is_stripped_only_where_every_name_has_it(tmp_path):
  data = pickled({name: tensor(storage("0", 2), (2,), (1,)) for name in ("module.x", "y")})
  assert list(read_checkpoint(zip_file(tmp_path / "f", data, {"0": bytes(8)}))) == ["module.x", "y"]


@pytest.mark.parametrize(
  "size, stride, offset",
  [
    ((3, 4), (4, 1), 0),
    ((4, 3), (1, 4), 0),
    ((2, 2), (4, 2), 5),
    ((), (), 7),
    ((2, 3), (0, 1), 0),
    ((0, 3), (3, 1), 0),
  ],
)
def test_strides_and_offsets_are_followed(size, stride, offset, tmp_path):
  data = one(storage("0", 12), size, stride, offset)
  got = read_checkpoint(zip_file(tmp_path / "f", data, {"0": A.tobytes()}))["x"]
  want = np.lib.stride_tricks.as_strided(A.reshape(-1)[offset:], size, [4 * s for s in stride])
  assert got.shape == size
  np.testing.assert_array_equal(got, want)


def test_a_legacy_view_of_a_storage_starts_where_it_says(tmp_path):
  view = b"(" + text("v") + number(4) + number(6) + b"t"
  data = legacy_bytes(one(storage("0", 12, tail=view), (2, 2), (3, 1), 1), {"0": A})
  np.testing.assert_array_equal(read_checkpoint(write(tmp_path, data))["x"], [[5, 6], [8, 9]])
  short = legacy_bytes(one(storage("0", 12, tail=view), (2, 4), (4, 1)), {"0": A})
  refused(write(tmp_path, short), "x: wants element 7 of a storage of 6")


def test_a_big_endian_file_is_turned_round(tmp_path):
  path = zip_file(tmp_path / "f", one(storage("0", 12), (12,), (1,)), {"0": A.astype(">f4").tobytes()})
  with zipfile.ZipFile(path, "a") as archive:
    archive.writestr("archive/byteorder", "big")
  np.testing.assert_array_equal(read_checkpoint(path)["x"], A.reshape(-1))


def test_python_2_pairs_and_numpy_scalars_are_read(tmp_path):
  pairs = b"](](" + text("x") + tensor(storage("0", 12), (12,), (1,)) + b"ee"
  data = b"\x80\x02" + named("collections", "OrderedDict") + pairs + b"\x85R."
  np.testing.assert_array_equal(read_checkpoint(zip_file(tmp_path / "f", data, {"0": A.tobytes()}))["x"], A.reshape(-1))
  for protocol in range(6):
    entries = {"x": np.asfortranarray(A), "y": np.arange(3, dtype=">i2")}
    path = write(tmp_path, pickle.dumps({"model": entries, "best": np.float64(0.5)}, protocol))
    if protocol == 0:
      continue  # starts as any text does
    file = read_checkpoint_file(path)
    np.testing.assert_array_equal(file.weights["x"], A)
    np.testing.assert_array_equal(file.weights["y"], [0, 1, 2])
    assert file.meta["best"] == 0.5


def test_both_names_of_numpys_core_are_known(tmp_path):
  data = pickle.dumps({"x": A}, 2)
  for old, new in ((b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")):
    np.testing.assert_array_equal(read_checkpoint(write(tmp_path, data.replace(old, new)))["x"], A)


def test_a_compressed_zip_is_read(tmp_path):
  data = one(storage("0", 12), (3, 4), (4, 1))
  path = zip_file(tmp_path / "f", data, {"0": A.tobytes()}, zipfile.ZIP_DEFLATED)
  np.testing.assert_array_equal(read_checkpoint(path)["x"], A)


def test_what_the_writer_writes_reads_back_bit_for_bit(tmp_path):
  rng = np.random.default_rng(0)
  state = {
    "w": rng.standard_normal((4, 3, 2)).astype(np.float32),
    "t": rng.standard_normal((4, 3)).T,
    "h": np.float16([1, 2]),
    "b": np.array([1.5, -2], ml_dtypes.bfloat16),
    "n": np.array(7, np.int64),
    "flag": np.array([True, False]),
    "none": np.zeros((0, 5), np.float32),
    "z": np.complex64([1 + 2j]),
  }
  write_checkpoint(tmp_path / "a.pth", state)
  write_checkpoint(tmp_path / "sub.pth", state)
  got = read_checkpoint(tmp_path / "a.pth")
  assert list(got) == list(state)
  for name, value in state.items():
    assert got[name].dtype == value.dtype and got[name].shape == value.shape
    assert got[name].tobytes() == np.ascontiguousarray(value).tobytes()
  assert sorted(os.listdir(tmp_path)) == ["a.pth", "sub.pth"]
  with pytest.raises(InputError, match="text"):
    write_checkpoint(tmp_path / "bad.pth", {"text": np.array(["a"])})
  assert not (tmp_path / "bad.pth").exists()


# --- what is refused


@pytest.mark.parametrize(
  "data, words",
  [
    (b"", "truncated"),
    (b"<!DOCTYPE html>", "web page"),
    (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    (b"\x1f\x8b\x08\x00", "gzip"),
    (b"hello, this is text", "neither a zip nor a pickle"),
    (pickle.dumps([1, 2, 3], 2), "holds a list, want a state dict"),
    (pickle.dumps({"lr": 0.1, "steps": 3}, 2), "holds no state dict"),
    (b"\x80\x02" + named("torchvision.models", "ResNet") + b")\x81.", "a whole object (torchvision.models.ResNet)"),
    (pickled({"x": tensor(storage("0", 12), (3, 4), (4, 1))}), "has no storage 0"),
  ],
)
def test_other_files_are_named_for_what_they_are(data, words, tmp_path):
  refused(write(tmp_path, data), words)


def test_a_missing_file_a_folder_and_an_npz_are_named(tmp_path):
  refused(tmp_path / "none.pth", "no such file")
  refused(tmp_path, "a folder")
  np.savez(tmp_path / "a.npz", x=A)
  refused(tmp_path / "a.npz", ".npz of numpy")


@pytest.mark.parametrize("kind", good_files())
def test_a_file_cut_anywhere_is_called_truncated(kind, tmp_path):
  data = good_files()[kind]
  end = len(data) if kind != "tar" else len(data.rstrip(b"\0")) - 512  # a tar ends in blocks of nothing
  for cut in random.Random(0).sample(range(2, end), 40):
    path = write(tmp_path, data[:cut])
    refused(path)
    if cut > 600:  # the beginning is there
      refused(path, "truncated, or still being downloaded?")


def test_a_flipped_bit_in_the_weights_is_found(tmp_path):
  data = bytearray(good_files()["zip"])
  data[data.index(A.tobytes()) + 5] ^= 1
  refused(write(tmp_path, bytes(data)), "a.weight: a checksum does not fit")


@pytest.mark.parametrize(
  "size, stride, offset, words",
  [
    ((1 << 20, 1 << 20), (0, 0), 0, "add up to more than"),
    ((1 << 40,), (0,), 0, "add up to more than"),
    ((3, 5), (4, 1), 0, "wants element 12 of a storage of 12"),
    ((3, 4), (4, 1), 1, "wants element 12"),
    ((3, 4), (-4, 1), 0, "a size or offset is -4"),
    ((3, 4), (4,), 0, "2 axes with 1 strides"),
    ((1 << 63, 1 << 63), (0, 0), 0, "a size or offset is"),
    ((1,) * 40, (1,) * 40, 0, "40 axes"),
  ],
)
def test_a_tensor_larger_than_its_file_is_refused(size, stride, offset, words, tmp_path):
  refused(zip_file(tmp_path / "f", one(storage("0", 12), size, stride, offset), {"0": A.tobytes()}), "x: ", words)


def test_many_views_of_one_storage_do_not_fill_the_memory(tmp_path):
  view = tensor(storage("0", 1), (200_000,), (0,))
  data = pickled({f"x{i}": view for i in range(100)})
  refused(zip_file(tmp_path / "f", data, {"0": bytes(4)}), "tensors add up to more than")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
  path = zip_file(tmp_path / "f", b"\x80\x02" + b"]" * 20_000_000 + b".", compression=zipfile.ZIP_DEFLATED)
  refused(path, "storages add up to more than")


@pytest.mark.parametrize(
  "call",
  [
    Hostile(os.system, "touch /tmp/jaction-was-here"),
    Hostile(eval, "1/0"),
    Hostile(canary),
    Hostile(getattr, canary, "__call__"),
    Hostile(pickle.loads, pickle.dumps(Hostile(canary))),
    {"state_dict": Hostile(canary)},
  ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_runs_nothing(call, protocol, tmp_path):
  RAN.clear()
  data = pickle.dumps({"x": A, "evil": call}, protocol)
  for path in (zip_file(tmp_path / "f", data), write(tmp_path, data)):
    try:
      assert list(read_checkpoint(path)) == ["x"]
    except CheckpointError:
      pass
  assert not RAN and not os.path.exists("/tmp/jaction-was-here")


@pytest.mark.parametrize(
  "opcodes, words",
  [
    (b"\x82\x01", "EXT1"),
    (b"N\x85Q", "persistent id"),
    (b"Pabc\n", "persistent id"),
    (text("storage") + b"\x85Q", "persistent id"),
    (storage("0", -1), "a size or offset is -1"),
    (b"NNb\x85R", ""),
    (b"\x8d" + struct.pack("<Q", 1 << 60), "truncated"),
    (b"\x8b" + struct.pack("<i", 1 << 30), "truncated"),
    (b"NNs", "sets items of what is no dict"),
    (b"t", "makes no sense"),
    (b"h\x07", "makes no sense"),
    (b"]]\x93", "no text"),
    (named("_codecs", "encode") + text("a") + text("rot13") + b"\x86R", "latin1"),
    (named("collections", "OrderedDict") + number(3) + b"\x85R", "makes no sense"),
    (named("torch._utils", "_rebuild_tensor_v2") + b")R", "makes no sense"),
  ],
)
def test_pickles_that_no_checkpoint_has_are_refused(opcodes, words, tmp_path):
  data = b"\x80\x02}(" + text("x") + opcodes
  refused(zip_file(tmp_path / "f", data if words == "truncated" else data + b"u."), words)


def test_stubs_take_any_state_and_do_nothing_with_it(tmp_path):
  for state in (b"N", b"}" + text("__class__") + number(1) + b"s", b"(" + number(1) + number(2) + b"t"):
    evil = named("os", "system") + text("true") + b"\x85R" + state + b"b"
    evil += text("k") + number(1) + b"s"  # set an item of it
    data = pickled({"x": tensor(storage("0", 12), (12,), (1,)), "evil": evil})
    file = read_checkpoint_file(zip_file(tmp_path / "f", data, {"0": A.tobytes()}))
    assert list(file.weights) == ["x"] and file.inert == ("os.system",)


def test_nested_keys_and_names_do_not_take_for_ever(tmp_path):
  bomb = b")" + b"2\x86" * 60  # a tuple of 2^60 leaves, each level the one below twice
  for opcodes in (bomb + b"N", text("k") + bomb, bomb + b"\x85R" + b"N"):
    start = time.monotonic()
    path = zip_file(tmp_path / "f", b"\x80\x02}(" + opcodes + b"u.")
    refused(path)
    assert time.monotonic() - start < 2


def test_an_endless_pickle_is_stopped(tmp_path):
  pairs = b"](" + b"(NNt" * 4_000 + b"eq\x00"
  again = named("collections", "OrderedDict") + b"q\x01" + pairs + (b"h\x01h\x00\x85R0") * 20_000
  start = time.monotonic()
  refused(zip_file(tmp_path / "f", b"\x80\x02" + again + b"."), "steps")
  assert time.monotonic() - start < 10


def test_long_lists_that_many_entries_share_are_not_gone_through_each_time(tmp_path):
  shared = b"](" + b"N" * 100_000 + b"eq\x00"
  entries = b"".join(text(f"k{i}") + b"h\x00" for i in range(20_000))
  state = text("state_dict") + pickled({"x": tensor(storage("0", 12), (12,), (1,))})[2:-1]
  start = time.monotonic()
  path = zip_file(tmp_path / "f", b"\x80\x02" + shared + b"0}(" + state + entries + b"u.", {"0": A.tobytes()})
  assert len(read_checkpoint_file(path).weights) == 1
  size = b"(" + b"K\x01" * 100_000 + b"tq\x00"
  many = tensor(storage("0", 12), (), ()).replace(numbers(()) * 2, b"h\x00h\x00")
  data = b"\x80\x02" + size + b"0}(" + b"".join(text(f"k{i}") + many for i in range(20_000)) + b"u."
  refused(zip_file(tmp_path / "f", data, {"0": A.tobytes()}))
  assert time.monotonic() - start < 10


# --- mutated files


def mutated(seed: int) -> bytes:
  """A good file with something done to it."""
  rng = random.Random(seed)
  files = good_files()
  kind = rng.choice(sorted(files))
  data = bytearray(files[kind])
  how = rng.choice(["cut", "flip", "flip", "pickle", "pickle", "splice", "evil"])
  if how == "cut":
    del data[rng.randrange(len(data)) :]
  elif how == "flip":
    for _ in range(rng.choice([1, 4, 30])):
      data[rng.randrange(len(data))] = rng.randrange(256)
  elif how == "splice":
    at, length = rng.randrange(len(data)), rng.randrange(1, 40)
    data[at:at] = data[rng.randrange(len(data)) :][:length]
  else:  # within a pickle whose zip is in order
    inner = bytearray(pickled({"a": tensor(storage("0", 12), (3, 4), (4, 1)), "b": number(1 << 40)}))
    call = b"c__main__\ncanary\n)R"
    if how == "evil":
      for _ in range(3):
        at = rng.randrange(2, len(inner))
        inner[at:at] = rng.choice(
          [call, named("os", "system") + text("true") + b"\x85R", b"\x82\x01", b"b", b"2\x86" * 9]
        )
    for _ in range(rng.choice([0, 1, 2, 6])):
      inner[rng.randrange(len(inner))] = rng.choice([rng.randrange(256), *b"(t.Rbcsu2Qh}])\x81\x93\x8a"])
    out = io.BytesIO()
    zip_file(out, bytes(inner), {"0": A.tobytes()})
    data = out.getvalue() if rng.random() < 0.5 else legacy_bytes(bytes(inner), {"0": A})
  return bytes(data)


def fuzz(tmp_path, seeds):
  RAN.clear()
  failed = 0
  for seed in seeds:
    path = write(tmp_path, mutated(seed))
    start = time.monotonic()
    try:
      weights = read_checkpoint(path)
      assert all(isinstance(value, np.ndarray) for value in weights.values()), seed
      assert sum(value.nbytes for value in weights.values()) <= 4 * path.stat().st_size + (1 << 20), seed
    except CheckpointError as error:
      failed += 1
      assert str(path) in str(error), seed
    assert time.monotonic() - start < 5, seed
  assert not RAN
  assert failed > 0.5 * len(seeds)


def test_mutated_files_end_in_the_one_error_and_run_nothing(tmp_path):
  fuzz(tmp_path, range(80))


@pytest.mark.slow
def test_three_hundred_mutated_files_end_in_the_one_error_and_run_nothing(tmp_path):
  fuzz(tmp_path, range(1000, 1300))
