"""How much memory a process holds while it makes batches."""

import json
import os
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np


def resident() -> int:
  """Bytes that this process holds now; read from /proc, so on Linux only (OSError elsewhere)."""
  return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def resident_curve(
  batches: Iterable[Mapping[str, np.ndarray]], clips: int, path: str | os.PathLike | None = None, *, every: int = 100
) -> list[tuple[int, int]]:
  """[(clips made, bytes held)], about `every` clips, until `clips` are made; written to `path` as JSON where given."""
  curve, made = [], 0
  for batch in batches:
    made += int(batch["mask"].sum())
    if not curve or made - curve[-1][0] >= every or made >= clips:
      curve.append((made, resident()))
    if made >= clips:
      break
  if path is not None:
    pathlib.Path(path).write_text(json.dumps({"clips": [c for c, _ in curve], "bytes": [b for _, b in curve]}) + "\n")
  return curve
