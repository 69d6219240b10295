"""SSN, structured segment networks (Zhao et al., 2017; arXiv:1704.06228, sections 3.2 and 3.3)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from jaction.models.freeze import freezing
from jaction.models.layers import Draw, _param

Stage = int | tuple[int, ...]  # into how many parts a stage is cut; several counts: one pyramid level each


def parts_of(stages: Sequence[Stage]) -> list[tuple[int, int, int]]:
  """(stage, into how many parts, which of them) of each part of the pyramid, in the order of its features."""
  levels = [(i, n) for i, stage in enumerate(stages) for n in ((stage,) if isinstance(stage, int) else stage)]
  return [(i, n, part) for i, n in levels for part in range(n)]


def pool_train(x: Array, scale_factors: Array, *, stages: Sequence[Stage], segments: Sequence[int]) -> tuple:
  """Structured temporal pyramid pooling in training.

  Args:
    x: [N, S, C], the features of a proposal's segments: of its start, its course and its end, S = sum(segments).
    scale_factors: [N, 2], by which the parts of the start and of the end are multiplied.

  Returns (course [N, C], pyramid [N, parts * C]); each part is divided by the number of parts of its stage.
  """
  begins = np.concatenate([[0], np.cumsum(segments)])
  counts = [stage if isinstance(stage, int) else sum(stage) for stage in stages]
  out = []
  for i, n, part in parts_of(stages):
    ticks = begins[i] + (np.arange(n + 1) * segments[i]) // n
    one = x[:, ticks[part] : ticks[part + 1]].mean(axis=1) / counts[i]
    if i != 1:
      one = one * scale_factors[:, 0 if i == 0 else 1, None]
    out.append(one)
  return x[:, begins[1] : begins[2]].mean(axis=1), jnp.concatenate(out, axis=1)


def pool_test(scores: Array, ticks: Array, scale_factors: Array, *, stages: Sequence[Stage]) -> Array:
  """Structured temporal pyramid pooling of scores: what the pyramid of features would have given, summed over parts.

  Args:
    scores: [T, parts, K], of every frame for every part.
    ticks: [R, 4], frames at which a proposal's start, course and end begin, and its end ends.
    scale_factors: [R, 2].

  Returns [R, K].  A stage without a frame of its own takes the one it begins at; one outside the video gives nothing.
  """
  frames = scores.shape[0]
  pieces = []
  for i, n, part in parts_of(stages):
    left = ticks[:, i]
    right = jnp.maximum(left + 1, ticks[:, i + 1])
    weight = 1.0 if i == 1 else scale_factors[:, 0 if i == 0 else 1]
    seen = (right > 0) & (left < frames)
    low, high = left + (right - left) * part // n, left + (right - left) * (part + 1) // n
    pieces.append(_mean_weights(low, high, frames) * (weight * seen)[:, None])
  return jnp.einsum("prt,tpk->rk", jnp.stack(pieces), scores, precision="highest")


def _mean_weights(low: Array, high: Array, frames: int) -> Array:
  """[R] twice -> [R, frames]: weights that make a sum the mean over frames low to high - 1; zeros where none is."""
  t = jnp.arange(frames)[None]
  inside = (t >= low[:, None]) & (t < high[:, None])
  return inside / jnp.maximum(inside.sum(axis=1, keepdims=True), 1)


class SSNHead(nn.Module):
  """Activity (K + 1 scores, 0 is background), completeness (K) and regression (K x 2) of proposals."""

  num_classes: int
  stages: tuple[Stage, ...] = (1, 1, 1)
  segments: tuple[int, ...] = (2, 5, 2)  # in training, of start, course and end

  @nn.compact
  def __call__(self, x: Array, ticks: Array | None, scale_factors: Array, *, train: bool) -> dict[str, Array]:
    """x: [B, T, C]; ticks [B, R, 4] and scale_factors [B, R, 2]; in training ticks are None and T = R * segments."""
    k, channels, parts = self.num_classes, x.shape[-1], len(parts_of(self.stages))
    shapes = {
      "activity": (channels, k + 1),
      "completeness": (channels * parts, k),
      "regression": (channels * parts, 2 * k),
    }
    weights = {name: _param_pair(self, name, shape) for name, shape in shapes.items()}
    b, r = scale_factors.shape[:2]
    if train:
      flat = x.reshape(b * r, sum(self.segments), channels)
      course, pyramid = pool_train(flat, scale_factors.reshape(-1, 2), stages=self.stages, segments=self.segments)
      seen = {"activity": course, "completeness": pyramid, "regression": pyramid}
      out = {name: (seen[name] @ w + bias[None]).reshape(b, r, -1) for name, (w, bias) in weights.items()}
    else:
      frames = per_frame(x, weights, parts)
      whole = jax.vmap(lambda scores, at: pool_course(scores[:, 0], at))(frames["activity"], ticks)
      out = {"activity": whole}
      for name in ("completeness", "regression"):
        out[name] = jax.vmap(lambda s, at, f: pool_test(s, at, f, stages=self.stages))(
          frames[name], ticks, scale_factors
        )
    return out | {"regression": out["regression"].reshape(b, r, k, 2)}


def per_frame(x: Array, weights: dict[str, tuple[Array, Array]], parts: int) -> dict[str, Array]:
  """The test form of the three layers: x [B, T, C] -> {activity [B, T, 1, K + 1], completeness [B, T, parts, K], ...}.

  Pooling and a linear layer commute, so frames that many proposals share are multiplied once.
  """
  out = {}
  for name, (kernel, bias) in weights.items():
    each = 1 if name == "activity" else parts
    kernel = kernel.reshape(each, x.shape[-1], -1)
    out[name] = jnp.einsum("btc,pck->btpk", x, kernel) + (bias / each)[None, None, None]
  return out


def pool_course(scores: Array, ticks: Array) -> Array:
  """[T, K + 1], [R, 4] -> [R, K + 1]: the mean over the course of each proposal."""
  low = ticks[:, 1]
  weights = _mean_weights(low, jnp.maximum(low + 1, ticks[:, 2]), scores.shape[0])
  return jnp.einsum("rt,tk->rk", weights, scores, precision="highest")


def _param_pair(module: nn.Module, name: str, shape: tuple[int, int]) -> tuple[Array, Array]:
  kernel = _param(module, f"{name}_kernel", Draw(std=0.001), shape)
  return kernel, _param(module, f"{name}_bias", Draw(std=0, mean=0.0), shape[1:])


class SSN(nn.Module):
  """frames [B, V, T, H, W, C], ticks [B, R, 4], scale factors [B, R, 2] -> {activity [B, R, K + 1],
  completeness [B, R, K], regression [B, R, K, 2]}, scores in float32.

  Of V crops the mean feature is taken.  In training T is R times the segments of a proposal (9), one proposal after
  another, and the ticks are not looked at.  `return_features=True` gives [B, T, channels], which `head` takes.
  Regressions are normalised as training's targets were (`denormalize`).
  """

  backbone: nn.Module
  head: nn.Module
  dropout: float = 0.8
  clip: tuple[int, ...] = (9, 224, 224)  # T, H, W
  dtype: Any = jnp.float32
  frozen_stages: int = -1
  frozen_norms: str = "partial"

  @nn.nowrap
  def inputs(self, channels: int = 3) -> tuple[jax.ShapeDtypeStruct, ...]:
    """What the model takes for one view of one video with one proposal."""
    frames = jax.ShapeDtypeStruct((1, 1, *self.clip, channels), jnp.float32)
    return frames, jax.ShapeDtypeStruct((1, 1, 4), jnp.int32), jax.ShapeDtypeStruct((1, 1, 2), jnp.float32)

  @nn.compact
  def __call__(
    self,
    frames: Array,
    ticks: Array | None,
    scale_factors: Array | None,
    *,
    train: bool = False,
    return_features: bool = False,
  ) -> Any:
    if frames.ndim != 6:
      raise ValueError(f"frames must be [B, V, T, H, W, C], got shape {tuple(frames.shape)}")
    b, v, t = frames.shape[:3]
    with freezing((*self.path, "backbone"), self.frozen_stages, self.frozen_norms):
      x = self.backbone(frames.astype(self.dtype).reshape(b * v, *frames.shape[2:]), train=train)
    x = x.astype(jnp.float32).mean(axis=(2, 3)).reshape(b, v, t, -1).mean(axis=1)
    if return_features:
      return x
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return self.head(x, ticks, scale_factors, train=train)


def denormalize(regression: Array, constants: Sequence[Sequence[float]]) -> Array:
  """regression [..., 2] times deviations plus means of training's targets; constants: (means, deviations)."""
  means, stds = (jnp.asarray(one, jnp.float32) for one in constants)
  lead = (1,) * (regression.ndim - 1)
  return regression * stds.reshape(*lead, 2) + means.reshape(*lead, 2)
