"""The plan of a reading against counting packets one by one."""

import numpy as np
import pytest

from jaction.records.runs import plan


def stream(rng, count):
  """Groups of pictures as encoders make them: (pts of the frames, keys, number of each packet by its pts)."""
  order, at = [], 0
  while at < count:
    size = int(min(rng.integers(1, 12), count - at))
    group = list(range(at, at + size))
    order += [(group[0], True)]
    rest = group[1:]
    while rest:  # a P picture, then the B pictures before it
      step = int(min(rng.integers(1, 4), len(rest)))
      order += [(rest[step - 1], False)] + [(pts, False) for pts in rest[: step - 1]]
      rest = rest[step:]
    at += size
  keys = [(pts, pts, number) for number, (pts, key) in enumerate(order) if key]
  return list(range(count)), keys, {pts: number for number, (pts, _) in enumerate(order)}


def cost(runs, keys, numbers):
  """Packets that are decoded."""
  starts = [keys[key][2] if key >= 0 else 0 for key, _ in runs]
  return sum(max(numbers[i] for i in run) + 1 - start for (_, run), start in zip(runs, starts, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_every_frame_is_reached_from_its_keyframe_and_no_plan_decodes_fewer_packets(seed):
  rng = np.random.default_rng(seed)
  pts, keys, numbers = stream(rng, 40)
  indices = sorted(rng.choice(40, rng.integers(1, 9), replace=False).tolist())
  for gap in (0, 3):
    runs = list(plan(indices, pts, keys, numbers, gap))
    assert [index for _, run in runs for index in run] == indices
    for key, run in runs:
      start = keys[key][2] if key >= 0 else 0
      assert all(start <= numbers[index] for index in run)
  # Brute force: every way to cut the row of indices into runs, each from the keyframe of its first.
  best = 10**9
  for cuts in range(1 << (len(indices) - 1)):
    parts, part = [], [indices[0]]
    for place, index in enumerate(indices[1:]):
      if cuts >> place & 1:
        parts.append(part)
        part = []
      part.append(index)
    parts.append(part)
    whole = [(max(k for k, key in enumerate(keys) if key[0] <= part[0]), part) for part in parts]
    best = min(best, cost(whole, keys, numbers))
  assert cost(list(plan(indices, pts, keys, numbers, 0)), keys, numbers) == best
