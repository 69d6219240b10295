"""BMN, the boundary-matching network (Lin et al., 2019; arXiv:1907.09702, Table 1 and section 4.1)."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from jaction.models.layers import HE, ZERO, Conv, _param

TOGETHER = 16  # rows that one step of the backward pass adds up; the lists are padded to a multiple of it


class Matching(NamedTuple):
  """Where the valid proposals (start s, duration index d, s + d < T) are sampled: P of them, each at N * bins points.

  Fields:
    cell: [P], d * T + s.
    place: [D * T], the number of the proposal in a cell, P for a cell that has none.
    whole, part: [N, bins, P]: a point lies `part` behind frame `whole`.
  """

  cell: np.ndarray
  place: np.ndarray
  whole: np.ndarray
  part: np.ndarray


@functools.cache
def matching(temporal_dim: int, num_samples: int, bins: int, boundary_ratio: float) -> Matching:
  """The points of the reference: even ones from s - ratio * (d + 1) to s + d + ratio * (d + 1), both ends included.

  Its rounding is towards zero, so a point in (-1, 0) counts for frame 0 in full; earlier ones count for nothing, and
  one behind the last frame keeps what that frame has of it.
  """
  d, s = np.divmod(np.arange(temporal_dim**2), temporal_dim)
  cell = np.flatnonzero(s + d < temporal_dim)
  d, s = d[cell], s[cell]
  low, high = s - (d + 1) * boundary_ratio, s + d + (d + 1) * boundary_ratio
  step = (high - low) / (num_samples * bins - 1.0)
  points = low + step * np.arange(num_samples * bins)[:, None]
  points = np.where(points > -1, np.maximum(points, 0), -2).reshape(num_samples, bins, -1)
  whole = np.floor(points)
  place = np.full(temporal_dim**2, len(cell))
  place[cell] = np.arange(len(cell))
  return Matching(cell, place, whole.astype(np.float32), (points - whole).astype(np.float32))


def sample_mask(temporal_dim: int, num_samples: int, bins: int, boundary_ratio: float) -> np.ndarray:
  """The reference's dense mask [T, N * D * T] in float32: an entry of its state dict; nothing here uses it."""
  where = matching(temporal_dim, num_samples, bins, boundary_ratio)
  out = np.zeros((temporal_dim, num_samples, temporal_dim**2))
  frames = np.arange(temporal_dim)[:, None, None, None]
  exact = where.whole.astype(np.float64)[None] - frames + where.part
  out[:, :, where.cell] = np.maximum(0, 1 - np.abs(exact)).mean(axis=2)
  return out.reshape(temporal_dim, -1).astype(np.float32)


class Links(NamedTuple):
  """The mask's entries that are not zero, twice: by proposal, and by frame.  Numbers and weights have the same shape.

  Fields:
    frames, given: [N, 2 * bins, P], for each sample of a proposal the frames beside its points.
    proposals, back: [N, steps, TOGETHER, T], for each sample and frame the proposals that it counts for.
  """

  frames: np.ndarray
  given: np.ndarray
  proposals: np.ndarray
  back: np.ndarray


