"""Videos read where they lie in a shard: the bytes the library gives, and never those of another file or place."""

import io
import os
import pathlib
import pickle
import threading

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from jaction.errors import MediaError
from jaction.records import Record, open_frames
from jaction.records.array_records import stored_file, stored_values
from jaction.records.example import encode_example
from jaction.records.shard_files import BLOCK, HELD, Places, StoredFile, record_places
from jaction.records.video import Video

PLAIN = "group_size:1,uncompressed"


def write(path, examples, options=PLAIN):
  writer = ArrayRecordWriter(str(path), options)
  for example in examples:
    writer.write(example)
  writer.close()
  return str(path)


def part(path, place):
  file = StoredFile(path, *place)
  try:
    return file.read_all()
  finally:
    file.close()


def stored(path, number=0):
  return Record("x", f"{path}#{number}", 0, stored="video")


def open_files():
  return len(os.listdir("/proc/self/fd"))


SIZES = st.one_of(st.integers(1, 300), st.integers(HELD - 200, HELD + 60), st.integers(1, 3 * HELD))


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(SIZES, min_size=1, max_size=6), seed=st.integers(0, 99))
def test_the_places_of_all_records_hold_what_the_library_reads(tmp_path_factory, sizes, seed):
  rng = np.random.default_rng(seed)
  values = [rng.bytes(size) for size in sizes]
  path = write(tmp_path_factory.getbasetemp() / "places.array_record", values)
  places = record_places(path)[: len(values)]
  assert [part(path, place) for place in places] == values == ArrayRecordReader(path).read_all()


def test_headers_of_chunks_that_a_block_cuts_in_two_are_read(tmp_path):
  """The second chunk's header begins 0 to 80 bytes before a block ends."""
  for before in range(81):
    values = [bytes([before]) * (HELD - 85 - before), b"second" * 20]
    path = write(tmp_path / "cut.array_record", values)
    assert [part(path, place) for place in record_places(path)[:2]] == values, before


def test_a_stored_file_reads_and_seeks_as_a_file_does(tmp_path):
  rng = np.random.default_rng(1)
  value = rng.bytes(3 * BLOCK)
  path = write(tmp_path / "a.array_record", [rng.bytes(1000), value, rng.bytes(1000)])
  file, twin = StoredFile(path, *record_places(path)[1]), io.BytesIO(value)
  assert len(file) == len(value)
  for _ in range(300):
    whence = int(rng.integers(3))
    offset = int(rng.integers(-50, 50)) if whence == os.SEEK_CUR else int(rng.integers(0, len(value)))
    offset = -offset if whence == os.SEEK_END else offset
    if whence == os.SEEK_CUR and twin.tell() + offset < 0:
      continue
    assert file.seek(offset, whence) == twin.seek(offset, whence) == file.tell()
    read = file.read(int(rng.integers(1, 100_000)))
    assert read == twin.read(len(read)) and (read or file.tell() >= len(value))
  with pytest.raises(OSError):
    file.seek(-1)
  file.seek(len(value) + 5)
  assert file.read(10) == b""
  file.close()
  file.close()


@pytest.mark.parametrize("name", ["b.mp4", "a.avi", "w.webm"])
def test_the_second_reading_is_from_the_shard_itself_and_gives_the_same_frames(films, tmp_path, name):
  """AVI: its frames are counted, so the file is opened twice."""
  path = films.make(
    name, **({"codec": "mpeg4"} if name == "a.avi" else {"codec": "libvpx"} if name == "w.webm" else {})
  )
  data = pathlib.Path(path).read_bytes()
  example = encode_example({"id": [b"x"], "video": [data], "label": [3]})
  record = stored(write(tmp_path / "a.array_record", [example]))
  assert stored_file(record) is None
  found, count = [], open_files()
  for turn in range(3):
    with open_frames(record) as video:
      assert isinstance(video._source, StoredFile if turn else bytes)
      found.append(video.read([0, 17, 3, video.num_frames - 1]))
      assert video.name == record.source
  with open_frames(Record("x", path, 0)) as video:
    found.append(video.read([0, 17, 3, video.num_frames - 1]))
  for other in found[1:]:
    np.testing.assert_array_equal(other, found[0])
  assert open_files() <= count + 1  # the library's reader


@pytest.mark.parametrize("options", ["group_size:1", "group_size:2,uncompressed", "group_size:1,transpose"])
def test_shards_of_another_form_are_left_to_the_library(films, tmp_path, options):
  data = pathlib.Path(films.make("b.mp4")).read_bytes()
  examples = [encode_example({"video": [data], "label": [i]}) for i in range(3)]
  path = write(tmp_path / "a.array_record", examples, options)
  for _ in range(2):
    for number in range(2):
      assert stored_values(stored(path, number)) == [data]
      assert stored_file(stored(path, number)) is None


