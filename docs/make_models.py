"""Writes docs/models.md: python docs/make_models.py [--shared ../shared]

Names, papers, clips, parameters and operations come from jaction.models.VARIANTS; the largest difference to the
reference's numbers from docs/parity.csv (case,model,difference), which is a run of ../shared/parity/check.py; published
accuracies from ../shared/zoo.
"""

import argparse
import csv
import json
import pathlib
import re

from jaction.models import VARIANTS
from jaction.models.variants import WINDOWS

HERE = pathlib.Path(__file__).parent
ASIDE = set(  # words in the names of configs that say nothing of the network
  "video lazy gpu normalize finetune 320p 256p 340x256 imagenet kinetics k400 ig65m sports1m pretrained".split()
)
MMACTION = {  # rows of MMAction 0.2 whose networks no config of MMAction2's has: modality RGB, backbone, input
  "i3d_inception_v1_64x1x1": ("Inception-V1", "64x1"),
  "tsn_bninception_1x1x3": ("BNInception", "3seg"),
  "ipcsn_r152_32x2x1": ("ipCSN-152", "32x2"),
}
FACEBOOK = {  # words of a row, all of them
  "c2d_r50_8x8x1_fb": "C2D R50 8x8",
  "c2d_r50_nopool_8x8x1": "C2D_NOPOOL R50 8x8",
  "i3d_r50_8x8x1_fb": "I3D R50 8x8",
  "i3d_nl_r50_8x8x1_fb": "I3D NLN R50 8x8",
  "slowonly_r50_8x8x1_fb": "Slow R50 8x8",
  "slowfast_r50_4x16x1_fb": "SlowFast R50 4x16",
  "slowfast_r50_8x8x1_fb": "SlowFast R50 8x8",
  "slowfast_r101_8x8x1_fb": "SlowFast R101 8x8",
  "ircsn_r101_32x2x1_fb": "CSN R101 32x2",
  "r2plus1d_r50_16x4x1_fb": "R(2+1)D R50 16x4",
  "x3d_xs_4x12x1_fb": "X3D XS 4x12",
  "x3d_s_13x6x1_fb": "X3D S 13x6",
  "x3d_m_16x5x1_fb": "X3D M 16x5",
  "x3d_l_16x5x1_fb": "X3D L 16x5",
}
INTRODUCTION = """# Models

Written by `python docs/make_models.py`; do not edit. Parameters with 400 classes, of detectors (`_ava`) with 81,
Facebook's with 80; operations are multiply-accumulates of one view of the clip, of detectors with one box.
*Difference* is the largest one to the reference's own outputs (relative to their largest), over all cases of
`../shared/parity` that the network has, training cases included; a dash: no case, the network shares its code and its
tables with neighbours that have one. Accuracies are top-1, of detectors frame mAP on AVA, as others published them for
their weights and their protocol: nothing here was trained to them.
"""


def accuracies(zoo: pathlib.Path) -> dict[str, str]:
  """Of each name the best published accuracy, Kinetics-400 before other data, with whose it is."""
  found: dict[str, list[tuple[bool, float, str]]] = {}

  def add(name, top1, data, whose):
    found.setdefault(name, []).append((data == "Kinetics-400", float(top1), f"{top1} ({data}, {whose})"))

  for version in ("0.9.0", "0.24.1"):
    for row in _rows(zoo / f"mmaction2_v{version}_zoo.json"):
      config = str(row.get("config"))  # some rows have several, none of them a recognizer's
      match = re.match(r"(.+?_\d+x\d+x\d+)_(\d+e|facebook)", pathlib.Path(config).stem)
      if not match or "/recognition" not in config or row.get("modality", "RGB").lower() not in ("rgb", "audio"):
        continue
      name = "_".join(part for part in match[1].split("_") if part not in ASIDE)
      name = name if name in VARIANTS else name.replace("_dense_", "_")
      for result in row.get("results", [row]):
        scores = result.get("metrics", result)
        top1 = next((scores[key] for key in ("top1", "Top 1 Accuracy", "top1_30-view") if key in scores), None)
        if top1 is not None and name in VARIANTS and (version == "0.9.0" or name not in found):
          add(name, top1, result["dataset"], f"MMAction2 {version}")
  for row in _rows(zoo / "mmaction_v0.2.0_zoo.json"):
    for name, (backbone, clip) in MMACTION.items():
      at = (row.get("backbone"), row.get("input"), row.get("modality"))
      if at == (backbone, clip, "RGB") and "top-1" in row and name not in found:
        data = row["section"] if row["section"] == "UCF101" else "Kinetics-400"
        add(name, row["top-1"], data, "MMAction 0.2")
  for file, whose in (("pytorchvideo_zoo.json", "PyTorchVideo"), ("pyslowfast_zoo.json", "PySlowFast")):
    for row in _rows(zoo / file):
      words = f"{row.get('architecture')} {row.get('size')} {row.get('frames_x_rate', '').replace(' ', '')}"
      if "NOPOOL" in row.get("checkpoint_file", ""):
        words = words.replace("C2D", "C2D_NOPOOL")
      for name, wanted in FACEBOOK.items():
        if words == wanted and "top1" in row and "Kinetics" in row["section"] and name not in found:
          add(name, row["top1"], "Kinetics-400", whose)
  return {name: max(rows)[2] for name, rows in found.items()} | frame_maps(zoo)


