"""Training and showing from an object store as data.root: fsspec's memory and local backends."""

import fsspec
import numpy as np
import pytest

from jaction.errors import InputError
from jaction.launch import show
from jaction.train.experiment import Experiment
from jaction.train.loop import train


@pytest.fixture
def remote(tiny_set, tmp_path):
  """Copies the tiny set into a store, and gives its address."""

  def make(scheme):
    address = f"file://{tmp_path}/store" if scheme == "file" else f"memory://{tmp_path.name}"
    system, inner = fsspec.core.url_to_fs(address)
    system.put(f"{tiny_set}/", inner, recursive=True)
    with fsspec.open(f"{address}/names.txt", "wb") as file:
      file.write(b"red\ngreen\nblue\nyellow\n")
    return address

  return make


def first(config, root, **data):
  config.data.root, config.data.labels = root, data.pop("labels", "")
  config.data.update(data)
  run = Experiment(config.to_dict())
  with run.training_batches(0, 3) as batches:
    return run, list(batches)


@pytest.mark.parametrize(
  "scheme, workers", [("memory", {"threads": 2}), ("file", {"threads": 2}), ("file", {"processes": 2})]
)
def test_a_store_gives_the_batches_of_the_folder(config, tiny_set, remote, scheme, workers):
  address = remote(scheme)
  _, local = first(config, str(tiny_set))
  run, found = first(config, address, labels="names.txt", **workers)
  assert run.task.labels == ("red", "green", "blue", "yellow") and run.task.records[0].source.startswith(address)
  for one, other in zip(local, found, strict=True):
    assert one["index"].tolist() == other["index"].tolist()
    np.testing.assert_array_equal(one["clips"], other["clips"])


def test_a_run_trains_and_evaluates_from_a_store_and_it_is_shown(config, remote, tmp_path):
  config.data.root, config.duration.steps, config.eval.every.steps = remote("memory"), 6, 6
  metrics = train(config, tmp_path / "run")
  assert metrics["step"] == 6 and 0 <= metrics["top1"] <= 1
  out = tmp_path / "sheet.png"
  show.show(["--config=toy_tsm", f"--config.data.root={config.data.root}", "--config.data.format=frame_list",
             "--config.data.labels=", "--videos=1", f"--output={out}"])  # fmt: skip
  assert out.stat().st_size > 1000


def test_a_list_that_the_store_lacks_is_named(config, remote):
  with pytest.raises(InputError, match=r"memory://.*/nothing.txt: there is no such file"):
    first(config, remote("memory"), train="nothing.txt")
