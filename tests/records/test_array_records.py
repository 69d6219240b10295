"""Videos in ArrayRecord shards: the same frames as from files, in threads, forks and processes; damage is one error."""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import pickle
import struct
import threading

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError, MediaError
from jaction.records import FrameCache, Record, open_frames, read_records
from jaction.records.array_records import read_stored, stored_values
from jaction.records.build import build_set
from jaction.records.example import decode_example, encode_example
from jaction.records.toy import TOY_CLASSES, make_toy_set


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set", videos=(10, 4, 3)).folder


@pytest.fixture(scope="module")
def built(toy, tmp_path_factory):
  """The toy set in shards of two or three videos."""
  splits = {split: read_records(toy / f"{split}.txt") for split in ("train", "val")}
  folder = tmp_path_factory.mktemp("built") / "toy_tfds"
  return build_set(splits, folder, classes=TOY_CLASSES, shard_mb=0.04).folder


def write(path, examples):
  writer = ArrayRecordWriter(str(path), "group_size:1")
  for example in examples:
    writer.write(example)
  writer.close()
  return str(path)


def mean_frame(record):
  with open_frames(record) as video:
    return float(video.read([0, video.num_frames - 1]).mean())


def means(records):
  return [mean_frame(record) for record in records]


def test_records_of_shards_are_those_of_the_list_and_give_the_same_frames(toy, built):
  listed, stored = read_records(toy / "train.txt"), read_records(f"{built}/train", format="tfds")
  assert [(r.id, r.label) for r in stored] == [(r.id, r.label) for r in listed]
  assert len({r.source.partition("#")[0] for r in stored}) > 2, "several shards were wanted"
  for one, other in zip(listed, stored, strict=True):
    with open_frames(one) as a, open_frames(other) as b:
      assert (a.num_frames, a.width, a.height, a.fps) == (b.num_frames, b.width, b.height, b.fps)
      np.testing.assert_array_equal(a.read([0, a.num_frames // 2]), b.read([0, a.num_frames // 2]))


def test_auto_knows_a_tfds_folder_and_shards_alone(built):
  named = read_records(f"{built}/val", format="tfds")
  assert read_records(f"{built}/val") == named
  alone = read_records(f"{built}/toy_tfds-val.array_record")
  assert [(r.id, r.label, r.source, r.stored) for r in alone] == [(r.id, r.label, r.source, r.stored) for r in named]
  shard = named[-1].source.partition("#")[0]
  assert read_records(shard) == [r for r in named if r.source.startswith(shard)]


def test_a_set_without_manifest_is_read_by_its_examples(built, tmp_path):
  for name in os.listdir(built):
    if not name.startswith("manifest"):
      os.link(os.path.join(built, name), tmp_path / name)
  strip = lambda records: [(r.id, r.label, os.path.basename(r.source)) for r in records]  # noqa: E731
  assert strip(read_records(tmp_path / "train")) == strip(read_records(f"{built}/train"))


def test_a_set_is_found_by_its_name_and_newest_version(built, tmp_path, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
  for version in ("2.0.0", "10.0.0"):
    (tmp_path / "toys" / version).parent.mkdir(exist_ok=True)
    os.symlink(built, tmp_path / "toys" / version)
  assert "/10.0.0/" in read_records("toys/val", format="tfds")[0].source
  assert "/2.0.0/" in read_records("toys:2.0.0/val", format="tfds")[0].source
  with pytest.raises(InputError, match="no TFDS folder"):
    read_records("nothing/val", format="tfds")


def test_the_cache_tells_the_records_of_a_shard_and_of_bytes_apart(built, tmp_path):
  facts = {"clip_len": 1, "frame_interval": 1, "num_clips": 2, "frames_per_view": 2, "sampler": "uniform"}
  preprocess = Preprocessing(**facts, steps=(), settings={}, mean=(0.0,) * 3, std=(1.0,) * 3)
  cache = FrameCache(1 << 28)
  records = read_records(f"{built}/val")
  stored = [stored_values(record)[0] for record in records[:2]]
  records += [Record("x", "clip", 0, data=data) for data in stored]
  both = write(tmp_path / "both.array_record", [encode_example({"a": stored[:1], "b": stored[1:]})])
  records += [Record("x", f"{both}#0", 0, stored=name) for name in "ab"]
  assert len({preprocess(record)["clips"].tobytes() for record in records}) == len(records) - 4
  for record in records:
    np.testing.assert_array_equal(preprocess(record, None, cache)["clips"], preprocess(record)["clips"])


def test_a_record_is_small_when_pickled(built):
  record = read_records(f"{built}/train")[-1]
  mean_frame(record)
  data = pickle.dumps(record)
  assert len(data) < 600 and pickle.loads(data) == record


def test_many_threads_read_what_one_reads(built):
  records = read_records(f"{built}/train")
  wanted, found = [read_stored(r.source) for r in records], {}

  def work(thread):
    order = np.random.default_rng(thread).permutation(len(records) * 20) % len(records)
    found[thread] = all(read_stored(records[i].source) == wanted[i] for i in order)

  threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(60)
  assert found == dict.fromkeys(range(6), True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:os.fork:RuntimeWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_what_this_one_reads(built, method):
  records = read_records(f"{built}/val")
  wanted = means(records)  # and the shards are open here, before the fork
  with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
    found = [job.result(timeout=120) for job in [pool.submit(means, records) for _ in range(2)]]
  assert found == [wanted, wanted]


def test_more_shards_than_are_held_open_are_read(tmp_path, monkeypatch):
  monkeypatch.setattr("jaction.records.array_records.OPEN", 2)
  paths = [write(tmp_path / f"{i}.array_record", [bytes([i]) * 5]) for i in range(6)]
  order = [*range(6), *range(6)[::-1]]
  assert [read_stored(f"{paths[i]}#0") for i in order] == [bytes([i]) * 5 for i in order]


def test_a_shard_that_was_written_anew_is_opened_anew(tmp_path):
  path = write(tmp_path / "a.array_record", [b"old"])
  assert read_stored(f"{path}#0") == b"old"
  os.replace(write(tmp_path / "b.array_record", [b"newer"]), path)
  assert read_stored(f"{path}#0") == b"newer"


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_shard_is_an_error_that_names_it(built, tmp_path, keep):
  source = read_records(f"{built}/train")[0].source.partition("#")[0]
  data = pathlib.Path(source).read_bytes()
  short = tmp_path / "short.array_record"
  short.write_bytes(data[: int(len(data) * keep)])
  with pytest.raises(MediaError, match=r"short.array_record#0: the shard has no readable record; it is truncated"):
    open_frames(Record("x", f"{short}#0", stored="video"))


def test_a_damaged_shard_still_gives_its_other_records(tmp_path):
  rng = np.random.default_rng(0)
  values = [rng.bytes(100_000) for _ in range(8)]
  path = write(tmp_path / "a.array_record", values)
  data = bytearray(pathlib.Path(path).read_bytes())
  at = data.index(values[3][50_000:50_030]) if values[3][50_000:50_030] in data else len(data) // 2
  data[at] ^= 255
  pathlib.Path(path).write_bytes(data)
  errors = []
  for number, value in enumerate(values):
    try:
      assert read_stored(f"{path}#{number}") == value
    except MediaError as error:
      errors.append(str(error))
  assert len(errors) == 1 and "the shard is damaged there" in errors[0]


@pytest.mark.parametrize(
  ("tail", "kind", "message"),
  [
    ("#7", InputError, "the shard has records 0 to 1"),
    ("#-1", InputError, "names no record of a shard"),
    ("", InputError, "names no record of a shard"),
    (".gone#0", MediaError, "the shard cannot be opened"),
  ],
)
def test_a_wrong_place_is_one_clear_error(tmp_path, tail, kind, message):
  path = write(tmp_path / "a.array_record", [b"x", b"y"])
  with pytest.raises(kind, match=message):
    read_stored(path + tail)


@pytest.mark.parametrize(
  ("example", "message"),
  [
    (b"\xff\xfe nonsense", "no tf.train.Example"),
    (encode_example({"vidio": [b"x"], "label": [1]}), "Near it: vidio"),
    (encode_example({"video": [b"no video"]}), "x.array_record#0: cannot be opened as a video"),
    (encode_example({"video": [b"a", b"b"]}), "2 values in 'video' that are no JPEG or PNG"),
    (encode_example({"video": [3]}), "no bytes 'video'"),
  ],
)
def test_an_example_that_holds_no_video_is_an_error(tmp_path, example, message):
  path = write(tmp_path / "x.array_record", [example])
  with pytest.raises(MediaError, match=message):
    open_frames(Record("x", f"{path}#0", stored="video"))


def damaged(folder, what):
  """A copy of a set with one fault."""
  shard = next(n for n in sorted(os.listdir(folder)) if "train.array" in n)
  info, manifest = folder / "dataset_info.json", folder / "manifest-train.json"
  if what == "shard missing":
    os.unlink(folder / shard)
  elif what == "shard truncated":
    (folder / shard).write_bytes((folder / shard).read_bytes()[:-70000])
  elif what == "manifest of another set":
    os.replace(folder / "manifest-val.json", manifest)
  elif what == "one record less":
    found = json.loads(manifest.read_text())
    found["shards"][0]["records"].pop()
    manifest.write_text(json.dumps(found))
  elif what == "manifest no JSON":
    manifest.write_text(manifest.read_text()[:100])
  elif what == "manifest without shards":
    manifest.write_text("{}")
  elif what == "tfrecord":
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
  elif what == "no features":
    os.unlink(folder / "features.json")


@pytest.mark.parametrize(
  ("what", "message"),
  [
    ("shard missing", "the shard is missing"),
    ("shard truncated", "the shard is truncated, or the manifest is not this set's"),
    ("manifest of another set", "dataset_info.json has other ones"),
    ("one record less", "the manifest is not this set's"),
    ("manifest no JSON", "no JSON"),
    ("manifest without shards", "no manifest of `jaction data build`"),
    ("tfrecord", "array_record was wanted"),
    ("no features", "features.json: cannot be read"),
  ],
)
def test_a_set_with_a_fault_is_one_clear_error(built, tmp_path, what, message):
  for name in os.listdir(built):
    (tmp_path / name).write_bytes(pathlib.Path(built, name).read_bytes())
  assert read_records(tmp_path / "train")
  damaged(tmp_path, what)
  with pytest.raises(InputError, match=message) as error:
    read_records(tmp_path / "train", format="tfds")
  assert str(tmp_path) in str(error.value)


def test_an_unknown_split_names_those_there_are(built):
  with pytest.raises(InputError, match="no split 'vall'; it has train, val.*Near it: val"):
    read_records(f"{built}/vall")
  with pytest.raises(InputError, match="which split is not said"):
    read_records(built, format="tfds")


def test_a_label_outside_the_classes_is_an_error_that_names_the_record(built):
  with pytest.raises(InputError, match=r"array_record-.*#\d+: label \d is outside the classes"):
    read_records(f"{built}/train", num_classes=3)


def test_examples_are_read_back_whatever_their_values():
  features = {"a": [b"", b"x" * 300], "b": [0, 1, 127, 128, 2**63 - 1, -1, -(2**63)], "ü": [5], "none": []}
  assert decode_example(encode_example(features), "x") == features


def test_unpacked_and_float_values_are_read():
  """As other writers have them: integers one by one (wire type 0), floats packed."""
  integers = b"\x1a\x04\x08\x03\x08\x07"  # int64_list { value: 3 value: 7 }
  floats = b"\x12\x0a\x0a\x08" + struct.pack("<2f", 0.5, -2)
  entry = lambda name, body: b"\x0a" + bytes([len(body) + 5]) + b"\x0a\x01" + name + b"\x12" + bytes([len(body)]) + body  # noqa: E731
  body = entry(b"i", integers) + entry(b"f", floats)
  assert decode_example(b"\x0a" + bytes([len(body)]) + body, "x") == {"i": [3, 7], "f": [0.5, -2.0]}


def test_no_damaged_example_ends_in_anything_but_a_media_error():
  data = encode_example({"video": [b"x" * 40], "label": [3], "id": [b"name"]})
  rng, errors = np.random.default_rng(0), 0
  for cut in range(len(data)):
    for one in (data[:cut], data[:cut] + rng.bytes(3) + data[cut + 3 :]):
      try:
        decode_example(one, "shard#0")
      except MediaError as error:
        assert str(error).startswith("shard#0: ")
        errors += 1
  assert errors > len(data)
