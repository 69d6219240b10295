"""A long run of the loader over tiny videos holds no more memory at its end."""

import json
import sys

import av
import numpy as np
import pytest

from jaction.batches import training_batches
from jaction.clips.preprocessing import Preprocessing
from jaction.memory import resident_curve
from jaction.records import read_records
from jaction.records.build import build_set
from jaction.records.record import Record

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")


def batches(folder, count=8, *, shards=False):
  records, rng = [], np.random.default_rng(0)
  for number in range(count):
    path = folder / f"{number}.mp4"
    with av.open(str(path), "w") as file:
      stream = file.add_stream("libx264", rate=25, options={"g": "5"})
      stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
      for _ in range(10):
        file.mux(stream.encode(av.VideoFrame.from_ndarray(rng.integers(0, 256, (32, 48, 3), np.uint8), format="rgb24")))
      file.mux(stream.encode())
    records.append(Record(id=path.name, source=str(path), label=0))
  if shards:
    records = read_records(f"{build_set({'train': records}, folder / 'set').folder}/train")
  crop = {"random_crop": {"size": 24}}
  prepare = Preprocessing("uniform", 1, 1, 4, 4, ("random_crop",), crop, (0.0,), (1.0,))
  return training_batches(records, prepare, batch_size=20, seed=0)


def test_the_curve_is_written_as_json(tmp_path):
  with batches(tmp_path) as made:
    curve = resident_curve(made, 100, tmp_path / "curve.json", every=40)
  assert [clips for clips, _ in curve] == [20, 60, 100] and all(held > 2**20 for _, held in curve)
  written = json.loads((tmp_path / "curve.json").read_text())
  assert list(zip(written["clips"], written["bytes"], strict=True)) == curve


@pytest.mark.slow
@pytest.mark.parametrize("shards", [False, True], ids=["files", "shards"])
def test_ten_thousand_clips_leave_memory_as_it_was_after_the_first_thousand(tmp_path, shards):
  with batches(tmp_path, shards=shards) as made:
    curve = resident_curve(made, 10_000, tmp_path / "curve.json")
  first = next(held for clips, held in curve if clips >= 1000)
  growth = max(held for clips, held in curve if clips >= 1000) / first - 1
  told = [next(held for clips, held in curve if clips >= 1000 * k) / 2**20 for k in range(1, 11)]
  print(f"MiB after 1,000, 2,000 ... 10,000 clips: {', '.join(f'{held:.1f}' for held in told)}; growth {growth:.2%}")
  assert growth < 0.05