def frame_maps(zoo: pathlib.Path) -> dict[str, str]:
  """Of each detector the best published frame mAP on AVA, with whose it is."""
  best: dict[str, float] = {}
  for row in _rows(zoo / "mmaction2_v0.24.1_zoo.json"):
    stem = pathlib.Path(str(row.get("config"))).stem
    if "/detection/" not in str(row.get("config")) or "custom" in stem:
      continue
    match = re.match(r"(?:lfb_(?:nl|avg|max)_kinetics_pretrained_)?(.+?_\d+x\d+x\d+)_", stem)
    name = "_".join(p for p in match[1].split("_") if p not in ASIDE | {"omnisource", "focal", "alpha3", "gamma1"})
    name = f"{'lfb_' if stem.startswith('lfb') else ''}{name}_ava"
    best[name] = max(best.get(name, 0.0), *(one["metrics"]["mAP"] for one in row["results"]))
  found = {name: f"{value:g} mAP (MMAction2 0.24.1)" for name, value in best.items() if name in VARIANTS}
  sizes = {("Slow", "4x16"): "slowonly_r50_4x16x1_ava_fb", ("SlowFast", "8x8"): "slowfast_r50_8x8x1_ava_fb"}
  for row in _rows(zoo / "pytorchvideo_zoo.json"):
    name = sizes.get((row.get("architecture"), row.get("frames_x_rate")))
    if name and str(row.get("section")).startswith("AVA"):
      found[name] = f"{row['mAP']:g} mAP (PyTorchVideo)"
  return found


def _rows(path):
  return json.loads(path.read_text())["results"]


def differences() -> dict[str, str]:
  """Of each name the largest difference in parity.csv."""
  worst: dict[str, float] = {}
  with (HERE / "parity.csv").open() as file:
    for row in csv.DictReader(file):
      worst[row["model"]] = max(worst.get(row["model"], 0.0), float(row["difference"]))
  return {name: f"{value:.1e}" for name, value in worst.items()}


def facts(name: str) -> list[str]:
  """The columns that VARIANTS gives: name, paper, clip, test, parameters, operations."""
  row = VARIANTS[name]
  if row.task == "localization":
    paper = f"[{row.paper}](https://arxiv.org/abs/{row.paper.removeprefix('arXiv:')})"
    return [f"`{name}`", paper, row.takes, "-", f"{row.params:,}", f"{row.macs / 1e9:.3g}"]
  frames, stride, side = row.clip
  if row.task == "detection":
    paper = row.paper and f"[{row.paper}](https://arxiv.org/abs/{row.paper.removeprefix('arXiv:')})"
    clip, test = f"{frames} x {stride}, {side} px", f"1 clip, whole frames, {row.short} px"
    return [f"`{name}`", paper or "ours", clip, test, f"{row.params:,}", f"{row.macs / 1e9:.3g}"]
  kind, count, short, crop, sampling, *_ = row.views
  crops = {"three_crop": 3, "ten_crop": 10}.get(crop, 1)
  if kind == "spectrograms":
    clip, test = f"{frames} x {side} mel bands", f"{count}"
  else:
    clip = f"{frames} segments, {side} px" if row.segments else f"{frames} x {stride}, {side} px"
    times = {"twice": "2 x ", "dense": f"{WINDOWS} x "}[sampling] if row.segments and sampling != "uniform" else ""
    test = f"{times}{count} {kind} x {crops} crop{'s' if crops > 1 else ''}, {short} px"
    test += ", dense" if sampling == "dense" else ""
  paper = row.paper and f"[{row.paper}](https://arxiv.org/abs/{row.paper.removeprefix('arXiv:')})"
  return [f"`{name}`", paper or "ours", clip, test, f"{row.params:,}", f"{row.macs / 1e9:.3g}"]


def table(zoo: pathlib.Path) -> str:
  """The whole file."""
  published, measured = accuracies(zoo), differences()
  heads = ["name", "paper", "clip", "test", "parameters", "GMACs", "difference", "published top-1"]
  lines = [INTRODUCTION, "| " + " | ".join(heads) + " |", "|---|---|---|---|---:|---:|---:|---|"]
  for name in VARIANTS:
    lines.append("| " + " | ".join([*facts(name), measured.get(name, "-"), published.get(name, "-")]) + " |")
  return "\n".join(lines) + "\n"


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--shared", type=pathlib.Path, default=HERE.parent.parent / "shared")
  (HERE / "models.md").write_text(table(parser.parse_args().shared / "zoo"))