@functools.cache
def links(temporal_dim: int, num_samples: int, bins: int, boundary_ratio: float) -> Links:
  where = matching(temporal_dim, num_samples, bins, boundary_ratio)
  at = np.concatenate([where.whole, where.whole + 1], axis=1).astype(np.int64)
  weights = np.concatenate([1 - where.part, where.part], axis=1) / bins
  weights = np.where((at >= 0) & (at < temporal_dim), weights, 0).astype(np.float32)
  at = np.where(weights != 0, at, 0)
  n, tap, p = np.nonzero(weights)
  count = len(where.cell)
  keys, which = np.unique((n * temporal_dim + at[n, tap, p]) * count + p, return_inverse=True)
  rows, sums = keys // count, np.bincount(which, weights[n, tap, p])
  lengths = np.bincount(rows, minlength=num_samples * temporal_dim)
  place = np.arange(len(keys)) - (np.cumsum(lengths) - lengths)[rows]
  most = -(-lengths.max() // TOGETHER) * TOGETHER
  proposals, back = (np.zeros((num_samples * temporal_dim, most), kind) for kind in (np.int32, np.float32))
  proposals[rows, place], back[rows, place] = keys % count, sums
  shape = num_samples, temporal_dim, -1, TOGETHER
  proposals, back = (one.reshape(shape).transpose(0, 2, 3, 1) for one in (proposals, back))
  return Links(at.astype(np.int32), weights, proposals, back)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def match(y: Array, geometry: tuple[int, int, int, float]) -> Array:
  """y [B, T, N, O], for each frame what it gives to each sample -> [B, D, T, O]: for each proposal the sum over its
  samples, zero where s + d >= T.  geometry: the arguments of `matching`.

  The reference's mask would be T x (N * D * T), and 97 of 100 of its entries zeros.  Here, sample by sample and over
  the valid half, the frames beside each point are added up; backward the proposals that each frame counts for, since
  the transpose of a gather would scatter.
  """
  return _match(y, geometry)


def _match(y, geometry):
  where, known = matching(*geometry), links(*geometry)
  b, t, n, o = y.shape

  def add(total, given):
    return total + _weighted(*given), None

  given = y.transpose(2, 1, 0, 3).reshape(n, t, b * o), known.frames, jnp.asarray(known.given, y.dtype)
  found, _ = jax.lax.scan(add, jnp.zeros((len(where.cell), b * o), y.dtype), given)
  found = jnp.concatenate([found, jnp.zeros((1, b * o), y.dtype)])
  return found[where.place].reshape(geometry[0], t, b, o).transpose(2, 0, 1, 3)


def _backward(geometry, _, gradient):
  where, known = matching(*geometry), links(*geometry)
  b, _, t, o = gradient.shape
  rows = gradient.transpose(1, 2, 0, 3).reshape(-1, b * o)[where.cell]

  def add(total, given):
    return total + _weighted(rows, *given), None

  def one(_, given):
    return None, jax.lax.scan(add, jnp.zeros((t, b * o), gradient.dtype), given)[0]

  _, found = jax.lax.scan(one, None, (known.proposals, jnp.asarray(known.back, gradient.dtype)))
  return (found.reshape(-1, t, b, o).transpose(2, 1, 0, 3),)


match.defvjp(lambda y, geometry: (_match(y, geometry), None), _backward)


def _weighted(rows: Array, numbers: Array, weights: Array) -> Array:
  """rows [R, C], numbers and weights [K, S] -> [S, C]: sums of K rows each."""
  return sum(weight[:, None] * rows[number] for number, weight in zip(numbers, weights, strict=True))


class BoundaryMatching(nn.Module):
  """Boundary matching and the convolution over its samples: [B, T, C] -> [B, D, T, features], D = T.

  Both are linear, so the convolution comes first, at T positions in place of D * T.
  """

  features: int
  num_samples: int = 32
  num_samples_per_bin: int = 3
  boundary_ratio: float = 0.5

  @nn.compact
  def __call__(self, x: Array) -> Array:
    samples = self.num_samples
    if self.has_variable("params", "kernel"):  # the weights decide, as they do about channels
      samples = self.get_variable("params", "kernel").shape[0]
    kernel = _param(self, "kernel", HE, (samples, x.shape[-1], self.features)).astype(x.dtype)
    bias = _param(self, "bias", ZERO, (self.features,)).astype(x.dtype)
    y = jnp.einsum("btc,nco->btno", x, kernel)
    y = match(y, (x.shape[1], samples, self.num_samples_per_bin, self.boundary_ratio))
    return y + bias[None, None, None]


class BMN(nn.Module):
  """Features [B, T, C] -> {confidence [B, D, T, 2], start [B, T], end [B, T]}, probabilities in float32.

  confidence: channel 0 is learnt by regression, 1 by classification; cell (d, s) is the proposal of d + 1 steps from s
  on.  Cells with s + d >= T mean nothing.  The matching layer has 256 channels as in MMAction2 (the paper: 128).
  """

  temporal_dim: int = 100
  feat_dim: int = 400  # C of `inputs`; what comes decides
  boundary_ratio: float = 0.5
  num_samples: int = 32  # that new weights are made for
  num_samples_per_bin: int = 3
  hidden_1d: int = 256
  hidden_2d: int = 128
  hidden_3d: int = 512
  dtype: Any = jnp.float32

  @nn.nowrap
  def inputs(self, channels: int | None = None) -> tuple[jax.ShapeDtypeStruct, ...]:
    """What the model takes for one video; None: `feat_dim` channels."""
    return (jax.ShapeDtypeStruct((1, self.temporal_dim, channels or self.feat_dim), jnp.float32),)

  @nn.compact
  def __call__(self, features: Array, *, train: bool = False) -> dict[str, Array]:
    check_features(features, self.temporal_dim)

    def conv(width, size, name, groups=1):
      return Conv(width, (size,), groups=groups, use_bias=True, name=name)

    x = features.astype(self.dtype)
    x = nn.relu(conv(self.hidden_1d, 3, "base1", 4)(x))
    x = nn.relu(conv(self.hidden_1d, 3, "base2", 4)(x))
    out = {}
    for end in ("start", "end"):
      y = nn.relu(conv(self.hidden_1d, 3, f"{end}1", 4)(x))
      out[end] = nn.sigmoid(conv(1, 1, f"{end}2")(y).astype(jnp.float32))[..., 0]
    y = nn.relu(conv(self.hidden_1d, 3, "proposal")(x))
    layer = BoundaryMatching(
      self.hidden_3d, self.num_samples, self.num_samples_per_bin, self.boundary_ratio, name="matching"
    )
    y = nn.relu(layer(y))[:, None]  # the map is one frame of D x T pixels
    y = nn.relu(Conv(self.hidden_2d, (1, 1), use_bias=True, name="map1")(y))
    y = nn.relu(Conv(self.hidden_2d, (3, 3), use_bias=True, name="map2")(y))
    y = nn.relu(Conv(self.hidden_2d, (3, 3), use_bias=True, name="map3")(y))
    out["confidence"] = nn.sigmoid(Conv(2, (1, 1), use_bias=True, name="map4")(y).astype(jnp.float32))[:, 0]
    return out


def check_features(features: Array, temporal_dim: int) -> None:
  """ValueError where they are not floats [B, temporal_dim, C]."""
  if features.ndim != 3 or features.shape[1] != temporal_dim:
    raise ValueError(f"features must be [B, {temporal_dim} (temporal_dim), C], got shape {tuple(features.shape)}")
  if not jnp.issubdtype(features.dtype, jnp.floating):
    raise ValueError(f"features must be floats, got {features.dtype}")
