"""BMN's matching layer against the dense form, and evaluation at ActivityNet's size against loops."""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaction.metrics.detection import THRESHOLDS, Detections, Truth, average_precision
from jaction.metrics.proposals import average_recall
from jaction.models.bmn import BoundaryMatching, links, matching, sample_mask


def localization(argv: list[str]) -> int:
  """1 where a target is missed: 15 times the speed, an eighth of the memory, the numbers of the loops."""
  parser = argparse.ArgumentParser(prog="benchmark localization", description=__doc__)
  parser.add_argument("--repeats", type=int, default=3, help="of each form of the layer, of which the best counts (3)")
  parser.add_argument("--videos", type=int, default=4728, help="of the evaluation (4728)")
  parser.add_argument("--json", metavar="FILE", help="the figures go there too")
  args = parser.parse_args(argv)
  rows = {"device": str(jax.devices()[0]), "layer": layer(args.repeats), "evaluation": evaluation(args.videos)}
  print(json.dumps(rows, indent=1))
  if args.json:
    with open(args.json, "w", encoding="utf-8") as file:
      json.dump(rows, file, indent=1)
  made, judged = rows["layer"], rows["evaluation"]
  good = made["times_faster"] >= 15 and made["times_less_memory"] >= 8 and made["difference"] < 1e-4
  good &= judged["recall_difference"] < 1e-9 and judged["precision_difference"] < 1e-9
  return 0 if good and judged["recall_seconds"] < judged["recall_loop_seconds"] else 1


