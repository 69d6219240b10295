"""Draws the pictures of the toy set: numpy alone, one generator a video.

How a single picture is kept from telling the direction.  Every motion is drawn *stationary*: a row of discs without end
that slides by, flowers that are born small, grow and fade without end, a propeller at any angle, each with a uniform
phase and a drawing that depends on the phase alone.  So the picture at any moment has one distribution, whatever the
moment.  The generator never looks at the direction: it draws the clip, and the class only says whether the clip is
handed out forwards or backwards.  The two classes of a pair are therefore exact time reversals of each other in
distribution, and, frame number for frame number, alike.
"""

import colorsys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

PAIRS = 4  # classes 2 p and 2 p + 1 are the two directions of pair p
FPS = (12.0, 15.0, 20.0, 24.0, 25.0, 30.0, 30000 / 1001)
HUES = (0.07, 0.59, 0.35, 0.88)  # discs orange, squares blue, flowers green, propellers pink


@dataclass(frozen=True)
class Scene:
  """One toy video before it is encoded; frames are drawn as they are asked for.

  frames: calls back into an iterator of uint8 RGB pictures [height, width, 3], as shown (any rotation tag undone).
  times: when each is shown, seconds, float64 [T], from 0.
  rotation: degrees counter-clockwise by which a player has to turn the stored picture (the tag), 0 for none.
  chroma: "yuv420p", or "yuv444p" where a side is odd: 4:2:0 has no odd sizes.
  crf, keyframes: the encoder's quality and longest distance between keyframes.
  """

  frames: Callable[[], Iterator[np.ndarray]]
  times: np.ndarray
  width: int
  height: int
  rotation: int
  chroma: str
  crf: int
  keyframes: int


def draw_scene(rng: np.random.Generator, label: int, *, hard: bool = False) -> Scene:
  """The toy video of class `label` (0 to 7) that `rng` draws; hard adds clutter, noise and a moving background."""
  pair, backwards = divmod(label, 2)
  size = _draw_size(rng)
  times = _draw_times(rng)
  rotation = int(rng.choice((90, 180, 270))) if rng.random() < 0.15 else 0
  crf, keyframes = int(rng.integers(17, 23)), int(rng.integers(8, 49))
  height, width = size
  paint = _draw_painter(rng, pair, height, width, hard)
  moments = times / times[-1]
  if backwards:
    moments, times = moments[::-1], times[-1] - times[::-1]
  noise_seed = rng.integers(2**32)

  def frames() -> Iterator[np.ndarray]:
    noise = np.random.default_rng(noise_seed)
    for moment in moments:
      picture = paint(float(moment))
      if hard:
        picture = picture + noise.normal(0, 5, (height, width, 1)).astype(np.float32)
      yield np.clip(picture + 0.5, 0, 255).astype(np.uint8)

  chroma = "yuv444p" if height % 2 or width % 2 else "yuv420p"
  return Scene(frames, times, width, height, rotation, chroma, crf, keyframes)


def _draw_size(rng: np.random.Generator) -> tuple[int, int]:
  """(height, width): short side 96 to 128, up to 3:2 either way, one in eight with an odd side."""
  short = int(rng.integers(96, 129))
  long = int(short * rng.uniform(1.0, 1.5))
  portrait, odd = rng.random() < 0.5, rng.random() < 0.125
  bump = int(rng.integers(1, 4))  # which of the two sides are odd: 1, 2 or both
  short, long = short // 2 * 2, max(long // 2 * 2, short // 2 * 2)
  if odd:
    short, long = short - (bump & 1), long + (bump >> 1)  # 128 + 1 would leave the range
  return (long, short) if portrait else (short, long)


def _draw_times(rng: np.random.Generator) -> np.ndarray:
  """Seconds [T]: 0.5 to 2 s and at least ten frames, one in four with a frame rate that varies."""
  fps = float(rng.choice(FPS))
  seconds = rng.uniform(max(0.5, 10 / fps), 2.0)
  gaps = np.full(max(10, round(seconds * fps)) - 1, 1 / fps)
  if rng.random() < 0.25:
    gaps = gaps * rng.uniform(0.6, 1.5, len(gaps))
  return np.concatenate([[0.0], np.cumsum(gaps)])


def _draw_phase(rng: np.random.Generator, low: float, high: float) -> Callable[[float], float]:
  """Phase, in periods, over the clip's time (0 to 1): a uniform start, low to high periods in all, an uneven speed.

  The speed stays within 25 % of its mean and its own phase is uniform, so the way back looks like the way there.
  """
  start, travel = rng.random(), rng.uniform(low, high)
  swing, wobble = rng.uniform(0, 0.25), rng.uniform(0, 2 * np.pi)
  return lambda t: start + travel * (t + swing * np.sin(2 * np.pi * t + wobble) / (2 * np.pi))


