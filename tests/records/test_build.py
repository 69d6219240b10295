"""Building shards: what is stored, what is left out, and that an interrupted build is finished, not begun again."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.records import Record, build, open_frames, read_image, read_records
from jaction.records.build import build_set
from jaction.records.toy import TOY_CLASSES, make_toy_set


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set", videos=(10, 4, 3)).folder


@pytest.fixture
def splits(toy):
  return {split: read_records(toy / f"{split}.txt") for split in ("train", "val")}


def state(folder):
  """Name -> (bytes, time of change) of every shard."""
  return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.glob("[!.]*.array_record*")}


def manifest(folder, split="train"):
  return json.loads((folder / f"manifest-{split}.json").read_text())


def test_the_manifest_tells_every_source_and_its_hash(toy, splits, tmp_path):
  done = build_set(splits, tmp_path / "set", classes=TOY_CLASSES, shard_mb=0.04)
  facts = manifest(tmp_path / "set")
  rows = [row for shard in facts["shards"] for row in shard["records"]]
  assert facts["counts"] == done.counts["train"] == {"listed": 10, "stored": 10, "missing": 0, "damaged": 0}
  assert [row["id"] for row in rows] == [r.id for r in splits["train"]]
  for row, record in zip(rows, splits["train"], strict=True):
    data = (toy / row["id"]).read_bytes()
    assert (row["sha256"], row["size"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (row["label"], row["source"]) == (record.label, record.source)
  assert done.made == done.shards == len(facts["shards"]) + len(manifest(tmp_path / "set", "val")["shards"]) > 4
  assert not [name for name in os.listdir(tmp_path / "set") if name.endswith("part") or name.endswith("parts")]


def test_the_files_do_not_depend_on_the_number_of_workers(splits, tmp_path):
  for workers in (1, 3):
    build_set(splits, tmp_path / str(workers), name="toys", shard_mb=0.04, workers=workers)
  one, three = ({n: data for n, (data, _) in state(tmp_path / w).items()} for w in ("1", "3"))
  assert one == three and len(one) > 4


def test_a_complete_set_is_left_as_it_is(splits, tmp_path):
  build_set(splits, tmp_path / "set", shard_mb=0.04)
  before = state(tmp_path / "set")
  done = build_set(splits, tmp_path / "set", shard_mb=0.04)
  assert done.made == 0 and state(tmp_path / "set") == before


@pytest.mark.parametrize("at", [0, 2, 4])
def test_an_interrupted_build_is_finished_without_doing_finished_shards_again(splits, tmp_path, monkeypatch, at):
  """The interruption comes in the middle of a shard."""
  whole, folder, count = tmp_path / "whole" / "toys", tmp_path / "half" / "toys", 0
  build_set(splits, whole, shard_mb=0.04)
  real = build.write_shard

  def stops(path, part, stored, label, earlier):
    nonlocal count
    count += 1
    return real(path, part if count <= at else [*part[:1], None], stored, label)  # None: an AttributeError

  monkeypatch.setattr(build, "write_shard", stops)
  with pytest.raises(AttributeError):
    build_set(splits, folder, shard_mb=0.04, workers=1)
  monkeypatch.setattr(build, "write_shard", real)
  before = state(folder)
  assert len(before) == at and not list(folder.glob(".*.part"))
  with pytest.raises(InputError):
    read_records(folder / "train", format="tfds")
  done = build_set(splits, folder, shard_mb=0.04)
  after = state(folder)
  assert done.made == done.shards - at
  assert {name: after[name] for name in before} == before
  assert {n: data for n, (data, _) in after.items()} == {n: data for n, (data, _) in state(whole).items()}
  assert manifest(folder)["shards"] == manifest(whole)["shards"]


def test_a_killed_build_is_finished(toy, splits, tmp_path):
  """SIGKILL while a shard is being written: a temporary file is left, which the next build writes over."""
  folder = tmp_path / "toys"
  code = f"""
    import os, signal
    from jaction.records import build, build_shard, read_records
    writer = build_shard.ArrayRecordWriter
    shards = 0
    class Dies:
      def __init__(self, *args):
        global shards
        shards, self.own = shards + 1, writer(*args)
      def write(self, data):
        self.own.write(data)
        if shards == 3:
          os.kill(os.getpid(), signal.SIGKILL)
      def __getattr__(self, name):
        return getattr(self.own, name)
    build_shard.ArrayRecordWriter = Dies
    build.build_set({{"train": read_records({str(toy / "train.txt")!r})}}, {str(folder)!r}, shard_mb=0.04, workers=1)
  """
  died = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=120)
  assert died.returncode == -9, died.stderr
  before = state(folder)
  assert len(before) == 2 and list(folder.glob(".*.part"))
  done = build_set({"train": splits["train"]}, folder, shard_mb=0.04)
  assert done.made == done.shards - 2 and not list(folder.glob(".*.part"))
  assert {name: state(folder)[name] for name in before} == before
  assert [r.id for r in read_records(folder / "train")] == [r.id for r in splits["train"]]


def test_a_shard_that_is_gone_or_cut_off_is_made_again(splits, tmp_path):
  build_set(splits, tmp_path / "set", shard_mb=0.04)
  before = state(tmp_path / "set")
  gone, short, *_ = sorted(before)
  os.unlink(tmp_path / "set" / gone)
  (tmp_path / "set" / short).write_bytes(before[short][0][:-1000])
  assert build_set(splits, tmp_path / "set", shard_mb=0.04).made == 2
  assert {n: data for n, (data, _) in state(tmp_path / "set").items()} == {n: data for n, (data, _) in before.items()}


def test_a_damaged_shard_of_the_right_size_is_made_again_by_verify(splits, tmp_path):
  build_set(splits, tmp_path, shard_mb=0.04)
  before = state(tmp_path)
  damaged = sorted(before)[1:3]
  for at, name in zip((200, 10_000), damaged, strict=True):
    data = bytearray(before[name][0])
    data[at : at + 4] = b"\1\2\3\4"
    (tmp_path / name).write_bytes(data)
  assert build_set(splits, tmp_path, shard_mb=0.04).made == 0
  assert build_set(splits, tmp_path, shard_mb=0.04, verify=True).made == 2
  after = state(tmp_path)
  assert {name: data for name, (data, _) in after.items()} == {name: data for name, (data, _) in before.items()}
  assert all((after[name][1] == before[name][1]) == (name not in damaged) for name in before)


@pytest.mark.parametrize("verify", [False, True])
def test_what_is_stored_stays_when_its_source_is_gone(toy, tmp_path, verify):
  shutil.copytree(toy / "videos" / "train", tmp_path / "videos" / "train")
  shutil.copy(toy / "train.txt", tmp_path)
  lists = {"train": read_records(tmp_path / "train.txt", check=False)}
  build_set(lists, tmp_path / "set", shard_mb=0.04)
  before = {name: data for name, (data, _) in state(tmp_path / "set").items()}
  sources = [record.source for record in lists["train"]]
  for source in sources[:4]:
    os.unlink(source)
  done = build_set(lists, tmp_path / "set", shard_mb=0.04, verify=verify)
  assert done.counts["train"] == {"listed": 10, "stored": 10, "missing": 0, "damaged": 0}
  assert {name: data for name, (data, _) in state(tmp_path / "set").items()} == before
  assert build_set(lists, tmp_path / "set", shard_mb=0.04, verify=verify).made == 0
  for source in sources[4:]:
    os.unlink(source)
  assert build_set(lists, tmp_path / "set", shard_mb=0.04, verify=verify).counts == done.counts
  damaged = sorted((tmp_path / "set").glob("*train.array_record*"))[0]
  data = bytearray(damaged.read_bytes())
  data[200:204] = b"\1\2\3\4"
  damaged.write_bytes(data)
  with pytest.raises(InputError, match="is missing, and what was stored of it is damaged .*bring the file back"):
    build_set(lists, tmp_path / "set", shard_mb=0.04, verify=True)
  assert damaged.read_bytes() == data and len(read_records(tmp_path / "set" / "train")) == 10


def test_missing_and_damaged_files_are_left_out_listed_and_taken_in_when_they_are_there(toy, tmp_path):
  (tmp_path / "bad.mp4").write_bytes((toy / "videos/train/train_00000.mp4").read_bytes()[:700])
  (tmp_path / "empty.mp4").write_bytes(b"")
  records = [
    *read_records(toy / "train.txt")[:3],
    Record("gone.mp4", str(tmp_path / "gone.mp4"), 1),
    Record("bad.mp4", str(tmp_path / "bad.mp4"), 2),
    Record("empty.mp4", str(tmp_path / "empty.mp4"), 3),
  ]
  done = build_set({"train": records}, tmp_path / "set", shard_mb=0.03)
  assert done.counts["train"] == {"listed": 6, "stored": 3, "missing": 1, "damaged": 2}
  shards = manifest(tmp_path / "set")["shards"]
  assert [row["id"] for shard in shards for row in shard["missing"]] == ["gone.mp4"]
  assert [row["id"] for shard in shards for row in shard["damaged"]] == ["bad.mp4", "empty.mp4"]
  assert "bad.mp4: " in [row["error"] for shard in shards for row in shard["damaged"]][0]
  assert [r.id for r in read_records(tmp_path / "set" / "train")] == [r.id for r in records[:3]]
  (tmp_path / "gone.mp4").write_bytes((toy / "videos/train/train_00001.mp4").read_bytes())
  again = build_set({"train": records}, tmp_path / "set", shard_mb=0.03)
  assert again.made == 1 < again.shards and again.counts["train"]["stored"] == 4
  assert [r.id for r in read_records(tmp_path / "set" / "train")] == [r.id for r in records[:4]]


def test_a_set_of_which_nothing_can_be_stored_is_an_error(tmp_path):
  with pytest.raises(InputError, match=r"nothing of split 'train' can be stored: .*gone.mp4: missing"):
    build_set({"train": [Record("gone.mp4", str(tmp_path / "gone.mp4"), 1)]}, tmp_path / "set")


def test_a_changed_source_is_stored_anew(toy, splits, tmp_path):
  shutil.copytree(toy / "videos", tmp_path / "videos")
  shutil.copy(toy / "train.txt", tmp_path)
  records = {"train": read_records(tmp_path / "train.txt")}
  build_set(records, tmp_path / "set", shard_mb=0.04)
  first = tmp_path / "videos/train/train_00000.mp4"
  shutil.copy(tmp_path / "videos/train/train_00001.mp4", first)
  assert build_set(records, tmp_path / "set", shard_mb=0.04).made == 1
  with open_frames(read_records(tmp_path / "set/train")[0]) as stored, open_frames(records["train"][1]) as wanted:
    np.testing.assert_array_equal(stored.read([0]), wanted.read([0]))


def test_splits_may_be_built_one_after_the_other(splits, tmp_path):
  for split, records in splits.items():
    build_set({split: records}, tmp_path / "set", classes=TOY_CLASSES)
  info = json.loads((tmp_path / "set" / "dataset_info.json").read_text())
  assert [(s["name"], sum(map(int, s["shardLengths"]))) for s in info["splits"]] == [("train", 10), ("val", 4)]
  assert (tmp_path / "set" / "label.labels.txt").read_text().split() == list(TOY_CLASSES)


def test_folders_of_frames_images_and_several_labels_are_stored(toy, tmp_path):
  frames = read_records(toy / "test_frames.txt", format="frame_list")
  build_set({"test": frames}, tmp_path / "frames")
  for one, other in zip(frames, read_records(tmp_path / "frames/test"), strict=True):
    with open_frames(one) as a, open_frames(other) as b:
      assert a.num_frames == b.num_frames
      np.testing.assert_array_equal(a.read([3, 0, 3]), b.read([3, 0, 3]))
      with pytest.raises(InputError, match="there is no frame"):
        b.read([b.num_frames])
  path = os.path.join(frames[0].source, frames[0].template.format(1))
  build_set({"x": [Record("a", path, labels=(1, 4), kind="image", known=((0, 3), (4, 6)))]}, tmp_path / "images")
  (image,) = read_records(tmp_path / "images/x")
  assert (image.label, image.labels, image.known) == (None, (1, 4), ((0, 3), (4, 6)))
  with open_frames(image) as video:
    np.testing.assert_array_equal(video.read([0])[0], read_image(path))


def test_videos_in_memory_are_stored(toy, tmp_path):
  data = (toy / "videos/train/train_00000.mp4").read_bytes()
  build_set({"train": [Record("mine", "memory", 0, data=data)]}, tmp_path / "set")
  (stored,) = read_records(tmp_path / "set/train")
  with open_frames(stored) as a, open_frames(Record("mine", "memory", data=data)) as b:
    np.testing.assert_array_equal(a.read([0, 5]), b.read([0, 5]))


def wrong(kind, splits, folder):
  build_set({"train": splits["train"]}, folder, classes=TOY_CLASSES)
  if kind == "list":
    build_set({"train": splits["train"][1:]}, folder, classes=TOY_CLASSES)
  elif kind == "classes":
    build_set({"val": splits["val"]}, folder, classes=[*TOY_CLASSES, "more"])
  elif kind == "label":
    build_set({"val": [Record("a", "a.mp4", 9)]}, folder)
  elif kind == "name":
    build_set({"val": splits["val"]}, folder, name="other")
  elif kind == "labels":
    build_set({"val": [Record("a", "a.mp4", labels=(1, 2))]}, folder)
  elif kind == "mixed":
    build_set({"val": [*splits["val"], Record("a", "a", 1, template="img_{:05d}.jpg")]}, folder)
  elif kind == "sound":
    build_set({"val": [Record("a", "a.wav", 1, kind="audio")]}, folder)
  elif kind == "split":
    build_set({"../val": splits["val"]}, folder)
  elif kind == "folder":
    os.unlink(folder / "build.json")
    build_set(splits, folder)
  elif kind == "empty":
    build_set({"val": []}, folder)


@pytest.mark.parametrize(
  ("kind", "message"),
  [
    ("list", "is of another list than split 'train' has now"),
    ("classes", "8 classes, now came .* and 9"),
    ("label", "8 classes, now came .* and 10"),
    ("name", "'name': 'toys'.*'name': 'other'"),
    ("labels", "'label': 'label'.*'label': 'labels'"),
    ("mixed", "records of one kind were wanted"),
    ("sound", "a.wav: audio; video files, images or folders"),
    ("split", "cannot be the split"),
    ("folder", "is not empty and holds no set"),
    ("empty", "records of one kind were wanted, these differ: there are none"),
  ],
)
def test_what_does_not_fit_is_one_clear_error_and_leaves_the_set_alone(splits, tmp_path, kind, message):
  with pytest.raises(InputError, match=message):
    wrong(kind, splits, tmp_path / "toys")
  assert len(read_records(tmp_path / "toys" / "train", format="tfds")) == 10


def test_two_builds_do_not_work_in_one_folder(splits, tmp_path):
  code = f"""
    import time
    from jaction.records.build import _alone
    with _alone({str(tmp_path)!r}):
      print("in", flush=True)
      time.sleep(60)
  """
  other = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
  try:
    assert other.stdout.readline() == b"in\n"
    with pytest.raises(InputError, match="another build is at work there"):
      build_set(splits, tmp_path)
  finally:
    other.kill()
    other.communicate()
  build_set(splits, tmp_path, name="toys")  # the lock went with the process
  assert len(read_records(tmp_path / "val")) == 4


def test_tfds_opens_the_folder_and_gives_the_same_bytes(toy, splits, tmp_path):
  """In another process: without TensorFlow, which TFDS says it misses."""
  if importlib.util.find_spec("tensorflow_datasets") is None:
    pytest.skip("tensorflow-datasets is not installed (the extra `tfds`)")
  build_set(splits, tmp_path / "set", classes=TOY_CLASSES, shard_mb=0.04)
  build_set({"test": read_records(toy / "test_frames.txt", format="frame_list")}, tmp_path / "frames")
  code = f"""
    import hashlib, json, sys
    import tensorflow_datasets as tfds
    builder = tfds.builder_from_directory({str(tmp_path / "set")!r})
    source = builder.as_data_source("train")
    rows = [[e["id"].decode(), int(e["label"]), hashlib.sha256(e["video"]).hexdigest()] for e in source]
    frames = tfds.builder_from_directory({str(tmp_path / "frames")!r}).as_data_source("test")
    first = frames[0]["frames"][0]
    assert "tensorflow" not in sys.modules
    print(json.dumps([builder.info.features["label"].names, rows, list(first.shape), int(first.sum())]))
  """
  done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
  assert done.returncode == 0, done.stderr
  names, rows, shape, total = json.loads(done.stdout.splitlines()[-1])
  assert names == list(TOY_CLASSES)
  listed = [row for shard in manifest(tmp_path / "set")["shards"] for row in shard["records"]]
  assert rows == [[row["id"], row["label"], row["sha256"]] for row in listed]
  with open_frames(read_records(tmp_path / "frames/test")[0]) as video:
    image = video.read([0])[0]
  assert list(image.shape) == shape and abs(int(image.sum()) - total) < 0.02 * total