def test_a_shard_that_takes_anothers_place_is_read_anew(films, tmp_path):
  one, other = (pathlib.Path(films.make(f"{i}.mp4", count=20 + i)).read_bytes() for i in range(2))
  path = write(tmp_path / "a.array_record", [encode_example({"video": [one]})])
  assert stored_values(stored(path)) == [one] and stored_file(stored(path)) is not None
  same_size = other[: len(one)].ljust(len(one), b"\0")
  for newer in (same_size, other):
    os.replace(write(tmp_path / "b.array_record", [encode_example({"video": [newer]})]), path)
    assert stored_file(stored(path)) is None
    assert stored_values(stored(path)) == [newer]
    file = stored_file(stored(path))
    assert file is not None and file.read_all() == newer
  os.unlink(path)
  assert stored_file(stored(path)) is None
  with pytest.raises(MediaError, match="the shard cannot be opened"):
    open_frames(stored(path))


def test_a_place_is_learned_only_where_the_bytes_are_equal(tmp_path):
  values = [b"first" * 500, b"again" * 500]
  path = write(tmp_path / "a.array_record", values)
  places = Places()
  places.learn(path, 1, "video", b"other" * 500, b"other" * 500)
  assert places.open(path, 1, "video") is None
  places.learn(path, 0, "video", values[0], values[0][7:20])
  file = places.open(path, 0, "video")
  assert file is not None and file.read_all() == values[0][7:20]
  assert [places.open(path, number, "video") for number in (1, 2, 10**9)] == [None] * 3
  assert places.open(path, 0, "other") is None


def test_an_example_of_two_videos_gives_each_by_its_name(films, tmp_path):
  large, small = (pathlib.Path(films.make(f"{i}.mp4", count=12 + i)).read_bytes() for i in range(2))
  path = write(tmp_path / "a.array_record", [encode_example({"large": [large], "small": [small], "label": [0]})])
  for _ in range(3):
    for name, count in (("large", 12), ("small", 13)):
      with open_frames(Record("x", f"{path}#0", stored=name)) as video:
        assert video.num_frames == count
    with pytest.raises(MediaError, match="no bytes 'absent'"):
      open_frames(Record("x", f"{path}#0", stored="absent"))
  file = stored_file(Record("x", f"{path}#0", stored="large"))
  with pytest.raises(TypeError, match="of one process"):
    pickle.dumps(file)


def test_damage_before_the_first_reading_is_told_by_the_library(films, tmp_path):
  data = pathlib.Path(films.make("b.mp4")).read_bytes()
  path = write(tmp_path / "a.array_record", [encode_example({"video": [data]})])
  held = bytearray(pathlib.Path(path).read_bytes())
  held[len(data) // 2] ^= 255
  pathlib.Path(path).write_bytes(held)
  for _ in range(2):
    with pytest.raises(MediaError, match="the shard is damaged there"):
      open_frames(stored(path))


def test_no_bytes_of_a_shard_make_the_search_for_places_fail_or_hang(tmp_path):
  rng = np.random.default_rng(0)
  data = pathlib.Path(write(tmp_path / "a.array_record", [rng.bytes(30_000) for _ in range(6)])).read_bytes()
  wanted = record_places(str(tmp_path / "a.array_record"))
  damaged = tmp_path / "b.array_record"
  others = 0
  for turn in range(150):
    held = bytearray(data[: int(rng.integers(1, len(data)))] if turn % 3 == 0 else data)
    for _ in range(int(rng.integers(1, 30))):
      held[int(rng.integers(min(len(held), 200 if turn % 2 else len(held))))] = int(rng.integers(256))
    damaged.write_bytes(held)
    found = record_places(str(damaged))
    others += found != wanted
    assert len(found) < 20_000
  assert others > 50


def test_many_threads_learn_and_read_at_once(films, tmp_path):
  videos = [pathlib.Path(films.make(f"{i}.mp4", count=12 + i)).read_bytes() for i in range(4)]
  path = write(tmp_path / "a.array_record", [encode_example({"video": [video]}) for video in videos])
  wrong, count = [], open_files()

  def work(seed):
    for number in np.random.default_rng(seed).integers(0, 4, 60).tolist():
      with open_frames(stored(path, number)) as video:
        if video.num_frames != 12 + number:
          wrong.append(number)

  threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(60)
  assert not wrong and all(stored_file(stored(path, number)) is not None for number in range(4))
  assert open_files() <= count + 1


def outcome(source):
  """The frames, or "error"; of a damaged file what the decoder conceals with may differ, so only their number."""
  try:
    with Video(source, name="x") as video:
      return video.num_frames, video.width, video.height
  except MediaError:
    return "error"


def test_damaged_videos_are_refused_or_read_in_a_shard_as_in_memory(films, tmp_path):
  rng = np.random.default_rng(2)
  whole = [pathlib.Path(films.make(name, **kind)).read_bytes() for name, kind in
           (("b.mp4", {}), ("a.avi", {"codec": "mpeg4"}), ("b.mkv", {}))]  # fmt: skip
  videos = []
  for turn in range(90):
    data = bytearray(whole[turn % 3])
    if turn % 2:
      del data[int(rng.integers(len(data))) :]
    for at in rng.integers(len(data), size=int(rng.integers(1, 60))) if data else ():
      data[int(at)] = int(rng.integers(256))
    videos.append(bytes(data) + b"\0")
  path = write(tmp_path / "a.array_record", videos)
  found, count = [], open_files()
  for video, place in zip(videos, record_places(path), strict=False):
    found.append(outcome(video))
    assert outcome(StoredFile(path, *place)) == found[-1]
  assert open_files() == count and 5 < found.count("error") < len(found) - 5
