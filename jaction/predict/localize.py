"""A long video to proposals and detections: features, localizer, classes; JSON, subtitles and a picture of them."""

import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaction import folders
from jaction.clips.boundaries import rescale
from jaction.errors import InputError
from jaction.models.bmn import BMN
from jaction.models.bsn import PEM, TEM
from jaction.predict import proposals
from jaction.records.features import Features
from jaction.segments import nms

TOP = 100  # proposals of a video


class Localizer:
  """BMN's folder, or TEM's and PEM's; `propose(features)` gives proposals in seconds."""

  def __init__(self, paths: Sequence[str | os.PathLike]):
    found = [folders.load_folder(path) for path in paths]
    kinds = [type(one.model) for one in found]
    if kinds not in ([BMN], [TEM, PEM]):
      given = ", ".join(f"{path} ({one.name})" for path, one in zip(paths, found, strict=True))
      raise InputError(f"localizer: {given}; a BMN, or BSN's two networks (TEM, then PEM) were wanted")
    self.folders = found
    self.paths = [os.fspath(path) for path in paths]
    self._steps = [jax.jit(one.model.apply) for one in found]

  def made_alike(self, window: int | None, stride: int | None) -> tuple[int, int]:
    """Window and stride of the features that the localizer was trained on, which those given (None: not) must equal;
    where its folder does not say, those given, the stride by default the window.  Raises InputError."""
    source = self.folders[0].source or {}
    known = {name: source[name] for name in ("window", "stride") if name in source}
    for name, given in (("window", window), ("stride", stride)):
      if given is not None and (given < 1 or known.get(name, given) != given):
        told = " and ".join(f"{name} {value}" for name, value in known.items())
        raise InputError(
          f"{name} {given} was given; "
          + (f"{self.paths[0]} was trained on features of {told} frames: leave it out" if told else "wanted 1 or more")
        )
    window, stride = known.get("window", window), known.get("stride", stride)
    if window is None:
      raise InputError(
        f"{self.paths[0]} does not say of how many frames its features were: give --window and --stride as in training"
      )
    return window, window if stride is None else stride

  def propose(self, seen: Features) -> np.ndarray:
    """[N, 3] of start, end in seconds and score, by falling score; N at most 100, 0 where nothing is proposed."""
    first = self.folders[0]
    seconds = seen.covered or seen.seconds
    if not seconds:
      raise InputError("these features do not say which time they cover: wanted times, or seconds")
    want, have = first.model.feat_dim, seen.features.shape[1]
    if want != have:
      raise InputError(f"features of {have} channels; the localizer was trained on {want}: with another recognizer?")
    x = rescale(seen.features, first.model.temporal_dim)[None]
    out = jax.tree.map(lambda y: np.asarray(y[0]), self._steps[0](first.variables, x))
    if len(self.folders) == 1:
      rows = proposals.decode_bmn(out["confidence"], out["start"], out["end"])
      return proposals.in_seconds(rows, seconds, top_k=TOP, suppress=proposals.SOFT_NMS["bmn"])
    second = self.folders[1]
    rows = proposals.candidates(out["start"], out["end"])[: second.model.proposals]
    features = proposals.boundary_features(rows, out["actionness"])
    padded = np.zeros((1, second.model.proposals, features.shape[1]), np.float32)
    padded[0, : len(rows)] = features
    confidence = np.asarray(self._steps[1](second.variables, padded))[0, : len(rows)]
    rows = np.column_stack([rows[:, :2], rows[:, 4] * confidence])
    return proposals.in_seconds(rows, seconds, top_k=TOP, suppress=proposals.SOFT_NMS["pem"])


