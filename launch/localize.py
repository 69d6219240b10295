"""`python -m launch.localize`: what happens when in a long video, as JSON, subtitles and a picture of the timeline."""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from jaction.errors import InputError, MediaError, nearest
from jaction.launch import cli
from jaction.metrics.detection import activitynet_map
from jaction.metrics.proposals import average_recall
from jaction.predict.features import Extractor
from jaction.predict.localize import Localizer, classify, shown, subtitles, timeline
from jaction.records import Record
from jaction.records.activitynet import AnnotatedVideo, read_activitynet
from jaction.records.features import Features, read_features, write_features


def main(argv: list[str]) -> int:
  """1 where a video could not be read."""
  parser = argparse.ArgumentParser(prog="localize", description=__doc__)
  parser.add_argument("videos", nargs="+", help="video files")
  parser.add_argument("--features", required=True, metavar="FOLDER", help="the recognizer that the localizer saw by")
  parser.add_argument(
    "--localizer", required=True, nargs="+", metavar="FOLDER", help="a BMN's folder; or BSN's two: TEM, PEM"
  )
  parser.add_argument("--classifier", required=True, metavar="FOLDER", help="the recognizer that names what is found")
  parser.add_argument("--output", default=".", metavar="FOLDER", help="where the files go (here)")
  parser.add_argument("--window", type=int, help="frames of a feature, as in training (what the localizer says)")
  parser.add_argument("--stride", type=int, help="frames between features (what the localizer says, or --window)")
  parser.add_argument("--cache", metavar="FOLDER", help="features made before (launch.features) are read, others kept")
  parser.add_argument("--annotations", metavar="FILE", help="of ActivityNet's form: prints AUC and mAP, draws them too")
  parser.add_argument("--top", type=int, default=1, help="classes a proposal is given (1)")
  args = parser.parse_args(argv)
  names = [Path(video).stem for video in args.videos]
  if len(set(names)) < len(names):
    raise InputError("two videos have the same name: their files would be written over each other")
  known = {v.id: v for v in read_activitynet(args.annotations)} if args.annotations else {}
  missing = [name for name in names if args.annotations and name not in known]
  if missing:
    raise InputError(f"{args.annotations} has no video {missing[0]!r}")
  localizer = Localizer(args.localizer)
  window, stride = localizer.made_alike(args.window, args.stride)
  extractor = Extractor(args.features, window=window, stride=stride)
  alike = os.path.realpath(args.features) == os.path.realpath(args.classifier)
  classifier = extractor if alike else Extractor(args.classifier, window=window, stride=stride)
  _check_labels(args.annotations, known.values(), classifier.labels)
  output = Path(args.output)
  output.mkdir(parents=True, exist_ok=True)
  proposed, detected, bad = {}, {}, []
  for video, name in zip(args.videos, names, strict=True):
    try:
      seen = _features(extractor, video, name, args.cache)
      named = seen if alike else classifier(Record(name, os.path.abspath(video)))
    except MediaError as error:
      bad.append(str(error))
      continue
    proposed[name] = localizer.propose(seen)
    detected[name] = classify(proposed[name], named, classifier.labels, top=args.top)
    _write(output / name, seen, proposed[name], detected[name], known.get(name))
    if len(args.videos) == 1:
      _print(name, detected[name])
  if len(args.videos) > 1:
    (output / "results.json").write_text(json.dumps({"results": detected}))
  if known and proposed:
    report(proposed, detected, [known[name] for name in proposed])
  for line in bad:
    print(line, file=sys.stderr)
  return 1 if bad else 0


def _check_labels(path: str, videos, labels) -> None:
  """InputError for an annotated class that the classifier has no name for."""
  for video in videos:
    for one in video.segments:
      if one.label not in labels:
        raise InputError(
          f"{path}: video {video.id!r} has the class {one.label!r}, which the classifier does not know."
          f"{nearest(one.label, labels)}"
        )


def report(proposed, detected, videos: list[AnnotatedVideo]) -> dict[str, float]:
  """Prints and gives AUC, AR@1, AR@100, mAP@0.5 and mAP."""
  truth = {v.id: np.array([(s.start, s.end) for s in v.segments]).reshape(-1, 2) for v in videos}
  recall = average_recall(truth, proposed)
  known = {s.label for v in videos for s in v.segments}  # others have no precision here
  scored = {name: [row for row in rows if row["label"] in known] for name, rows in detected.items()}
  ap = activitynet_map({v.id: [(s.start, s.end, s.label) for s in v.segments] for v in videos}, scored)
  found = {"AUC": recall.auc, "AR@1": recall.at(1), "AR@100": recall.at(100)}
  found |= {"mAP@0.5": float(ap.by_threshold[0]), "mAP": ap.average}
  print(f"{len(videos)} videos: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
  return found


def _features(extractor: Extractor, video: str, name: str, cache: str | None) -> Features:
  path = Path(cache) / f"{name}.npz" if cache else None
  if path is not None and path.exists():
    seen = read_features(path)
    made = {"window": (seen.window, extractor.window), "stride": (seen.stride, extractor.stride)}
    for what, (there, wanted) in made.items():
      if there not in (None, wanted):
        raise InputError(f"{path}: features of {what} {there}; {wanted} was wanted: give another --cache")
    if seen.times is not None and seen.scores is not None:
      return seen
  seen = extractor(Record(name, os.path.abspath(video)))
  if path is not None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_features(path, seen)
  return seen


def _write(stem: Path, seen: Features, proposals, detections, known: AnnotatedVideo | None) -> None:
  rows = shown(detections)
  result = {
    "video": stem.name,
    "seconds": seen.seconds,
    "proposal_list": [{"segment": [float(a), float(b)], "score": float(s)} for a, b, s in proposals],
    "results": {stem.name: detections},
    "shown": rows,
  }
  stem.with_name(f"{stem.name}.json").write_text(json.dumps(result, indent=1))
  stem.with_name(f"{stem.name}.srt").write_text(subtitles(rows))
  truth = [(s.start, s.end, s.label) for s in known.segments] if known else []
  timeline(stem.with_name(f"{stem.name}.png"), seen.seconds or 1.0, proposals, rows, truth, stem.name)


def _print(name: str, detections) -> None:
  table = Table("from", "to", "what", "score", title=name)
  for row in shown(detections):
    table.add_row(*(f"{time:.1f} s" for time in row["segment"]), row["label"], f"{row['score']:.2f}")
  Console().print(table)


if __name__ == "__main__":
  sys.exit(cli.run(main))
