"""Accuracy of a trained model over a list of videos."""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from jaction.clips.multihot import known_classes, several
from jaction.errors import InputError
from jaction.launch import cli
from jaction.metrics import multilabel
from jaction.metrics.classification import confusion_matrix, mean_class_accuracy, top_k_accuracy
from jaction.predict.predictor import Predictor
from jaction.predict.scoring import AVERAGES, Scores, mean_binary_loss, mean_loss
from jaction.predict.stream import NAME, ScoreFile, fingerprint
from jaction.records import READERS, Record, class_names, read_records
from jaction.records.hvu import targets
from jaction.train.mesh import make_mesh


def main(argv: list[str]) -> None:
  """Scores every video of a list and prints the metrics; with --output they are written too."""
  parser = argparse.ArgumentParser("jaction evaluate", description=__doc__)
  parser.add_argument("--model", required=True, help="a model folder, or the workdir of a training")
  parser.add_argument("--list", required=True, help="the videos: `path label` lines, a CSV, a folder per class, ...")
  parser.add_argument("--format", default="auto", choices=["auto", *READERS], help="of the list (default auto)")
  parser.add_argument("--root", help="where paths in the list start (default: the list's folder)")
  parser.add_argument("--groups", help="a second list of the same videos with coarser labels: accuracy over them too")
  parser.add_argument("--average", choices=AVERAGES, help="how views become one score (default: as the model says)")
  parser.add_argument("--clips", type=int, help="clips, or segments, of each video (default: as the model says)")
  parser.add_argument("--crops", type=int, help="1, 3 or 10 crops of each clip (default: as the model says)")
  parser.add_argument("--max-views", type=int, help="views that go through the network at once (default: all)")
  parser.add_argument("--batch-size", type=int, default=8, help="videos at once (default 8)")
  parser.add_argument("--threads", type=int, default=2, help="that decode (default 2)")
  parser.add_argument("--output", help="a folder for scores.npz, metrics.json and, of one label a video, confusion.png")
  parser.add_argument("--no-resume", action="store_true", help="begin anew where --output holds half an evaluation")
  args = parser.parse_args(argv)

  for name, value, least in (("batch-size", args.batch_size, 1), ("threads", args.threads, 0)):
    if value < least:
      raise InputError(f"--{name}={value}: wanted {least} or more")
  predictor = Predictor(
    args.model, average=args.average, clips=args.clips, crops=args.crops, max_views=args.max_views, mesh=make_mesh()
  )
  records = read_records(
    args.list,
    format=args.format,
    root=args.root,
    num_classes=predictor.num_classes,
    template=predictor.preprocessing.template,
    classes=_classes(predictor, args),
    **({"categories": dict(predictor.categories)} if predictor.categories else {}),
  )
  several_labels = predictor.multi_label or any(record.label is None for record in records)
  if several_labels and args.groups:
    raise InputError("--groups wants one label a video, and these have several")
  if not predictor.multi_label and (bare := next((r for r in records if r.label is None and not r.labels), None)):
    raise InputError(f"{args.list}: {bare.id} has no label; wanted one or more each")
  groups = _groups(records, args.groups, args.root, predictor.num_classes) if args.groups else None

  console, began = Console(), time.perf_counter()
  columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
  with Progress(*columns, console=console, transient=True) as bar:
    task = bar.add_task("videos", total=len(records))
    scores = _score(predictor, records, several_labels, args, lambda n: bar.advance(task, n))
  seconds = time.perf_counter() - began
  if several_labels:
    metrics, table = _multi_label_metrics(predictor, scores, records), None
  else:
    metrics, table = _metrics(predictor, scores, groups)
  _print(console, args, metrics, len(records), seconds)
  if args.output:
    output = pathlib.Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    ids = np.array([record.id for record in records])
    np.savez(output / "scores.npz", ids=ids, scores=scores.scores, labels=scores.labels)
    (output / NAME).unlink(missing_ok=True)
    (output / "metrics.json").write_text(json.dumps(metrics | {"videos": len(records)}, indent=1) + "\n")
    if table is not None:
      draw_confusion(table, predictor.labels, output / "confusion.png")
    names = "scores.npz, metrics.json" + (", confusion.png" if table is not None else "")
    console.print(f"written: {output}/{names}", highlight=False, soft_wrap=True)


