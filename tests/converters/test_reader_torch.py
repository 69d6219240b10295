"""Files made and read by PyTorch itself."""

import collections

import numpy as np
import pytest
from checkpoint_files import good_files, tar_bytes

from jaction.converters.reader import read_checkpoint, read_checkpoint_file
from jaction.converters.writer import write_checkpoint

pytestmark = pytest.mark.reference
torch = pytest.importorskip("torch")


def tensors():
  base = torch.arange(20, dtype=torch.float32).reshape(4, 5)
  return collections.OrderedDict(
    transposed=torch.randn(3, 4).t(),
    base=base,
    strided=base[1:3, ::2],
    expanded=base.expand(2, 4, 5),
    scalar=torch.tensor(3),
    half=torch.randn(3).half(),
    brain=torch.randn(3).bfloat16(),
    empty=torch.zeros(0, 5),
    flags=torch.tensor([True, False]),
    complex=torch.randn(2, dtype=torch.complex64),
    parameter=torch.nn.Parameter(torch.ones(2)),
    double=torch.ones(3, dtype=torch.double),
    bytes=torch.arange(3, dtype=torch.uint8),
    chars=-torch.arange(3, dtype=torch.int8),
    shorts=torch.arange(3, dtype=torch.int16),
    ints=torch.arange(3, dtype=torch.int32),
  )


def same(array, tensor):
  tensor = tensor.detach()
  if tensor.dtype == torch.bfloat16:
    assert array.dtype.name == "bfloat16"
    array, tensor = array.astype(np.float32), tensor.float()
  want = tensor.numpy()
  return array.shape == want.shape and array.dtype == want.dtype and np.array_equal(array, want)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_kind_of_tensor_is_read_as_torch_reads_it(zipped, protocol, tmp_path):
  state, path = tensors(), tmp_path / "a.pth"
  torch.save(state, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
  file = read_checkpoint_file(path)
  assert file.kind == ("zip" if zipped else "legacy")
  assert list(file.weights) == list(state)
  assert all(same(file.weights[name], state[name]) for name in state)


def test_numbers_without_a_storage_class_are_read(tmp_path):
  state = {"u": torch.tensor([1, 60000]).to(torch.uint16), "f": torch.tensor([1.5, -2]).to(torch.float8_e5m2)}
  torch.save(state, tmp_path / "a.pth")
  got = read_checkpoint(tmp_path / "a.pth")
  assert got["u"].tolist() == [1, 60000] and got["u"].dtype == np.uint16
  assert got["f"].astype(np.float32).tolist() == [1.5, -2]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_training_checkpoint_gives_its_weights_alone(zipped, tmp_path):
  net = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.BatchNorm3d(4))
  optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
  net(torch.zeros(2, 3, 4, 4, 4)).sum().backward()
  optimizer.step()
  whole = {"state_dict": torch.nn.DataParallel(net).state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
  torch.save(whole, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
  file = read_checkpoint_file(tmp_path / "a.pth")
  assert file.meta["epoch"] == 3
  assert list(file.weights) == list(net.state_dict())
  assert all(same(file.weights[name], value) for name, value in net.state_dict().items())


def test_checksums_may_be_switched_off(tmp_path):
  before = torch.serialization.get_crc32_options()
  torch.serialization.set_crc32_options(False)
  try:
    torch.save({"x": torch.ones(3)}, tmp_path / "a.pth")
  finally:
    torch.serialization.set_crc32_options(before)
  assert read_checkpoint(tmp_path / "a.pth")["x"].tolist() == [1, 1, 1]


def test_the_legacy_file_of_the_other_tests_is_one_to_torch(tmp_path):
  (tmp_path / "a.pth").write_bytes(good_files()["legacy"])
  got = torch.load(tmp_path / "a.pth", weights_only=True)
  assert torch.equal(got["a.weight"], torch.arange(12.0).reshape(3, 4))


def test_a_tar_reads_as_torch_reads_it(tmp_path):
  value = np.arange(6, dtype=np.float32).reshape(3, 2).T
  (tmp_path / "a.pth").write_bytes(tar_bytes("x", value))
  theirs = torch.load(tmp_path / "a.pth", weights_only=False)["x"].numpy()
  assert np.array_equal(theirs, value) and np.array_equal(read_checkpoint(tmp_path / "a.pth")["x"], value)


def test_torch_reads_what_the_writer_writes(tmp_path):
  state = tensors()
  torch.save(state, tmp_path / "a.pth")
  write_checkpoint(tmp_path / "b.pth", read_checkpoint(tmp_path / "a.pth"))
  for how in ({}, {"weights_only": False}, {"mmap": True}):
    got = torch.load(tmp_path / "b.pth", **how)
    assert type(got) is collections.OrderedDict
    for name, value in state.items():
      assert torch.equal(got[name], value) and got[name].dtype == value.dtype
