"""`jaction demo`: real videos made here, a network that sees time and one that does not, and what each of them learned.

The toy set's classes come in pairs that differ by the direction of time alone.  TSM, which shifts channels between
frames, has to tell them apart; TSN, which averages over frames, can only name the pair and guess.
"""

import argparse
import json
import os
import pathlib
import sys
import time
from typing import NamedTuple

import absl.logging
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from jaction import folders
from jaction.batches import evaluation_batches
from jaction.clips.preprocessing import Preprocessing
from jaction.configs import toy_tsm, toy_tsn
from jaction.launch import cli
from jaction.predict.draw import annotate
from jaction.predict.scoring import make_predict_step, probabilities, score_batches
from jaction.records import read_records
from jaction.records.toy import SHAPE_LABELS, TOY_CLASSES, make_toy_set
from jaction.train.loop import train

VIDEOS = (640, 160, 240)  # train, val, test
VIDEOS_SHORT = (96, 24, 40)
CONFIGS = {"tsm": toy_tsm, "tsn": toy_tsn}
SHAPE_OF = np.array(SHAPE_LABELS)  # class -> pair


class Result(NamedTuple):
  """What a trained network made of the test list."""

  probabilities: np.ndarray  # [N,K]
  labels: np.ndarray  # [N]
  rows: list[dict]  # of metrics.jsonl
  seconds: float  # of training; that of this call, where a run was finished already

  @property
  def guesses(self) -> np.ndarray:
    """The most probable class of each video [N]."""
    return self.probabilities.argmax(axis=1)

  @property
  def accuracy(self) -> float:
    return float((self.guesses == self.labels).mean())

  @property
  def blind(self) -> float:
    """Accuracy with the direction of time left out: the pair is right."""
    return float((SHAPE_OF[self.guesses] == SHAPE_OF[self.labels]).mean())

  @property
  def losses(self) -> list[float]:
    return [row["loss"] for row in self.rows if row["kind"] == "train"]


def main(argv: list[str]) -> int:
  """Runs the demo; 1 where a file is missing or a loss did not fall."""
  parser = argparse.ArgumentParser("jaction demo", description=(__doc__ or "").partition("\n\n")[2])
  parser.add_argument("--short", action="store_true", help="a minute on 160 videos, to see that everything works")
  parser.add_argument("--workdir", help="where everything is written; ./jaction-demo, or ./jaction-demo-short")
  parser.add_argument(
    "--seed", type=int, default=0, help="of the videos and of the training; wants a workdir of its own"
  )
  args = parser.parse_args(argv)
  workdir = pathlib.Path(args.workdir or ("jaction-demo-short" if args.short else "jaction-demo")).expanduser()
  return run(workdir, short=args.short, seed=args.seed)


def run(workdir: pathlib.Path, *, short: bool = False, seed: int = 0) -> int:
  """The demo in a folder, which may hold an earlier, even an interrupted one of the same settings: exit status."""
  absl.logging.set_verbosity(absl.logging.ERROR)  # orbax tells of each file that it writes
  began = time.perf_counter()
  console = Console()
  toy = workdir / "toy"
  with Progress(console=console, transient=True) as bar:
    task = bar.add_task("making videos", total=None)
    made = make_toy_set(
      toy,
      videos=VIDEOS_SHORT if short else VIDEOS,
      seed=seed,
      progress=lambda done, total: bar.update(task, completed=done, total=total),
    )
  counts = f"{made.videos[0]} to train, {made.videos[1]} to validate, {made.videos[2]} to test"
  console.print(f"{sum(made.videos)} videos ({counts}) in {toy}", highlight=False)
  results = {name: _train_and_test(name, workdir, short=short, seed=seed, console=console) for name in CONFIGS}

  picture, video = workdir / "demo.png", workdir / "demo.mp4"
  draw(results, picture)
  _draw_video(results, toy, video)
  files = [workdir / name / part for name in CONFIGS for part in ("model/model.json", "metrics.jsonl", "curves.png")]
  faults = [
    f"{path} was not written" for path in (picture, video, *files) if not path.is_file() or not path.stat().st_size
  ]
  for name, result in results.items():
    if len(result.losses) < 2 or not result.losses[-1] < result.losses[0]:
      faults.append(f"the training loss of {name.upper()} did not fall: {result.losses}")
  _report(console, results, workdir, picture, video, time.perf_counter() - began)
  for fault in faults:
    print(f"error: {fault}", file=sys.stderr)
  return 1 if faults else 0


