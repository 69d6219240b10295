"""Boxes restored as the reference does, and by hand."""

import json

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.predict.detections import restore_boxes


@pytest.mark.reference
def test_boxes_are_restored_as_the_reference_does(shared):
  path = shared / "golden/losses/later_losses.json"
  if not path.is_file():
    pytest.skip(f"no {path}")
  cases, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
  cases = {name: case["params"] for name, case in cases.items() if case["params"]["fn"] == "get_det_bboxes"}
  assert cases
  for name, params in cases.items():
    height, width = params["img_hw"]
    boxes, crop = arrays[f"{name}/in/rois"][:, 1:], params["crop_quadruple"]  # column 0 is the picture's number
    found = restore_boxes(boxes, (width, height), flipped=params["flip"], crop=crop)
    np.testing.assert_allclose(found, arrays[f"{name}/out/boxes"], rtol=1e-5, atol=1e-6, err_msg=name)
    scores = 1 / (1 + np.exp(-arrays[f"{name}/in/score"].astype(float)))
    np.testing.assert_allclose(scores, arrays[f"{name}/out/scores"], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_mirrored_box_of_the_middle_of_a_picture():
  assert restore_boxes([[10, 5, 29, 20]], (40, 20), flipped=True)[0].tolist() == [0.25, 0.25, 0.7250000238418579, 1.0]
  found = restore_boxes([[0, 0, 40, 20]], (40, 20), crop=(0.25, 0.5, 0.5, 0.5))
  assert found[0].tolist() == [0.25, 0.5, 0.75, 1.0]
  assert restore_boxes(np.zeros((0, 4)), (4, 4)).shape == (0, 4)
  with pytest.raises(InputError, match=r"wanted \[R,4\]"):
    restore_boxes([[1, 2, 3]], (4, 4))
