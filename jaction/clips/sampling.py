"""Which frames of a video make up its clips: pure functions of the number of frames and an explicit generator.

`rng=None` is the test form.  The training form draws by `rng.integers(low, high, size)` only, in the order in which
the reference (MMAction2 0.9) draws, so that a scripted generator reproduces it.  Indices are int64, clip after clip,
and lie in [0, total); files whose first image has another number add it themselves.
"""

from collections.abc import Sequence

import numpy as np

from jaction.errors import InputError, nearest

OUT_OF_BOUND = ("loop", "repeat_last")


def sample_frames(
  total: int,
  *,
  clip_len: int,
  frame_interval: int = 1,
  num_clips: int = 1,
  out_of_bound: str = "loop",
  twice_sample: bool = False,
  temporal_jitter: bool = False,
  wrap_past_end: bool = False,
  rng: np.random.Generator | None = None,
) -> np.ndarray:
  """`num_clips` clips of `clip_len` frames, one from each equal part of the video; with clip_len 1, TSN's segments.

  Test: each clip begins in the middle of its part's possible starts, all at frame 0 where the video is shorter than a
  clip.  `twice_sample` adds a second set of clips at the beginnings of the parts (not for a video shorter than a clip).
  Training: one draw in each part; where there are fewer starts than clips, sorted draws from all starts, or, where the
  video also has no more frames than there are clips, evenly spread starts.  `temporal_jitter` moves each frame by up to
  frame_interval - 1 further.

  A clip that runs past the end begins again at frame 0 ("loop") or stays on its own last frame inside the video
  ("repeat_last": the last one sampled, not frame total - 1).  An evenly spread start can round up to `total` itself: it
  becomes the last frame, or with `wrap_past_end`, as in the reference, frame 0.

  Returns int64 [num_clips * clip_len] (twice that with twice_sample).  Source: MMAction2 0.9, SampleFrames.
  """
  _check(total=total, clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips)
  _check_out_of_bound(out_of_bound)
  if rng is None:
    starts = _middle_starts(total, clip_len * frame_interval, num_clips, twice_sample)
  else:
    starts = _drawn_starts(total, clip_len * frame_interval, num_clips, rng)
    if not wrap_past_end:
      starts = np.minimum(starts, total - 1)
  return _clips(starts, total, clip_len, frame_interval, out_of_bound, rng if temporal_jitter else None)


