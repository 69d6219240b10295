"""Frames in an .npy file and in memory."""

import cv2
import numpy as np
import pytest

from jaction.errors import InputError, MediaError
from jaction.records import Record, Video, open_frames, read_records
from jaction.records.frame_arrays import ImageFrames, NpyFrames
from jaction.records.toy import scene, write_scene


@pytest.fixture
def frames(tmp_path):
  array = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), np.uint8)
  np.save(tmp_path / "a.npy", array)
  return array


def png(array):
  return cv2.imencode(".png", array[..., ::-1])[1].tobytes()


def test_a_list_of_npy_files_is_read(frames, tmp_path):
  (tmp_path / "list.txt").write_text("a.npy 3\n")
  (record,) = read_records(tmp_path / "list.txt")
  with open_frames(record) as video:
    assert (video.num_frames, video.height, video.width, record.label) == (6, 8, 10, 3)
    np.testing.assert_array_equal(video.read([5, 0, 5]), frames[[5, 0, 5]])
    assert video.read([]).shape == (0, 8, 10, 3)
    with pytest.raises(InputError, match="a.npy: there is no frame 6"):
      video.read([6])


def test_frames_read_from_npy_may_be_written_to(frames, tmp_path):
  with NpyFrames(str(tmp_path / "a.npy")) as video:
    part = video.read([0, 1])
  part += 1
  np.testing.assert_array_equal(NpyFrames(str(tmp_path / "a.npy")).read(range(6)), frames)


def test_flow_has_two_channels_and_is_not_taken_for_colour(tmp_path):
  flow = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 2), np.uint8)
  np.save(tmp_path / "flow.npy", flow)
  record = Record("x", str(tmp_path / "flow.npy"))
  with open_frames(record, flow=True) as video:
    np.testing.assert_array_equal(video.read([2]), flow[[2]])
  with pytest.raises(InputError, match="frames of 2 channels; 3, of colour, were wanted"):
    open_frames(record)


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (np.zeros((4, 6, 6, 3), np.float32), "holds float32"),
    (np.zeros((6, 6, 3), np.uint8), r"uint8 \[6, 6, 3\]; uint8 \[T, H, W, 3\]"),
    (np.zeros((4, 6, 6, 4), np.uint8), r"\[4, 6, 6, 4\]"),
    (np.zeros((0, 6, 6, 3), np.uint8), "holds no frame"),
    (np.array([{}]), "no .npy file of frames"),
  ],
)
def test_an_array_that_is_no_film_is_an_error(array, message, tmp_path):
  np.save(tmp_path / "b.npy", array)
  with pytest.raises(MediaError, match=message):
    NpyFrames(str(tmp_path / "b.npy"))


@pytest.mark.parametrize("size", [0, 5, 100, 1000])
def test_a_truncated_or_absent_npy_file_is_an_error(frames, tmp_path, size):
  (tmp_path / "c.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:size])
  with pytest.raises(MediaError, match="c.npy"):
    NpyFrames(str(tmp_path / "c.npy"))
  with pytest.raises(MediaError, match="d.npy"):
    NpyFrames(str(tmp_path / "d.npy"))


def test_images_in_memory_are_frames(frames):
  with ImageFrames([png(image) for image in frames], "mine") as video:
    assert (video.num_frames, video.height, video.width, video.channels) == (6, 8, 10, 3)
    np.testing.assert_array_equal(video.read([4, 4, 1]), frames[[4, 4, 1]])
    assert video.read([]).shape == (0, 8, 10, 3)
    with pytest.raises(InputError, match="mine: there is no frame -1"):
      video.read([-1])


def test_damaged_images_and_images_of_another_size_are_errors(frames):
  with pytest.raises(MediaError, match="mine: frame 0"):
    ImageFrames([png(frames[0])[:20]], "mine")
  with pytest.raises(MediaError, match="mine: holds no frame"):
    ImageFrames([], "mine")
  video = ImageFrames([png(frames[0]), png(frames[0][:4]), png(frames[0])[:40]], "mine")
  with pytest.raises(MediaError, match="mine: frame 1 has 10x4 pixels, the first 10x8"):
    video.read([0, 1])
  with pytest.raises(MediaError, match="mine: frame 2"):
    video.read([2])


def test_a_record_may_hold_its_bytes(frames, tmp_path):
  write_scene(tmp_path / "v.mp4", scene(0, 0))
  data = (tmp_path / "v.mp4").read_bytes()
  with open_frames(Record("x", "upload 7", data=data)) as a, Video(tmp_path / "v.mp4") as b:
    np.testing.assert_array_equal(a.read([0, 9]), b.read([0, 9]))
  with open_frames(Record("x", "upload 8", data=png(frames[2]))) as image:
    np.testing.assert_array_equal(image.read([0]), frames[[2]])
  with pytest.raises(MediaError, match="upload 9: "):
    open_frames(Record("x", "upload 9", data=data[:500]))
  assert len(repr(Record("x", "upload 7", data=data))) < 300
