"""Brightness, contrast, saturation, hue, PCA noise as matrices on RGB, so that a chain costs one product a pixel.

A matrix is float64 [4,4] on (R, G, B, 1), values 0..255.  All frames of a clip get the same numbers.
"""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import DTypeLike

from jaction.clips.clip import Clip, Rng
from jaction.errors import InputError, nearest

FORMS = ("later", "0.9")
GRAY = (0.299, 0.587, 0.114)  # ITU-R BT.601
# Principal components of ImageNet's RGB values in 0..255 (the idea: AlexNet, NIPS 2012, sec. 4.1); MMAction2's numbers.
EIG_VAL = (55.46, 4.794, 1.148)
EIG_VEC = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])
_RGB = np.array([[1, 0.956, 0.621], [1, -0.272, -0.647], [1, -1.107, 1.705]])  # the rounded inverse that is in use


def color_jitter(
  clip: Clip,
  rng: Rng = None,
  *,
  brightness: float = 0.5,
  contrast: float = 0.5,
  saturation: float = 0.5,
  hue: float = 0.1,
  form: str = "later",
  color_space_aug: bool = False,
  alpha_std: float = 0.1,
  eig_val: tuple[float, ...] = EIG_VAL,
  eig_vec: tuple[tuple[float, ...], ...] = EIG_VEC,
) -> Clip:
  """Changed colours of RGB frames; off in the test form.

  form="later" (MMAction2 since 0.17, after torchvision): factors of brightness, contrast and saturation from
  [max(0, 1 - x), 1 + x] and a turn of the hue from [-hue, hue] (its unit: `jittered`), in a drawn order.  Draws
  uniform() four times, then permutation(4).  Gives uint8.

  form="0.9", for runs that follow that release; brightness ... hue say nothing to it.  With color_space_aug: a shift by
  up to 32, contrast about black and saturation from [0.6, 1.4], a hue of up to 18 half turns (so any), the contrast
  second or last by a coin, and each frame takes each of the four by a coin of its own.  Then always PCA noise, as
  `pca_noise`.  Draws uniform() five times, random([N,4]), normal(0, alpha_std, 3).  Gives float32 that is not clipped.
  """
  if form not in FORMS:
    raise InputError(f"color_jitter: form is {form!r}; wanted one of {', '.join(FORMS)}.{nearest(str(form), FORMS)}")
  if rng is None:
    return clip
  _rgb(clip, "color_jitter")
  if form == "later":
    factors = [float(rng.uniform(max(0.0, 1 - x), 1 + x)) for x in (brightness, contrast, saturation)]
    turn, order = float(rng.uniform(-hue, hue)), rng.permutation(4)
    return dataclasses.replace(clip, frames=jittered(clip.frames, *factors, turn, order))
  count = len(clip.frames)
  matrices = np.broadcast_to(np.eye(4), (count, 4, 4))
  if color_space_aug:
    ranges = ((-32, 32), (0.6, 1.4), (0.6, 1.4), (-18, 18), (0, 1))
    draws = [float(rng.uniform(low, high)) for low, high in ranges]
    matrices = first_form(*draws, rng.random((count, 4)))
  noise = pca_matrix(rng.normal(0, alpha_std, 3), eig_val, eig_vec)
  return dataclasses.replace(clip, frames=apply(clip.frames, noise @ matrices))


def pca_noise(
  clip: Clip,
  rng: Rng = None,
  *,
  alpha_std: float = 0.1,
  eig_val: tuple[float, ...] = EIG_VAL,
  eig_vec: tuple[tuple[float, ...], ...] = EIG_VEC,
) -> Clip:
  """One shift of all RGB pixels along the principal components of ImageNet's colours; off in the test form.

  Draws normal(0, alpha_std, 3).  uint8 frames are rounded and clipped, float32 ones not.  Source: AlexNet, sec. 4.1.
  """
  if rng is None:
    return clip
  _rgb(clip, "pca_noise")
  matrix = pca_matrix(rng.normal(0, alpha_std, 3), eig_val, eig_vec)
  return dataclasses.replace(clip, frames=apply(clip.frames, matrix[None], clip.frames.dtype))


