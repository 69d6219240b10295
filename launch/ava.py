"""AVA-style sets of one's own: checked, imported, looked at, and banks of their features."""

import argparse
import pathlib

import numpy as np
from PIL import Image

from jaction.errors import InputError
from jaction.metrics.ava import Boxes, frame_ap, mean_ap
from jaction.predict.box_predictor import BoxPredictor
from jaction.predict.draw import overlay
from jaction.predict.draw_boxes import draw_grid, render_boxes
from jaction.records import open_frames
from jaction.records.ava import read_ava_boxes, read_ava_labels, write_ava, write_ava_results
from jaction.records.box_imports import import_coco, import_cvat
from jaction.records.check_ava import check_ava
from jaction.records.feature_bank import write_bank
from jaction.records.key_frames import read_key_frames
from jaction.train.box_metrics import THRESHOLD

SHOWN = 50  # faults that are printed


def check(argv: list[str]) -> int:
  """Names every fault of a csv of boxes and of the files beside it; exit status 1 where there is an error."""
  parser = argparse.ArgumentParser("jaction data check-ava", description=check.__doc__)
  parser.add_argument("csv", help="lines video,second,x1,y1,x2,y2,action,person; boxes in [0, 1]")
  parser.add_argument("--media", help="the folder of the videos, or of the folders of frames")
  parser.add_argument("--labels", help="the label map (pbtxt)")
  parser.add_argument("--exclude", help="a csv of video,second")
  parser.add_argument("--proposals", help="boxes of a detector: pickle, npz or JSON")
  parser.add_argument("--start", type=float, default=0.0, help="the second that first frames stand for (AVA: 900)")
  parser.add_argument("--fps", type=float, default=30.0, help="frames a second of folders of frames (default 30)")
  args = parser.parse_args(argv)
  faults, counts = check_ava(
    args.csv,
    media=args.media,
    labels=args.labels,
    exclude=args.exclude,
    proposals=args.proposals,
    start=args.start,
    fps=args.fps,
  )
  for fault in faults[:SHOWN]:
    print(fault)
  if len(faults) > SHOWN:
    print(f"and {len(faults) - SHOWN} more")
  errors = sum(fault.level == "error" for fault in faults)
  print(
    f"{args.csv}: {counts.lines} lines, {counts.videos} videos, {counts.key_frames} key frames, {counts.people} people"
    f"; {errors} errors, {len(faults) - errors} warnings"
  )
  return 1 if errors else 0


