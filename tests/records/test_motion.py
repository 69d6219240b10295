"""Motion vectors as pictures: where things move, how far, and which way when the video is turned or mirrored."""

import numpy as np
import pytest

from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.records import Record, Video, open_frames
from jaction.records.motion import BOUND, STILL


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
  """A textured square that goes 4 pixels to the right and 2 down each frame, over a still textured ground."""
  import av

  rng = np.random.default_rng(0)
  ground = rng.integers(0, 256, (16, 20, 3), np.uint8).repeat(8, 0).repeat(8, 1)
  square = rng.integers(0, 256, (24, 24, 3), np.uint8).repeat(2, 0).repeat(2, 1)
  path = str(tmp_path_factory.mktemp("motion") / "moving.mp4")
  with av.open(path, "w") as file:
    stream = file.add_stream("libx264", rate=25, options={"x264-params": "bframes=0:ref=1:keyint=100:scenecut=0:qp=10"})
    stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
    for t in range(12):
      picture = ground.copy()
      picture[16 + 2 * t : 64 + 2 * t, 16 + 4 * t : 64 + 4 * t] = square
      file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    file.mux(stream.encode())
  return path


def test_what_moves_has_its_displacement_and_what_does_not_has_none(moving):
  with Video(moving, motion=True) as video:
    assert video.channels == 2
    frames = video.read([0, 5, 8])
  assert frames.shape == (3, 128, 160, 2) and (frames[0] == STILL).all()  # a keyframe came from nowhere
  for t, frame in zip((5, 8), frames[1:], strict=True):
    inside = frame[24 + 2 * t : 56 + 2 * t, 24 + 4 * t : 56 + 4 * t].reshape(-1, 2)
    wanted = STILL + np.array([4, 2]) * 127 / BOUND
    assert np.abs(np.median(inside, axis=0) - wanted).max() <= 1
    assert np.median(frame[100:, :60]) == STILL


def test_the_pictures_of_the_same_file_are_unchanged(moving):
  with Video(moving) as plain, Video(moving, motion=True) as vectors:
    assert plain.num_frames == vectors.num_frames and plain.read([3]).shape == (1, 128, 160, 3)


def test_a_preprocessing_gives_clips_of_motion_and_a_flip_turns_x_around(moving):
  fields = {
    "sampler": "uniform",
    "clip_len": 4,
    "frame_interval": 1,
    "num_clips": 1,
    "frames_per_view": 4,
    "steps": ["flip"],
    "settings": {"flip": {"ratio": 1.0}},
    "mean": [128, 128],
    "std": [128, 128],
    "modality": "motion",
  }
  made, record = Preprocessing.from_json(fields), Record("moving", moving, 0)
  plain, flipped = made(record)["clips"], made(record, np.random.default_rng(0))["clips"]
  assert made.channels == 2 and plain.shape == (1, 4, 128, 160, 2)
  with open_frames(record, motion=True) as video:
    drawn = video.read(made.indices(video.num_frames, np.random.default_rng(0)))
  np.testing.assert_array_equal(flipped[0][..., 0], 255 - drawn[:, :, ::-1, 0])
  np.testing.assert_array_equal(flipped[0][..., 1], drawn[:, :, ::-1, 1])


def test_who_has_no_motion_vectors_is_told(tmp_path, films):
  with pytest.raises(InputError, match="gives no motion vectors; wanted h264"):
    Video(films.make("v.webm", codec="libvpx", options={}), motion=True)
  with pytest.raises(InputError, match="video files alone"):
    open_frames(Record("f", str(tmp_path), 0, template="img_{:05d}.jpg"), motion=True)