def dense_sample_frames(
  total: int,
  *,
  clip_len: int,
  frame_interval: int = 1,
  num_clips: int = 1,
  sample_range: int = 64,
  num_sample_positions: int = 10,
  out_of_bound: str = "loop",
  temporal_jitter: bool = False,
  rng: np.random.Generator | None = None,
) -> np.ndarray:
  """Clips spread over a window of `sample_range` frames: a drawn one, in the test form num_sample_positions of them.

  The windows of the test form are spread evenly from the first to the last possible one.  The drawn window is never
  the last possible one, as in the reference.  Starts wrap around the end of a short video.

  Returns int64 [num_clips * clip_len]; in the test form [num_sample_positions * num_clips * clip_len], window after
  window.  Source: MMAction2 0.9, DenseSampleFrames; Non-local Neural Networks (arXiv:1711.07971), sec. 5 for the idea.
  """
  _check(total=total, clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips)
  _check(sample_range=sample_range, num_sample_positions=num_sample_positions)
  _check_out_of_bound(out_of_bound)
  positions = max(1, 1 + total - sample_range)
  if rng is None:
    windows = np.linspace(0, positions - 1, num=num_sample_positions, dtype=np.int64)
  else:
    windows = np.array([0 if positions == 1 else int(rng.integers(0, positions - 1, None))])
  starts = (windows[:, None] + np.arange(num_clips) * (sample_range // num_clips)).reshape(-1) % total
  return _clips(starts, total, clip_len, frame_interval, out_of_bound, rng if temporal_jitter else None)


def untrimmed_sample_frames(
  total: int, *, clip_len: int = 1, clip_interval: int = 16, frame_interval: int = 1
) -> np.ndarray:
  """A clip around the middle of every `clip_interval` frames, held inside the video: features of whole long videos.

  MMAction2 0.9 calls clip_interval `frame_interval` and knows no stride inside a clip; 1.x has both.
  Returns int64 [clips * clip_len]; an InputError where the video is too short for a single clip.
  """
  _check(total=total, clip_len=clip_len, clip_interval=clip_interval, frame_interval=frame_interval)
  centres = np.arange(clip_interval // 2, total, clip_interval, dtype=np.int64)
  if not len(centres):
    raise InputError(
      f"a video of {total} frames has no clip at clip_interval {clip_interval}; wanted more than {clip_interval // 2}"
    )
  offsets = (np.arange(clip_len) - clip_len // 2) * frame_interval
  return np.clip(centres[:, None] + offsets, 0, total - 1).reshape(-1)


def proposal_sample_frames(
  total: int,
  proposals: Sequence[tuple[int, int]],
  *,
  clip_len: int,
  body_segments: int,
  aug_segments: tuple[int, int],
  aug_ratio: float | tuple[float, float],
  frame_interval: int = 1,
  temporal_jitter: bool = False,
  rng: np.random.Generator | None = None,
) -> np.ndarray:
  """SSN's clips of each proposal [start, end) in frames: before it, in it, behind it (arXiv:1704.06228, sec. 3).

  `aug_segments` clips come from each side of the proposal, which reach out by `aug_ratio` of its length, and
  `body_segments` from the proposal itself.  rng=None is the reference's validation form.  Clips past the end loop.
  Returns int64 [proposals * (body_segments + sum(aug_segments)) * clip_len], in the order of the proposals.
  """
  _check(total=total, clip_len=clip_len, frame_interval=frame_interval, body_segments=body_segments)
  ratio = (aug_ratio, aug_ratio) if np.ndim(aug_ratio) == 0 else tuple(aug_ratio)
  span, starts = clip_len * frame_interval, []
  for begin, end in proposals:
    length = end - begin
    if length <= 0:
      raise InputError(f"the proposal [{begin}, {end}) holds no frame; wanted start < end")
    first = max(0, begin - int(length * ratio[0]))
    last = min(total - span + 1, end - 1 + int(length * ratio[1]))
    starts.append(first + _parts(begin - first - span, aug_segments[0], rng))
    starts.append(begin + _parts(length - span, body_segments, rng))
    starts.append(end + _parts(last - end + 1 - span, aug_segments[1], rng))
  joined = np.concatenate(starts) if starts else np.zeros(0, np.int64)
  return _clips(joined, total, clip_len, frame_interval, "loop", rng if temporal_jitter else None)


def proposal_test_frames(total: int, *, clip_len: int, frame_interval: int = 1, test_interval: int = 6) -> np.ndarray:
  """SSN's test form: a clip every `test_interval` frames of the whole video.  Returns int64 [clips * clip_len]."""
  _check(total=total, clip_len=clip_len, frame_interval=frame_interval, test_interval=test_interval)
  starts = np.arange(0, total - clip_len * frame_interval, test_interval)
  return _clips(starts, total, clip_len, frame_interval, "loop", None)


def ava_sample_frames(
  timestamp: int,
  *,
  fps: int,
  timestamp_start: int,
  shot: tuple[int, int],
  clip_len: int,
  frame_interval: int = 2,
  rng: np.random.Generator | None = None,
) -> np.ndarray:
  """The clip around AVA's key frame at `timestamp` seconds, held inside the frames [shot[0], shot[1]).

  The key frame is fps * (timestamp - timestamp_start) + 1, as in the reference.  With `rng` each frame moves by up to
  half an interval (at interval 1 by -1 or 0); without, none does: 0.9 moved them in the test form too, 0.24 does not.
  Returns int64 [clip_len].
  """
  _check(clip_len=clip_len, frame_interval=frame_interval)
  centre = fps * (timestamp - timestamp_start) + 1
  indices = centre + (np.arange(clip_len) - clip_len // 2) * frame_interval
  if rng is not None:
    indices = indices + rng.integers(-frame_interval // 2, (frame_interval + 1) // 2, clip_len)
  return np.clip(indices, shot[0], shot[1] - 1).astype(np.int64)


def sample_frames_v1(
  total: int,
  *,
  clip_len: int,
  frame_interval: int = 1,
  num_clips: int = 1,
  out_of_bound: str = "loop",
  twice_sample: bool = False,
  target_fps: float | None = None,
  fps: float | None = None,
) -> np.ndarray:
  """The test form of MMAction2 1.x: segments' middles for clip_len 1, else clips from the very start to the very end.

  With `target_fps` a clip spans as long as it would at that rate, whatever the video's own `fps` (None: the same).
  Returns int64 [num_clips * clip_len], twice that with twice_sample, which for clips longer than a frame needs
  num_clips > 1 (the reference divides by zero; an InputError here).
  """
  _check(total=total, clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips)
  _check_out_of_bound(out_of_bound)
  if target_fps is not None:
    span = np.maximum(1, clip_len * frame_interval * (fps / target_fps if fps else 1.0))
  else:
    span = (clip_len - 1) * frame_interval + 1
  if clip_len == 1:
    parts = np.arange(num_clips) * (total / num_clips)
    starts = parts + total / num_clips / 2
    starts = np.concatenate([starts, parts]) if twice_sample else starts
  else:
    room, count = max(total - span, 0), num_clips * (2 if twice_sample else 1)
    if count == 1:
      starts = np.array([room // 2])
    elif num_clips == 1:
      raise InputError("twice_sample with one clip of several frames; wanted num_clips > 1, or twice_sample off")
    elif target_fps is not None:
      starts = np.arange(count) * np.floor(room / (num_clips - 1))
    else:
      starts = np.round(np.arange(count) * (room / (num_clips - 1)))
  if target_fps is not None:
    steps = np.linspace(0, span - 1, clip_len).astype(np.int64)
  else:
    steps = np.arange(clip_len) * frame_interval
  return _into_video(starts[:, None] + steps, total, out_of_bound)


def uniform_sample_frames(
  total: int, *, clip_len: int, num_clips: int = 1, rng: np.random.Generator | None = None
) -> np.ndarray:
  """UniformSample of MMAction2 1.x: each frame of a clip from its own equal part of the whole video.

  Test: clip k of num_clips takes the frame at (k + 1) / (num_clips + 1) of each part.  Training: one clip, a draw in
  each part, ends included.  Returns int64 [num_clips * clip_len] ([clip_len] in training).
  """
  _check(total=total, clip_len=clip_len, num_clips=num_clips)
  part = (total - 1) / clip_len
  edges = np.round(part * np.arange(clip_len + 1)).astype(np.int64)
  if rng is not None:
    return np.array([int(rng.integers(low, high + 1, None)) for low, high in zip(edges, edges[1:], strict=False)])
  inside = (part / (num_clips + 1) * np.arange(1, num_clips + 1)).astype(np.int64)
  return (inside[:, None] + edges[:-1]).reshape(-1)


# What a preprocessing can name; all take (total, *, clip_len, ..., rng) but untrimmed and uniform_v1, which never draw.
SAMPLERS = {
  "uniform": sample_frames,
  "dense": dense_sample_frames,
  "untrimmed": untrimmed_sample_frames,
  "uniform_v1": sample_frames_v1,
  "each_part": uniform_sample_frames,
}


def _middle_starts(total: int, span: int, num_clips: int, twice_sample: bool) -> np.ndarray:
  if total < span:
    return np.zeros(num_clips, np.int64)
  average = (total - span + 1) / num_clips
  parts = np.arange(num_clips) * average
  starts = (parts + average / 2).astype(np.int64)
  # The added starts stay fractions until frame steps are added: truncated last, as in the reference.
  return np.concatenate([starts, parts]) if twice_sample else starts


def _drawn_starts(total: int, span: int, num_clips: int, rng: np.random.Generator) -> np.ndarray:
  room = total - span + 1
  average = room // num_clips
  if average > 0:
    return np.arange(num_clips) * average + rng.integers(0, average, num_clips)
  if total > max(num_clips, span):
    return np.sort(rng.integers(0, room, num_clips))
  if average == 0:
    return np.around(np.arange(num_clips) * (room / num_clips))  # half to even: may give `total` itself
  return np.zeros(num_clips, np.int64)


def _parts(length: int, segments: int, rng: np.random.Generator | None) -> np.ndarray:
  """Starts in `segments` equal parts of `length` (which may be negative) frames: drawn, or the middles; else zeros."""
  if rng is None and length >= segments and segments:
    average = length / segments
    return (np.arange(segments) * average + average / 2).astype(np.int64)
  if rng is not None and segments and (length + 1) // segments > 0:
    average = (length + 1) // segments
    return np.arange(segments) * average + rng.integers(0, average, segments)
  return np.zeros(segments, np.int64)


def _clips(
  starts: np.ndarray,
  total: int,
  clip_len: int,
  frame_interval: int,
  out_of_bound: str,
  jitter: np.random.Generator | None,
) -> np.ndarray:
  indices = starts[:, None] + np.arange(clip_len) * frame_interval
  if jitter is not None:
    indices = indices + jitter.integers(0, frame_interval, indices.size).reshape(indices.shape)
  return _into_video(indices, total, out_of_bound)


def _into_video(indices: np.ndarray, total: int, out_of_bound: str) -> np.ndarray:
  """[clips, frames] from anywhere >= 0 into the video, flattened; fractions are cut off last."""
  if out_of_bound == "loop":
    indices = np.mod(indices, total)
  else:
    inside = indices < total
    indices = np.where(inside, indices, (indices * inside).max(axis=1, keepdims=True))
  return indices.reshape(-1).astype(np.int64)


def _check(**counts: int) -> None:
  for name, value in counts.items():
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
      raise InputError(f"{name} is {value!r}; wanted a whole number of at least 1")


def _check_out_of_bound(name: str) -> None:
  if name not in OUT_OF_BOUND:
    raise InputError(
      f"out_of_bound is {name!r}; wanted one of {', '.join(OUT_OF_BOUND)}.{nearest(str(name), OUT_OF_BOUND)}"
    )
