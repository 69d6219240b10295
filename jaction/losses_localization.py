"""Losses of localizers.  Those of BMN, TEM and PEM weigh a video by what the others of the batch hold, as the reference
does; what they give for each video, [B], has the reference's number as its mean over the rows that count."""

import jax
import jax.numpy as jnp
from jax import Array

EPS = 1e-5


def boundary(scores: Array, labels: Array, rows: Array | None = None, *, threshold: float = 0.5) -> Array:
  """Weighted binary logistic regression [B] of probabilities and labels [B, T]: labels above the threshold are positive
  and weigh as much in all as the others do; the ratio is clipped to [1.05, 21] (BSN, arXiv:1806.02964, eq. 4)."""
  rows = _rows(scores, rows)
  real = rows[:, None].astype(jnp.float32)
  positive = (labels > threshold).astype(jnp.float32)
  count = jnp.sum(rows) * scores.shape[1]
  losses = _balanced(scores, positive, jnp.maximum(jnp.sum(positive * real), 1), count)
  return jnp.mean(losses, axis=1)


def _balanced(scores: Array, positive: Array, positives: Array, count: Array) -> Array:
  ratio = jnp.clip(count / positives, 1.05, 21)
  low, high = 0.5 * ratio / (ratio - 1), 0.5 * ratio
  return -(high * positive * jnp.log(scores + EPS) + low * (1 - positive) * jnp.log(1 - scores + EPS))


def tem(out: dict[str, Array], batch: dict[str, Array], *, threshold: float = 0.5, action: float = 2.0) -> dict:
  """BSN's first network: {name: [B]} of action, start and end; `action` weighs the first."""
  names = {"actionness": "action", "start": "start", "end": "end"}
  losses = {n: boundary(out[k], batch[n], batch.get("mask"), threshold=threshold) for k, n in names.items()}
  return losses | {"action": action * losses["action"]}


def pem(
  scores: Array,
  overlap: Array,
  mask: Array | None = None,
  *,
  draws: tuple[Array, Array] | None = None,
  high: float = 0.6,
  low: float = 0.2,
  ratios: tuple[float, float] = (1.0, 2.0),
) -> Array:
  """Smooth L1 [B] of scores [B, R] against the overlaps [B, R] with the annotation.

  In the reference the weights of sampled proposals cancel, and its loss is the plain mean; so it is here without
  `draws`.  With them, uniform numbers [B, R] for middling and low proposals, it is what was meant: proposals of high
  overlap and, in mean, ratios times as many of the others.  mask [B, R]: which proposals are there.
  """
  there = jnp.ones_like(scores) if mask is None else mask.astype(jnp.float32)
  distance = jnp.abs(scores - overlap)
  losses = jnp.where(distance < 1, 0.5 * distance**2, distance - 0.5)
  weights = there
  if draws is not None:
    masks = (overlap > high) * there, ((overlap <= high) & (overlap > low)) * there, (overlap <= low) * there
    weights = masks[0]
    for draw, kind, ratio in zip(draws, masks[1:], ratios, strict=True):
      share = jnp.minimum(ratio * masks[0].sum() / jnp.maximum(kind.sum(), 1), 1)
      weights = weights + kind * (kind * draw > 1 - share)
  videos = jnp.sum(there.any(axis=1))
  return (losses * weights).sum(axis=1) * videos / jnp.maximum(weights.sum(), 1)


def bmn(
  out: dict[str, Array],
  batch: dict[str, Array],
  draws: tuple[Array, Array],
  *,
  weights: tuple[float, float, float] = (1.0, 10.0, 1.0),
) -> dict[str, Array]:
  """BMN's losses {tem, pem_reg, pem_cls, loss}, each [B] (arXiv:1907.09702, section 4.3).

  Args:
    out: of the network.
    batch: start and end [B, T], overlap [B, D, T]; mask [B], which videos count.
    draws: uniform numbers [B, D, T] twice: which cells of middling and of low overlap the regression sees.
  """
  rows = batch.get("mask")
  size = out["start"].shape[1]
  valid = valid_cells(size)
  loss = {
    "tem": boundary(out["start"], batch["start"], rows) + boundary(out["end"], batch["end"], rows),
    "pem_reg": pem_regression(out["confidence"][..., 0], batch["overlap"] * valid[None], valid, draws, rows),
    "pem_cls": pem_classification(out["confidence"][..., 1], batch["overlap"] * valid[None], valid, rows),
  }
  return loss | {"loss": sum(w * one for w, one in zip(weights, loss.values(), strict=True))}


def valid_cells(size: int) -> Array:
  """[D, T] of ones where the proposal ends within the video, else zeros."""
  place = jnp.arange(size)
  return (place[:, None] + place[None] < size).astype(jnp.float32)


