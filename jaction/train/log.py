"""What a run says: a progress bar, metrics.jsonl, curves as a picture, and what watching.py has."""

import json
import math
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from jaction.train.divergence import Diverged
from jaction.train.watching import draw_confusion, memory, open_sinks, save_figure

NORMS = ("grad_norm", "param_norm")


class Log:
  """The log of one run in its folder, from `start` finished steps to `total`; use it as a context manager.

  Each row of metrics.jsonl says after how many finished steps it was written; rows of later steps than `start` (those
  that a killed run had made after its last checkpoint) are dropped, so that no step is there twice.  `highest` is the
  largest loss that is no divergence; 0: any finite one.  `groups` are those of the optimizer, whose rates are told
  apart; `config` is what a run elsewhere is named by.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    settings: Mapping[str, Any],
    *,
    start: int,
    total: int,
    examples: int,
    batch_size: int,
    highest: float = 0.0,
    groups: Sequence[tuple[str, float, float]] = (),
    config: Mapping[str, Any] | None = None,
  ):
    self._folder, self._settings = folder, settings
    self._start, self._total, self._epochs = start, total, batch_size / examples
    self._batch_size, self._highest, self._groups = batch_size, highest, groups
    self._silent = bool(jax.process_index())  # of several processes the first speaks
    self._sinks = [] if self._silent else open_sinks(folder, settings, config or {}, start)
    path = os.devnull if self._silent else folder / "metrics.jsonl"
    self.rows = [] if self._silent else _keep_rows(path, start)
    self._file = open(path, "a", encoding="utf-8")
    self._console = Console(stderr=True, quiet=self._silent)
    bar = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[said]}"))
    live = settings["progress"] and self._console.is_terminal
    self._bar = Progress(*bar, console=self._console, disable=not live)
    self._task = self._bar.add_task(f"step {start}/{total}", total=total, completed=start, said="compiling")
    self._live = live
    self._began = self._said = None  # of the first step that was finished here, and of the last line printed
    self._clear()

  def __enter__(self) -> "Log":
    self._bar.start()
    return self

  def __exit__(self, *_: object) -> None:
    self._bar.stop()
    self._file.close()
    for sink in self._sinks:
      sink.close()

  def _clear(self) -> None:
    self._sums: dict[str, tuple[float, float]] = {}
    self._steps, self._waited, self._since, self._bad = 0, 0.0, time.perf_counter(), 0
    self._clips, self._flops = 0, 0.0

  def restart_clock(self) -> None:
    """Leaves the time since the last row, in which nothing was trained (evaluation, saving), out of the rates."""
    if not self._steps:
      self._since = time.perf_counter()

  def say(self, text: str) -> None:
    """Prints a line for people, above the bar."""
    self._console.print(text, highlight=False, markup=False, soft_wrap=True)

  def step(
    self,
    step: int,
    lr: float,
    sums: Mapping[str, tuple[Any, Any]],
    waited: float,
    bad_files: int = 0,
    *,
    clips: int | None = None,
    flops: float = 0.0,
  ) -> None:
    """Takes the sums and counts of finished step number `step` (from 1) and the seconds the device waited for data.

    clips: of its batch, by default as many as always.  flops: its floating-point operations, where they are known; then
    rows have "model_tflops", 1e12 of them a second.

    `bad_files` counts the reads that failed for the step's batch and for which other videos stand in; rows that have
    any say so.

    Raises Diverged where the loss or the gradient's norm is not finite, or the loss above `highest`.
    """
    sums = {name: (float(value), float(count)) for name, (value, count) in sums.items()}
    loss, norm = sums["loss"][0] / sums["loss"][1], sums["grad_norm"][0]
    # The norm too: behind such a gradient the parameters are spoilt, which the loss shows only a step later.
    if not (math.isfinite(loss) and math.isfinite(norm)) or 0 < self._highest < loss:
      raise Diverged(step, loss, lr, norm)
    for name, (value, count) in sums.items():
      before = self._sums.get(name, (0.0, 0.0))
      self._sums[name] = (before[0] + value, before[1] + count)
    self._steps, self._waited, self._lr = self._steps + 1, self._waited + waited, lr
    self._bad += bad_files
    self._clips, self._flops = self._clips + (self._batch_size if clips is None else clips), self._flops + flops
    now = time.perf_counter()
    if self._began is None:  # the first step compiles; time left is reckoned without it
      self._began, self._first, self._said = now, step, now
    self._show(step, now)
    if step % self._settings["every_steps"] == 0 or step == self._total:
      self.flush(step)

  def _show(self, step: int, now: float) -> None:
    quiet = not self._settings["progress"] or (not self._live and now - self._said < self._settings["seconds"])
    if quiet:
      return
    self._said = now
    means = {name: value / count for name, (value, count) in self._sums.items()}
    took = max(now - self._since, 1e-9)
    left = (now - self._began) / (step - self._first) * (self._total - step) if step > self._first else math.nan
    judged = next((name for name in means if name not in NORMS and not name.startswith("loss")), "accuracy")
    said = (
      f"loss {means['loss']:.3f}  {judged} {means.get(judged, math.nan):.1%}  "
      f"{self._clips / took:.0f} clips/s  waiting {min(self._waited / took, 1):.0%}  "
      f"left {clock(left)}"
    )
    name = f"step {step}/{self._total}  epoch {step * self._epochs:.1f}"
    if self._live:
      self._bar.update(self._task, completed=step, description=name, said=said)
    else:
      self.say(f"{name}  {said}")

  def flush(self, step: int) -> None:
    """Writes the row of the steps since the last one, if there were any."""
    if not self._steps:
      return
    took = max(time.perf_counter() - self._since, 1e-9)
    means = {name: value / count for name, (value, count) in self._sums.items()}
    rate = {"lr": self._lr, "clips_per_second": self._clips / took, "waiting": self._waited / took}
    if self._flops:
      rate["model_tflops"] = self._flops / took / 1e12
    rates = {f"lr/{pattern}": self._lr * factor for pattern, factor, _ in self._groups}
    self._write(step, "train", means | rate | memory() | ({"bad_files": self._bad} if self._bad else {}), rates)
    self._clear()

  def evaluation(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
    """Writes the row of an evaluation after `step` finished steps, and says it."""
    self._write(step, "val", dict(metrics) | {"seconds": seconds})
    forms = {"loss": "{:.3f}", "bad_files": "{:.0f}"}
    said = "  ".join(f"{k} {forms.get(k.removeprefix('ema_'), '{:.1%}').format(v)}" for k, v in metrics.items())
    self.say(f"step {step}/{self._total}  epoch {step * self._epochs:.1f}  val: {said}")
    self.restart_clock()

  def confusion(self, step: int, matrix: np.ndarray, labels: Sequence[str]) -> None:
    """Writes confusion.png of an evaluation after `step` finished steps; matrix: counts of (true, predicted) class."""
    if self._settings["curves"] and not self._silent:
      path = self._folder / "confusion.png"
      draw_confusion(matrix, labels, path)
      for sink in self._sinks:
        sink.picture("val/confusion", path, step)

  def _write(self, step: int, kind: str, values: Mapping[str, float], more: Mapping[str, float] | None = None) -> None:
    """A row; what is `more` goes to the sinks alone."""
    row = {"step": step, "epoch": step * self._epochs, "kind": kind} | {k: float(v) for k, v in values.items()}
    self.rows.append(row)
    self._file.write(json.dumps(row) + "\n")
    self._file.flush()  # before the checkpoint of the same step: a kill between them loses no row
    for sink in self._sinks:
      sink.scalars(kind, dict(values) | dict(more or {}), step)

  def curves(self) -> None:
    """Writes curves.png from all rows."""
    if self._settings["curves"] and self.rows and not self._silent:
      draw_curves(self.rows, self._folder / "curves.png")


def clock(seconds: float) -> str:
  """Seconds as 1:02:03 or 2:03; ? where they are not known."""
  if not math.isfinite(seconds):
    return "?"
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _keep_rows(path: pathlib.Path, start: int) -> list[dict[str, Any]]:
  """The rows up to step `start`; the file is left with these alone (a torn last line, of a killed run, goes too)."""
  rows = []
  for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
    try:
      row = json.loads(line)
    except json.JSONDecodeError:
      continue
    if isinstance(row, dict) and isinstance(row.get("step"), int) and 0 < row["step"] <= start:
      rows.append(row)
  kept = path.with_suffix(".jsonl.new")
  kept.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
  os.replace(kept, path)
  return rows


def draw_curves(rows: list[dict[str, Any]], path: pathlib.Path) -> None:
  """Loss, accuracy and learning rate over epochs, as a PNG."""
  from matplotlib.figure import Figure  # half a second that only a picture is worth

  figure = Figure(figsize=(12, 3.6), layout="constrained")
  panels = (
    ("loss", (("train", "loss", "training"), ("val", "loss", "validation"))),
    ("accuracy", (("train", "accuracy", "training"), ("val", "top1", "validation"), ("val", "mAP", "validation mAP"))),
    ("learning rate", (("train", "lr", "learning rate"),)),
  )
  for axes, (title, lines) in zip(figure.subplots(1, 3), panels, strict=True):
    for kind, name, label in lines:
      points = [(row["epoch"], row[name]) for row in rows if row["kind"] == kind and name in row]
      if points:
        axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 60 else None)
    axes.set(title=title, xlabel="epoch")
    axes.grid(alpha=0.3)
    axes.set_ylim(bottom=0, top=1.02 if title == "accuracy" else None)
    if len(lines) > 1 and axes.lines:
      axes.legend()
  save_figure(figure, path)
