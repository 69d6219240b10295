"""Samplers against slow twins, over their edges and by their properties."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaction.clips import sampling
from jaction.clips.sampling import SAMPLERS, dense_sample_frames, sample_frames, untrimmed_sample_frames
from jaction.errors import InputError

quick = settings(max_examples=80, deadline=None, database=None, derandomize=True)
counts = st.integers(1, 12)


def slow_test_frames(total, clip_len, interval, clips, out_of_bound, twice):
  span, starts = clip_len * interval, []
  if total < span:
    starts = [0] * clips
  else:
    average = (total - span + 1) / clips
    starts = [int(clip * average + average / 2) for clip in range(clips)]
    starts += [clip * average for clip in range(clips)] if twice else []
  out = []
  for start in starts:
    clip = [start + frame * interval for frame in range(clip_len)]
    last = max([at for at in clip if at < total], default=0)
    for at in clip:
      out.append(int(math.fmod(at, total)) if out_of_bound == "loop" else int(at if at < total else last))
  return out


@quick
@given(st.integers(1, 90), counts, counts, counts, st.sampled_from(["loop", "repeat_last"]), st.booleans())
def test_the_test_form_is_that_of_a_slow_twin(total, clip_len, interval, clips, out_of_bound, twice):
  got = sample_frames(
    total, clip_len=clip_len, frame_interval=interval, num_clips=clips, out_of_bound=out_of_bound, twice_sample=twice
  )
  assert got.tolist() == slow_test_frames(total, clip_len, interval, clips, out_of_bound, twice)


@quick
@given(st.integers(1, 90), counts, counts, counts, st.sampled_from(["loop", "repeat_last"]), st.integers(0, 9))
def test_drawn_frames_lie_in_the_video_clip_after_clip(total, clip_len, interval, clips, out_of_bound, seed):
  rng = np.random.default_rng(seed)
  got = sample_frames(
    total,
    clip_len=clip_len,
    frame_interval=interval,
    num_clips=clips,
    out_of_bound=out_of_bound,
    temporal_jitter=bool(seed % 2),
    rng=rng,
  )
  assert got.shape == (clips * clip_len,) and got.dtype == np.int64
  assert got.min() >= 0 and got.max() < total
  if clip_len == 1 and interval == 1:
    assert (np.diff(got) >= 0).all()  # segments in their order: a start never wraps to frame 0


@quick
@given(st.integers(1, 200), counts, counts, st.integers(1, 8), st.integers(1, 80), st.integers(1, 12), st.booleans())
def test_dense_frames_lie_in_the_video_window_after_window(total, clip_len, interval, clips, window, positions, drawn):
  rng = np.random.default_rng(total) if drawn else None
  got = dense_sample_frames(
    total,
    clip_len=clip_len,
    frame_interval=interval,
    num_clips=clips,
    sample_range=window,
    num_sample_positions=positions,
    rng=rng,
  )
  assert got.shape == ((1 if drawn else positions) * clips * clip_len,)
  assert got.min() >= 0 and got.max() < total
  if not drawn:
    starts = got.reshape(positions, clips, clip_len)[:, 0, 0]
    room = max(1, 1 + total - window) - 1
    wanted = [int(i * room / (positions - 1)) if positions > 1 else 0 for i in range(positions)]
    assert np.abs(starts - wanted).max() <= 1 and starts[0] == 0


def test_a_video_of_one_frame_gives_that_frame_everywhere():
  rng = np.random.default_rng(0)
  for out_of_bound in ("loop", "repeat_last"):
    for generator in (None, rng):
      same = {"clip_len": 4, "frame_interval": 3, "num_clips": 5, "out_of_bound": out_of_bound, "rng": generator}
      assert sample_frames(1, **same).tolist() == [0] * 20
      assert set(dense_sample_frames(1, **same).tolist()) == {0}


def test_fewer_frames_than_segments_end_on_the_last_frame_unless_the_wrap_is_asked_for():
  rng = np.random.default_rng(0)
  assert sample_frames(4, clip_len=1, num_clips=8, rng=rng).tolist() == [0, 0, 1, 2, 2, 2, 3, 3]
  assert sample_frames(4, clip_len=1, num_clips=8, rng=rng, wrap_past_end=True).tolist() == [0, 0, 1, 2, 2, 2, 3, 0]


def test_every_possible_start_is_drawn():
  rng = np.random.default_rng(3)
  starts = {int(sample_frames(10, clip_len=3, frame_interval=2, rng=rng)[0]) for _ in range(200)}
  assert starts == set(range(5))


def test_repeat_last_repeats_the_last_sampled_frame_not_the_last_of_the_video():
  assert sample_frames(6, clip_len=5, frame_interval=2, out_of_bound="repeat_last").tolist() == [0, 2, 4, 4, 4]
  assert sample_frames(6, clip_len=5, frame_interval=2).tolist() == [0, 2, 4, 0, 2]


def test_a_video_too_short_for_an_untrimmed_clip_says_so():
  with pytest.raises(InputError, match="8 frames has no clip at clip_interval 16"):
    untrimmed_sample_frames(8)
  assert untrimmed_sample_frames(9).tolist() == [8]


def test_wrong_numbers_and_names_are_named():
  with pytest.raises(InputError, match="total is 0"):
    sample_frames(0, clip_len=1)
  with pytest.raises(InputError, match="clip_len is 2.0"):
    sample_frames(5, clip_len=2.0)
  with pytest.raises(InputError, match="Near it: repeat_last"):
    sample_frames(5, clip_len=1, out_of_bound="repeat_lst")
  with pytest.raises(InputError, match="wanted num_clips > 1"):
    sampling.sample_frames_v1(9, clip_len=2, twice_sample=True)
  with pytest.raises(InputError, match="holds no frame"):
    sampling.proposal_sample_frames(9, [(4, 4)], clip_len=1, body_segments=1, aug_segments=(1, 1), aug_ratio=0.5)


def test_no_proposals_give_no_frames():
  got = sampling.proposal_sample_frames(9, [], clip_len=2, body_segments=1, aug_segments=(1, 1), aug_ratio=0.5)
  assert got.shape == (0,) and got.dtype == np.int64


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_named_sampler_is_a_function_of_the_number_of_frames(name):
  known = inspect.signature(SAMPLERS[name]).parameters
  for total in (9, 10, 40):
    for rng in (None, np.random.default_rng(1)) if "rng" in known else (None,):
      got = SAMPLERS[name](total, clip_len=2, **({"rng": rng} if rng else {}))
      assert got.dtype == np.int64 and got.min() >= 0 and got.max() < total
