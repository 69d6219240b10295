"""What each person of a video does: boxes with actions drawn onto it, and as JSON.

The boxes come from a file (--boxes), from a person detector (--detector, ONNX weights of your own; needs the extra
`detect`), or, where there is neither, from what moves in the video; a frame in which nothing does is one box.
Without --model the boxes are drawn alone.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
from rich.console import Console

from jaction.errors import InputError
from jaction.launch import cli
from jaction.predict.box_predictor import BoxPredictor, key_record
from jaction.predict.draw import draw_over
from jaction.predict.draw_boxes import nearest_moment, render_boxes
from jaction.predict.people import WHOLE, Finder, MovingThings, PersonDetector, boxes_of
from jaction.records.video import Video

SEEN = 24  # frames that the still background is taken from


def main(argv: list[str]) -> None:
  """Finds people, says what they do, draws it."""
  parser = argparse.ArgumentParser("jaction detect", description=__doc__)
  parser.add_argument("video", help="a video file")
  parser.add_argument("--model", help="a model folder of a detector, or the workdir of its training")
  parser.add_argument("--boxes", help="a csv in AVA's form, or a pickle, npz or JSON of {'video,0902': boxes}")
  parser.add_argument("--detector", help="ONNX weights of a person detector; needs pip install 'jaction[detect]'")
  parser.add_argument("--start", type=float, default=0.0, help="the second that the first frame stands for in --boxes")
  parser.add_argument("--threshold", type=float, default=0.5, help="least probability that is drawn (default 0.5)")
  parser.add_argument("--top", type=int, default=3, help="actions drawn at a box at most (default 3)")
  parser.add_argument("--draw", help="the drawn mp4 (default VIDEO.actions.mp4, where you are); none: no drawing")
  parser.add_argument("--json", help="write the result to this file (default VIDEO.actions.json, where you are)")
  args = parser.parse_args(argv)
  if args.boxes and args.detector:
    raise InputError("--boxes and --detector: wanted one of them")
  if not 0 <= args.threshold <= 1 or args.top < 1:
    raise InputError(f"--threshold={args.threshold}, --top={args.top}: wanted 0 to 1, and at least 1")
  path, console = pathlib.Path(args.video), Console()
  out = pathlib.Path(args.json or f"{path.stem}.actions.json")
  drawing = args.draw or f"{path.stem}.actions.mp4"
  predictor = BoxPredictor(args.model) if args.model else None  # its errors come before any work
  found, whence = _boxes(args, path)
  console.print(f"{path}: {sum(map(len, found.values()))} boxes at {len(found)} moments, {whence}", highlight=False)
  names: tuple[str, ...] = ()
  scores: dict[int, np.ndarray] = {}
  if predictor is None:
    console.print("no --model: the boxes are drawn without actions", highlight=False)
  else:
    names = predictor.labels
    records = [key_record(str(path.resolve()), second, rows[:, :4], args.start) for second, rows in found.items()]
    scores = dict(zip(found, predictor.score(records), strict=True))
  rows: list[dict] = []
  drawn: dict[float, tuple[np.ndarray, list[list[str]]]] = {}
  for second, boxes in found.items():
    told = scores.get(second, np.zeros((len(boxes), 0)))
    lines = []
    for box, probabilities in zip(boxes, told, strict=True):
      best = np.argsort(-probabilities, kind="stable")
      actions = [
        {"action": names[k], "class": int(k), "probability": round(float(probabilities[k]), 4)}
        for k in best
        if probabilities[k] > 0.002
      ]
      rows.append(
        {"second": second, "box": [round(float(x), 4) for x in box[:4]], "score": float(box[4]), "actions": actions}
      )
      shown = [one for one in actions if one["probability"] >= args.threshold][: args.top]
      lines.append([f"{one['action']} {one['probability']:.0%}" for one in shown])
    drawn[second - args.start] = (boxes[:, :4], lines)
  out.write_text(json.dumps({"video": str(path), "boxes": whence, "detections": rows}, indent=1) + "\n")
  console.print(f"written: {out}", highlight=False, soft_wrap=True)
  if drawing != "none":

    def layer(time: float, width: int, height: int) -> np.ndarray:
      moment = nearest_moment(drawn, time, 0.5)
      boxes, lines = (np.zeros((0, 4)), []) if moment is None else drawn[moment]
      return render_boxes(width, height, boxes, lines)

    console.print(f"drawn: {draw_over(path, drawing, layer)}", highlight=False, soft_wrap=True)


def _boxes(args: argparse.Namespace, path: pathlib.Path) -> tuple[dict[int, np.ndarray], str]:
  """({second: [n,5]}, where they come from)."""
  if args.boxes:
    found = boxes_of(args.boxes, path.stem)
    if not any(map(len, found.values())):
      raise InputError(f"{args.boxes}: not one box in it; without --boxes they are found by motion")
    return found, f"from {args.boxes}"
  with Video(path) as video:
    times = np.asarray(video.times) - video.times[0]
    seconds = np.arange(max(1, int(times[-1]) + 1)) if times[-1] < 1 else np.arange(1, int(times[-1]) + 1)
    moments = {int(np.ceil(args.start)) + int(second): float(min(second, times[-1])) for second in seconds}
    frames = [int(np.searchsorted(times, moment + 1e-6, side="right")) - 1 for moment in moments.values()]
    finder: Finder
    if args.detector:
      finder, whence = PersonDetector(args.detector), f"by {args.detector}"
    else:
      still = video.read(np.unique(np.linspace(0, video.num_frames - 1, SEEN).round().astype(int)))
      finder, whence = MovingThings(still), "around what moves (no --boxes, no --detector)"
    found = {}
    for second, number in zip(moments, frames, strict=True):
      boxes = finder(video.read([number])[0])
      if len(boxes) or args.detector:
        found[second] = boxes
      else:
        found[second] = WHOLE.copy()
  return found, whence


if __name__ == "__main__":
  sys.exit(cli.run(main))
