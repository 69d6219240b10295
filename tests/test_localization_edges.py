"""What becomes of videos, annotations and features that are odd: an error that names file and entry, or nothing."""

import json

import numpy as np
import pytest

from jaction.clips import boundaries
from jaction.errors import InputError, MediaError
from jaction.launch.localize import _check_labels
from jaction.metrics.detection import Detections, Truth, activitynet_map, average_precision
from jaction.metrics.proposals import average_recall
from jaction.predict.localize import classify, shown, subtitles, timeline
from jaction.predict.proposals import candidates, decode_bmn, in_seconds
from jaction.records.activitynet import read_activitynet
from jaction.records.features import Features, find_features, read_features, write_features
from jaction.segments import nms, soft_nms
from jaction.train.localization import Prepare, item_of


def annotated(folder, *segments, frames=100, seconds=10.0):
  row = {"duration_second": seconds, "duration_frame": frames, "feature_frame": frames}
  row["annotations"] = [{"segment": list(one), "label": "jump"} for one in segments]
  path = folder / "anno.json"
  path.write_text(json.dumps({"v_odd": row}))
  return read_activitynet(path)[0]


def test_features_without_a_row_are_an_error_that_names_the_file(tmp_path):
  write_features(tmp_path / "v.npz", Features(np.zeros((0, 4), np.float32)))
  with pytest.raises(MediaError, match="v.npz.*at least one"):
    read_features(tmp_path / "v.npz")
  (tmp_path / "w.csv").write_text("a,b\n")
  with pytest.raises(MediaError, match="w.csv"), pytest.warns(UserWarning, match="no data"):
    read_features(tmp_path / "w.csv")


def test_nan_features_are_an_error_that_names_file_and_row(tmp_path):
  features = np.ones((5, 4), np.float32)
  features[3, 1] = np.nan
  write_features(tmp_path / "v.npz", Features(features))
  with pytest.raises(MediaError, match="v.npz: feature 3 of 5"):
    read_features(tmp_path / "v.npz")
  with pytest.raises(InputError, match="feature 3 of 5"):
    boundaries.rescale(features, 10)


def test_a_missing_or_damaged_file_of_features_is_named(tmp_path):
  with pytest.raises(MediaError, match="nowhere"):
    find_features(tmp_path, "nowhere")
  (tmp_path / "v.npz").write_bytes(b"PK\x03\x04 torn")
  with pytest.raises(MediaError, match="v.npz"):
    read_features(tmp_path / "v.npz")


def test_nothing_annotated_gives_targets_of_zero():
  for make in (boundaries.bmn_targets, boundaries.tem_targets):
    assert all(not value.any() for value in make(np.zeros((0, 2)), 8).values())


def test_a_reversed_annotation_is_an_error_that_names_video_and_segment(tmp_path):
  with pytest.raises(InputError, match=r"'v_odd': the segment 4.0 to 2.0"):
    item_of(annotated(tmp_path, (1.0, 3.0), (4.0, 2.0)), "x.npz")


def test_overlapping_annotations_keep_the_better_overlap(tmp_path):
  item = item_of(annotated(tmp_path, (1.0, 6.0), (3.0, 8.0)), "x.npz")
  unit = boundaries.unit_segments(item.segments, item.seconds)
  both = boundaries.bmn_targets(unit, 10)
  alone = [boundaries.bmn_targets(unit[i : i + 1], 10) for i in (0, 1)]
  for name in both:
    assert np.array_equal(both[name], np.maximum(alone[0][name], alone[1][name]))


def test_a_video_shorter_than_one_feature_covers_nothing_and_is_named(tmp_path):
  video = annotated(tmp_path, (0.0, 0.2), frames=7, seconds=0.5)
  short = type(video)(video.id, video.seconds, video.segments, None, 7, 0)
  with pytest.raises(InputError, match="'v_odd': its features cover 0.0 seconds"):
    item_of(short, "x.npz")


def test_one_feature_stands_for_the_whole_video(tmp_path):
  write_features(tmp_path / "v.npz", Features(np.arange(4, dtype=np.float32)[None]))
  item = item_of(annotated(tmp_path, (1.0, 3.0)), str(tmp_path / "v.npz"))
  row = Prepare("BMN", 6)(item)
  assert np.array_equal(row["features"], np.tile(np.arange(4, dtype=np.float32), (6, 1)))


