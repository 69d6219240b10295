"""A toy set in AVA's own formats: small H.264 videos of several shapes that move, with boxes and actions of each.

Each actor does one of five motions (left, right, up, down, stays) for the whole video, and may spin besides.  Where an
actor is says nothing of what it does, nor does its shape or colour: a single frame does not tell, except that spinning
shapes are striped like the others.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from jaction.errors import InputError
from jaction.records.ava import KeyFrame, write_ava

ACTIONS = ("moves left", "moves right", "moves up", "moves down", "stays", "spins")  # 1, 2, ...
STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))
SPLITS = ("train", "val")
WIDTH, HEIGHT, FPS, SECONDS = 96, 64, 12, 3
MOMENTS = (1, 2)  # seconds of the key frames
HUES = np.array([(230, 120, 40), (60, 120, 230), (70, 180, 80), (220, 80, 160), (230, 210, 60)], np.float32)


@dataclasses.dataclass(frozen=True)
class Actor:
  """A shape: where it is in the middle of the video, how it moves (pixels a second), turns (radians a second)."""

  middle: tuple[float, float]
  radius: float
  motion: int  # 0 ... 4, of STEPS
  speed: float
  spin: float
  angle: float
  colour: tuple[float, float, float]
  square: bool

  def at(self, second: float) -> tuple[float, float]:
    dx, dy = STEPS[self.motion]
    moved = self.speed * (second - SECONDS / 2)
    return self.middle[0] + dx * moved, self.middle[1] + dy * moved

  def box(self, second: float) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 in [0, 1], held inside the picture."""
    x, y = self.at(second)
    sides = (
      (x - self.radius) / WIDTH,
      (y - self.radius) / HEIGHT,
      (x + self.radius) / WIDTH,
      (y + self.radius) / HEIGHT,
    )
    return tuple(round(min(max(side, 0.0), 1.0), 3) for side in sides)  # type: ignore[return-value]

  @property
  def labels(self) -> tuple[int, ...]:
    return (self.motion + 1,) + ((len(ACTIONS),) if self.spin else ())


def draw_actors(rng: np.random.Generator) -> list[Actor]:
  """Two or three actors that stay apart, and inside the picture, all the time."""
  actors: list[Actor] = []
  wanted = int(rng.integers(2, 4))
  for _ in range(400):
    if len(actors) == wanted:
      break
    radius, motion = float(rng.uniform(8, 12)), int(rng.integers(len(STEPS)))
    speed = float(rng.uniform(8, 12))
    room = abs(np.array(STEPS[motion])) * speed * SECONDS / 2 + radius
    if HEIGHT / 2 <= room[1]:
      continue
    middle = (float(rng.uniform(room[0], WIDTH - room[0])), float(rng.uniform(room[1], HEIGHT - room[1])))
    spin = float(rng.choice((-1, 1)) * rng.uniform(3, 5)) if rng.random() < 0.4 else 0.0
    colour = tuple((HUES[int(rng.integers(len(HUES)))] * rng.uniform(0.8, 1.0)).tolist())
    actor = Actor(
      middle, radius, motion, speed, spin, float(rng.uniform(0, 2 * np.pi)), colour, bool(rng.random() < 0.5)
    )
    moments = np.linspace(0, SECONDS, 13)
    apart = all(
      np.hypot(actor.at(t)[0] - other.at(t)[0], actor.at(t)[1] - other.at(t)[1]) > actor.radius + other.radius
      for other in actors
      for t in moments
    )
    if apart:
      actors.append(actor)
  return actors


