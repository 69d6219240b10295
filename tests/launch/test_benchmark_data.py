"""The data benchmark on a few tiny videos: every candidate gives the same frames, and two loaders are compared."""

import json
import os

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.launch import benchmark, benchmark_data
from jaction.records import read_records


@pytest.fixture(scope="module")
def films(tmp_path_factory):
  folder = tmp_path_factory.mktemp("films")
  made = benchmark_data.make_videos(folder, count=2, gop=8, seconds=1.5)
  (folder / "list.txt").write_text("".join(f"{os.path.basename(r.source)} 0\n" for r in made))
  return folder / "list.txt"


def test_candidates_give_the_same_frames_and_shards_are_among_them(films, tmp_path):
  out = tmp_path / "out.json"
  benchmark.main(["data", "--list", str(films), "--repeat", "1", "--json", str(out)])
  written = json.loads(out.read_text())
  assert written["installed"].keys() >= {"av", "opencv"}
  for rows in written["figures"].values():
    assert rows.keys() >= {"jaction", "shards", "pyav", "opencv"} and rows["jaction"]["ratio"] == 1
    assert all(row["difference"] < 1 and row["ms"] > 0 for row in rows.values())


def test_ours_and_one_other_are_compared_alone(films, tmp_path):
  out = tmp_path / "out.json"
  benchmark.main(["data", "--list", str(films), "--repeat", "2", "--only", "shards", "--json", str(out)])
  assert all(list(rows) == ["jaction", "shards"] for rows in json.loads(out.read_text())["figures"].values())


def test_decoder_threads_are_compared(capsys):
  benchmark.main(["decoder", "--threads", "2", "--repeat", "1", "--sizes", "1"])
  rows = [line for line in capsys.readouterr().out.splitlines() if "340x256" in line]
  assert len(rows) == 2 and "32 at stride 2" in rows[1]
  with pytest.raises(InputError, match="--threads=1 .*wanted 2 or more"):
    benchmark.main(["decoder", "--threads", "1"])


def test_one_core_is_given_back():
  before = os.sched_getaffinity(0)
  with benchmark_data.one_core():
    assert len(os.sched_getaffinity(0)) == 1
  assert os.sched_getaffinity(0) == before


def test_workers_are_compared_with_one_and_with_what_the_machine_gives(films):
  found = benchmark_data.by_workers(read_records(films), "sparse", 1)
  assert list(found) == [f"{count} {kind}" for kind in ("threads", "processes", "hashing") for count in (1, 2)]
  assert all(found[f"1 {kind}"]["ratio"] == 1 for kind in ("threads", "processes", "hashing"))


def test_flags_are_checked():
  with pytest.raises(InputError, match="--videos=0"):
    benchmark.main(["data", "--videos", "0"])
  with pytest.raises(InputError, match="--only shrds: there are jaction, shards, .*Near it: shards"):
    benchmark.main(["data", "--only", "pyav", "shrds"])
  with pytest.raises(InputError, match="--only and --workers"):
    benchmark.main(["data", "--only", "pyav", "--workers"])


def test_the_form_of_mmaction2_is_what_its_name_says(films):
  pytest.importorskip("decord")
  record = read_records(films)[0]
  sample = benchmark_data.preprocessing("sparse").indices
  floats = benchmark_data.in_the_form_of_mmaction2(record.source, sample)
  plain = benchmark_data.in_the_form_of_mmaction2(record.source, sample, normalise=False)
  assert floats.shape == plain.shape == (8, 224, 224, 3) and floats.dtype == np.float32
