"""A clip, and what resizing, cropping and mirroring do to its frames: pure functions of arrays."""

import dataclasses
import math

import cv2
import numpy as np

from jaction.clips.geometry import Box, Size
from jaction.errors import InputError, nearest

# The loader's threads already share the cores; OpenCV's own pool on top of them only makes them wait for each other.
cv2.setNumThreads(0)

Rng = np.random.Generator | None  # what a step draws from; None is the test form
INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}


@dataclasses.dataclass(frozen=True)
class Clip:
  """Frames on their way from a decoder to a batch.

  Fields:
    frames: uint8 [N,H,W,C]; N runs over crops, then clips, then frames.  float32 after the steps that say so.
    boxes: float32 [...,4], x1, y1, x2, y2 in pixels of the frames, with a leading axis of crops after a step that makes
      several; None where there are none.
    label: the class, which flips and reversals may change; None where there is none.
    crops: how many crops N holds.
    numbers: int64 [N], each frame's number in the video; None where nobody asked for them.
  """

  frames: np.ndarray
  boxes: np.ndarray | None = None
  label: int | None = None
  crops: int = 1
  numbers: np.ndarray | None = None

  @property
  def size(self) -> Size:
    """(width, height) of the frames."""
    return self.frames.shape[2], self.frames.shape[1]


def resize_frames(frames: np.ndarray, size: Size, interpolation: str = "bilinear") -> np.ndarray:
  """[N,H,W,C] or [N,H,W] -> the same with (width, height) `size`; uint8 or float32, the pixels OpenCV gives."""
  if interpolation not in INTERPOLATIONS:
    raise InputError(
      f"interpolation is {interpolation!r}; wanted one of {', '.join(INTERPOLATIONS)}."
      f"{nearest(str(interpolation), INTERPOLATIONS)}"
    )
  if frames.shape[2] == size[0] and frames.shape[1] == size[1]:
    return frames
  out = np.empty((len(frames), size[1], size[0], *frames.shape[3:]), frames.dtype)
  for frame, place in zip(frames, out, strict=True):
    # OpenCV writes into `place` itself where it fits; its answer for one channel lacks the channel axis.
    done = cv2.resize(frame, size, dst=place, interpolation=INTERPOLATIONS[interpolation])
    if not np.shares_memory(done, place):
      place[...] = done.reshape(place.shape)
  return out


def resize_and_crop(frame: np.ndarray, size: Size, box: Box, interpolation: str = "bilinear") -> np.ndarray:
  """The pixels `box` of one frame [H,W,C] resized to `size`, as `resize_frames` and `crop_frames` would give them.

  What lies right of the box and below it is not made: a shorter source at the same scale gives the same pixels, but for
  those beside the new edge.  (Left and above it would have to begin between two pixels.)  A view.
  """
  height, width = frame.shape[:2]
  if (width, height) == size:
    return frame[box[1] : box[3], box[0] : box[2]]
  x, y = size[0] / width, size[1] / height
  # Two pixels of the source more than the box reaches to: the last is read by interpolation, the next for rounding.
  right = width if box[2] == size[0] else min(width, math.ceil(box[2] / x) + 2)
  below = height if box[3] == size[1] else min(height, math.ceil(box[3] / y) + 2)
  made = cv2.resize(frame[:below, :right], None, fx=x, fy=y, interpolation=INTERPOLATIONS[interpolation])
  made = made if made.ndim == frame.ndim else made[..., None]
  return made[box[1] : box[3], box[0] : box[2]]


def crop_frames(frames: np.ndarray, box: Box) -> np.ndarray:
  """The pixels of `box` (left, top, right, bottom): a view, nothing is copied."""
  left, top, right, bottom = box
  return frames[:, top:bottom, left:right]


def flip_frames(frames: np.ndarray, direction: str = "horizontal", *, flow: bool = False) -> np.ndarray:
  """Mirrored [N,H,W,C] frames.  With `flow`, channels alternate x, y, and a horizontal mirror turns x into 255 - x.

  A vertical mirror of flow is an InputError, as the reference knows none.
  """
  if direction not in ("horizontal", "vertical"):
    raise InputError(f"direction is {direction!r}; wanted horizontal or vertical")
  if not flow:
    return frames[:, :, ::-1] if direction == "horizontal" else frames[:, ::-1]
  if direction == "vertical" or frames.shape[-1] % 2:
    raise InputError(f"a {direction} mirror of flow with {frames.shape[-1]} channels; wanted horizontal and x, y pairs")
  mirrored = frames[:, :, ::-1].copy()
  mirrored[..., 0::2] = 255 - mirrored[..., 0::2]
  return mirrored
