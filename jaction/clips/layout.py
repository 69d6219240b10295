"""How frames are laid out for a network: views, and the two channels of flow."""

import numpy as np

from jaction.errors import InputError


def split_views(frames: np.ndarray, frames_per_view: int) -> np.ndarray:
  """[N,H,W,C] -> [V,T,H,W,C], T frames in a row to each view; so views run over crops, then clips, as N does."""
  if frames_per_view < 1 or len(frames) % frames_per_view:
    raise InputError(f"{len(frames)} frames do not split into views of {frames_per_view}; wanted a multiple of that")
  return np.ascontiguousarray(frames.reshape(-1, frames_per_view, *frames.shape[1:]))


def pair_flow(images: np.ndarray) -> np.ndarray:
  """Flow images [2N,H,W], x and y in turn, -> [N,H,W,2]."""
  if len(images) % 2:
    raise InputError(f"{len(images)} flow images; wanted an even number, x and y in turn")
  return np.stack([images[0::2], images[1::2]], axis=-1)


def stack_flow(frames: np.ndarray, clip_len: int) -> np.ndarray:
  """[N,H,W,2] -> [N / clip_len, H, W, 2 * clip_len]: the flow of a clip as channels x1, y1, x2, y2 ..."""
  stacked = np.moveaxis(split_views(frames, clip_len), 1, 3)
  return np.ascontiguousarray(stacked.reshape(*stacked.shape[:3], -1))