def _colour(hue: float, saturation: float, value: float) -> np.ndarray:
  return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32) * 255


def _draw_painter(rng: np.random.Generator, pair: int, height: int, width: int, hard: bool):
  """A function from the clip's time (0 to 1) to the picture, float32 [height, width, 3] in about 0 to 255."""
  background = _draw_background(rng, height, width, hard)
  layers = [_draw_distractor(rng, height, width) for _ in range(int(rng.integers(3, 6)) if hard else 0)]
  layers.append(_draw_actor(rng, pair, height, width))

  def paint(t: float) -> np.ndarray:
    picture = background(t)
    for layer in layers:
      layer(picture, t)
    return picture

  return paint


def _draw_background(rng: np.random.Generator, height: int, width: int, hard: bool):
  """A sum of plane waves that drift together, between two dull colours; it has no edge and no beginning."""
  short, count = min(height, width), 14 if hard else 8
  heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5) if hard else rng.uniform(0.0, 0.08)
  cycles = rng.uniform(0.7, 5.0 if hard else 3.0, count) / short  # waves per pixel
  angles, phases = rng.uniform(0, 2 * np.pi, (2, count))
  hue, contrast = rng.random(), rng.uniform(0.25, 0.4) if hard else rng.uniform(0.1, 0.25)
  value = rng.uniform(0.25, 0.45)
  dark = _colour(hue, rng.uniform(0.1, 0.3), value)
  light = _colour(hue + rng.uniform(-0.1, 0.1), rng.uniform(0.1, 0.3), value + contrast)
  kx, ky = 2 * np.pi * cycles * np.cos(angles), 2 * np.pi * cycles * np.sin(angles)
  y, x = np.mgrid[:height, :width].astype(np.float32)
  waves = [(float(a), float(b), float(c)) for a, b, c in zip(kx, ky, phases, strict=True)]
  basis = np.stack([f(a * x + b * y + c) for a, b, c in waves for f in (np.cos, np.sin)])
  shift = speed * short * (kx * np.cos(heading) + ky * np.sin(heading))  # phase per clip

  def paint(t: float) -> np.ndarray:
    weights = np.stack([np.cos(shift * t), np.sin(shift * t)], 1).reshape(-1) / np.sqrt(count / 2)
    level = np.einsum("w,whc->hc", weights.astype(np.float32), basis)  # not BLAS: its threads may change the last bit
    level = 0.5 + 0.5 * np.tanh(1.3 * level)
    return dark + level[..., None] * (light - dark)

  return paint


# Shapes of radius about 1, as signed distances: negative inside.  cos 3a and cos 5a come as polynomials in cos a.
def _disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  return np.hypot(u, v) - 1


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  return np.maximum(np.abs(u), np.abs(v)) - 0.88


def _flower(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  rho = np.hypot(u, v) + 1e-6
  c = u / rho
  c2 = c * c
  return rho - 0.82 - 0.18 * c * (5 - c2 * (20 - 16 * c2))


def _propeller(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  rho = np.hypot(u, v) + 1e-6
  c = u / rho
  return rho - 0.64 - 0.36 * c * (4 * c * c - 3)


SHAPES = (_disc, _square, _flower, _propeller)


@dataclass(frozen=True)
class _Skin:
  """How a shape is filled: two colours in stripes or checks that move with it, and a dark outline."""

  shape: Callable[[np.ndarray, np.ndarray], np.ndarray]
  light: np.ndarray
  dark: np.ndarray
  edge: np.ndarray
  weave: tuple[float, float, float, float]  # cycles across and along, and their phases, radians
  accent: np.ndarray | None = None  # the colour of a propeller's first blade

  def blend(self, picture: np.ndarray, x: float, y: float, radius: float, turn: float = 0.0, alpha: float = 1.0):
    """Draws the shape into `picture` [H, W, 3] in place; x, y and radius in pixels, turn in radians clockwise."""
    height, width = picture.shape[:2]
    reach = 1.3 * radius + 2
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 1)
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 1)
    if top >= bottom or left >= right:
      return
    dy = ((np.arange(top, bottom, dtype=np.float32) - np.float32(y)) / np.float32(radius))[:, None]
    dx = ((np.arange(left, right, dtype=np.float32) - np.float32(x)) / np.float32(radius))[None, :]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    inside = self.shape(u, v) * np.float32(-radius)  # pixels from the outline, positive within
    across, along, p, q = (np.float32(w) for w in self.weave)
    level = np.clip(0.5 + 2.5 * np.sin(across * u + p) * np.sin(along * v + q), 0, 1)[..., None]
    colour = self.dark + level * (self.light - self.dark)
    if self.accent is not None:
      blade = (u > np.abs(v) * np.float32(0.577)) & (u > 0.25)
      colour = np.where(blade[..., None], self.accent * (0.75 + 0.25 * level), colour)
    rim = max(1.0, 0.07 * radius)
    colour = self.edge + np.clip(inside - np.float32(rim), 0, 1)[..., None] * (colour - self.edge)
    part = picture[top:bottom, left:right]
    part += (np.clip(inside + 0.5, 0, 1) * np.float32(alpha))[..., None] * (colour - part)


