"""What a preprocessing makes of videos, as one picture: which frames it takes, and how they look to the network."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaction.clips.preprocessing import Preprocessing
from jaction.records.record import Record

TILE, COLUMNS, GAP, LINE = 112, 16, 6, 18  # pixels, but for COLUMNS: tiles beside each other
_PAPER, _INK, _FAINT, _MARK = (250, 250, 248), (24, 26, 32), (205, 208, 214), (214, 84, 40)


class Sample(NamedTuple):
  """A record as a network would get it."""

  title: str
  tiles: list[list[tuple[np.ndarray, str]]]  # rows of (picture uint8 [H,W,3], what stands under it)
  marks: list[float]  # where in the video the frames lie, 0 ... 1
  note: str


def sample(
  record: Record,
  preprocessing: Preprocessing,
  *,
  key: Sequence[int] | None = None,
  labels: Sequence[str] = (),
  max_views: int = 6,
) -> Sample:
  """Draws as training does with numpy's generator of `key`, such as [seed, 1, place]; None: the test form."""
  rng = None if key is None else np.random.default_rng(list(key))
  if preprocessing.modality == "spectrogram":
    clips = preprocessing(record, rng)["clips"]
    rows = [[(_spectrogram(view[..., 0]), f"clip {v}")] for v, view in enumerate(clips[:max_views])]
    note = f"{len(clips)} view{'s' * (len(clips) > 1)} of {clips.shape[1]} rows of {clips.shape[2]} bands"
    return Sample(_title(record, record.label, labels), rows, [], note)
  made = preprocessing.explained(record, rng)
  clips, numbers, total = made["clips"], made["numbers"], made["total"]
  rows = []
  for view, row in list(zip(clips, numbers, strict=True))[:max_views]:
    shown = np.unique(np.linspace(0, len(view) - 1, min(len(view), COLUMNS)).round().astype(int))
    rows.append([(_picture(view[t]), str(row[t])) for t in shown])
  note = f"{total} frames; {len(clips)} view{'s' * (len(clips) > 1)} of {clips.shape[1]} frames, "
  note += f"{clips.shape[3]}x{clips.shape[2]} pixels"
  if len(clips) > max_views:
    note += f"; {max_views} views are shown"
  title = _title(record, record.label if made["label"] < 0 else made["label"], labels)
  return Sample(title, rows, [float((i + 0.5) / total) for i in np.unique(numbers)], note)


def _title(record: Record, label: int | None, labels: Sequence[str]) -> str:
  """The record and its class; where a step has changed the class, both."""
  name = lambda k: labels[k] if k < len(labels) else f"class {k}"  # noqa: E731
  own = ", ".join(name(k) for k in (record.labels if record.label is None else (record.label,)))
  changed = f" -> {name(label)}" if record.label is not None and label != record.label else ""
  return f"{record.id}   {own or 'no label'}{changed}"


def draw_sheet(samples: Sequence[Sample], path: pathlib.Path) -> None:
  """Writes the picture: for each sample its title, where the frames lie in the video, and the frames."""
  widest = max(len(row) for sample in samples for row in sample.tiles)
  widths = [max(picture.shape[1] for picture, _ in row) for sample in samples for row in sample.tiles]
  width = max(2 * GAP + widest * (TILE + GAP), max(widths) + 2 * GAP if widest == 1 else 0, 460)
  blocks = [_block(sample, width) for sample in samples]
  sheet = Image.new("RGB", (width, sum(block.height for block in blocks) + GAP), _PAPER)
  top = 0
  for block in blocks:
    sheet.paste(block, (0, top))
    top += block.height
  path.parent.mkdir(parents=True, exist_ok=True)
  sheet.save(path)


def _block(sample: Sample, width: int) -> Image.Image:
  fitted = [[(_fitted(picture, len(row) == 1), text) for picture, text in row] for row in sample.tiles]
  heights = [max(picture.height for picture, _ in row) + LINE for row in fitted]
  top = GAP + 2 * LINE + (GAP + 4 if sample.marks else 0)
  block = Image.new("RGB", (width, top + sum(heights) + GAP), _PAPER)
  ink, bold, plain = ImageDraw.Draw(block), _font(13), _font(11)
  ink.text((GAP, GAP), _shortened(ink, sample.title, bold, width - 2 * GAP), fill=_INK, font=bold)
  ink.text((GAP, GAP + LINE), sample.note, fill=_INK, font=plain)
  if sample.marks:
    line = GAP + 2 * LINE + 3
    ink.rectangle((GAP, line, width - GAP, line + 3), fill=_FAINT)
    for mark in sample.marks:
      x = GAP + round(mark * (width - 2 * GAP))
      ink.rectangle((x - 1, line - 2, x + 1, line + 5), fill=_MARK)
  for row, height in zip(fitted, heights, strict=True):
    left = GAP
    for picture, text in row:
      block.paste(picture, (left, top))
      ink.text((left + picture.width / 2, top + picture.height + 1), text, fill=_INK, font=plain, anchor="ma")
      left += picture.width + GAP
    top += height
  return block


def _picture(frame: np.ndarray) -> np.ndarray:
  """uint8 [H,W,3]; of flow x is red and y green, of a stack the first pair."""
  if frame.shape[-1] == 3:
    return np.clip(np.round(frame), 0, 255).astype(np.uint8)
  return np.concatenate([frame[..., :2], np.full((*frame.shape[:2], 1), 128, frame.dtype)], -1).astype(np.uint8)


def _spectrogram(rows: np.ndarray) -> np.ndarray:
  low, high = float(rows.min()), float(rows.max())
  grey = (rows - low) / (high - low or 1.0)
  return (matplotlib.colormaps["magma"](grey.T[::-1])[..., :3] * 255).astype(
    np.uint8
  )  # time to the right, bands upward


def _fitted(picture: np.ndarray, alone: bool) -> Image.Image:
  image = Image.fromarray(picture)
  scale = 2 if alone and picture.shape[1] <= 300 else TILE / picture.shape[1]
  size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
  return image.resize(size, Image.Resampling.BILINEAR)


def _shortened(ink: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
  if ink.textlength(text, font=font) <= width:
    return text
  while text and ink.textlength("… " + text, font=font) > width:
    text = text[1:]  # the end of a path says more than its beginning
  return "… " + text


def _font(size: int) -> ImageFont.FreeTypeFont:
  return ImageFont.truetype(pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