def jittered(
  frames: np.ndarray, brightness: float, contrast: float, saturation: float, hue: float, order: Sequence[int]
) -> np.ndarray:
  """uint8 [N,H,W,3] under the later form: `order` has 0 brightness, 1 contrast, 2 saturation, 3 hue.

  Contrast is about the mean grey of the frame as it then is.  Hue turns in 8-bit HSV (180 steps) by int(hue * 255), the
  reference's unit, so hue = 0.1 turns by 50 degrees; in front of it and at the end values are clipped and cut to whole
  numbers.
  """
  gray = np.array([0.2989, 0.587, 0.114])  # the reference's, as in torchvision: a rounding apart from GRAY
  out = np.empty(frames.shape, np.uint8)
  for frame, place in zip(frames, out, strict=True):
    chain, now = np.eye(4), frame
    for step in order:
      if step == 0:
        chain = scale(brightness) @ chain
      elif step == 1:
        # The grey mean of a changed frame follows from the means of the frame before: all changes are affine.
        chain = scale(contrast, gray @ chain[:3] @ [*_means(now), 1]) @ chain
      elif step == 2:
        chain = saturate(saturation, gray) @ chain
      elif hue:
        now, chain = _turned(_whole(now, chain), int(hue * 255)), np.eye(4)
    place[...] = _whole(now, chain)
  return out


def first_form(
  brightness: float, contrast: float, saturation: float, hue: float, coin: float, coins: np.ndarray
) -> np.ndarray:
  """The matrices [N,4,4] of the 0.9 form: coins [N,4] in the order of what is done, and above 0.5 means done.

  coin > 0.5: brightness, contrast, saturation, hue; otherwise brightness, saturation, hue, contrast.
  """
  steps = [shift([brightness] * 3), scale(contrast), saturate(saturation), turn_hue(hue)]
  if coin <= 0.5:
    steps = [steps[0], steps[2], steps[3], steps[1]]
  matrices = np.broadcast_to(np.eye(4), (len(coins), 4, 4))
  for step, own in zip(steps, np.asarray(coins).T, strict=True):
    matrices = np.where(own[:, None, None] > 0.5, step, np.eye(4)) @ matrices
  return matrices


def scale(factor: float, about: float = 0.0) -> np.ndarray:
  """Values go away from `about` by the factor: brightness about 0, contrast about the mean grey."""
  matrix = np.diag([factor, factor, factor, 1.0])
  matrix[:3, 3] = (1 - factor) * about
  return matrix


def shift(values: Sequence[float]) -> np.ndarray:
  """R, G, B plus the three values."""
  matrix = np.eye(4)
  matrix[:3, 3] = values
  return matrix


def saturate(factor: float, gray: Sequence[float] = GRAY) -> np.ndarray:
  """Colours go away from their own grey by the factor."""
  matrix = np.eye(4)
  matrix[:3, :3] = factor * np.eye(3) + (1 - factor) * np.ones((3, 1)) * np.array(gray)
  return matrix


def turn_hue(half_turns: float) -> np.ndarray:
  """The plane of colours I, Q turned by `half_turns` * pi."""
  u, w = math.cos(half_turns * math.pi), math.sin(half_turns * math.pi)
  matrix = np.eye(4)
  matrix[:3, :3] = _RGB @ np.array([[1, 0, 0], [0, u, -w], [0, w, u]]) @ _YIQ
  return matrix


def pca_matrix(
  alpha: Sequence[float], eig_val: Sequence[float] = EIG_VAL, eig_vec: Sequence[Sequence[float]] = EIG_VEC
) -> np.ndarray:
  """The shift by the sum of the components (columns of eig_vec), each times its eig_val and alpha."""
  return shift(np.array(eig_vec) * np.asarray(alpha) @ np.array(eig_val))


def apply(frames: np.ndarray, matrices: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
  """[N,H,W,3] under the matrices [N,4,4], or one for all [1,4,4]: float32 as it comes, uint8 rounded and clipped."""
  out = np.empty(frames.shape, dtype)
  for frame, matrix, place in zip(frames, np.broadcast_to(matrices, (len(frames), 4, 4)), out, strict=True):
    changed = _product(frame, matrix)
    place[...] = rounded(changed) if out.dtype == np.uint8 else changed
  return out


def rounded(values: np.ndarray) -> np.ndarray:
  """float32 as uint8, rounded and clipped."""
  return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _product(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  return cv2.transform(np.ascontiguousarray(frame, np.float32), matrix[:3])


def _whole(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  return np.clip(_product(frame, matrix), 0, 255).astype(np.uint8)


def _turned(frame: np.ndarray, steps: int) -> np.ndarray:
  hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
  hue, steps = hsv[..., 0], steps % 180
  hsv[..., 0] = np.where(hue >= 180 - steps, hue - np.uint8(180 - steps), hue + np.uint8(steps))  # modulo 180 in bytes
  return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _means(frame: np.ndarray) -> np.ndarray:
  return np.array(cv2.mean(np.ascontiguousarray(frame))[:3])


def _rgb(clip: Clip, step: str) -> None:
  if clip.frames.shape[-1] != 3:
    raise InputError(f"{step} of frames with {clip.frames.shape[-1]} channels; wanted RGB: leave it out for flow")