def dense(mask: jax.Array, kernel: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
  """The reference's form: x [B, T, C] times the mask [T, N * D * T], then a convolution over the samples."""
  b, t, c = x.shape
  sampled = jnp.tensordot(x, mask, ((1,), (0,))).reshape(b, c, -1, t, t)
  return jnp.einsum("bcndt,nco->bdto", sampled, kernel) + bias[None, None, None]


def layer(repeats: int, *, size: int = 100, samples: int = 32, channels: int = 256, features: int = 512) -> dict:
  """Forward and backward at the published size, batch 1: milliseconds, megabytes, largest difference."""
  rng = np.random.default_rng(0)
  x = rng.standard_normal((1, size, channels)).astype(np.float32)
  kernel = (rng.standard_normal((samples, channels, features)) / np.sqrt(samples * channels)).astype(np.float32)
  bias, pull = np.zeros(features, np.float32), rng.standard_normal((1, size, size, features)).astype(np.float32)
  mask = sample_mask(size, samples, 3, 0.5)
  net = BoundaryMatching(features, samples)

  def fast_loss(kernel, bias, x, pull):
    return (net.apply({"params": {"kernel": kernel, "bias": bias}}, x) * pull).sum()

  def dense_loss(kernel, bias, x, pull):
    return (dense(jnp.asarray(mask), kernel, bias, x) * pull).sum()

  given = kernel, bias, x, pull
  tables = [*matching(size, samples, 3, 0.5)[:2], *links(size, samples, 3, 0.5)]
  fast = _measured(jax.value_and_grad(fast_loss, argnums=(0, 1, 2)), given, repeats, sum(t.nbytes for t in tables))
  slow = _measured(jax.value_and_grad(dense_loss, argnums=(0, 1, 2)), given, repeats, mask.nbytes)
  pairs = zip(jax.tree.leaves(fast.pop("out")), jax.tree.leaves(slow.pop("out")), strict=True)
  difference = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
  return {
    "fast": fast,
    "dense": slow,
    "times_faster": slow["ms"] / fast["ms"],
    "times_less_memory": slow["mb"] / fast["mb"],
    "difference": difference,
  }


def _measured(function: Callable[..., Any], given: tuple, repeats: int, constants: int) -> dict[str, Any]:
  """Milliseconds of the best run; megabytes of the compiled program's temporaries and constants.

  The compiled program does not report its constants: `constants` is what the form's tables hold.
  """
  compiled = jax.jit(function).lower(*given).compile()
  memory = compiled.memory_analysis()
  out = jax.block_until_ready(compiled(*given))
  times = []
  for _ in range(repeats):
    began = time.perf_counter()
    jax.block_until_ready(compiled(*given))
    times.append(time.perf_counter() - began)
  mb = (memory.temp_size_in_bytes + constants) / 1e6
  return {"ms": 1000 * min(times), "mb": mb, "out": jax.tree.map(np.asarray, out)}


def evaluation(videos: int, *, proposals: int = 100, classes: int = 200) -> dict:
  """Seconds of AR@AN and of mAP over random videos, vectorised and in loops over videos, thresholds, proposals."""
  rng = np.random.default_rng(0)
  truth, found, labels, kinds = {}, {}, {}, {}
  for i in range(videos):
    start = rng.uniform(0, 90, int(rng.integers(1, 4)))
    truth[f"v{i}"] = np.column_stack([start, start + rng.uniform(1, 60, len(start))])
    start = rng.uniform(0, 90, proposals)
    found[f"v{i}"] = np.column_stack([start, start + rng.uniform(1, 60, proposals), rng.random(proposals)])
    labels[f"v{i}"], kinds[f"v{i}"] = rng.integers(classes), rng.integers(classes, size=proposals)
    kinds[f"v{i}"][: proposals // 2] = labels[f"v{i}"]
  began = time.perf_counter()
  fast = average_recall(truth, found)
  middle = time.perf_counter()
  slow = loop_recall(truth, found)
  end = time.perf_counter()
  out = {
    "videos": videos,
    "recall_seconds": middle - began,
    "recall_loop_seconds": end - middle,
    "recall_difference": float(np.abs(fast.recall - slow).max()),
  }
  names = list(truth)
  own = Truth(
    np.repeat(np.arange(videos), [len(truth[n]) for n in names]),
    np.concatenate([np.full(len(truth[n]), labels[n]) for n in names]),
    np.concatenate([truth[n] for n in names]),
  )
  rows = np.concatenate([found[n] for n in names])
  given = Detections(
    np.repeat(np.arange(videos), proposals), np.concatenate([kinds[n] for n in names]), rows[:, :2], rows[:, 2]
  )
  began = time.perf_counter()
  ap = average_precision(own, given, classes)
  middle = time.perf_counter()
  slow = loop_precision(own, given, classes)
  out |= {"precision_seconds": middle - began, "precision_loop_seconds": time.perf_counter() - middle}
  return out | {"precision_difference": float(np.nanmax(np.abs(ap - slow)))}


def loop_recall(truth: dict, found: dict, most: float = 100) -> np.ndarray:
  """AR@AN, one video, threshold and number of proposals after another: what the vectorised form is held against."""
  total = sum(len(rows) for rows in found.values())
  ratio, tables = most * len(truth) / total, []
  for name, segments in truth.items():
    rows = found[name][found[name][:, 2].argsort(kind="stable")[::-1]]
    rows = rows[: min(int(len(rows) * ratio), len(rows)), :2].astype(np.float32)
    segments, table = segments.astype(np.float32), np.zeros((len(segments), len(rows)), np.float32)
    for i, (start, end) in enumerate(rows):
      inter = (np.minimum(end, segments[:, 1]) - np.maximum(start, segments[:, 0])).clip(0)
      table[:, i] = inter / ((segments[:, 1] - segments[:, 0]) + (end - start) - inter)
    tables.append(table)
  looked = sum(table.shape[1] for table in tables)
  share = np.arange(1, 101) / 100.0 * (most * len(truth) / looked)
  recall = np.zeros((len(THRESHOLDS), 100))
  for i, threshold in enumerate(THRESHOLDS.astype(np.float32)):
    for table in tables:
      hit = table >= threshold
      for j, count in enumerate(np.minimum((table.shape[1] * share).astype(int), table.shape[1])):
        recall[i, j] += np.count_nonzero(hit[:, :count].sum(axis=1))
  return recall / sum(len(table) for table in tables)


def loop_precision(truth: Truth, found: Detections, classes: int) -> np.ndarray:
  """AP, one class, detection and threshold after another."""
  out = np.zeros((len(THRESHOLDS), classes))
  for label in range(classes):
    own, given = truth.label == label, found.label == label
    if not given.any():
      continue
    videos: dict[int, np.ndarray] = {}
    for video in np.unique(truth.video[own]):
      videos[int(video)] = truth.segment[own & (truth.video == video)]
    taken = {video: np.zeros((len(THRESHOLDS), len(rows)), bool) for video, rows in videos.items()}
    order = np.flatnonzero(given)[found.score[given].argsort(kind="stable")[::-1]]
    hit = np.zeros((len(THRESHOLDS), len(order)), bool)
    for place, one in enumerate(order):
      video = int(found.video[one])
      if video not in videos:
        continue
      rows, (start, end) = videos[video], found.segment[one]
      inter = (np.minimum(end, rows[:, 1]) - np.maximum(start, rows[:, 0])).clip(0)
      near = (inter / ((rows[:, 1] - rows[:, 0]) + (end - start) - inter)).astype(np.float32)
      for at, threshold in enumerate(THRESHOLDS):
        for which in near.argsort(kind="stable")[::-1]:
          if float(near[which]) < threshold:
            break
          if not taken[video][at, which]:
            taken[video][at, which] = hit[at, place] = True
            break
    right, wrong = np.cumsum(hit, 1), np.cumsum(~hit, 1)
    recall, precision = right / own.sum() if own.any() else right * np.nan, right / (right + wrong)
    for at in range(len(THRESHOLDS)):
      p, r = np.concatenate([[0], precision[at], [0]]), np.concatenate([[0], recall[at], [1]])
      for i in range(len(p) - 2, -1, -1):
        p[i] = max(p[i], p[i + 1])
      step = np.flatnonzero(r[1:] != r[:-1]) + 1
      out[at, label] = np.sum((r[step] - r[step - 1]) * p[step])
  return out
