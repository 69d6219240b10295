"""Boxes and what is said of them, as a layer over a frame."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from jaction.predict.draw import _fit, _font

COLOURS = ((255, 176, 32), (64, 156, 255), (96, 205, 110), (240, 98, 146), (170, 120, 255), (38, 198, 190))
_PAPER = (12, 14, 20, 200)


def render_boxes(width: int, height: int, boxes: np.ndarray, lines: Sequence[Sequence[str]]) -> np.ndarray:
  """uint8 RGBA [height,width,4], clear elsewhere: an outline for each of boxes [R,4] in [0, 1], and its lines of text
  beside its upper edge: inside it, or above where there is room.  Boxes from left to right take the colours in turn."""
  image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
  pen = ImageDraw.Draw(image)
  size = max(10, round(min(width, height) / 26))
  font, line, gap = _font(size), round(size * 1.3), max(2, size // 4)
  stroke = max(2, round(min(width, height) / 160))
  for place, row in enumerate(np.argsort(boxes[:, 0], kind="stable") if len(boxes) else []):
    colour = COLOURS[place % len(COLOURS)]
    left, top, right, bottom = boxes[row] * np.array([width, height] * 2)
    left, right = np.clip([left, right], 0, width - 1)
    top, bottom = np.clip([top, bottom], 0, height - 1)
    pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=(*colour, 255), width=stroke)
    if not lines[row]:
      continue
    room = max(right - left, width / 4)
    texts = [_fit(text, font, room - 2 * gap) for text in lines[row]]
    wide = max(font.getlength(text) for text in texts) + 2 * gap
    high = len(texts) * line + gap
    x = min(left, width - wide)
    y = top - high if top >= high else min(top + stroke, height - high)
    pen.rectangle((x, y, x + wide, y + high), fill=_PAPER)
    pen.rectangle((x, y, x + max(2, stroke // 2), y + high), fill=(*colour, 255))
    for number, text in enumerate(texts):
      pen.text(
        (x + gap + stroke // 2, y + gap / 2 + (number + 0.5) * line), text, font=font, fill=(255,) * 4, anchor="lm"
      )
  return np.asarray(image)


def draw_grid(
  tiles: Sequence[tuple[np.ndarray, str]], path: pathlib.Path, *, width: int = 480, columns: int = 2
) -> None:
  """Writes pictures uint8 [H,W,3], each with a line of text above it, beside and below each other."""
  gap, line, font = 8, 22, _font(14)
  pictures = []
  for frame, _ in tiles:
    size = width, max(1, round(frame.shape[0] * width / frame.shape[1]))
    pictures.append(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
  rows = [list(range(i, min(i + columns, len(tiles)))) for i in range(0, len(tiles), columns)]
  heights = [line + max(pictures[i].height for i in row) + gap for row in rows]
  sheet = Image.new("RGB", (gap + max(map(len, rows)) * (width + gap), gap + sum(heights)), (250, 250, 248))
  pen, top = ImageDraw.Draw(sheet), gap
  for row, height in zip(rows, heights, strict=True):
    for column, i in enumerate(row):
      left = gap + column * (width + gap)
      pen.text((left, top), _fit(tiles[i][1], font, width), font=font, fill=(24, 26, 32))
      sheet.paste(pictures[i], (left, top + line))
    top += height
  path.parent.mkdir(parents=True, exist_ok=True)
  sheet.save(path)


def nearest_moment(moments: Mapping[float, object], time: float, reach: float) -> float | None:
  """The moment nearest to `time`, the earlier of two; None where it is further away than `reach` seconds."""
  best = min(moments, key=lambda moment: (abs(moment - time), moment), default=None)
  return best if best is not None and abs(best - time) <= reach else None