def _draw_skin(rng: np.random.Generator, shape: int, hue: float, dull: float = 1.0) -> _Skin:
  hue = hue + rng.uniform(-0.045, 0.045)
  light = _colour(hue, dull * rng.uniform(0.35, 0.6), rng.uniform(0.9, 1.0))
  dark = _colour(hue + rng.uniform(-0.02, 0.02), dull * rng.uniform(0.8, 1.0), rng.uniform(0.7, 0.85))
  weave = (*rng.uniform(2.5, 6.0, 2), *rng.uniform(0, 2 * np.pi, 2))
  accent = _colour(hue + 0.22, dull * 0.45, 1.0) if shape == 3 else None
  return _Skin(SHAPES[shape], light, dark, _colour(hue, dull, 0.25), weave, accent)


def _draw_actor(rng: np.random.Generator, pair: int, height: int, width: int):
  """The moving thing the class is named for, drawn in its forward direction: left, up, growing, clockwise."""
  short = min(height, width)
  skin = _draw_skin(rng, pair, HUES[pair])
  middle_x, middle_y = width / 2, height / 2
  sway, swing = rng.uniform(0.0, 0.05) * short, _draw_phase(rng, 0.3, 0.8)

  def aside(t: float) -> float:
    return sway * np.sin(2 * np.pi * swing(t))

  if pair < 2:  # an endless row of the same shape slides by, along x or y
    radius, period = rng.uniform(0.16, 0.24) * short, rng.uniform(0.85, 1.15) * short
    phase, lane, tilt = _draw_phase(rng, 0.7, 1.3), rng.uniform(-0.18, 0.18) * short, rng.uniform(-0.3, 0.3)
    length, beside = (width, middle_y) if pair == 0 else (height, middle_x)

    def slide(picture: np.ndarray, t: float) -> None:
      first = -(phase(t) % 1) * period
      across = beside + lane + aside(t)
      for along in np.arange(first - period, length + 2 * period, period):
        x, y = (along, across) if pair == 0 else (across, along)
        skin.blend(picture, x, y, radius, tilt)

    return slide

  x, y = middle_x + rng.uniform(-0.12, 0.12) * short, middle_y + rng.uniform(-0.12, 0.12) * short
  if pair == 2:  # one inside the other, each fades in small and out large; how it looks depends on its size alone
    small, ratio, phase = 0.07 * short, rng.uniform(2.4, 3.0), _draw_phase(rng, 0.7, 1.2)
    tilt, large = rng.uniform(0, 2 * np.pi), rng.uniform(0.52, 0.62) * short
    whole = np.log(large / small) / np.log(ratio)  # a life, in periods

    def grow(picture: np.ndarray, t: float) -> None:
      for age in np.arange(int(whole), -1, -1) + phase(t) % 1:  # the largest first
        if age < whole:
          alpha = np.clip(min(age / 0.25, (whole - age) / 0.5), 0, 1)
          skin.blend(picture, x + aside(t), y, small * ratio**age, tilt, alpha)

    return grow

  radius, phase = rng.uniform(0.3, 0.42) * short, _draw_phase(rng, 0.8, 1.5)  # a period is a third of a turn

  def turn(picture: np.ndarray, t: float) -> None:
    skin.blend(picture, x + aside(t), y, radius, 2 * np.pi / 3 * phase(t))

  return turn


def _draw_distractor(rng: np.random.Generator, height: int, width: int):
  """Clutter for the hard form: a small dull shape of any kind that crosses the picture somehow, without end."""
  short, shape = min(height, width), int(rng.integers(PAIRS))
  skin, radius = _draw_skin(rng, shape, rng.random(), dull=0.35), rng.uniform(0.06, 0.13) * short
  start, heading = rng.random(2), rng.uniform(0, 2 * np.pi)
  travel = rng.uniform(0.2, 0.8) * short * np.array([np.cos(heading), np.sin(heading)])
  spin, angle = rng.uniform(-2, 2), rng.uniform(0, 2 * np.pi)
  field = np.array([width, height]) + 3 * radius  # wide enough to leave the picture before it comes back

  def drift(picture: np.ndarray, t: float) -> None:
    x, y = (start * field + travel * t) % field - 1.5 * radius
    skin.blend(picture, float(x), float(y), radius, angle + spin * t)

  return drift
