"""From clips to scores: the one path that evaluation while training, evaluate, predict and the demo all take."""

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaction.batches import of_all_processes
from jaction.clips.device import normalize
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError, nearest

AVERAGES = ("prob", "score", "none")


class Scores(NamedTuple):
  """What a model said of a list: row i belongs to the record numbered index[i]; padding has been dropped."""

  scores: np.ndarray  # [N,K] float32; [N,V,K] where the views are not averaged
  labels: np.ndarray  # [N] int64, -1 where the record has none; [N,K] of 0 and 1 where a record has several
  index: np.ndarray  # [N] int64, ascending
  faults: tuple = ()  # jaction.faults.Fault of each record that was skipped; their numbers are not in index


def average_views(scores: Array, kind: str = "prob") -> Array:
  """Scores of the views [B,V,K] -> scores of the video [B,K]; "none" gives them back as they are.

  "prob" is the mean of the softmax over views, "score" the mean of the raw scores: `average_clips` of MMAction2
  ("none" is its None, whose rows are [B*V,K]).
  """
  check_average(kind)
  if scores.ndim != 3:
    raise InputError(f"average_views wants scores [B,V,K], got shape {tuple(scores.shape)}.")
  if kind == "none":
    return scores
  return (jax.nn.softmax(scores, axis=-1) if kind == "prob" else scores).mean(axis=1)


def check_average(kind: str) -> str:
  """The kind itself; an InputError where it is none of AVERAGES."""
  if kind not in AVERAGES:
    raise InputError(f"average is {kind!r}; wanted one of {', '.join(AVERAGES)}.{nearest(str(kind), AVERAGES)}")
  return kind


def make_predict_step(
  model: nn.Module,
  preprocessing: Preprocessing | Mapping[str, Any],
  mesh: Mesh | None = None,
  *,
  average: str | None = None,
  max_views: int | None = None,
) -> Callable[[Mapping[str, Any], Any], Array]:
  """The function (variables, clips uint8 [B,V,T,H,W,C]) -> scores [B,K] float32 ([B,V,K] where average is "none").

  Clips of sound are float32 [B,V,T,F,1].
  Normalisation happens on the device, with the preprocessing's mean and std, in front of the model.  `average` takes
  the place of the preprocessing's own.  At most `max_views` views go through the model at once (all of them where
  it is None), always by the same number, so that one program is compiled and 30 views fit in memory.  With a mesh the
  batch is split over its devices, whose number has to divide B, and the scores are whole on every device.
  """
  if isinstance(preprocessing, Mapping):
    preprocessing = Preprocessing.from_json(dict(preprocessing))
  kind = check_average(preprocessing.average if average is None else average)
  if max_views is not None and max_views < 1:
    raise InputError(f"max_views is {max_views}; wanted at least 1, or None for all views at once.")
  mean, std, sound = preprocessing.mean, preprocessing.std, preprocessing.modality == "spectrogram"

  def views(variables, clips):
    return model.apply(variables, normalize(clips, mean, std), train=False).astype(jnp.float32)

  if mesh is None:
    views, join = jax.jit(views), jax.jit(lambda scores: average_views(scores, kind))
  else:
    whole, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    views = jax.jit(views, in_shardings=(None, split), out_shardings=whole)  # parameters as they lie
    join = jax.jit(lambda scores: average_views(scores, kind), in_shardings=whole, out_shardings=whole)

  def step(variables, clips):
    if (clips.ndim, clips.dtype) != ((5, np.float32) if sound else (6, np.uint8)):
      wanted = "float32 [B,V,T,F,1]" if sound else "uint8 [B,V,T,H,W,C]"
      raise InputError(f"wanted clips {wanted}, got {clips.dtype} {list(clips.shape)}.")
    count = clips.shape[1]
    size = count if max_views is None else min(max_views, count)
    parts = []
    for start in range(0, count, size):
      # The last part starts early rather than being short: a second shape would be compiled a second time.
      first = min(start, count - size)
      part = clips[:, first : first + size]
      if mesh is not None and jax.process_count() > 1:  # each process has rows of its own; the scores are all rows'
        part = jax.make_array_from_process_local_data(split, part)
      parts.append(views(variables, part)[:, start - first :])
    return join(parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1))

  return step