def test_no_proposals_come_through_every_step_as_none(tmp_path):
  none = np.zeros((0, 3))
  suppress = {"alpha": 0.4, "low_threshold": 0.5, "high_threshold": 0.9}
  assert soft_nms(none, top_k=5, **suppress).shape == (0, 3)
  assert nms(none, 0.5).shape == (0, 3)
  assert in_seconds(none, 9.0, suppress=suppress).shape == (0, 3)
  assert decode_bmn(np.zeros((1, 1, 2)), np.zeros(1), np.zeros(1)).shape == (0, 3)
  assert candidates(np.zeros(1), np.zeros(1)).shape == (0, 5)
  seen = Features(np.zeros((2, 3), np.float32), np.array([[0, 1], [1, 2]]), 2.0, np.ones((2, 2)) / 2)
  assert classify(none, seen, ("a", "b")) == [] and shown([]) == [] and subtitles([]) == ""
  timeline(tmp_path / "none.png", 2.0, none, [])
  assert (tmp_path / "none.png").stat().st_size > 1000


def test_recall_without_any_proposal_is_zero_and_without_annotations_an_error():
  found = average_recall({"a": np.array([[0.0, 1.0]])}, {})
  assert found.auc == 0 and not found.average.any()
  for truth in ({}, {"a": np.zeros((0, 2))}):
    with pytest.raises(InputError, match="no "):
      average_recall(truth, {"a": np.zeros((0, 3))})


def test_precision_without_detections_is_zero_and_without_annotations_nan():
  nobody = np.zeros(0, int)
  truth = Truth(np.array([0]), np.array([0]), np.array([[0.0, 1.0]]))
  assert not average_precision(truth, Detections(nobody, nobody, np.zeros((0, 2)), np.zeros(0)), 1).any()
  found = Detections(np.array([0]), np.array([0]), np.array([[0.0, 1.0]]), np.array([0.5]))
  assert np.isnan(average_precision(Truth(nobody, nobody, np.zeros((0, 2))), found, 1)).all()


def test_a_label_that_is_not_in_the_map_is_named(tmp_path):
  with pytest.raises(InputError, match="results of 'v'.*'jumq'.*jump"):
    activitynet_map({"v": [(0.0, 1.0, "jump")]}, {"v": [{"label": "jumq", "segment": [0, 1], "score": 1.0}]})
  with pytest.raises(InputError, match=r"anno.json: video 'v_odd' has the class 'jump'.*jumps"):
    _check_labels("anno.json", [annotated(tmp_path, (0.0, 1.0))], ("jumps", "runs"))


def test_matching_falls_through_to_the_next_best_free_segment():
  truth = Truth(np.zeros(2, int), np.zeros(2, int), np.array([[0.0, 10.0], [1.0, 10.0]]))
  found = Detections(np.zeros(3, int), np.zeros(3, int), np.array([[0.0, 10.0]] * 3), np.array([0.9, 0.8, 0.7]))
  assert average_precision(truth, found, 1, [0.5])[0, 0] == 1


def test_the_vectorised_metrics_are_those_of_loops_on_random_videos_with_ties():
  from jaction.launch.benchmark_localization import evaluation, loop_precision

  row = evaluation(60, proposals=17, classes=4)
  assert row["recall_difference"] < 1e-12 and row["precision_difference"] < 1e-12
  rng = np.random.default_rng(3)
  for _ in range(20):
    start, other = rng.integers(0, 6, (2, 25)).astype(float)
    truth = Truth(rng.integers(0, 3, 9), rng.integers(0, 3, 9), np.column_stack([start[:9], start[:9] + other[:9] + 1]))
    scores = np.round(rng.random(25), 1)
    found = Detections(
      rng.integers(0, 4, 25), rng.integers(0, 4, 25), np.column_stack([start, start + other + 1]), scores
    )
    np.testing.assert_allclose(average_precision(truth, found, 4), loop_precision(truth, found, 4))
