"""Untrimmed toy videos: minutes' worth of drifting background in which some of the toy set's actions happen."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from jaction.errors import InputError
from jaction.records import toy_render
from jaction.records.activitynet import AnnotatedVideo, Segment, write_activitynet
from jaction.records.toy import TOY_CLASSES, write_scene

FPS, SIDE = 8.0, 72
SECONDS, LENGTH, GAP = (34.0, 46.0), (6.0, 13.0), 2.5  # of a video, of an action, and at least between two
SPLITS = ("train", "val")


def untrimmed_scene(split: int, index: int, *, seed: int = 0) -> tuple[toy_render.Scene, AnnotatedVideo]:
  """Video `index` of a split, and where its one to three actions are."""
  rng = np.random.default_rng((2, seed, split, index))
  total = int(rng.uniform(*SECONDS) * FPS)
  seconds = total / FPS
  segments, painters = _draw_segments(rng, seconds)
  background = toy_render._draw_background(rng, SIDE, SIDE, False)
  dull = toy_render._draw_distractor(rng, SIDE, SIDE)
  times = np.arange(total) / FPS

  def frames():
    for time in times:
      picture = background(float(time) / 4)
      dull(picture, float(time) / 4)
      for (start, end, label), paint in zip(segments, painters, strict=True):
        if start <= time < end:
          at = (time - start) / 1.4  # a trimmed toy video has 0.5 to 2 seconds
          paint(picture, float(-at if label % 2 else at))
      yield np.clip(picture + 0.5, 0, 255).astype(np.uint8)

  drawn = toy_render.Scene(frames, times, SIDE, SIDE, 0, "yuv420p", 20, 24)
  marks = tuple(Segment(start, end, TOY_CLASSES[label]) for start, end, label in segments)
  name = f"{SPLITS[split]}_{index:04d}"
  kind = ("training", "validation")[split]
  return drawn, AnnotatedVideo(name, seconds, marks, kind, total, total, FPS)


def _draw_segments(rng: np.random.Generator, seconds: float):
  count, out, painters = int(rng.integers(1, 4)), [], []
  lengths = rng.uniform(*LENGTH, count)
  while lengths.sum() + GAP * (count + 1) > seconds:
    lengths = lengths * 0.9
  gaps = rng.dirichlet(np.ones(count + 1)) * (seconds - lengths.sum() - GAP * (count + 1)) + GAP
  at = 0.0
  for gap, length in zip(gaps[:-1], lengths, strict=True):
    label = int(rng.integers(len(TOY_CLASSES)))
    start, end = (round((at + gap + more) * FPS) / FPS for more in (0, length))
    out.append((start, end, label))
    painters.append(toy_render._draw_actor(rng, label // 2, SIDE, SIDE))
    at += gap + length
  return out, painters


def _make(path: str, split: int, index: int, seed: int) -> None:
  part = f"{path}.{os.getpid()}.part"
  write_scene(part, untrimmed_scene(split, index, seed=seed)[0])
  os.replace(part, path)


def make_untrimmed_set(
  out: str | os.PathLike,
  *,
  videos: tuple[int, int] = (160, 40),
  seed: int = 0,
  processes: int = 2,
  progress: Callable[[int, int], None] | None = None,
) -> Path:
  """Makes, or finishes, videos/*.mp4, {train,val}.json (read_activitynet reads them) and videos.txt in a folder."""
  folder = Path(out).expanduser().resolve()
  if len(videos) != 2 or min(videos) < 1 or processes < 1:
    raise InputError(f"videos {videos}, processes {processes}: two counts (train, val) and processes of 1 or more")
  settings = {"untrimmed": 1, "seed": seed, "videos": list(videos)}
  (folder / "videos").mkdir(parents=True, exist_ok=True)
  stamp = folder / "toy.json"
  if stamp.exists() and json.loads(stamp.read_text()) != settings:
    raise InputError(f"{folder} holds another toy set: {stamp.read_text().strip()}; give another folder")
  stamp.write_text(json.dumps(settings))
  todo, names = [], []
  for split, count in enumerate(videos):
    rows = [untrimmed_scene(split, index, seed=seed)[1] for index in range(count)]
    write_activitynet(folder / f"{SPLITS[split]}.json", rows)
    for index, row in enumerate(rows):
      path = folder / "videos" / f"{row.id}.mp4"
      names.append(f"videos/{row.id}.mp4")
      if not path.exists():
        todo.append((str(path), split, index, seed))
  (folder / "videos.txt").write_text("".join(f"{name}\n" for name in names))
  if processes == 1:
    for done, job in enumerate(todo):
      _make(*job)
      if progress is not None:
        progress(done + 1, len(todo))
  else:
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
      for done, waiting in enumerate([pool.submit(_make, *job) for job in todo]):
        waiting.result()
        if progress is not None:
          progress(done + 1, len(todo))
  return folder
