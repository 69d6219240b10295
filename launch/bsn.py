"""`python -m launch.bsn`: BSN's three stages (TEM, candidates, PEM) as one command, or one by one."""

import argparse
import logging
import sys
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging
from rich.console import Console

from jaction import folders
from jaction.clips.boundaries import rescale, unit_segments
from jaction.errors import InputError
from jaction.launch import cli
from jaction.launch.train import parse_config
from jaction.models.bsn import TEM
from jaction.predict import proposals
from jaction.records.activitynet import read_activitynet
from jaction.records.features import find_features, read_features

STAGES = ("tem", "candidates", "pem")


def main(argv: list[str]) -> int:
  parser = argparse.ArgumentParser(prog="bsn", description=__doc__)
  parser.add_argument("--root", required=True, help="the set's folder: data.root")
  parser.add_argument("--workdir", required=True, help="holds tem/, candidates/ and pem/")
  parser.add_argument("--tem", default="bsn_tem_400x100_1x16_20e_activitynet_feature", help="the config of TEM")
  parser.add_argument("--pem", default="bsn_pem_400x100_1x16_20e_activitynet_feature", help="the config of PEM")
  parser.add_argument("--stage", choices=STAGES, help="only this one (all three)")
  args, more = parser.parse_known_args(argv)
  absl_logging.set_verbosity(absl_logging.ERROR)  # orbax tells of each file that it writes
  logging.getLogger("jax").setLevel(logging.ERROR)
  workdir, root = Path(args.workdir).resolve(), Path(args.root).expanduser().resolve()
  own = [f"--config.data.root={root}", *more]
  tem = parse_config([f"--config={args.tem}", *own])
  pem = parse_config([f"--config={args.pem}", *own, f"--config.data.features={workdir / 'candidates'}"])
  if tem is None or pem is None:
    raise InputError("--tem and --pem: two configs were wanted")
  from jaction.train.loop import train  # deferred, so that --help is quick

  for stage in STAGES if args.stage is None else (args.stage,):
    print(f"stage {stage}")
    if stage == "candidates":
      settings = {"top_k": pem.model.fields.get("proposals", 100)}
      for name in {tem.data.train, tem.data.val} - {""}:
        write_candidates(workdir / "tem", root / name, root / tem.data.features, workdir / "candidates", **settings)
    else:
      metrics = train(tem if stage == "tem" else pem, workdir / stage)
      Console().print({name: round(float(value), 4) for name, value in metrics.items()})
  return 0


def write_candidates(model: Path, annotations: Path, features: Path, output: Path, *, top_k: int) -> int:
  """One .npz a video of the annotations: candidates [N, 7] (see proposals.candidates) and features [N, 32]."""
  folder = folders.load_folder(model)
  if not isinstance(folder.model, TEM):
    raise InputError(f"{model} holds a {folder.name}; BSN's TEM was wanted")
  output.mkdir(parents=True, exist_ok=True)
  apply = jax.jit(folder.model.apply)
  videos = read_activitynet(annotations)
  for video in videos:
    seen = read_features(find_features(features, video.id))
    x = rescale(seen.features, folder.model.temporal_dim)[None]
    out = {name: np.asarray(value[0]) for name, value in apply(folder.variables, x).items()}
    segments = unit_segments([(s.start, s.end) for s in video.segments], video.feature_seconds)
    rows = proposals.candidates(out["start"], out["end"], segments)[:top_k]
    made = proposals.boundary_features(rows, out["actionness"])
    part = output / f".{video.id}.part"
    with open(part, "wb") as file:
      np.savez(file, candidates=rows.astype(np.float32), features=made)
    part.replace(output / f"{video.id}.npz")
  print(f"{output}: candidates of {len(videos)} videos")
  return len(videos)


if __name__ == "__main__":
  sys.exit(cli.run(main))
