"""Folders of flow: an x and a y image for each frame."""

import cv2
import numpy as np
import pytest

from jaction.errors import InputError, MediaError
from jaction.records import Record, read_records
from jaction.records.frames import FrameFolder, is_flow, open_frames

TEMPLATE = "flow_{}_{:05d}.png"


@pytest.fixture
def flow(tmp_path):
  """A record of 6 frames of 5x7 pixels, and what they hold."""
  frames = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 2), dtype=np.uint8)
  for number, frame in enumerate(frames, 1):
    for name, image in zip("xy", np.moveaxis(frame, -1, 0), strict=True):
      cv2.imwrite(str(tmp_path / TEMPLATE.format(name, number)), image)
  return Record("v", str(tmp_path), 0, template=TEMPLATE), frames


def test_frames_are_x_and_y(flow):
  record, frames = flow
  with open_frames(record, flow=True) as folder:
    assert (folder.num_frames, folder.width, folder.height, folder.channels) == (6, 7, 5, 2)
    wanted = [5, 0, 0, 3]
    assert np.array_equal(folder.read(wanted), frames[wanted])
    assert folder.read([]).shape == (0, 5, 7, 2)


def test_what_lacks_a_half_ends_before_it_or_names_it(flow, tmp_path):
  record, frames = flow
  (tmp_path / TEMPLATE.format("y", 4)).unlink()
  with FrameFolder(record) as folder:
    assert folder.num_frames == 3
  with FrameFolder(Record("v", str(tmp_path), 0, frames=6, template=TEMPLATE)) as folder:
    with pytest.raises(MediaError, match=r"flow_y_00004.png: there is no such image; it is frame 3 of 6"):
      folder.read([3])
  cv2.imwrite(str(tmp_path / TEMPLATE.format("y", 2)), np.zeros((9, 9), np.uint8))
  with FrameFolder(record) as folder, pytest.raises(MediaError, match="flow_y_00002.png: is 9x9, .*x_00002.png 7x5"):
    folder.read([1])


def test_flow_and_colour_are_not_mistaken_for_each_other(flow, tmp_path):
  record, _ = flow
  with pytest.raises(InputError, match="pictures in colour, were wanted"):
    open_frames(record)
  with pytest.raises(InputError, match="a video file; optical flow.*flow is not computed from a video"):
    open_frames(Record("v", str(tmp_path / "v.mp4"), 0), flow=True)
  with pytest.raises(InputError, match="images named 'img_{:05d}.jpg'; optical flow"):
    open_frames(Record("v", str(tmp_path), 0, template="img_{:05d}.jpg"), flow=True)
  with pytest.raises(InputError, match="is a sound"):
    open_frames(Record("v", str(tmp_path / "v.wav"), 0, kind="audio"))


def test_templates_of_two_fields_are_flows():
  assert is_flow("{}_{:05d}.jpg") and is_flow("flow_{}_{:d}.jpg")
  assert not any(map(is_flow, (None, "img_{:05d}.jpg", "{:02d}_{:05d}.jpg", "{} {}")))


def test_a_list_of_frame_folders_takes_a_template_of_flow(flow, tmp_path):
  (tmp_path / "list.txt").write_text(f"{tmp_path.name} 6 1\n")
  (record,) = read_records(tmp_path / "list.txt", root=tmp_path.parent, template=TEMPLATE)
  with open_frames(record, flow=True) as folder:
    assert np.array_equal(folder.read([2])[0], flow[1][2])


def test_a_single_image_is_one_frame(tmp_path):
  image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
  cv2.imwrite(str(tmp_path / "a {0}.png"), image[..., ::-1])
  with open_frames(Record("a", str(tmp_path / "a {0}.png"), 0, kind="image")) as frames:
    assert frames.num_frames == 1 and np.array_equal(frames.read([0, 0]), [image, image])


@pytest.mark.reference
def test_flow_of_the_reference_is_read(shared):
  folder = shared / "media/data/test_imgs"
  if not (folder / "x_00001.jpg").is_file():
    pytest.skip(f"no flow in {folder}")
  with open_frames(Record("v", str(folder), 0, template="{}_{:05d}.jpg"), flow=True) as frames:
    assert frames.num_frames == 5 and frames.read(range(5)).shape == (5, 240, 320, 2)
    grey = cv2.imread(str(folder / "y_00003.jpg"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(frames.read([2])[0, ..., 1], grey)
