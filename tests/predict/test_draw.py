import numpy as np
import pytest

from jaction.errors import InputError
from jaction.predict.draw import annotate, overlay, render_band
from jaction.records import Video, read_records
from jaction.records.toy import make_toy_set

LINES = [("growing", 0.9), ("shrinking", 0.1)]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set", videos=(0, 0, 16)).folder


def test_the_drawing_keeps_frames_and_times_and_is_large_enough_to_read(toy, tmp_path):
  for record in read_records(toy / "test.txt")[:4]:
    out = annotate(record.source, tmp_path / "out.mp4", LINES, title="truth: growing")
    with Video(record.source) as before, Video(out) as after:
      assert after.num_frames == before.num_frames
      assert min(after.width, after.height) >= 360 and not after.width % 2 and not after.height % 2
      assert abs(after.width / after.height - before.width / before.height) < 0.02
      np.testing.assert_allclose(after.times - after.times[0], before.times - before.times[0], atol=2e-3)


def test_a_frame_folder_can_be_drawn_on(toy, tmp_path):
  record = read_records(toy / "test_frames.txt", format="frame_list")[0]
  with Video(annotate(record, tmp_path / "out.mp4", LINES)) as video:
    assert video.num_frames == record.frames and round(video.fps) == 25


def test_the_band_covers_its_rows_alone_and_a_longer_bar_is_a_larger_share():
  band = render_band(400, 300, LINES)
  assert band.shape == (300, 400, 4) and not band[:150, ..., 3].any() and band[-5, 200, 3] > 0
  frame = np.full((300, 400, 3), 200, np.uint8)
  drawn = overlay(frame, band)
  np.testing.assert_array_equal(drawn[:150], frame[:150])
  assert drawn[-40:].mean() < 150 and frame.mean() == 200
  blue = [(render_band(400, 300, [("a", share)])[..., 0] == 64).sum() for share in (0.1, 0.9)]
  assert blue[1] > blue[0]


def test_a_long_label_is_cut_to_the_width():
  assert render_band(200, 200, [("a very long name of an action that never ends" * 3, 0.5)]).shape == (200, 200, 4)


def test_targets_that_would_destroy_something_or_are_no_mp4_are_errors(toy, tmp_path):
  source = read_records(toy / "test.txt")[0].source
  with pytest.raises(InputError, match="video itself"):
    annotate(source, source, LINES)
  with pytest.raises(InputError, match=r"\.mp4"):
    annotate(source, tmp_path / "out.gif", LINES)


def test_a_failed_drawing_leaves_nothing(tmp_path):
  (tmp_path / "bad.mp4").write_bytes(b"not a video")
  with pytest.raises(InputError):
    annotate(tmp_path / "bad.mp4", tmp_path / "out.mp4", LINES)
  assert [path.name for path in tmp_path.iterdir()] == ["bad.mp4"]
