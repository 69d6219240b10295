import json

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.predict.draw_boxes import nearest_moment, render_boxes
from jaction.predict.people import MovingThings, PersonDetector, boxes_of, suppressed


class Session:
  """What onnxruntime gives, as far as it is used; it keeps what it was asked."""

  def __init__(self, outputs, shape=(1, 3, 64, 64)):
    self.outputs, self.shape, self.seen = outputs, shape, None

  def get_inputs(self):
    return [type("Input", (), {"name": "images", "shape": self.shape})()]

  def run(self, names, inputs):
    self.seen = inputs["images"]
    return self.outputs


FRAME = np.full((50, 100, 3), 200, np.uint8)  # half as high as wide: fits 64 x 64 at 0.64
YOLO = np.zeros((1, 9, 5 + 2), np.float32)
YOLO[0, 0] = [16, 16, 16, 8, 0.9, 0.8, 0.1]  # cx, cy, w, h, object, person, other
YOLO[0, 1] = [17, 16, 16, 8, 0.9, 0.7, 0.1]  # the same person
YOLO[0, 2] = [40, 16, 16, 8, 0.2, 0.9, 0.1]  # hardly there
YOLO8 = np.zeros((1, 4 + 2, 30), np.float32)
YOLO8[0, :, 0] = [16, 16, 16, 8, 0.72, 0.1]
ENDED = np.array([[[8, 12, 24, 20, 0.72, 0], [8, 12, 24, 20, 0.9, 1]]], np.float32)
VISION = [np.array([[8, 12, 24, 20], [0, 0, 9, 9]], np.float32), np.array([1, 3]), np.array([0.72, 0.9], np.float32)]


@pytest.mark.parametrize(
  "outputs", [[YOLO], [YOLO8], [ENDED], VISION], ids=["yolov5", "yolov8", "ended", "torchvision"]
)
def test_people_come_out_of_every_known_form_in_the_frames_own_units(outputs):
  session = Session(outputs)
  found = PersonDetector("people.onnx", session=session)(FRAME)
  np.testing.assert_allclose(found, [[0.125, 0.375, 0.375, 0.625, 0.72]], atol=1e-5)
  assert session.seen.shape == (1, 3, 64, 64) and session.seen.max() == pytest.approx(200 / 255)
  assert session.seen[0, 0, 40, 0] == pytest.approx(114 / 255)  # below the picture


def test_a_network_of_another_form_is_refused():
  with pytest.raises(InputError, match=r"\[7\]"):
    PersonDetector("x.onnx", session=Session([np.zeros(7)]))(FRAME)
  with pytest.raises(InputError, match="input of shape"):
    PersonDetector("x.onnx", session=Session([], shape=(1, 10)))


def test_a_detector_without_its_extra_says_what_to_install(monkeypatch, tmp_path):
  import sys

  monkeypatch.setitem(sys.modules, "onnxruntime", None)
  with pytest.raises(InputError, match=r"jaction\[detect\]"):
    PersonDetector(tmp_path / "x.onnx")


def test_suppression_keeps_the_best_of_what_overlaps():
  boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [2, 2, 3, 3]], float)
  assert suppressed(boxes, np.array([0.5, 0.9, 0.1])).tolist() == [1, 2]
  assert suppressed(np.zeros((0, 4)), np.zeros(0)).tolist() == []


def test_what_moves_gets_a_box_and_a_still_frame_none():
  frames = np.full((9, 60, 80, 3), 90, np.uint8)
  for t in range(9):
    frames[t, 20:36, 8 * t : 8 * t + 12] = 220
  find = MovingThings(frames)
  (box,) = find(frames[4])
  np.testing.assert_allclose(box[:4], [32 / 80, 20 / 60, 44 / 80, 36 / 60], atol=0.05)
  assert len(find(np.full((60, 80, 3), 90, np.uint8))) == 0


def test_boxes_are_read_from_every_kind_of_file(tmp_path):
  rows = {"clip,0001": [[0.1, 0.1, 0.5, 0.5, 0.9]], "clip,0002": []}
  (tmp_path / "b.json").write_text(json.dumps(rows))
  np.savez(tmp_path / "b.npz", **{key: np.array(value).reshape(-1, 5) for key, value in rows.items()})
  (tmp_path / "b.csv").write_text("clip,1,0.1,0.1,0.5,0.5,3,0\nclip,1,0.1,0.1,0.5,0.5,4,0\n")
  for name in ("b.json", "b.npz", "b.csv"):
    found = boxes_of(tmp_path / name, "clip")
    np.testing.assert_allclose(found[1][:, :4], [[0.1, 0.1, 0.5, 0.5]])
    assert boxes_of(tmp_path / name, "renamed")[1].shape == (1, 5)  # it tells of one video alone
  (tmp_path / "two.json").write_text(json.dumps(rows | {"other,0001": []}))
  with pytest.raises(InputError, match="no boxes of 'renamed' among its 2 videos"):
    boxes_of(tmp_path / "two.json", "renamed")
  (tmp_path / "odd.json").write_text('{"clip": [[0, 0, 1, 1]]}')
  with pytest.raises(InputError, match="video,0902"):
    boxes_of(tmp_path / "odd.json", "clip")


def test_a_drawn_box_has_its_outline_where_it_is_and_text_beside_it():
  boxes = np.array([[0.25, 0.5, 0.75, 0.9], [-0.2, 0.0, 0.1, 0.3]])
  layer = render_boxes(200, 120, boxes, [["walk 90%", "talk 60%"], []])
  assert layer.shape == (120, 200, 4)
  assert layer[60:108, 49:52, 3].any(axis=1).all() and layer[107:109, 50:150, 3].any(axis=0).all()
  assert layer[20:58, 50:60, 3].any()  # the text, above
  assert not layer[110:, :, 3].any() and not layer[:, 160:, 3].any()
  assert not render_boxes(200, 120, np.zeros((0, 4)), []).any()
  assert nearest_moment({1.0: 0, 2.0: 0}, 1.5, 0.5) == 1.0
  assert nearest_moment({1.0: 0}, 2.0, 0.5) is None and nearest_moment({}, 0.0, 1.0) is None
