"""Untrimmed toy videos: a drifting background in which some of the toy set's actions happen.

Made so that no part of the task can be done without seeing when: a video has several actions of any classes; lengths
differ by a factor of four, so that stretches of a usual length are mostly wrong; and between actions actors of any
class stand still, which a recognizer names with confidence though nothing happens.
"""

import dataclasses
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
from jaction.records.ssn import Proposal, ProposalVideo, write_proposals
from jaction.records.toy import TOY_CLASSES, write_scene
from jaction.segments import iop, iou

FPS, SIDE = 8.0, 72
SECONDS, LENGTH, GAP = (34.0, 46.0), (2.5, 10.0), 1.5  # of a video, of an action, and at least between two
COUNT = (3, 5)  # actions of a video
STILL = 0.7  # of the gaps have an actor that stands still through all but EDGE seconds at both ends
EDGE = 0.25
WINDOWS = tuple(2.4 * 2 ** (k / 2) for k in range(5))  # seconds: SSN's proposals are sliding windows, a quarter apart
SPLITS = ("train", "val")


def untrimmed_scene(split: int, index: int, *, seed: int = 0) -> tuple[toy_render.Scene, AnnotatedVideo]:
  """Video `index` of a split, and where its actions are."""
  rng = np.random.default_rng((2, seed, split, index))
  total = int(rng.uniform(*SECONDS) * FPS)
  seconds = total / FPS
  segments, painters = _draw_segments(rng, seconds)
  stills = _draw_stills(rng, segments, seconds)
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
      for start, end, moment, paint in stills:
        if start <= time < end:
          paint(picture, moment)
      yield np.clip(picture + 0.5, 0, 255).astype(np.uint8)

  drawn = toy_render.Scene(frames, times, SIDE, SIDE, 0, "yuv420p", 20, 24)
  marks = tuple(Segment(start, end, TOY_CLASSES[label]) for start, end, label in segments)
  name = f"{SPLITS[split]}_{index:04d}"
  kind = ("training", "validation")[split]
  return drawn, AnnotatedVideo(name, seconds, marks, kind, total, total, FPS)


def _draw_segments(rng: np.random.Generator, seconds: float):
  count, out, painters = int(rng.integers(COUNT[0], COUNT[1] + 1)), [], []
  lengths = np.exp(rng.uniform(*np.log(LENGTH), count))
  room = seconds - GAP * (count + 1)
  while lengths.sum() > 0.8 * room:
    lengths = np.maximum(lengths * 0.9, LENGTH[0])
  gaps = rng.dirichlet(np.ones(count + 1)) * (room - lengths.sum()) + GAP
  at = 0.0
  for gap, length in zip(gaps[:-1], lengths, strict=True):
    label = int(rng.integers(len(TOY_CLASSES)))
    start, end = (round((at + gap + more) * FPS) / FPS for more in (0, length))
    out.append((start, end, label))
    painters.append(toy_render._draw_actor(rng, label // 2, SIDE, SIDE))
    at += gap + length
  return out, painters


def _draw_stills(rng: np.random.Generator, segments, seconds: float):
  """(start, end, moment of its motion, painter) of each actor that stands still."""
  ends = [0.0, *(end for _, end, _ in segments)]
  starts = [*(start for start, _, _ in segments), seconds]
  out = []
  for low, high in zip(ends, starts, strict=True):
    paint = toy_render._draw_actor(rng, int(rng.integers(len(TOY_CLASSES) // 2)), SIDE, SIDE)
    moment, there = float(rng.uniform(0, 4)), rng.random() < STILL
    if there and high - low > 4 * EDGE:
      out.append((low + EDGE, high - EDGE, moment, paint))
  return out


def exchanged(videos: list[AnnotatedVideo]) -> list[AnnotatedVideo]:
  """Each video with the segments of another, those that end within it: nothing can be learned from such a list but how
  long actions are and how often they come."""
  shift = max(1, len(videos) // 3)
  found = []
  for number, video in enumerate(videos):
    other = videos[(number + shift) % len(videos)].segments
    found.append(dataclasses.replace(video, segments=tuple(one for one in other if one.end <= video.seconds)))
  return found


def window_proposals(video: AnnotatedVideo) -> ProposalVideo:
  """SSN's proposals of a video: windows of five lengths, a quarter of each apart, whatever is annotated; what is
  annotated gives their classes and overlaps alone, as in the files that SSN was released with."""
  total = int(round(video.seconds * FPS))
  truth = [(round(s.start * FPS), round(s.end * FPS), TOY_CLASSES.index(s.label) + 1) for s in video.segments]
  low, high, labels = np.array(truth).reshape(-1, 3).T
  found = []
  for seconds in WINDOWS:
    length = round(seconds * FPS)
    for start in range(0, total - length + 1, max(length // 4, 1)):
      near, own = iou(start, start + length, low, high), iop(start, start + length, low, high)
      best = int(np.argmax(near))
      label = int(labels[best]) if near[best] > 0 else 0
      share = length / total
      found.append(Proposal(label, start, start + length, float(near[best]), float(own.max()), share))
  instances = tuple(Proposal(k, a, b, coverage=(b - a) / total) for a, b, k in truth)
  return ProposalVideo(f"videos/{video.id}.mp4", total, instances, tuple(found))


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
  """Makes, or finishes, in a folder videos/*.mp4, videos.txt, {train,val}.json (for read_activitynet), and for SSN
  {train,val}_proposals.txt (for read_proposals) and labels.txt; for controls exchanged.json and
  exchanged_proposals.txt, the training lists with annotations of other videos (`exchanged`)."""
  folder = Path(out).expanduser().resolve()
  if len(videos) != 2 or min(videos) < 1 or processes < 1:
    raise InputError(f"videos {videos}, processes {processes}: two counts (train, val) and processes of 1 or more")
  settings = {"untrimmed": 2, "seed": seed, "videos": list(videos)}
  (folder / "videos").mkdir(parents=True, exist_ok=True)
  stamp = folder / "toy.json"
  if stamp.exists() and json.loads(stamp.read_text()) != settings:
    raise InputError(f"{folder} holds another toy set: {stamp.read_text().strip()}; give another folder")
  stamp.write_text(json.dumps(settings))
  todo, names = [], []
  for split, count in enumerate(videos):
    rows = [untrimmed_scene(split, index, seed=seed)[1] for index in range(count)]
    lists = {SPLITS[split]: rows} | ({"exchanged": exchanged(rows)} if split == 0 else {})
    for name, each in lists.items():
      write_activitynet(folder / f"{name}.json", each)
      write_proposals(folder / f"{name}_proposals.txt", [window_proposals(row) for row in each])
    for index, row in enumerate(rows):
      path = folder / "videos" / f"{row.id}.mp4"
      names.append(f"videos/{row.id}.mp4")
      if not path.exists():
        todo.append((str(path), split, index, seed))
  (folder / "labels.txt").write_text("".join(f"{name}\n" for name in TOY_CLASSES))
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
