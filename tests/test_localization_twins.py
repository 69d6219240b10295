"""Vectorised localization beside loops that say the same one element at a time, on random and on awkward input."""

import itertools
import math

import numpy as np
import pytest

from jaction.clips.boundaries import bmn_targets, rescale, tem_targets
from jaction.predict.proposals import boundary_features, candidates, decode_bmn
from jaction.segments import nms, soft_nms

SEEDS = range(12)


def overlap_of(a, b):
  inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
  return inter / ((a[1] - a[0]) + (b[1] - b[0]) - inter)


def share_in(a, b):
  return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) / (a[1] - a[0])


def random_rows(rng, count):
  """[count, 3]; some starts, ends and scores are equal."""
  ends = np.sort(rng.integers(0, 40, (count, 2)), axis=1) / 40 + [0, 1 / 80]
  return np.column_stack([ends, rng.integers(0, 6, count) / 6 + rng.random(count) * (rng.random() < 0.5)])


def random_segments(rng):
  return np.sort(rng.random((rng.integers(0, 4), 2)), axis=1)


def is_peak(scores, i, share=0.5):
  if i in (0, len(scores) - 1):
    return False
  return (scores[i] > scores[i - 1] and scores[i] > scores[i + 1]) or scores[i] > share * max(scores)


@pytest.mark.parametrize("seed", SEEDS)
def test_nms_keeps_what_no_better_kept_row_covers(seed):
  rng = np.random.default_rng(seed)
  rows, threshold = random_rows(rng, int(rng.integers(0, 30))), rng.choice([0.0, 0.3, 0.7])
  left = sorted(range(len(rows)), key=lambda i: (rows[i, 2], i), reverse=True)  # of equal scores the last first
  kept = []
  for i in left:
    if all(overlap_of(rows[k], rows[i]) <= threshold for k in kept):
      kept.append(i)
  # Intersections may be negative in the reference, which never reaches a threshold of 0 or more.
  np.testing.assert_array_equal(nms(rows, threshold), rows[kept])


@pytest.mark.parametrize("seed", SEEDS)
def test_soft_nms_picks_the_best_and_lowers_its_neighbours_one_after_another(seed):
  rng = np.random.default_rng(seed)
  rows = random_rows(rng, int(rng.integers(1, 25)))
  settings = {"alpha": 0.4, "low_threshold": 0.3, "high_threshold": 0.8, "top_k": int(rng.choice([3, 100]))}
  order = sorted(range(len(rows)), key=lambda i: (rows[i, 2], i), reverse=True)
  left = [list(rows[i]) for i in order]
  wanted = []
  while left and len(wanted) <= settings["top_k"]:
    best = left.pop(max(range(len(left)), key=lambda i: left[i][2]))
    wanted.append(best)
    for other in left:
      near, width = overlap_of(best, other), best[1] - best[0]
      if near > settings["low_threshold"] + (settings["high_threshold"] - settings["low_threshold"]) * width:
        other[2] *= math.exp(-(near**2) / settings["alpha"])
  np.testing.assert_allclose(soft_nms(rows, **settings), wanted, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_candidates_are_every_peak_with_every_later_peak(seed):
  rng = np.random.default_rng(seed)
  size = int(rng.integers(3, 20))
  start, end = (np.round(rng.random(size), 1) for _ in range(2))
  segments = random_segments(rng)
  found = candidates(start, end, segments)
  wanted = []
  for a, b in itertools.product(range(size), range(size)):
    first, last = (is_peak(s, i) or i in (0, size - 1) for s, i in ((start, a), (end, b)))
    if a < b and first and last:
      row = (a + 0.5) / size, (b + 0.5) / size
      overlaps = [max([f(row, s) for s in segments], default=0) for f in (overlap_of, share_in)]
      wanted.append((*row, start[a], end[b], start[a] * end[b], *overlaps))
  assert (np.diff(found[:, 4]) <= 0).all()
  order = [sorted(map(tuple, np.round(rows, 9))) for rows in (found, np.array(wanted).reshape(-1, 7))]
  np.testing.assert_allclose(*order, atol=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_bmn_is_decoded_as_every_start_with_every_length_that_ends_in_time(seed):
  rng = np.random.default_rng(seed)
  size = int(rng.integers(2, 14))
  start, end, confidence = rng.random(size), rng.random(size), rng.random((size, size, 2))
  wanted = []
  for d, s in itertools.product(range(size), range(size)):
    e = s + d + 1
    if e < size and (s == 0 or is_peak(start, s)) and (e == size - 1 or is_peak(end, e)):
      score = start[s] * end[e] * confidence[d, s, 0] * confidence[d, s, 1]
      wanted.append((s / size, e / size, score))
  np.testing.assert_allclose(decode_bmn(confidence, start, end), np.array(wanted).reshape(-1, 3), rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_are_the_best_overlaps_of_every_step_and_every_proposal(seed):
  rng = np.random.default_rng(seed)
  size, segments = int(rng.integers(2, 24)), random_segments(rng)
  found = bmn_targets(segments, size)
  for d, s in itertools.product(range(size), range(size)):
    own = s / size, (s + d + 1) / size
    assert found["overlap"][d, s] == pytest.approx(max([overlap_of(own, one) for one in segments], default=0), abs=1e-6)
  tem = tem_targets(segments, size)
  for t in range(size):
    wide, step = ((t - 0.5) / size, (t + 1.5) / size), (t / size, (t + 1) / size)
    assert tem["action"][t] == pytest.approx(max([share_in(step, one) for one in segments], default=0), abs=1e-6)
    for kind, at in (("start", 0), ("end", 1)):
      near = [(one[at] - 1.5 / size, one[at] + 1.5 / size) for one in segments]
      assert found[kind][t] == pytest.approx(max([share_in(wide, one) for one in near], default=0), abs=1e-6)
      pads = [max(1 / size, (one[1] - one[0]) / 10) / 2 for one in segments]
      near = [(one[at] - pad, one[at] + pad) for one, pad in zip(segments, pads, strict=True)]
      assert tem[kind][t] == pytest.approx(max([share_in(step, one) for one in near], default=0), abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_rescaled_features_lie_between_their_neighbours(seed):
  rng = np.random.default_rng(seed)
  count, size = int(rng.integers(1, 30)), int(rng.integers(1, 30))
  features = rng.random((count, 3), np.float32)
  found = rescale(features, size)
  middles = (np.arange(count) + 0.5) / count
  for i in range(size):
    wanted = [np.interp((i + 0.5) / size, middles, features[:, c]) for c in range(3)]
    np.testing.assert_allclose(found[i], wanted, atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_boundary_features_are_means_of_four_points_of_the_actionness(seed):
  rng = np.random.default_rng(seed)
  size = int(rng.integers(4, 40))
  actionness, rows = rng.random(size), np.sort(rng.random((5, 2)), axis=1)
  points = [(i + 0.5) / size for i in range(size)]

  def value(at):  # nothing outside, and half a step of slope towards it
    return np.interp(at, [points[0] - 1 / size, *points, points[-1] + 1 / size], [0, *actionness, 0])

  for row, found in zip(rows, boundary_features(rows, actionness), strict=True):
    edge, wanted = (row[1] - row[0]) / 5, []
    parts = (row[0], row[1], 16), (row[0] - edge, row[0] + edge, 8), (row[1] - edge, row[1] + edge, 8)
    for low, high, count in parts:
      step = (high - low) / (count - 1)
      for k in range(count):
        left = low - step / 2 + k * step
        wanted.append(np.mean([value(left + step * j / 3) for j in range(4)]))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
