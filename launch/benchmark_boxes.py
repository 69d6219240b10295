"""RoIAlign beside one box after the other, and AVA's evaluation beside one frame after the other."""

import argparse
import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from jaction.boxes import overlaps
from jaction.errors import InputError
from jaction.metrics.ava import Boxes, frame_ap, mean_ap
from jaction.models.roi_align import roi_align

BINS, SAMPLES = 8, 2  # of a side; a box of the whole 16 x 16 map has two samples a bin


def one_box(features: jax.Array, box: jax.Array) -> jax.Array:
  """[H,W,C], [4] in cells -> [8,8,C]: every sample gathered from its four neighbours, as RoIAlign is written down; the
  samples that the box's own grid has not are masked out."""
  height, width = features.shape[:2]
  x1, y1, x2, y2 = box - 0.5
  steps = jnp.stack([y2 - y1, x2 - x1]) / BINS
  grid = jnp.maximum(jnp.ceil(steps - 1e-5), 1.0)
  bins, samples = jnp.arange(BINS, dtype=jnp.float32), jnp.arange(SAMPLES, dtype=jnp.float32)
  places, counts = [], []
  for start, step, count, size in ((y1, steps[0], grid[0], height), (x1, steps[1], grid[1], width)):
    place = (start + step * bins)[:, None] + ((samples + 0.5) * step / count)[None]
    counts.append(((samples < count)[None] & (place >= -1) & (place <= size)).reshape(-1))
    places.append(jnp.clip(place, 0, size - 1).reshape(-1))
  (top, left), (y, x) = (jnp.floor(p).astype(int) for p in places), places
  bottom, right = jnp.minimum(top + 1, height - 1), jnp.minimum(left + 1, width - 1)
  v, u = (y - top)[:, None, None], (x - left)[None, :, None]
  above = features[top[:, None], left[None]] * (1 - u) + features[top[:, None], right[None]] * u
  below = features[bottom[:, None], left[None]] * (1 - u) + features[bottom[:, None], right[None]] * u
  value = (above * (1 - v) + below * v) * (counts[0][:, None] & counts[1][None])[..., None]
  value = value.reshape(BINS, SAMPLES, BINS, SAMPLES, -1).sum(axis=(1, 3))
  return value / (grid[0] * grid[1])


def roi(repeat: int, counts: tuple[int, ...]) -> list[dict[str, Any]]:
  """Milliseconds and temporary bytes, forward and with the gradient to the features, for each number of boxes."""
  rng = np.random.default_rng(0)
  features = jnp.asarray(rng.standard_normal((1, 16, 16, 2304)), jnp.float32)
  rows = []
  for count in counts:
    corner, side = rng.uniform(0, 8, (count, 2)), rng.uniform(1, 8, (count, 2))
    boxes = jnp.asarray(np.concatenate([corner, corner + side], axis=1)[None], jnp.float32)

    def ours(features, boxes):
      return roi_align(features, boxes, output_size=BINS)

    def theirs(features, boxes):
      return jnp.stack([one_box(features[0], box) for box in boxes[0]])[None]

    row: dict[str, Any] = {"boxes": count}
    candidates = {}
    for name, function in (("matrices", ours), ("box by box", theirs)):
      for kind, program in (
        ("forward", function),
        ("gradient", jax.grad(lambda f, b, run=function: (run(f, b) ** 2).sum())),
      ):
        began = time.perf_counter()
        compiled = jax.jit(program).lower(features, boxes).compile()
        row[f"{name} {kind} compile s"] = round(time.perf_counter() - began, 2)
        row[f"{name} {kind} MB"] = round(compiled.memory_analysis().temp_size_in_bytes / 1e6, 1)
        candidates[f"{name} {kind}"] = lambda run=compiled, b=boxes: jax.block_until_ready(run(features, b))
    largest = float(jnp.abs(ours(features, boxes) - theirs(features, boxes)).max())
    if largest > 1e-3:
      raise InputError(f"the two differ by {largest}: this is a fault")
    row |= {f"{name} ms": round(value, 2) for name, value in _turns(candidates, repeat).items()}
    rows.append(row)
  return rows


