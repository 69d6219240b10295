import dataclasses

import jax
import numpy as np
import pytest

from jaction import folders
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError
from jaction.models import create_model, initialize, variant
from jaction.predict.predictor import Predictor, with_views
from jaction.records import read_records
from jaction.records.toy import TOY_CLASSES, make_toy_set


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set", videos=(0, 0, 11)).folder


def save(folder, name="tsm_tiny_1x1x8", **changes):
  model = create_model(name, num_classes=8)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, *model.clip, 3), np.float32))
  facts = {"labels": TOY_CLASSES, "preprocessing": variant(name).preprocessing} | changes
  folders.save_model(folder, name=name, fields={"num_classes": 8}, variables=variables, **facts)
  return folder


def test_one_video_alone_scores_as_it_does_in_a_list(toy, tmp_path):
  predictor = Predictor(save(tmp_path / "model"))
  records = read_records(toy / "test.txt")
  whole = predictor.score(records, batch_size=4)
  assert whole.scores.shape == (11, 8) and list(whole.index) == list(range(11))
  np.testing.assert_allclose(whole.scores.sum(-1), 1, rtol=1e-5)
  alone = predictor.score(records[6:7], batch_size=4)
  np.testing.assert_array_equal(alone.scores[0], whole.scores[6])  # the same batch shape: the same bits
  single = predictor.score(records[6:7], batch_size=1)
  np.testing.assert_allclose(single.scores[0], whole.scores[6], atol=1e-6)


def test_labels_are_the_folders_or_numbered(tmp_path):
  assert Predictor(save(tmp_path / "a")).labels == TOY_CLASSES
  assert Predictor(save(tmp_path / "b", labels=())).labels[7] == "class 7"


def test_a_model_that_is_not_ready_is_refused(tmp_path):
  with pytest.raises(InputError, match="params/head.*train the model first"):
    Predictor(save(tmp_path / "a", reinitialized=("params/head/fc/kernel",)))
  with pytest.raises(InputError, match="preprocessed"):
    Predictor(save(tmp_path / "b", preprocessing=None))


def test_views_can_be_changed(toy, tmp_path):
  folder = save(tmp_path / "model", "slowonly_tiny_4x4x1")
  records = read_records(toy / "test.txt")[:2]
  many = Predictor(folder, clips=2, crops=3, average="none").score(records, batch_size=2)
  assert many.scores.shape == (2, 6, 8)
  few = Predictor(folder, clips=2, crops=3, average="none", max_views=4).score(records, batch_size=2)
  np.testing.assert_allclose(few.scores, many.scores, atol=1e-5)
  mean = Predictor(folder, clips=2, crops=3).score(records, batch_size=2)
  shifted = np.exp(many.scores - many.scores.max(-1, keepdims=True))
  np.testing.assert_allclose(mean.scores, (shifted / shifted.sum(-1, keepdims=True)).mean(1), atol=1e-5)


def test_segments_stay_in_one_view_and_clips_make_views_of_their_own():
  segments = Preprocessing.from_json(variant("tsn_r50_1x1x3").preprocessing)
  assert with_views(segments, clips=7).frames_per_view == 7
  clips = Preprocessing.from_json(variant("slowonly_r50_4x16x1").preprocessing)
  changed = with_views(clips, clips=4, crops=1)
  assert (changed.frames_per_view, changed.num_clips, changed.steps) == (4, 4, ("resize", "center_crop"))
  assert changed.settings["center_crop"] == clips.settings["three_crop"]
  assert with_views(clips) == clips


def test_views_that_make_no_sense_are_errors():
  clips = Preprocessing.from_json(variant("slowonly_r50_4x16x1").preprocessing)
  with pytest.raises(InputError, match="at least 1"):
    with_views(clips, clips=0)
  with pytest.raises(InputError, match="1, 3 or 10"):
    with_views(clips, crops=4)
  with pytest.raises(InputError, match="a crop to take it from"):
    with_views(dataclasses.replace(clips, steps=("resize",), settings={"resize": {"size": 72}}), crops=3)
