"""Paths with a scheme, through fsspec, on its memory and local backends."""

import builtins
import io
import os
import wave

import cv2
import numpy as np
import pytest

from jaction.errors import InputError, MediaError
from jaction.records import open_frames, paths, read_label_map, read_records
from jaction.records.build import build_set
from jaction.records.sound import read_feature, read_waveform
from jaction.records.toy import scene, write_scene


@pytest.fixture
def store(request, tmp_path):
  """(address, put): a place in a store, by its address, and what puts bytes there."""
  fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (the extra `remote`)")
  address = f"file://{tmp_path}/store" if request.param == "file" else f"memory://{tmp_path.name}"

  def put(name, data):
    with fsspec.open(f"{address}/{name}", "wb", auto_mkdir=True) as file:
      file.write(data)

  return address, put


both = pytest.mark.parametrize("store", ["memory", "file"], indirect=True)


@pytest.fixture
def film(tmp_path):
  write_scene(tmp_path / "v.mp4", scene(0, 0))
  return tmp_path / "v.mp4"


@both
def test_a_list_and_its_videos_lie_in_a_store(store, film):
  address, put = store
  put("set/videos/v.mp4", film.read_bytes())
  put("set/train.txt", f"videos/v.mp4 3\n{address}/set/videos/v.mp4 1\n".encode())
  put("set/train.csv", b'path,label\n"videos/v.mp4",5\n')
  put("set/labels.txt", b"a\nb\n")
  records = read_records(f"{address}/set/train.txt")
  assert [(r.source, r.label) for r in records] == [(f"{address}/set/videos/v.mp4", label) for label in (3, 1)]
  assert read_records(f"{address}/set/train.csv")[0].label == 5
  assert read_label_map(f"{address}/set/labels.txt") == ("a", "b")
  with open_frames(records[0]) as remote, open_frames(type(records[0])("v", str(film))) as local:
    np.testing.assert_array_equal(remote.read([0, 7]), local.read([0, 7]))
    assert remote.name == records[0].source


@both
def test_a_local_list_may_name_videos_in_a_store_by_root(store, film, tmp_path):
  address, put = store
  put("videos/v.mp4", film.read_bytes())
  (tmp_path / "list.txt").write_text("videos/v.mp4 3\n")
  (record,) = read_records(tmp_path / "list.txt", root=address)
  assert record.source == f"{address}/videos/v.mp4"
  with open_frames(record) as video:
    assert video.num_frames > 5


@both
def test_folders_of_frames_and_npy_files_lie_in_a_store(store):
  address, put = store
  frames = np.random.default_rng(0).integers(0, 256, (3, 8, 10, 3), np.uint8)
  for at, image in enumerate(frames, 1):
    put(f"set/a/img_{at:05d}.png", cv2.imencode(".png", image[..., ::-1])[1].tobytes())
  array = io.BytesIO()
  np.save(array, frames)
  put("set/b.npy", array.getvalue())
  put("set/frames.txt", b"a 3 2\n")
  put("set/arrays.txt", b"b.npy 2\n")
  (folder,) = read_records(f"{address}/set/frames.txt", format="frame_list", template="img_{:05d}.png")
  (npy,) = read_records(f"{address}/set/arrays.txt", format="video_list")
  for record in (folder, npy):
    with open_frames(record) as video:
      np.testing.assert_array_equal(video.read([2, 0]), frames[[2, 0]])


@both
def test_sounds_and_features_lie_in_a_store(store, tmp_path):
  address, put = store
  sound = (10_000 * np.sin(np.arange(4000) / 9)).astype(np.int16)
  with wave.open(str(tmp_path / "a.wav"), "wb") as file:
    file.setparams((1, 2, 16000, 0, "NONE", ""))
    file.writeframes(sound.tobytes())
  np.save(tmp_path / "a.npy", np.float32([[1, 2], [3, 4]]))
  for name in ("a.wav", "a.npy"):
    put(name, (tmp_path / name).read_bytes())
  np.testing.assert_array_equal(read_waveform(f"{address}/a.wav"), read_waveform(tmp_path / "a.wav"))
  np.testing.assert_array_equal(read_feature(f"{address}/a.npy"), [[1, 2], [3, 4]])
  for read in (read_waveform, read_feature):
    with pytest.raises(MediaError, match="gone"):
      read(f"{address}/gone")


@both
def test_what_a_store_lacks_is_an_error_that_names_it(store, film):
  address, put = store
  put("set/train.txt", b"gone.mp4 3\nbad.mp4 3\n")
  put("set/bad.mp4", film.read_bytes()[:500])
  gone, bad = read_records(f"{address}/set/train.txt")
  for record in (gone, bad):
    with pytest.raises(MediaError) as error:
      open_frames(record)
    assert str(error.value).startswith(record.source)
  with pytest.raises(InputError, match=r"val.txt: there is no such file"):
    read_records(f"{address}/set/val.txt")


@both
def test_a_set_is_built_of_videos_in_a_store(store, film, tmp_path):
  address, put = store
  put("set/v.mp4", film.read_bytes())
  put("set/train.txt", b"v.mp4 3\ngone.mp4 1\n")
  done = build_set({"train": read_records(f"{address}/set/train.txt")}, tmp_path / "built")
  assert done.counts["train"] == {"listed": 2, "stored": 1, "missing": 1, "damaged": 0}
  assert [r.label for r in read_records(tmp_path / "built" / "train")] == [3]


def test_an_unknown_scheme_is_an_error():
  pytest.importorskip("fsspec")
  with pytest.raises(InputError, match="nosuch://x/list.txt: .*nosuch"):
    read_records("nosuch://x/list.txt")


def test_without_fsspec_the_error_says_what_to_install(monkeypatch):
  real = builtins.__import__

  def without(name, *args, **kwargs):
    if name == "fsspec":
      raise ImportError(name)
    return real(name, *args, **kwargs)

  monkeypatch.setattr(builtins, "__import__", without)
  with pytest.raises(InputError, match=r"gs://x/list.txt: .*jaction\[remote\]"):
    read_records("gs://x/list.txt")


@pytest.mark.parametrize(
  ("base", "name", "wanted"),
  [
    ("gs://b/set", "a/b.mp4", "gs://b/set/a/b.mp4"),
    ("gs://b/set/", "a.mp4", "gs://b/set/a.mp4"),
    ("gs://b", "s3://c/a.mp4", "s3://c/a.mp4"),
    ("/data", "s3://c/a.mp4", "s3://c/a.mp4"),
    ("/data", "a.mp4", os.path.join("/data", "a.mp4")),
    ("/data", "/b/a.mp4", "/b/a.mp4"),
    ("/data", "odd:name.mp4", "/data/odd:name.mp4"),
  ],
)
def test_names_are_joined_to_their_base(base, name, wanted):
  assert paths.join(base, name) == wanted


def test_a_local_path_is_not_taken_for_a_remote_one():
  assert not any(map(paths.is_remote, ("/a/b", "a:b", "a/b://c", "", "C:/x", 3)))
  assert all(map(paths.is_remote, ("gs://a", "s3://a/b", "memory://x", "file:///x")))