def classify(found: np.ndarray, seen: Features, labels: Sequence[str], *, top: int = 1) -> list[dict[str, Any]]:
  """Proposals [N, 3] -> {"segment", "label", "score"}, by falling score: the `top` classes of the mean probability over
  the windows whose middle lies within (of a proposal shorter than that, the nearest one); the score is the product."""
  if seen.scores is None or seen.times is None:
    raise InputError("these features have no class probabilities beside them")
  middle = seen.times.mean(axis=1)
  out = []
  for start, end, score in found:
    inside = (middle >= start) & (middle <= end)
    if not inside.any():
      inside[np.argmin(np.abs(middle - (start + end) / 2))] = True
    chances = seen.scores[inside].mean(axis=0)
    for label in np.argsort(-chances, kind="stable")[:top]:
      row = {"segment": [float(start), float(end)], "label": labels[label], "score": float(score * chances[label])}
      out.append(row)
  return sorted(out, key=lambda row: -row["score"])


def shown(detections: Sequence[dict[str, Any]], *, least: float = 0.3, overlap: float = 0.1) -> list[dict[str, Any]]:
  """The detections for people, in the order of time: of those that overlap the best, and no score below `least` times
  the best of the video."""
  if not detections:
    return []
  rows = np.array([(*one["segment"], one["score"], i) for i, one in enumerate(detections)], np.float64)
  kept = nms(rows, overlap)
  kept = kept[kept[:, 2] >= least * rows[:, 2].max()]
  return [detections[int(i)] for i in kept[np.argsort(kept[:, 0], kind="stable"), 3]]


def subtitles(rows: Sequence[dict[str, Any]]) -> str:
  """SubRip text; "" without rows."""
  parts = []
  for number, row in enumerate(rows, 1):
    times = " --> ".join(_clock(time) for time in row["segment"])
    parts.append(f"{number}\n{times}\n{row['label']} {row['score']:.2f}\n")
  return "\n".join(parts)


def _clock(seconds: float) -> str:
  total = round(max(seconds, 0) * 1000)
  return f"{total // 3600000:02d}:{total // 60000 % 60:02d}:{total // 1000 % 60:02d},{total % 1000:03d}"


def timeline(
  path: str | os.PathLike,
  seconds: float,
  found: np.ndarray,
  rows: Sequence[dict[str, Any]],
  truth: Sequence[tuple[float, float, str]] = (),
  title: str = "",
) -> None:
  """A picture: annotated segments (where there are some), detections by class, the best proposals."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot

  lanes = sorted({row["label"] for row in rows} | {label for *_, label in truth})
  colours = {label: pyplot.get_cmap("tab10")(i % 10) for i, label in enumerate(lanes)}
  figure, (top, below) = pyplot.subplots(
    2, 1, figsize=(10, 2.2 + 0.45 * max(len(lanes), 1)), sharex=True, height_ratios=[max(len(lanes), 1), 2]
  )
  for lane, label in enumerate(lanes):
    for start, end, name in truth:
      if name == label:
        top.barh(lane, end - start, left=start, height=0.8, color="none", edgecolor="black", linestyle="--")
    for row in rows:
      if row["label"] == label:
        start, end = row["segment"]
        top.barh(lane, end - start, left=start, height=0.55, color=colours[label])
        top.text((start + end) / 2, lane, f"{row['score']:.2f}", ha="center", va="center", fontsize=8)
  top.set_yticks(range(len(lanes)), lanes)
  top.set_ylim(-0.6, max(len(lanes), 1) - 0.4)
  top.set_title(title + (" (dashed: annotated)" if truth else "") + ("" if rows else " (nothing found)"), fontsize=10)
  for start, end, score in found[:10]:
    below.plot([start, end], [score, score], color="tab:blue", linewidth=2, solid_capstyle="butt")
  below.set_ylabel("10 best\nproposals", fontsize=8)
  below.set_ylim(0, max(0.05, 1.1 * float(found[:, 2].max(initial=0))))
  below.set_xlim(0, seconds)
  below.set_xlabel("seconds")
  figure.tight_layout()
  figure.savefig(path, dpi=110)
  pyplot.close(figure)