def convert(argv: list[str]) -> None:
  """Annotations of COCO (JSON) or CVAT (XML) -> a csv in AVA's form and a label map."""
  parser = argparse.ArgumentParser("jaction data import-boxes", description=convert.__doc__)
  parser.add_argument("kind", choices=("coco", "cvat"))
  parser.add_argument("file", help="COCO's JSON or CVAT's XML")
  parser.add_argument("output", help="a folder; boxes.csv and actions.pbtxt are written to it")
  parser.add_argument("--fps", type=float, default=30.0, help="of a CVAT video (default 30)")
  parser.add_argument("--start", type=float, default=0.0, help="the second of a CVAT video's frame 0 (default 0)")
  parser.add_argument("--video", help="name of a CVAT video in the csv (default: of its file)")
  args = parser.parse_args(argv)
  if args.kind == "coco":
    frames, labels = import_coco(args.file)
  else:
    frames, labels = import_cvat(args.file, fps=args.fps, start=args.start, video=args.video)
  output = pathlib.Path(args.output)
  output.mkdir(parents=True, exist_ok=True)
  write_ava(output / "boxes.csv", frames, decimals=4)
  items = []
  for number, name in sorted(labels.items()):
    if '"' in name or "\n" in name:
      raise InputError(f"{args.file}: the action {name!r}; a name without quotes and line breaks was wanted")
    items.append(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n')
  (output / "actions.pbtxt").write_text("".join(items), "utf-8")
  people = sum(len(frame.boxes) for frame in frames)
  print(f"{output}/boxes.csv: {len(frames)} key frames, {people} people; {output}/actions.pbtxt: {len(labels)} actions")
  print(f"next    jaction data check-ava {output}/boxes.csv --labels {output}/actions.pbtxt --media VIDEOS")


def show(argv: list[str]) -> None:
  """A picture of annotated key frames: boxes and actions over the frames that they are of."""
  parser = argparse.ArgumentParser("jaction data show-ava", description=show.__doc__)
  parser.add_argument("csv")
  parser.add_argument("media", help="the folder of the videos, or of the folders of frames")
  parser.add_argument("--labels", help="the label map (pbtxt)")
  parser.add_argument("--proposals", help="boxes of a detector, which are drawn in place of the annotated ones")
  parser.add_argument("--output", default="boxes.png", help="the picture (default boxes.png)")
  parser.add_argument("--frames", type=int, default=6, help="how many (default 6)")
  parser.add_argument("--first", type=int, default=0, help="place of the first one (default 0)")
  parser.add_argument("--start", type=float, default=0.0, help="the second that first frames stand for (AVA: 900)")
  parser.add_argument("--fps", type=float, default=30.0, help="frames a second of folders of frames (default 30)")
  args = parser.parse_args(argv)
  names = read_ava_labels(args.labels) if args.labels else {}
  records = read_key_frames(
    args.csv, args.media, proposals=args.proposals, num_classes=10**6, start=args.start, fps=args.fps, missing="skip"
  )
  chosen = records[args.first : args.first + args.frames]
  if not chosen or args.first < 0:
    raise InputError(f"--first={args.first}, --frames={args.frames}: {args.csv} has {len(records)} key frames")
  tiles = []
  for record in chosen:
    with open_frames(record.video) as video:
      times = getattr(video, "times", None)
      moment = record.key.second - record.start
      index = round(moment * record.fps) if times is None else int(np.searchsorted(times - times[0], moment + 1e-6)) - 1
      total: int = video.num_frames  # type: ignore[assignment]
      frame = video.read([min(max(index, 0), total - 1)])[0]
    if args.proposals:
      boxes, scores = record.detected
      lines = [[f"{score:.2f}"] for score in scores]
    else:
      boxes = np.array(record.key.boxes, np.float32)
      lines = [[names.get(k, f"action {k}") for k in actions] for actions in record.key.labels]
    side = 480 / min(frame.shape[:2])
    if side > 1:
      size = (round(frame.shape[1] * side), round(frame.shape[0] * side))
      frame = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
    drawn = overlay(frame, render_boxes(frame.shape[1], frame.shape[0], boxes, lines))
    tiles.append((drawn, f"{record.id}   frame {index} of {total}, {len(boxes)} boxes"))
  draw_grid(tiles, pathlib.Path(args.output))
  print(f"{args.output}: {len(tiles)} of {len(records)} key frames")


def evaluate(argv: list[str]) -> None:
  """Frame mAP at IoU 0.5 and the average precision of each action, of a result file or of a detector."""
  parser = argparse.ArgumentParser("jaction data evaluate-ava", description=evaluate.__doc__)
  parser.add_argument("csv", help="the annotations: video,second,x1,y1,x2,y2,action,person")
  parser.add_argument("--result", help="a csv of video,second,x1,y1,x2,y2,action,score")
  parser.add_argument("--model", help="in place of it a model folder of a detector, or the workdir of its training")
  parser.add_argument("--media", help="of --model: the folder of the videos, or of the folders of frames")
  parser.add_argument("--proposals", help="of --model: boxes of a person detector; without, the annotated ones")
  parser.add_argument("--write", help="of --model: the result goes to this csv too")
  parser.add_argument("--labels", help="the label map (pbtxt); its actions alone count")
  parser.add_argument("--exclude", help="a csv of video,second that do not count")
  parser.add_argument("--start", type=float, default=0.0, help="the second that first frames stand for (AVA: 900)")
  parser.add_argument("--fps", type=float, default=30.0, help="frames a second of folders of frames (default 30)")
  args = parser.parse_args(argv)
  if bool(args.result) == bool(args.model) or args.model and not args.media:
    raise InputError("wanted --result, or --model and --media")
  truth = Boxes(*read_ava_boxes(args.csv, exclude=args.exclude))
  if args.model:
    predictor = BoxPredictor(args.model)
    records = read_key_frames(
      args.csv,
      args.media,
      exclude=args.exclude,
      proposals=args.proposals,
      num_classes=10**6,
      start=args.start,
      fps=args.fps,
    )
    rows = [
      (record.id, box.tolist(), int(k) + 1, float(scores[k]))
      for record, people in zip(records, predictor.score(records), strict=True)
      for box, scores in zip(record.detected[0], people, strict=True)
      for k in np.flatnonzero(scores > THRESHOLD)
    ]
    if args.write:
      write_ava_results(args.write, rows, decimals=6)  # with fewer, scores tie, which changes the mAP
    frames, boxes, actions, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    found = Boxes(
      np.array(frames, str), np.array(boxes, float).reshape(-1, 4), np.array(actions, int), np.array(scores)
    )
  else:
    found = Boxes(*read_ava_boxes(args.result, exclude=args.exclude))
  names = read_ava_labels(args.labels) if args.labels else {}
  per_class = frame_ap(found, truth, sorted(names) or sorted(set(truth.labels.tolist())))
  for k, value in per_class.items():
    print(f"{k:>4}  {names.get(k, ''):<40} {'-' if np.isnan(value) else f'{100 * value:.2f} %'}")
  print(f"frame mAP at IoU 0.5: {100 * mean_ap(per_class):.2f} %, {len(found.labels)} detections")


def bank(argv: list[str]) -> None:
  """The feature bank that lfb_ networks want: what a detector sees in every box of the lists."""
  parser = argparse.ArgumentParser("jaction data bank", description=bank.__doc__)
  parser.add_argument("model", help="a model folder of a detector without a bank, or the workdir of its training")
  parser.add_argument("output", help="the bank, an .npz")
  parser.add_argument("media", help="the folder of the videos, or of the folders of frames")
  parser.add_argument("csv", nargs="+", help="csv files in AVA's form")
  parser.add_argument("--proposals", nargs="+", help="as many files of boxes; without, the annotated boxes")
  parser.add_argument("--start", type=float, default=0.0, help="the second that first frames stand for (AVA: 900)")
  parser.add_argument("--fps", type=float, default=30.0, help="frames a second of folders of frames (default 30)")
  args = parser.parse_args(argv)
  if args.proposals and len(args.proposals) != len(args.csv):
    raise InputError(f"{len(args.proposals)} --proposals for {len(args.csv)} csv files; wanted one for each")
  predictor, found = BoxPredictor(args.model), {}
  for path, proposals in zip(args.csv, args.proposals or [None] * len(args.csv), strict=True):
    records = read_key_frames(path, args.media, proposals=proposals, num_classes=10**6, start=args.start, fps=args.fps)
    found |= {record.id: rows for record, rows in zip(records, predictor.features(records), strict=True)}
  write_bank(args.output, found)
  width = next(iter(found.values())).shape[1]
  print(f"{args.output}: {sum(map(len, found.values()))} boxes of {len(found)} key frames, {width} features each")