def _train_and_test(name: str, workdir: pathlib.Path, *, short: bool, seed: int, console: Console) -> Result:
  config = CONFIGS[name].get_config("short" if short else "")
  config.data.root = str((workdir / "toy").resolve())
  config.seed = seed
  folder = workdir / name
  console.print(f"training {name.upper()}: {config.model.name}", highlight=False)
  began = time.perf_counter()
  train(config, folder)
  seconds = time.perf_counter() - began
  rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
  stored = folders.load_folder(folder)
  preprocessing = Preprocessing.from_json(stored.preprocessing)
  records = read_records(workdir / "toy" / "test.txt", num_classes=len(TOY_CLASSES))
  batches = evaluation_batches(records, preprocessing, batch_size=config.eval.batch_size)
  scores = score_batches(make_predict_step(stored.model, preprocessing), stored.variables, batches)
  return Result(probabilities(scores.scores, preprocessing.average), scores.labels, rows, seconds)


def _draw_video(results: dict[str, Result], toy: pathlib.Path, out: pathlib.Path) -> None:
  """Writes a test video that TSM gets right and TSN does not, where there is one, with TSM's probabilities over it."""
  tsm, tsn = (results[name] for name in CONFIGS)
  right, wrong = tsm.guesses == tsm.labels, tsn.guesses != tsn.labels
  number = int(np.argmax(2 * right + wrong))
  record = read_records(toy / "test.txt")[number]
  best = np.argsort(-tsm.probabilities[number])[:3]
  lines = [(TOY_CLASSES[k], float(tsm.probabilities[number, k])) for k in best]
  annotate(record, out, lines, title=f"truth: {TOY_CLASSES[tsm.labels[number]]}")


def draw(results: dict[str, Result], out: pathlib.Path) -> None:
  """Writes the PNG: loss and validation accuracy over epochs, and which class is taken for which on the test list."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second that only a picture is worth
  from matplotlib.figure import Figure

  figure = Figure(figsize=(12, 9.5), layout="constrained")
  FigureCanvasAgg(figure)
  (loss, accuracy), below = figure.subplots(2, 2)
  for axes, kind, key, title in (
    (loss, "train", "loss", "training loss"),
    (accuracy, "val", "top1", "validation accuracy"),
  ):
    for name, result in results.items():
      points = [(row["epoch"], row[key]) for row in result.rows if row["kind"] == kind]
      axes.plot(*zip(*points, strict=True), label=name.upper(), marker=".")
    axes.set(title=title, xlabel="epoch")
    axes.set_ylim(bottom=0, top=1.02 if kind == "val" else None)
    axes.grid(alpha=0.3)
    axes.legend()
  for axes, (name, result) in zip(below, results.items(), strict=True):
    table = np.zeros((len(TOY_CLASSES),) * 2, int)
    np.add.at(table, (result.labels, result.guesses), 1)
    axes.imshow(table, cmap="Blues")
    for (row, column), count in np.ndenumerate(table):
      if count:
        ink = "white" if count > table.max() / 2 else "black"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=9, color=ink)
    ticks = range(len(TOY_CLASSES))
    axes.set_xticks(ticks, TOY_CLASSES, rotation=40, ha="right")
    axes.set_yticks(ticks, TOY_CLASSES)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(f"{name.upper()} on the test videos: {result.accuracy:.1%}, direction left out {result.blind:.1%}")
  part = out.with_name(f".{out.stem}.{os.getpid()}.part.png")
  figure.savefig(part, dpi=90)
  os.replace(part, out)


def _report(
  console: Console,
  results: dict[str, Result],
  workdir: pathlib.Path,
  picture: pathlib.Path,
  video: pathlib.Path,
  seconds: float,
) -> None:
  table = Table("", "test accuracy", "direction left out", "training loss", "training time")
  for name, result in results.items():
    losses = f"{result.losses[0]:.2f} -> {result.losses[-1]:.2f}" if result.losses else "none"
    table.add_row(name.upper(), f"{result.accuracy:.1%}", f"{result.blind:.1%}", losses, f"{result.seconds:.0f} s")
  console.print(table)
  tsm, tsn, toy = workdir / "tsm", workdir / "tsn", workdir / "toy"
  console.print(
    f"{len(results['tsm'].labels)} test videos.  TSN sees single frames: it names the pair and guesses the direction.\n"
    f"models     {tsm / 'model'}, {tsn / 'model'}\n"
    f"curves     {picture}\n"
    f"a video    {video}\n"
    f"all in {seconds:.0f} s.  Next:\n"
    f"  jaction predict --model {tsm} {toy / 'videos' / 'test' / 'test_00000.mp4'}\n"
    f"  jaction evaluate --model {tsn} --list {toy / 'test.txt'}\n"
    f"  jaction inspect --model {tsm}",
    highlight=False,
    soft_wrap=True,
  )


if __name__ == "__main__":
  sys.exit(cli.run(main))
