"""A video with what a model saw in it written over it, as an mp4 that every player opens."""

import functools
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaction.errors import InputError
from jaction.records.frames import open_frames
from jaction.records.record import Record
from jaction.records.video import Video

SHORT_SIDE = 360  # smaller videos are scaled up to it: text on 96 pixels cannot be read
FRAME_FOLDER_FPS = 25.0  # frame folders do not know their rate
_CLOCK = 90_000  # ticks a second, of the file that is written
_CHUNK = 16  # frames held decoded at once
_INK, _BAND, _BARS = (255, 255, 255, 255), (12, 14, 20, 165), ((64, 156, 255, 235), (120, 132, 150, 190))


def annotate(
  source: str | os.PathLike | Record,
  out: str | os.PathLike,
  lines: Sequence[tuple[str, float]],
  *,
  title: str | None = None,
  short_side: int = SHORT_SIDE,
  progress: Callable[[int, int], None] | None = None,
) -> pathlib.Path:
  """Write `source` with a translucent band of `lines` (label, probability 0..1; best first) to `out`, an mp4 file.

  The frames keep their times, a variable rate too; a frame folder runs at 25 a second.  Videos whose short side is
  below `short_side` pixels are scaled up to it; sizes are made even.  H.264, yuv420p; the sound is left out.  `title`
  stands above the lines.  `progress` is told (frames done, frames in all).  The file appears whole or not at all.
  """
  bands: dict[tuple[int, int], np.ndarray] = {}

  def layer(time: float, width: int, height: int) -> np.ndarray:
    if (width, height) not in bands:
      bands[width, height] = render_band(width, height, lines, title)
    return bands[width, height]

  return draw_over(source, out, layer, short_side=short_side, progress=progress)


def draw_over(
  source: str | os.PathLike | Record,
  out: str | os.PathLike,
  layer: Callable[[float, int, int], np.ndarray],
  *,
  short_side: int = SHORT_SIDE,
  progress: Callable[[int, int], None] | None = None,
) -> pathlib.Path:
  """Write `source` with layer(seconds since the first frame, width, height), uint8 RGBA, over each frame: see
  `annotate`, of which all else holds."""
  out = pathlib.Path(out)
  path = source.source if isinstance(source, Record) else os.fspath(source)
  if out.suffix.lower() != ".mp4":
    raise InputError(
      f"cannot write {out}: drawings are mp4 files; wanted a name such as {out.with_suffix('.mp4').name}."
    )
  if out.exists() and out.resolve() == pathlib.Path(path).resolve():
    raise InputError(f"{out} is the video itself; wanted another name for the drawing.")
  out.parent.mkdir(parents=True, exist_ok=True)
  part = out.with_name(f".{out.stem}.{os.getpid()}.part.mp4")
  try:
    with _opened(source) as video:
      _write(video, part, layer, short_side, progress)
    os.replace(part, out)
  finally:
    part.unlink(missing_ok=True)
  return out


def _opened(source):
  return open_frames(source) if isinstance(source, Record) else Video(source)


def _write(video, out, layer, short_side, progress) -> None:
  times = np.asarray(getattr(video, "times", np.arange(video.num_frames) / FRAME_FOLDER_FPS), np.float64)
  ticks = np.round((times - times[0]) * _CLOCK).astype(np.int64)
  ticks = np.maximum.accumulate(ticks - np.arange(len(ticks))) + np.arange(len(ticks))  # an encoder wants them to rise
  rate = Fraction(getattr(video, "fps", None) or FRAME_FOLDER_FPS).limit_denominator(1001)
  with av.open(os.fspath(out), "w", options={"movflags": "faststart"}) as file:
    stream = None
    for number, frame in enumerate(_frames(video)):
      if stream is None:
        width, height = _size(frame.shape[1], frame.shape[0], short_side)
        stream = file.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
      if frame.shape[:2] != (height, width):
        frame = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
      band = layer(float(times[number] - times[0]), width, height)
      picture = av.VideoFrame.from_ndarray(overlay(frame, band), format="rgb24")
      picture.pts, picture.time_base = int(ticks[number]), Fraction(1, _CLOCK)
      file.mux(stream.encode(picture))
      if progress is not None:
        progress(number + 1, video.num_frames)
    if stream is not None:
      file.mux(stream.encode(None))


def _frames(video) -> Iterator[np.ndarray]:
  for start in range(0, video.num_frames, _CHUNK):
    yield from video.read(np.arange(start, min(start + _CHUNK, video.num_frames)))


def _size(width: int, height: int, short_side: int) -> tuple[int, int]:
  scale = max(1.0, short_side / min(width, height))
  width, height = (max(2, 2 * round(side * scale / 2)) for side in (width, height))  # yuv420p halves both
  return width, height


@functools.lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
  # matplotlib brings this font along; OpenCV's own letters know nothing but ASCII.
  return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def render_band(width: int, height: int, lines: Sequence[tuple[str, float]], title: str | None = None) -> np.ndarray:
  """The band, uint8 RGBA [height,width,4], clear elsewhere: a title above, rows of label, bar, percentage below."""
  image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
  pen = ImageDraw.Draw(image)
  size = max(10, round(min(width, height) / 20))
  gap, row = max(3, size // 3), round(size * 1.75)
  font = _font(size)
  if title:
    pen.rectangle((0, 0, width, row + gap), fill=_BAND)
    pen.text((gap * 2, gap // 2 + row / 2), _fit(title, font, width - 4 * gap), font=font, fill=_INK, anchor="lm")
  top = height - len(lines) * row - gap
  if lines:
    pen.rectangle((0, top, width, height), fill=_BAND)
  for number, (label, share) in enumerate(lines):
    y = top + gap / 2 + number * row
    full = width - 4 * gap
    foot = round(y + row - gap / 2)
    pen.rectangle((2 * gap, foot - max(2, size // 6), 2 * gap + full, foot), fill=(255, 255, 255, 36))
    length = round(full * min(max(share, 0.0), 1.0))
    if length:
      pen.rectangle((2 * gap, foot - max(2, size // 6), 2 * gap + length, foot), fill=_BARS[min(number, 1)])
    middle, percent = y + (row - gap) / 2, f"{100 * share:.0f} %"
    ink = _INK if number == 0 else (205, 210, 220, 255)
    pen.text((width - 2 * gap, middle), percent, font=font, fill=ink, anchor="rm")
    pen.text(
      (2 * gap, middle), _fit(label, font, full - font.getlength(percent) - gap), font=font, fill=ink, anchor="lm"
    )
  return np.asarray(image)


def _fit(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
  text = " ".join(text.split())
  if font.getlength(text) <= width:
    return text
  while text and font.getlength(text + "…") > width:
    text = text[:-1]
  return text.rstrip() + "…"


def overlay(frame: np.ndarray, band: np.ndarray) -> np.ndarray:
  """A frame uint8 [H,W,3] with a band uint8 RGBA [H,W,4] laid over it."""
  rows = np.flatnonzero(band[..., 3].any(axis=1))
  frame = frame.copy()
  if len(rows):
    alpha = band[rows, :, 3:].astype(np.uint16)
    mixed = band[rows, :, :3] * alpha + frame[rows] * (255 - alpha)
    frame[rows] = ((mixed + 127) // 255).astype(np.uint8)
  return frame
