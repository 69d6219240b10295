import dataclasses
import pathlib
import random
import threading

import cv2
import numpy as np
import pytest

from jaction.errors import InputError, MediaError
from jaction.records import FrameCache, FrameFolder, Record, Video, open_frames, read_image, read_records


@pytest.fixture
def folder(tmp_path):
  """Six PNG images img_00001 ... img_00006, their pixels, and a record of them."""
  frames = np.random.default_rng(0).integers(0, 256, (6, 10, 14, 3), np.uint8)
  for i, frame in enumerate(frames):
    cv2.imwrite(str(tmp_path / f"img_{i + 1:05d}.png"), frame[:, :, ::-1])
  return frames, Record("x", str(tmp_path), 0, frames=6, template="img_{:05d}.png")


def test_a_folder_gives_rgb_frames_in_any_order(folder):
  frames, record = folder
  with open_frames(record) as opened:
    assert isinstance(opened, FrameFolder)
    assert (opened.num_frames, opened.height, opened.width) == (6, 10, 14)
    assert np.array_equal(opened.read([5, 0, 0, 3]), frames[[5, 0, 0, 3]])
    assert opened.read([]).shape == (0, 10, 14, 3)
    for wrong in ([6], [-1], [0.5]):
      with pytest.raises(InputError):
        opened.read(wrong)


def test_offset_and_first_shift_the_file_names(folder):
  frames, record = folder
  part = FrameFolder(dataclasses.replace(record, offset=2, frames=3))
  assert np.array_equal(part.read(range(3)), frames[2:5])
  pathlib.Path(record.source, "img_00000.png").write_bytes(pathlib.Path(record.source, "img_00006.png").read_bytes())
  assert np.array_equal(FrameFolder(dataclasses.replace(record, first=0)).read([0, 1]), frames[[5, 0]])


def test_frames_are_counted_where_the_record_has_no_number(folder):
  _, record = folder
  assert FrameFolder(dataclasses.replace(record, frames=None)).num_frames == 6
  assert FrameFolder(dataclasses.replace(record, frames=None, offset=4)).num_frames == 2
  with pytest.raises(MediaError, match="img_00008.png"):
    FrameFolder(dataclasses.replace(record, frames=None, offset=7))


def test_an_absent_or_damaged_image_is_named(folder, tmp_path):
  frames, record = folder
  (tmp_path / "img_00004.png").unlink()
  opened = FrameFolder(record)
  with pytest.raises(MediaError, match=r"img_00004.png: there is no such image; it is frame 3 of 6"):
    opened.read([0, 3])
  assert np.array_equal(opened.read([4]), frames[[4]])
  (tmp_path / "img_00004.png").write_bytes(b"not an image")
  with pytest.raises(MediaError, match="img_00004.png: no image"):
    opened.read([3])
  (tmp_path / "img_00004.png").write_bytes(b"")
  with pytest.raises(MediaError, match="img_00004.png"):
    opened.read([3])
  cv2.imwrite(str(tmp_path / "img_00004.png"), frames[0, :5])
  with pytest.raises(MediaError, match="img_00004.png: 14x5 pixels"):
    opened.read([0, 3])
  with pytest.raises(MediaError, match="no such folder"):
    FrameFolder(dataclasses.replace(record, source=str(tmp_path / "gone")))
  with pytest.raises(InputError, match="template"):
    FrameFolder(dataclasses.replace(record, template=None))


def test_a_jpeg_that_is_cut_off_is_an_error_and_not_half_grey(tmp_path, capfd):
  picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
  path = tmp_path / "é.jpg"
  data = cv2.imencode(".jpg", picture)[1].tobytes()
  path.write_bytes(data)
  assert read_image(str(path)).shape == (40, 40, 3)
  path.write_bytes(data[: len(data) // 2])
  with pytest.raises(MediaError, match="cut off"):
    read_image(str(path))
  assert capfd.readouterr().err == ""


def test_grey_images_have_three_channels(tmp_path):
  grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
  cv2.imwrite(str(tmp_path / "g.png"), grey)
  assert np.array_equal(read_image(str(tmp_path / "g.png")), np.repeat(grey[..., None], 3, 2))


def test_open_frames_opens_a_video_where_there_is_no_template(films):
  path = films.make("a.mp4", count=3)
  with open_frames(Record("a", path)) as opened:
    assert isinstance(opened, Video) and opened.num_frames == 3


@pytest.mark.reference
def test_the_shared_images_are_those_opencv_reads(shared):
  path = shared / "media" / "data" / "frame_test_list_with_offset.txt"
  if not path.exists():
    pytest.skip(f"no {path}")
  record = read_records(path, format="frame_list_offset")[0]
  with open_frames(record) as opened:
    frames = opened.read(range(opened.num_frames))
  for i, frame in enumerate(frames):
    expected = cv2.imread(str(path.parent / "test_imgs" / f"img_{i + 3:05d}.jpg"))[:, :, ::-1]
    assert np.array_equal(frame, expected)


def test_the_cache_keeps_what_was_used_last_and_never_more_than_its_bound():
  """The twin: a list of keys, the last used at its end."""
  rng = random.Random(0)
  sizes = {key: rng.randrange(1, 60) for key in range(20)}
  cache, twin = FrameCache(100), []
  for _ in range(2000):
    key, made = rng.randrange(20), []
    array = cache.get(key, lambda key=key, made=made: made.append(1) or np.full(sizes[key], key, np.uint8))
    assert array.tolist() == [key] * sizes[key]
    assert bool(made) == (key not in twin)
    twin = [k for k in twin if k != key] + [key]
    while sum(sizes[k] for k in twin) > 100:
      twin.pop(0)
    assert cache.nbytes == sum(sizes[k] for k in twin) and len(cache) == len(twin)


def test_what_is_too_large_is_given_and_not_kept():
  cache = FrameCache(10)
  cache.get("small", lambda: np.zeros(4, np.uint8))
  assert cache.get("large", lambda: np.zeros(11, np.uint8)).size == 11
  assert (len(cache), cache.nbytes) == (1, 4)
  assert FrameCache(0).get("a", lambda: np.ones(1, np.uint8)).tolist() == [1]
  with pytest.raises(InputError):
    FrameCache(-1)


def test_cached_arrays_cannot_be_changed_and_views_do_not_hide_bytes():
  cache = FrameCache(100)
  large = np.zeros((50, 10), np.uint8)
  kept = cache.get("a", lambda: large[:2])
  assert kept.base is None and cache.nbytes == 20
  with pytest.raises(ValueError):
    kept[0] = 1
  large[0] = 1  # the maker's own array stays writeable


def test_an_error_while_making_is_passed_on_and_not_kept():
  cache = FrameCache(100)

  def fail():
    raise MediaError("x")

  with pytest.raises(MediaError):
    cache.get("a", fail)
  assert cache.get("a", lambda: np.ones(1, np.uint8)).tolist() == [1]


def test_many_threads_share_a_cache():
  cache, wrong = FrameCache(400), []

  def work(seed):
    rng = random.Random(seed)
    for _ in range(500):
      key = rng.randrange(12)
      array = cache.get(key, lambda key=key: np.full(50, key, np.uint8))
      if array.tolist() != [key] * 50 or cache.nbytes > 400:
        wrong.append(key)

  threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert not wrong and cache.nbytes == 50 * len(cache) <= 400
