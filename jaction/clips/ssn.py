"""SSN's proposals: which are trained on, what they are to give, and where their stages lie."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaction.errors import InputError
from jaction.records.ssn import Proposal, ProposalVideo
from jaction.segments import iou

KINDS = ("positive", "incomplete", "background")
THRESHOLDS = {"positive": 0.7, "incomplete": 0.3, "background": 0.01, "coverage": 0.02, "overlap": 0.01}


class Pools(NamedTuple):
  """Proposals of one video, or of a set, as (video, proposal); `instances` among the positive ones."""

  positive: list[tuple[ProposalVideo, Proposal]]
  incomplete: list[tuple[ProposalVideo, Proposal]]
  background: list[tuple[ProposalVideo, Proposal]]


def pools(video: ProposalVideo, thresholds: Mapping[str, float] = THRESHOLDS) -> Pools:
  """Positive: IoU above 0.7, and the annotated instances.  Incomplete: IoU below 0.3, yet more than 0.01 of it in an
  instance.  Background: IoU below 0.01, and more than 0.02 of the video."""
  t = thresholds
  out = Pools([], [], [])
  for one in video.proposals:
    if one.iou > t["positive"]:
      out.positive.append((video, one))
    if one.iou < t["incomplete"] and one.overlap > t["overlap"]:
      out.incomplete.append((video, one))
    elif one.iou < t["background"] and one.coverage > t["coverage"]:
      out.background.append((video, one))
  out.positive.extend((video, one) for one in video.instances)
  return out


def joined(each: Sequence[Pools]) -> Pools:
  """The pools of a set."""
  return Pools(*([one for pool in each for one in getattr(pool, kind)] for kind in KINDS))


def targets(video: ProposalVideo, one: Proposal, positive: float = THRESHOLDS["positive"]) -> tuple[float, float]:
  """How far the nearest instance's centre is, in lengths of the proposal, and the log of its length over the
  proposal's; zeros for a proposal of a lower IoU than `positive`.  Frames of a stretch end before `end`."""
  if one.iou < positive or not video.instances:
    return 0.0, 0.0
  ends = np.array([(each.start, each.end) for each in video.instances], np.float64)
  best = video.instances[int(np.argmax(iou(one.start, one.end, ends[:, 0], ends[:, 1])))]
  length, wanted = one.end - one.start, best.end - best.start
  return ((best.start + best.end - 1) / 2 - (one.start + one.end - 1) / 2) / length, float(np.log(wanted / length))


def normalizers(positives: Sequence[tuple[ProposalVideo, Proposal]]) -> np.ndarray:
  """[2, 2]: means and standard deviations of the positive proposals' targets, without the instances among them."""
  rows = [targets(video, one) for video, one in positives if one not in video.instances]
  rows = np.array(rows, np.float64).reshape(-1, 2)
  if not len(rows):
    raise InputError("no positive proposals: nothing to learn the regression by")
  return np.stack([rows.mean(axis=0), rows.std(axis=0)])


def sample(
  own: Pools, whole: Pools, per_video: tuple[int, int, int] = (1, 6, 1), rng: np.random.Generator | None = None
) -> list[tuple[ProposalVideo, Proposal, int]]:
  """(video, proposal, kind) of so many of each kind; of a kind the video lacks, any video's.

  Without repetition where there are enough; rng=None takes them in turn.  InputError where the set has none of a kind.
  """
  out = []
  for kind, (name, count) in enumerate(zip(KINDS, per_video, strict=True)):
    pool = getattr(own, name) or getattr(whole, name)
    if not pool:
      raise InputError(f"no {name} proposals in the whole set")
    if rng is None:
      picked = np.arange(count) % len(pool)
    else:
      picked = rng.choice(len(pool), count, replace=len(pool) < count)
    out += [(*pool[int(i)], kind) for i in picked]
  return out


def stage_scales(
  start: int, end: int, frames: int, *, ratio: tuple[float, float] = (0.5, 0.5), clip: int = 1
) -> tuple[tuple[int, int], tuple[float, float]]:
  """((first, last) frame of the augmented proposal, (scale of its start, of its end)) in training.

  The proposal [start, end) grows by `ratio` of its length on both sides, as far as the video goes; the scales are what
  of that there is.
  """
  length, last = end - start, end - 1
  first = max(0, start - int(length * ratio[0]))
  final = min(frames - clip + 1, last + int(length * ratio[1]))
  return (first, final), ((start - first + 1) / (length * ratio[0]), (final - last + 1) / (length * ratio[1]))


def annotated(videos: Sequence[ProposalVideo]) -> list[ProposalVideo]:
  """Those with instances: the reference trains and tests on no others."""
  return [video for video in videos if video.instances]


def test_frames(frames: int, interval: int, clip: int = 1) -> np.ndarray:
  """Which frames of a video a test looks at: every so many, the first always."""
  return np.arange(0, max(frames - clip, 1), interval)


def test_stages(
  proposals: np.ndarray, samples: int, *, ratio: tuple[float, float] = (0.5, 0.5)
) -> tuple[np.ndarray, np.ndarray]:
  """Proposals [R, 2] in [0, 1] -> (ticks [R, 4], scales [R, 2]) among `samples` frames that are taken evenly."""
  low, high = np.asarray(proposals, np.float64).reshape(-1, 2).T
  before, behind = (high - low) * ratio[0], (high - low) * ratio[1]
  first, final = np.maximum(0, low - before), np.minimum(1, high + behind)
  with np.errstate(divide="ignore", invalid="ignore"):
    scales = np.column_stack([(low - first) / before, (final - high) / behind])
  ticks = (np.column_stack([first, low, high, final]) * samples).astype(np.int32)
  return ticks, np.nan_to_num(scales).astype(np.float32)