def pictures(actors: list[Actor], rng: np.random.Generator) -> Iterator[np.ndarray]:
  """uint8 [HEIGHT,WIDTH,3] of each frame: striped shapes on a still, blotchy ground."""
  coarse = rng.uniform(60, 130, (HEIGHT // 8, WIDTH // 8, 3))
  ground = np.kron(coarse, np.ones((8, 8, 1))).astype(np.float32)
  ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
  for number in range(FPS * SECONDS):
    second, picture = number / FPS, ground.copy()
    for actor in actors:
      x, y = actor.at(second)
      turn = actor.angle + actor.spin * second
      u = (np.cos(turn) * (xs - x) + np.sin(turn) * (ys - y)) / actor.radius
      v = (np.cos(turn) * (ys - y) - np.sin(turn) * (xs - x)) / actor.radius
      inside = np.maximum(abs(u), abs(v)) < 0.72 if actor.square else u**2 + v**2 < 1
      stripe = np.where(np.sin(5 * u) > 0, 1.0, 0.45)[..., None]
      picture = np.where(inside[..., None], np.array(actor.colour, np.float32) * stripe, picture)
    yield np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def make_toy_actors(
  out: str | os.PathLike,
  *,
  videos: tuple[int, int] = (240, 48),
  seed: int = 0,
  progress: Callable[[int, int], None] | None = None,
) -> Path:
  """Makes the set in the new or empty folder `out`; the same for one seed.

  It then holds videos/{name}.mp4 (96 x 64 pixels, 3 s at 12 frames a second), and of each split, train and val,
  {split}.csv, {split}_excluded.csv (of no frame), proposals_{split}.npz (boxes of a make-believe detector: each person
  a little off, with a score of 0.9 or more, and now and then a ghost with a lower one), and actions.pbtxt.
  """
  folder = Path(out).expanduser()
  if len(videos) != 2 or min(videos) < 1:
    raise InputError(f"videos is {videos}: wanted two counts (train, val) of at least 1")
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    raise InputError(f"{folder} is not empty; wanted a new folder")
  (folder / "videos").mkdir(parents=True)
  done = 0
  for split, name in enumerate(SPLITS):
    frames, proposals = [], {}
    for index in range(videos[split]):
      rng = np.random.default_rng((seed, split, index))
      actors, video = draw_actors(rng), f"{name}{index:04d}"
      _write_video(folder / "videos" / f"{video}.mp4", pictures(actors, rng))
      for second in MOMENTS:
        boxes = tuple(actor.box(second) for actor in actors)
        frame = KeyFrame(video, second, boxes, tuple(actor.labels for actor in actors), tuple(range(len(actors))))
        frames.append(frame)
        proposals[frame.key] = _proposed(np.array(boxes), rng)
      done += 1
      if progress:
        progress(done, sum(videos))
    write_ava(folder / f"{name}.csv", frames)
    (folder / f"{name}_excluded.csv").write_text("")
    np.savez(folder / f"proposals_{name}.npz", **proposals)  # type: ignore[arg-type]
  items = (f'item {{\n  name: "{action}"\n  id: {number}\n}}\n' for number, action in enumerate(ACTIONS, 1))
  (folder / "actions.pbtxt").write_text("".join(items))
  (folder / "toy_actors.json").write_text(json.dumps({"seed": seed, "videos": list(videos)}) + "\n")
  return folder


def _proposed(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  sides = np.array([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]] * 2).T
  near = np.clip(boxes + rng.uniform(-0.02, 0.02, boxes.shape) * sides, 0, 1)
  rows = np.column_stack([near, rng.uniform(0.9, 1.0, len(near))])
  if rng.random() < 0.3:
    corner = rng.uniform(0, 0.7, 2)
    rows = np.concatenate([rows, [[*corner, *(corner + 0.25), rng.uniform(0.2, 0.8)]]])
  return rows.round(4)


def _write_video(path: Path, frames: Iterator[np.ndarray]) -> None:
  part = path.with_name(f".{path.name}.part")
  with av.open(os.fspath(part), "w", format="mp4") as file:
    options = {"preset": "veryfast", "crf": "18", "threads": "1", "x264-params": "mbtree=0"}  # see toy.write_scene
    stream = file.add_stream("libx264", rate=FPS, options=options)
    stream.codec_context.thread_count = 1
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    for picture in frames:
      file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    file.mux(stream.encode(None))
  os.replace(part, path)