def score_batches(
  step: Callable[[Any, Any], Array],
  variables: Mapping[str, Any],
  batches: Iterable[Mapping[str, np.ndarray]],
  *,
  progress: Callable[[int], None] | None = None,
  keep: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> Scores:
  """The scores of every record that the batches hold, in the order of the records' numbers.

  A batch has clips [B,V,T,H,W,C], label [B] or [B,K], mask [B] (False: padding, left out) and index [B] (the record's
  number).
  `progress` is told how many records each batch brought, `keep` their numbers and scores.  Closes the batches.
  """
  rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
  waiting: collections.deque = collections.deque()

  def fetch():
    scores, batch = waiting.popleft()
    mask = np.asarray(batch["mask"], bool)
    rows.append((np.asarray(scores)[mask], np.asarray(batch["label"])[mask], np.asarray(batch["index"])[mask]))
    if keep is not None and mask.any():
      keep(rows[-1][2], rows[-1][0])
    if progress is not None:
      progress(int(mask.sum()))

  try:
    for batch in batches:
      small = of_all_processes({name: batch[name] for name in ("label", "mask", "index")})
      waiting.append((step(variables, batch["clips"]), small))
      if len(waiting) > 1:  # one step behind, so that decoding and the device overlap
        fetch()
    while waiting:
      fetch()
  finally:
    close = getattr(batches, "close", None)
    if close is not None:
      close()
  if not rows:
    raise InputError("there is nothing to score: the list of videos is empty.")
  scores, labels, index = (np.concatenate(column) for column in zip(*rows, strict=True))
  order = np.argsort(index, kind="stable")
  take = getattr(batches, "take_faults", tuple)  # any other iterable of batches has none
  return Scores(scores[order], labels[order].astype(np.int64), index[order].astype(np.int64), tuple(take()))


def probabilities(scores: np.ndarray, kind: str) -> np.ndarray:
  """Scores [..., K] of a video, averaged as `kind` says, as numbers that sum to one."""
  if kind == "prob":
    return scores
  shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
  return shifted / shifted.sum(axis=-1, keepdims=True)


def mean_loss(scores: np.ndarray, labels: np.ndarray, kind: str) -> float:
  """The mean cross entropy of averaged scores [N,K] against labels [N]: -log of the label's probability."""
  own = probabilities(scores.astype(np.float64), kind)[np.arange(len(labels)), labels]
  return float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean())


def sigmoid(scores: np.ndarray) -> np.ndarray:
  """1 / (1 + exp(-scores)), float64, without overflow."""
  return 0.5 * (1 + np.tanh(0.5 * np.asarray(scores, np.float64)))


def mean_binary_loss(scores: np.ndarray, labels: np.ndarray) -> float:
  """The mean binary cross entropy of raw scores [N,K], averaged over views, against labels [N,K] of 0 and 1."""
  scores = scores.astype(np.float64)
  return float((np.logaddexp(0, scores) - scores * labels).mean())


def weighted_fusion(streams: Sequence[np.ndarray], weights: Sequence[float], *, softmax: bool = False) -> np.ndarray:
  """The weighted sum of several streams' scores, each [N,K] (two-stream fusion: RGB and flow).

  As in MMAction2 the weights are not normalised, and the softmax is taken of each stream before the sum.
  """
  if not streams or len(streams) != len(weights):
    raise InputError(f"got {len(streams)} streams and {len(weights)} weights; wanted one weight for each stream.")
  shapes = {np.shape(scores) for scores in streams}
  if len(shapes) > 1:
    raise InputError(f"the streams differ in shape: {sorted(shapes)}; wanted the same videos and classes in each.")
  scores = [probabilities(np.asarray(s), "score") if softmax else np.asarray(s) for s in streams]
  return sum(weight * s for weight, s in zip(weights, scores, strict=True))
