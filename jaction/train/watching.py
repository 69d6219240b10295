"""Where else than into metrics.jsonl a run's numbers go: TensorBoard, Weights & Biases, a profile, pictures."""

import json
import os
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from jaction.errors import InputError
from jaction.memory import resident


class Sink(Protocol):
  """Takes what a run measures."""

  def scalars(self, kind: str, values: Mapping[str, float], step: int) -> None:
    """The numbers of a row of metrics.jsonl, and more; kind is "train" or "val"."""

  def picture(self, name: str, path: pathlib.Path, step: int) -> None:
    """A PNG file."""

  def close(self) -> None: ...


def open_sinks(folder: pathlib.Path, settings: Mapping[str, Any], config: Mapping[str, Any], start: int) -> list[Sink]:
  """Those that config.log asks for; `start` is the step that the run goes on from, and `config` goes along with it."""
  sinks: list[Sink] = [Wandb(folder, settings["wandb"], config)] if settings.get("wandb") else []
  return sinks + ([TensorBoard(folder / "tb", start)] if settings["tensorboard"] else [])


class TensorBoard:
  """Event files; those of steps behind `start` no longer count."""

  def __init__(self, folder: pathlib.Path, start: int):
    import tensorboardX  # deferred: where torch is installed, it imports that

    self._writer = tensorboardX.SummaryWriter(str(folder), purge_step=start + 1)

  def scalars(self, kind: str, values: Mapping[str, float], step: int) -> None:
    for name, value in values.items():
      self._writer.add_scalar(f"{kind}/{name}", value, step)

  def picture(self, name: str, path: pathlib.Path, step: int) -> None:
    import cv2

    self._writer.add_image(name, cv2.imread(os.fspath(path))[..., ::-1], step, dataformats="HWC")

  def close(self) -> None:
    self._writer.close()


class Wandb:
  """A run of a Weights & Biases project; its id is kept in wandb.json, so that a resumed run is the same one there."""

  def __init__(self, folder: pathlib.Path, project: str, config: Mapping[str, Any]):
    try:
      import wandb  # an extra
    except ImportError as error:
      raise InputError(
        f"log.wandb={project!r} wants wandb, which is not installed: pip install 'jaction[wandb]'"
      ) from error
    self._image = wandb.Image
    kept = folder / "wandb.json"
    if not kept.exists():
      kept.write_text(json.dumps({"id": uuid.uuid4().hex[:12]}))
    name = json.loads(kept.read_text())["id"]
    self._run = wandb.init(project=project, id=name, resume="allow", dir=os.fspath(folder), config=dict(config))
    self._run.define_metric("step")
    self._run.define_metric("*", step_metric="step")  # its own count of steps takes none again after a resume

  def scalars(self, kind: str, values: Mapping[str, float], step: int) -> None:
    self._run.log({"step": step} | {f"{kind}/{name}": value for name, value in values.items()})

  def picture(self, name: str, path: pathlib.Path, step: int) -> None:
    self._run.log({"step": step, name: self._image(os.fspath(path))})

  def close(self) -> None:
    self._run.finish()


class Profile:
  """A trace of steps first ... last (jax.profiler), under `folder`, for TensorBoard's profile plugin or Perfetto.

  Use it as a context manager; `steps` is () for none.  A run that goes on between the two traces the rest of them; one
  that was rolled back traces them once.  Of several processes each has a folder of its own."""

  def __init__(self, folder: pathlib.Path, steps: Sequence[int]):
    self._folder = folder / str(jax.process_index()) if jax.process_count() > 1 else folder
    self._steps, self._on, self._done = tuple(steps), False, not steps

  def __enter__(self) -> "Profile":
    return self

  def __exit__(self, *_: object) -> None:
    self._stop()

  def before(self, step: int) -> None:
    """To be called before each step."""
    if not self._done and not self._on and self._steps[0] <= step <= self._steps[1]:
      jax.profiler.start_trace(os.fspath(self._folder))
      self._on = True

  def after(self, step: int, result: Any) -> None:
    """To be called after each step, with something that it computes."""
    if self._on and step >= self._steps[1]:
      jax.block_until_ready(result)
      self._stop()

  def _stop(self) -> None:
    if self._on:
      self._on, self._done = False, True
      jax.profiler.stop_trace()


def memory() -> dict[str, float]:
  """{"host_memory_mb"} of this process, {"device_memory_mb"}, the most of a device so far; where they can be known."""
  found = {}
  try:
    found["host_memory_mb"] = resident() / 2**20
  except OSError:
    pass
  stats = [device.memory_stats() or {} for device in jax.local_devices()]
  peaks = [each["peak_bytes_in_use"] for each in stats if "peak_bytes_in_use" in each]
  return found | ({"device_memory_mb": max(peaks) / 2**20} if peaks else {})


def draw_confusion(matrix: np.ndarray, labels: Sequence[str], path: pathlib.Path) -> None:
  """matrix [K, K], counts of (true class, predicted class), as a PNG: shares of each true class, from white to blue."""
  from matplotlib.figure import Figure  # half a second that only a picture is worth

  count = len(matrix)
  share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
  side = min(max(4.0, 0.32 * count + 2.2), 12.0)
  figure = Figure(figsize=(side + 0.8, side), layout="constrained")
  axes = figure.subplots()
  shown = axes.imshow(share, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
  figure.colorbar(shown, label="share of the true class", shrink=0.8)
  axes.set(xlabel="predicted", ylabel="true")
  if count <= 32:
    names = [f"{name[:24]}" for name in labels] or [str(k) for k in range(count)]
    axes.set_xticks(range(count), names, rotation=90)
    axes.set_yticks(range(count), names)
  if count <= 16:
    for true, predicted in zip(*np.nonzero(matrix), strict=True):
      tone = "white" if share[true, predicted] > 0.5 else "black"
      axes.text(predicted, true, f"{matrix[true, predicted]}", ha="center", va="center", color=tone, fontsize=8)
  save_figure(figure, path)


def save_figure(figure: Any, path: pathlib.Path) -> None:
  """Writes a matplotlib Figure as a PNG, whole or not at all."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  FigureCanvasAgg(figure)
  # A name that ends in .png: matplotlib takes the format from it; renamed, so that a reader never sees half a picture.
  new = path.with_name(path.stem + ".new.png")
  figure.savefig(new, dpi=110)
  os.replace(new, path)
