"""Normalisation and mel bands, on the device: frames cross to it as uint8."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaction.clips import audio
from jaction.errors import InputError


def normalize(
  clips: Array | np.ndarray,
  mean: Sequence[float],
  std: Sequence[float],
  dtype: DTypeLike = jnp.float32,
  *,
  reverse_channels: bool = False,
  gain: Sequence[float] | None = None,
) -> Array:
  """(clips - mean) / std, computed in float32 and given as `dtype`; clips uint8 [...,C], mean and std in 0..255.

  Clips of float32, such as spectrograms, are taken as they are: mean 0 and std 1 change no bit of them.

  mean and std stand in the order of the channels; fewer of them repeat over the channels (x, y of stacked flow).
  `reverse_channels` turns RGB into BGR first, so that mean and std then stand in that order (the reference's to_bgr).
  `gain` multiplies the result: a resize's (width, height) factors for flow whose magnitude is to follow it.
  """
  channels = clips.shape[-1]

  def spread(name, values):
    row = np.asarray(values, np.float64).reshape(-1)
    if not row.size or channels % row.size:
      raise InputError(f"{name} has {row.size} numbers for {channels} channels; wanted as many, or a divisor of that")
    return np.tile(row, channels // row.size)

  offset, divisor = spread("mean", mean), spread("std", std)
  if not (divisor > 0).all():
    raise InputError(f"std is {tuple(std)}; wanted numbers above 0")
  scale = (1.0 if gain is None else spread("gain", gain)) / divisor
  clips = jnp.asarray(clips)
  if reverse_channels:
    clips = clips[..., ::-1]
  shape = (1,) * (clips.ndim - 1) + (channels,)
  offset, scale = (jnp.asarray(row.reshape(shape), jnp.float32) for row in (offset, scale))
  return ((clips.astype(jnp.float32) - offset) * scale).astype(dtype)


def mel_spectrogram(
  waves: Array | np.ndarray,
  *,
  rate: int = 16000,
  window_ms: float = 32,
  step_ms: float = 16,
  bands: int = 80,
  rows: int | None = None,
  log: bool = False,
) -> Array:
  """`jaction.clips.audio.mel_spectrogram` on the device, in full float32: [...,N] -> [...,T,bands].  Jit it."""
  with jax.default_matmul_precision("highest"):
    return audio.mel_spectrogram(
      jnp.asarray(waves), jnp, rate=rate, window_ms=window_ms, step_ms=step_ms, bands=bands, rows=rows, log=log
    )