def synthetic(frames: int, classes: int, seed: int = 0) -> tuple[Boxes, Boxes]:
  """(detections, annotations): one to four people at each key frame, two or three actions each, every one of their
  boxes detected with a score for every class."""
  rng = np.random.default_rng(seed)
  people = rng.integers(1, 5, frames)
  owner = np.repeat(np.arange(frames), people)
  corner, side = rng.uniform(0, 0.6, (len(owner), 2)), rng.uniform(0.1, 0.4, (len(owner), 2))
  boxes = np.concatenate([corner, corner + side], axis=1)
  actions = [rng.choice(classes, int(n), replace=False) for n in rng.integers(2, 4, len(owner))]
  count = np.array([len(one) for one in actions])
  labels = np.concatenate(actions)
  truth = Boxes(
    np.repeat(owner, count), np.repeat(boxes, count, axis=0), labels + 1, np.repeat(np.arange(len(owner)), count)
  )
  scores = rng.random((len(owner), classes))
  scores[np.repeat(np.arange(len(owner)), count), labels] += 0.5
  found = boxes + rng.uniform(-0.045, 0.045, boxes.shape)
  return Boxes(
    np.repeat(owner, classes),
    np.repeat(found, classes, axis=0),
    np.tile(np.arange(1, classes + 1), len(owner)),
    scores.reshape(-1),
  ), truth


def frame_by_frame(found: Boxes, truth: Boxes, classes: int) -> dict[int, float]:
  """The same figures, frame after frame and class after class."""
  starts, own = (np.searchsorted(rows.frames, np.arange(int(found.frames.max()) + 2)) for rows in (found, truth))
  right: list[list[np.ndarray]] = [[] for _ in range(classes)]
  scores: list[list[np.ndarray]] = [[] for _ in range(classes)]
  for frame in range(len(starts) - 1):
    here, there = slice(starts[frame], starts[frame + 1]), slice(own[frame], own[frame + 1])
    labels, known = found.labels[here], truth.labels[there]
    for k in range(1, classes + 1):
      mine = np.flatnonzero(labels == k)
      if not len(mine):
        continue
      boxes, values = found.boxes[here][mine], found.scores[here][mine]
      order = np.argsort(-values, kind="stable")
      hits, target = np.zeros(len(mine), bool), truth.boxes[there][known == k]
      if len(target):
        taken, shared = set(), overlaps(boxes, target)
        for i in order:
          best = int(shared[i].argmax())
          if shared[i, best] >= 0.5 and best not in taken:
            taken.add(best)
            hits[i] = True
      right[k - 1].append(hits[order])
      scores[k - 1].append(values[order])
  result = {}
  for k in range(1, classes + 1):
    total = int((truth.labels == k).sum())
    ranked = np.concatenate(right[k - 1])[np.argsort(np.concatenate(scores[k - 1]), kind="stable")[::-1]]
    hits = np.cumsum(ranked)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    result[k] = float((precision * np.diff(hits / total, prepend=0.0)).sum()) if total else float("nan")
  return result


def evaluation(frames: int, classes: int) -> dict[str, Any]:
  """Seconds of both over one result; their figures have to be the same."""
  found, truth = synthetic(frames, classes)
  began = time.perf_counter()
  ours = frame_ap(found, truth, range(1, classes + 1))
  middle = time.perf_counter()
  theirs = frame_by_frame(found, truth, classes)
  ended = time.perf_counter()
  if not np.allclose(list(ours.values()), list(theirs.values()), atol=1e-9):
    raise InputError("the two differ: this is a fault")
  return {
    "frames": frames,
    "boxes x classes": len(found.labels),
    "mAP": round(mean_ap(ours), 4),
    "columns s": round(middle - began, 2),
    "frame by frame s": round(ended - middle, 2),
  }


def _turns(candidates, repeat):
  """The median milliseconds of each; each is run once before, then all take turns."""
  for run in candidates.values():
    run()
  times: dict[str, list[float]] = {name: [] for name in candidates}
  for _ in range(repeat):
    for name, run in candidates.items():
      began = time.perf_counter()
      run()
      times[name].append(1e3 * (time.perf_counter() - began))
  return {name: float(np.median(values)) for name, values in times.items()}


def boxes(argv: list[str]) -> None:
  """`jaction benchmark boxes`."""
  parser = argparse.ArgumentParser("jaction benchmark boxes", description=__doc__)
  parser.add_argument("--repeat", type=int, default=5, help="turns of RoIAlign (default 5)")
  parser.add_argument("--counts", type=int, nargs="+", default=(8, 32, 128), help="boxes (default 8 32 128)")
  parser.add_argument(
    "--frames", type=int, default=57_000, help="key frames of the evaluation (default 57000); 0: none"
  )
  parser.add_argument("--classes", type=int, default=80, help="of the evaluation (default 80)")
  parser.add_argument("--json", help="write everything to this file")
  args = parser.parse_args(argv)
  if args.repeat < 1 or min(args.counts) < 1 or args.frames < 0 or args.classes < 1:
    raise InputError("--repeat, --counts and --classes must be at least 1, --frames 0 or more")
  console, rows = Console(), roi(args.repeat, tuple(args.counts))
  rows += [evaluation(args.frames, args.classes)] if args.frames else []
  for row in rows:
    console.print("  ".join(f"{key} {value}" for key, value in row.items()), highlight=False, soft_wrap=True)
  if args.json:
    pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