def _score(predictor, records, several_labels, args, progress) -> Scores:
  """The scores of all records; with --output they are on the disk as they come, and those that are there are taken."""
  settings = {"multi_label": several_labels, "batch_size": args.batch_size, "threads": args.threads}
  if not args.output:
    return predictor.score(records, progress=progress, **settings)
  facts = {
    "model": str(pathlib.Path(args.model).absolute()),
    "weights": predictor.weights_digest(),
    "preprocessing": predictor.preprocessing.to_json(),
    "average": predictor.average,
    "list": fingerprint(records),
  }
  with ScoreFile(args.output, facts, len(records), resume=not args.no_resume) as file:
    missing = file.missing
    progress(len(records) - len(missing))
    if missing:
      keep = lambda numbers, scores: file.add([missing[n] for n in numbers], scores)  # noqa: E731
      predictor.score([records[n] for n in missing], progress=progress, keep=keep, **settings)
    scores, index = file.scores()
  if several_labels:
    labels = np.stack([targets(several(record), predictor.num_classes)[0] for record in records]).astype(np.int64)
  else:
    labels = np.array([-1 if record.label is None else record.label for record in records], np.int64)
  return Scores(scores, labels[index], index)


def _classes(predictor: Predictor, args: argparse.Namespace) -> tuple[str, ...] | None:
  """The classes that folders are named after; None for a list, and for a model whose classes have no names."""
  if predictor.folder.labels or not pathlib.Path(args.list).is_dir():
    return tuple(predictor.folder.labels) or None
  found = class_names(args.list)
  if len(found) != predictor.num_classes:  # in sorted order they would be taken for other classes
    raise InputError(
      f"{args.list} has {len(found)} class folders, and {args.model} tells {predictor.num_classes} classes apart but "
      "does not name them: wanted a folder for each class, or a list of `path label` lines"
    )
  return None


def _metrics(predictor, scores, groups):
  """{name: value}, and the confusion matrix [K, K] with the true class in rows."""
  per_video = scores.scores.mean(axis=1) if scores.scores.ndim == 3 else scores.scores  # not averaged: plain mean
  classes = per_video.shape[-1]
  ks = (1, 5) if classes >= 5 else (1,)
  tops = top_k_accuracy(per_video, scores.labels, ks)
  metrics = {f"top{k}": float(value) for k, value in zip(ks, tops, strict=True)}
  metrics["mean_class_accuracy"] = float(mean_class_accuracy(per_video, scores.labels))
  kind = "score" if scores.scores.ndim == 3 else predictor.average
  metrics["loss"] = mean_loss(per_video, scores.labels, kind)
  guesses = per_video.argmax(axis=-1)
  if groups is not None:
    metrics["group_accuracy"] = float((groups[guesses] == groups[scores.labels]).mean())
  return metrics, confusion_matrix(guesses, scores.labels, classes=range(classes))


def _multi_label_metrics(predictor, scores, records):
  """{name: value} of videos with several labels; the loss only of raw scores, as training tells it."""
  per_video = scores.scores.mean(axis=1) if scores.scores.ndim == 3 else scores.scores
  known = known_classes(records, predictor.num_classes) if predictor.categories else None
  metrics = multilabel.summary(per_video, scores.labels, predictor.categories, known)
  return metrics | ({} if predictor.average == "prob" else {"loss": mean_binary_loss(per_video, scores.labels)})


def _groups(records: list[Record], path: str, root: str | None, classes: int) -> np.ndarray:
  """Class -> group, read off two lists of the same videos."""
  coarse = {record.source: record.label for record in read_records(path, root=root)}
  found: dict[int, int] = {}
  for record in records:
    if record.source not in coarse:
      raise InputError(f"{path} has no group for {record.id}")
    group = coarse[record.source]
    if found.setdefault(record.label, group) != group:
      raise InputError(
        f"{path}: class {record.label} is in groups {found[record.label]} and {group}; wanted one group a class"
      )
  return np.array([found.get(k, -1 - k) for k in range(classes)])  # a class without videos is a group of its own


def _print(console, args, metrics, videos, seconds):
  console.print(f"{args.model} on {args.list}: {videos} videos in {seconds:.1f} s", highlight=False, soft_wrap=True)
  table = Table("metric", "value")
  for name, value in metrics.items():
    table.add_row(name, f"{value:.4f}" if name == "loss" else f"{value:.2%}")
  console.print(table)


def draw_confusion(table: np.ndarray, labels: tuple[str, ...], path: pathlib.Path) -> None:
  """Writes the confusion matrix [K, K] (rows: true class) as a PNG; numbers and names where they can be read."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second that only a picture is worth
  from matplotlib.figure import Figure

  size = min(max(5.0, 0.35 * len(labels) + 2), 20)
  figure = Figure(figsize=(size, size), layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.subplots()
  share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
  axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
  if len(labels) <= 50:
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
  if len(labels) <= 20:
    for (row, column), count in np.ndenumerate(table):
      if count:
        ink = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=ink)
  axes.set(xlabel="predicted", ylabel="true")
  figure.savefig(path, dpi=100)


if __name__ == "__main__":
  sys.exit(cli.run(main))
