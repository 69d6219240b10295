"""Milliseconds to open one video and read a clip of it, with one decoder thread and with more.

This is of one video read alone.  A loader that has a worker for each core has no core left for further threads.
"""

import argparse
import os
import pathlib
import tempfile

import numpy as np
from rich.console import Console
from rich.table import Table

from jaction.errors import InputError
from jaction.launch.benchmark_data import in_turns, make_videos
from jaction.records.video import Video

SIZES = ((340, 256), (640, 360), (1280, 720), (1920, 1080))
PATTERNS = {"8 over the video": np.linspace(0, 119, 8).astype(int), "32 at stride 2": np.arange(30, 94, 2)}


def decoder(argv: list[str]) -> None:
  """Prints a row for each size and pattern."""
  parser = argparse.ArgumentParser(
    prog="jaction benchmark decoder", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--threads", type=int, default=os.cpu_count() or 2, help="beside one (default: the cores)")
  parser.add_argument("--repeat", type=int, default=7, help="how often each takes its turn (default 7)")
  parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many, from the smallest on (default all)")
  args = parser.parse_args(argv)
  if args.threads < 2 or args.repeat < 1 or not 1 <= args.sizes <= len(SIZES):
    raise InputError(
      f"--threads={args.threads} --repeat={args.repeat} --sizes={args.sizes}: wanted 2 or more, 1 or more, "
      f"1 to {len(SIZES)}"
    )
  table = Table("picture", "frames", "1 thread, ms", f"{args.threads} threads, ms", "times one")
  with tempfile.TemporaryDirectory() as folder:
    for size in SIZES[: args.sizes]:
      (record,) = make_videos(pathlib.Path(folder), count=1, gop=250, seconds=4.0, size=size)
      for name, indices in PATTERNS.items():
        one, more = compare(record.source, indices, args.threads, args.repeat)
        table.add_row(f"{size[0]}x{size[1]}", name, f"{one:.1f}", f"{more:.1f}", f"{one / more:.2f}")
  Console().print(table)


def compare(path: str, indices: np.ndarray, threads: int, repeat: int) -> tuple[float, float]:
  """Median milliseconds with one thread and with `threads`, which take turns."""

  def read(count: int) -> None:
    with Video(path, threads=count) as video:
      video.read(indices)

  read(threads)
  times = in_turns({"one": lambda: read(1), "more": lambda: read(threads)}, repeat)
  return 1e3 * float(np.median(times["one"])), 1e3 * float(np.median(times["more"]))