def pem_regression(
  scores: Array,
  overlap: Array,
  valid: Array,
  draws: tuple[Array, Array],
  rows: Array | None = None,
  *,
  high: float = 0.7,
  low: float = 0.3,
) -> Array:
  """Half the squared error [B] over the cells of high overlap and about as many middling and low ones.

  The reference's share of them is not clipped: where there are more high cells than middling (or low) ones, or none of
  these, it takes every cell of the map, as is done here.  Where there is no high cell its loss is nan; here 0.
  """
  real = _rows(scores, rows)[:, None, None].astype(jnp.float32)
  highs = (overlap > high) * real
  middle, lows = ((overlap <= high) & (overlap > low)) * real, ((overlap <= low) & (overlap > 0)) * valid[None] * real
  count, weights = highs.sum(), highs
  for draw, kind in zip(draws, (middle, lows), strict=True):
    share = jnp.where(kind.sum() > 0, count / jnp.maximum(kind.sum(), 1), jnp.where(count > 0, jnp.inf, 0.0))
    weights = weights + (kind * draw > 1 - share)
  weights = weights * real
  total = weights.sum()
  losses = 0.5 * jnp.square((scores - overlap) * weights)
  return jnp.where(count > 0, losses.sum(axis=(1, 2)) * real.sum() / jnp.maximum(total, 1), 0.0)


def pem_classification(
  scores: Array, overlap: Array, valid: Array, rows: Array | None = None, *, threshold: float = 0.9
) -> Array:
  """Weighted binary logistic regression [B] over the valid cells: is the overlap above the threshold?"""
  real = _rows(scores, rows)[:, None, None].astype(jnp.float32)
  positive = (overlap > threshold) * valid[None]
  negative = (overlap <= threshold) * valid[None]
  positives = jnp.maximum((positive * real).sum(), 1)
  count = positives + (negative * real).sum()
  losses = _balanced(scores, positive.astype(jnp.float32), positives, count) * valid[None]
  return losses.sum(axis=(1, 2)) * real.sum() / count


def hinge(scores: Array, labels: Array, *, sign: int, keep: int) -> Array:
  """SSN's hinge loss with online hard example mining: scores [G, n, K], labels [G, n] from 1 on -> [G], the sum of the
  `keep` largest of each group."""
  own = jnp.take_along_axis(scores, jnp.maximum(labels - 1, 0)[..., None], axis=-1)[..., 0]
  losses = jnp.maximum(0, 1 - sign * own)
  return jnp.sum(jax.lax.top_k(losses, keep)[0], axis=-1) if keep else jnp.zeros(losses.shape[0], losses.dtype)


def ssn(
  out: dict[str, Array],
  batch: dict[str, Array],
  *,
  per_video: tuple[int, int, int] = (1, 6, 1),
  weights: tuple[float, float] = (0.1, 0.1),
) -> dict[str, Array]:
  """SSN's losses {activity, completeness, regression, loss}, each [B] (arXiv:1704.06228, section 3.3).

  Args:
    out: of the network: activity [B, R, K + 1], completeness [B, R, K], regression [B, R, K, 2].
    batch: label [B, R] (0 background), target [B, R, 2].
    per_video: proposals that are positive, incomplete, background; a video's R follow each other in this order.
    weights: of completeness and regression.
  """
  positive, incomplete, background = per_video
  labels = batch["label"]
  first = slice(0, positive)
  chosen = jnp.concatenate([jnp.arange(positive), positive + incomplete + jnp.arange(background)])
  logp = jax.nn.log_softmax(out["activity"][:, chosen], axis=-1)
  activity = -jnp.take_along_axis(logp, labels[:, chosen][..., None], axis=-1)[..., 0].mean(axis=1)

  completeness = out["completeness"]
  ratio = positive / incomplete
  good = hinge(completeness[:, first], labels[:, first], sign=1, keep=positive)
  rest = slice(positive, positive + incomplete)
  bad = hinge(completeness[:, rest], labels[:, rest], sign=-1, keep=int(incomplete * ratio))
  hinged = (good + bad) / (positive + int(incomplete * ratio))

  own = jnp.maximum(labels[:, first] - 1, 0)
  predicted = jnp.take_along_axis(out["regression"][:, first], own[..., None, None], axis=2)[:, :, 0]
  distance = jnp.abs(predicted - batch["target"][:, first])
  regression = 2 * jnp.where(distance < 1, 0.5 * distance**2, distance - 0.5).mean(axis=(1, 2))
  loss = {"activity": activity, "completeness": weights[0] * hinged, "regression": weights[1] * regression}
  return loss | {"loss": sum(loss.values())}


def _rows(scores: Array, rows: Array | None) -> Array:
  return jnp.ones(scores.shape[0], bool) if rows is None else rows.astype(bool)
