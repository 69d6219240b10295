"""What a detector says of boxes: one path for evaluation while training, for `jaction evaluate` and for the demo."""

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from jaction.batches import of_all_processes, spread
from jaction.clips.device import normalize


class BoxScores(NamedTuple):
  """Of each record that was read: its number, and the probabilities [R,K] of the actions of its boxes."""

  index: list[int]
  scores: list[np.ndarray]
  faults: tuple = ()


SEEN = ("clips", "boxes", "box_mask", "bank", "bank_mask")  # what a detector looks at of a batch


def make_box_step(
  model: nn.Module,
  mean: Sequence[float],
  std: Sequence[float],
  *,
  multi_label: bool = True,
  features: bool = False,
  mesh: Mesh | None = None,
) -> Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], jax.Array]:
  """The function (variables, batch) -> probabilities [B,R,K], or features [B,R,F]; a batch holds "clips" uint8
  [B,T,H,W,3], "boxes" [B,R,4], "box_mask" [B,R] and, for a network with a feature bank, "bank" and "bank_mask".

  `mesh`: as `jaction.batches.spread`'s.
  """

  def step(variables, batch):
    x = normalize(batch["clips"], mean, std)
    given = (batch["boxes"], batch["box_mask"], batch.get("bank"), batch.get("bank_mask"))
    out = model.apply(variables, x, *given, train=False, return_features=features)
    if features:
      return out
    return jax.nn.sigmoid(out) if multi_label else jax.nn.softmax(out, axis=-1)

  run = spread(step, mesh)
  return lambda variables, batch: run(variables, {name: batch[name] for name in SEEN if name in batch})


def score_boxes(
  step: Callable[[Any, Mapping[str, np.ndarray]], jax.Array],
  nets: Sequence[Mapping[str, Any]],
  batches: Iterable[Mapping[str, np.ndarray]],
) -> list[BoxScores]:
  """For each of `nets` the scores of every record of the batches, in their order.  Closes the batches."""
  index: list[int] = []
  found: list[list[np.ndarray]] = [[] for _ in nets]
  waiting: collections.deque = collections.deque()

  def fetch():
    outs, batch = waiting.popleft()
    outs = [np.asarray(out, np.float32) for out in outs]
    for row in np.flatnonzero(np.asarray(batch["mask"], bool)):
      index.append(int(batch["index"][row]))
      for scores, out in zip(found, outs, strict=True):
        scores.append(out[row][np.asarray(batch["box_mask"][row], bool)])

  try:
    for batch in batches:
      rows = of_all_processes({name: batch[name] for name in ("index", "mask", "box_mask")})
      waiting.append(([step(variables, batch) for variables in nets], rows))
      if len(waiting) > 1:  # one step behind, so that decoding and the device overlap
        fetch()
    while waiting:
      fetch()
  finally:
    close = getattr(batches, "close", None)
    if close is not None:
      close()
  faults = tuple(getattr(batches, "take_faults", tuple)())
  return [BoxScores(index, scores, faults) for scores in found]
