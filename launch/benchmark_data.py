"""Clips a second from files to a batch, beside the decoders and the pipeline that others use.

jaction benchmark data                    on videos like Kinetics' made here: 340x256, 10 s, a keyframe every 250 frames
jaction benchmark data --list LIST        on own videos
jaction benchmark data --gop 8            the same with a keyframe every 8 frames
jaction benchmark data --only shards      ours and this one alone
jaction benchmark data --workers          one worker beside two, as threads and as processes, instead

Everything is held to one core, all candidates take turns over the same videos, and the ratios are of one run.  The
pipeline is: open, sample, decode, resize to short side 256, central crop of 224, one batch.  "shards" is ours from
ArrayRecord, of records that this process has read before.  "mmaction2" is MMAction2's form: decord one frame at a time,
OpenCV frame by frame on the whole picture, then float32 normalisation; "decord", "opencv" and "pyav" decode so, and
resize and crop as we do.  decord and OpenCV's reader are used where they are installed.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from jaction.batches import Processes, training_batches
from jaction.clips.clip import Clip
from jaction.clips.preprocessing import Preprocessing
from jaction.clips.transforms import center_crop, resize
from jaction.errors import InputError, nearest
from jaction.records import READERS, Record, read_records
from jaction.records.build import build_set

PATTERNS = {  # clip_len, frame_interval, num_clips
  "sparse": (1, 1, 8),
  "dense": (32, 2, 1),
}
MEAN, STD = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])


def preprocessing(pattern: str) -> Preprocessing:
  """Ours, for one of PATTERNS."""
  clip_len, interval, clips = PATTERNS[pattern]
  return Preprocessing(
    sampler="uniform",
    clip_len=clip_len,
    frame_interval=interval,
    num_clips=clips,
    frames_per_view=clip_len * clips,
    steps=("resize", "center_crop"),
    settings={"resize": {"size": 256}, "center_crop": {"size": 224}},
    mean=tuple(map(float, MEAN)),
    std=tuple(map(float, STD)),
  )


Sample = Callable[[int], np.ndarray]  # how many frames a video has -> the numbers of the wanted ones


def by_pyav(path: str, sample: Sample) -> np.ndarray:
  """From the start to the last wanted frame, converting those that are wanted."""
  frames: dict[int, np.ndarray] = {}
  with av.open(path) as file:
    stream = file.streams.video[0]
    stream.thread_count, stream.thread_type = 1, "NONE"
    indices = sample(stream.frames)
    wanted, last = set(indices.tolist()), int(indices.max())
    for number, frame in enumerate(file.decode(stream)):
      if number in wanted:
        frames[number] = frame.to_ndarray(format="rgb24")
      if number == last:
        break
  return np.stack([frames[i] for i in indices.tolist()])


def by_opencv(path: str, sample: Sample) -> np.ndarray:
  """From the start to the last wanted frame, fetching those that are wanted."""
  reader = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
  indices = sample(int(reader.get(cv2.CAP_PROP_FRAME_COUNT)))
  wanted, last, frames = set(indices.tolist()), int(indices.max()), {}
  for number in range(last + 1):
    reader.grab()
    if number in wanted:
      frames[number] = cv2.cvtColor(reader.retrieve()[1], cv2.COLOR_BGR2RGB)
  reader.release()
  return np.stack([frames[i] for i in indices.tolist()])


def by_decord(path: str, sample: Sample) -> np.ndarray:
  """All at once."""
  import decord  # only where it is installed; no part of the library

  reader = decord.VideoReader(path, num_threads=1)
  return reader.get_batch(sample(len(reader)).tolist()).asnumpy()


def in_the_form_of_mmaction2(path: str, sample: Sample, *, normalise: bool = True) -> np.ndarray:
  """float32 [N,224,224,3]: DecordInit, SampleFrames, DecordDecode, Resize, CenterCrop, Normalize, frame by frame."""
  import decord

  reader = decord.VideoReader(path, num_threads=1)
  frames = [reader[i].asnumpy() for i in sample(len(reader)).tolist()]
  scale = 256 / min(frames[0].shape[:2])
  size = int(frames[0].shape[1] * scale + 0.5), int(frames[0].shape[0] * scale + 0.5)
  frames = [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames]
  left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
  frames = [frame[top : top + 224, left : left + 224] for frame in frames]
  if normalise:
    frames = [cv2.multiply(cv2.subtract(np.float32(f), MEAN.astype(float)), 1 / STD.astype(float)) for f in frames]
  return np.stack(frames)


def cropped(decode: Callable[[str, Sample], np.ndarray], path: str, sample: Sample) -> np.ndarray:
  """Any decoder, then our resize and crop."""
  return np.ascontiguousarray(center_crop(resize(Clip(decode(path, sample)), size=256), size=224).frames)


def candidates(
  records: Sequence[Record], stored: Sequence[Record], pattern: str
) -> dict[str, Callable[[], np.ndarray]]:
  """Name -> what makes a batch [B,N,224,224,3] of all the records; `stored` are the same videos in shards."""
  ours = preprocessing(pattern)

  def each(function):
    return lambda: np.stack([function(record.source, ours.indices) for record in records])

  found = {
    "jaction": lambda: np.stack([ours(record)["clips"].reshape(-1, 224, 224, 3) for record in records]),
    "shards": lambda: np.stack([ours(record)["clips"].reshape(-1, 224, 224, 3) for record in stored]),
    "pyav": each(functools.partial(cropped, by_pyav)),
    "opencv": each(functools.partial(cropped, by_opencv)),
  }
  if "decord" not in installed():
    return found
  return found | {
    "decord": each(functools.partial(cropped, by_decord)),
    "mmaction2": each(in_the_form_of_mmaction2),
    "mmaction2 uint8": each(functools.partial(in_the_form_of_mmaction2, normalise=False)),
  }


def installed() -> dict[str, str]:
  """Name -> version of the decoders there are."""
  found = {"av": av.__version__, "opencv": cv2.__version__}
  with contextlib.suppress(ImportError):
    import decord

    found["decord"] = decord.__version__
  return found


def in_turns(runs: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, list[float]]:
  """name -> seconds of each turn.  Each round has a drawn order; of two or more none follows itself, as what ran
  before leaves its code, its files and its free memory behind."""
  times: dict[str, list[float]] = {name: [] for name in runs}
  rng, last = np.random.default_rng(0), None
  for _ in range(repeat):
    names = [str(name) for name in rng.permutation(list(runs))]
    if names[0] == last:
      names.append(names.pop(0))
    for name in names:
      start = time.perf_counter()
      runs[name]()
      times[name].append(time.perf_counter() - start)
    last = names[-1]
  return times


@contextlib.contextmanager
def one_core() -> Iterator[None]:
  """Holds this thread, and those that it starts, to one core where the system can (Linux)."""
  if not hasattr(os, "sched_setaffinity"):
    yield
    return
  before = os.sched_getaffinity(0)
  os.sched_setaffinity(0, {max(before)})
  try:
    yield
  finally:
    os.sched_setaffinity(0, before)


def compare(
  records: Sequence[Record], stored: Sequence[Record], pattern: str, repeat: int, only: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
  """name -> {"ms": median milliseconds a clip, "ratio": to ours, "difference": mean grey levels from ours}.

  `only`: the candidates beside ours; () for all.
  """
  runs = candidates(records, stored, pattern)
  runs = {name: run for name, run in runs.items() if not only or name in ("jaction", *only)}
  found: dict[str, dict[str, float]] = {}
  with one_core():
    reference = runs["jaction"]().astype(np.float32)
    for name, run in runs.items():  # once before: the files are in the page cache, and the frames are looked at
      frames = run()
      frames = frames * STD + MEAN if frames.dtype == np.float32 else frames
      found[name] = {"difference": float(np.abs(frames - reference).mean())}
    times = in_turns(runs, repeat)
  for name, values in times.items():
    found[name]["ms"] = 1e3 * statistics.median(values) / len(records)
    found[name]["ratio"] = statistics.median(other / own for other, own in zip(values, times["jaction"], strict=True))
  return found


def loaded(records: Sequence[Record], pattern: str, *, threads: int, processes: int = 0) -> float:
  """Seconds a clip of a running loader whose batches nobody waits with."""
  size = 2
  rounds = max(12, len(records) // size)
  with training_batches(
    records,
    preprocessing(pattern),
    batch_size=size,
    seed=0,
    threads=threads,
    processes=Processes(processes),
    prefetch=2,
  ) as batches:
    for _ in range(6):  # what is made ahead, and processes that start
      next(batches)
    start = time.perf_counter()
    for _ in range(rounds):
      next(batches)
    return (time.perf_counter() - start) / rounds / size


def hashed(threads: int) -> float:
  """Seconds a piece of work that is nothing but arithmetic, so that it shows what the machine gives two workers."""
  data = bytes(1 << 22)

  def work() -> None:
    for _ in range(20):
      hashlib.sha256(data).digest()

  workers = [threading.Thread(target=work) for _ in range(threads)]
  start = time.perf_counter()
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()
  return (time.perf_counter() - start) / 20 / threads


def by_workers(records: Sequence[Record], pattern: str, repeat: int) -> dict[str, dict[str, float]]:
  """name -> {"ms": milliseconds a clip, "ratio": how many times the speed of one such worker}.

  "hashing" is what threads without any of ours reach: 2.0 unless the machine has other things to do.
  """
  runs: dict[str, Callable[[int], float]] = {
    "threads": lambda count: loaded(records, pattern, threads=count),
    "processes": lambda count: loaded(records, pattern, threads=count, processes=count),
    "hashing": hashed,
  }
  found: dict[str, dict[str, float]] = {}
  every = {kind: {1: [], 2: []} for kind in runs}
  for turn in range(repeat):
    for kind, run in runs.items():
      for count in (1, 2) if turn % 2 == 0 else (2, 1):
        every[kind][count].append(run(count))
  for kind, times in every.items():
    for count, values in times.items():
      ratios = [one / own for one, own in zip(times[1], values, strict=True)]
      found[f"{count} {kind}"] = {"ms": 1e3 * statistics.median(values), "ratio": statistics.median(ratios)}
  return found


def in_shards(records: Sequence[Record], folder: pathlib.Path) -> list[Record]:
  """The same videos, in ArrayRecord shards made in the folder."""
  build_set({"train": records}, folder)
  return list(read_records(os.fspath(folder / "train"), format="tfds"))


def make_videos(
  folder: pathlib.Path, *, count: int, gop: int, seconds: float = 10.0, size: tuple[int, int] = (340, 256)
) -> list[Record]:
  """H.264, `size` (width, height), 30 frames a second, a keyframe every `gop` frames: moving textures, some grain."""
  records, (width, height) = [], size
  wide = max(900, width + 400), max(900, width + 400, height + 400)
  for number in range(count):
    path = folder / f"video_{number:03d}.mp4"
    rng = np.random.default_rng([7, number])
    large = cv2.resize(rng.integers(0, 256, (24, 32, 3), np.uint8), wide, interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(rng.integers(0, 256, (90, 120, 3), np.uint8), wide, interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 6, (4, height, width, 1)).astype(np.float32)
    with av.open(os.fspath(path), "w") as file:
      options = {"crf": "23", "preset": "medium", "g": str(gop), "keyint_min": str(min(gop, 25)), "sc_threshold": "0"}
      stream = file.add_stream("libx264", rate=Fraction(30), options=options)
      stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
      for t in range(round(30 * seconds)):
        x, y = int(200 + 180 * np.sin(t / 40)), int(180 + 160 * np.cos(t / 55))
        back = large[y : y + height, x : x + width].astype(np.float32)
        front = small[x : x + height, y : y + width].astype(np.float32)
        mask = ((np.indices((height, width)).sum(0) + 3 * t) // 90 % 2)[..., None]
        frame = np.where(mask, back, front) + grain[t % 4]
        picture = av.VideoFrame.from_ndarray(np.clip(frame, 0, 255).astype(np.uint8), format="rgb24")
        file.mux(stream.encode(picture))
      file.mux(stream.encode())
    records.append(Record(path.name, os.fspath(path), 0))
  return records


def data(argv: list[str]) -> None:
  """Prints a table for each pattern."""
  parser = argparse.ArgumentParser(
    prog="jaction benchmark data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--list", help="the videos (default: made here)")
  parser.add_argument("--format", default="auto", choices=["auto", *READERS], help="of the list (default auto)")
  parser.add_argument("--root", help="where paths in the list start (default: the list's folder)")
  parser.add_argument("--videos", type=int, default=4, help="how many (default 4)")
  parser.add_argument("--gop", type=int, default=250, help="frames from keyframe to keyframe (default 250)")
  parser.add_argument("--repeat", type=int, default=7, help="how often each candidate takes its turn (default 7)")
  parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="candidates beside ours (default all)")
  parser.add_argument("--workers", action="store_true", help="one worker beside two instead of other decoders")
  parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
  args = parser.parse_args(argv)
  for name in ("videos", "gop", "repeat"):
    if getattr(args, name) < 1:
      raise InputError(f"--{name}={getattr(args, name)}: wanted 1 or more")
  if args.json and not args.json.absolute().parent.is_dir():
    raise InputError(f"--json {args.json}: there is no such folder")
  names = list(candidates((), (), "sparse"))
  if missing := [name for name in args.only if name not in names]:
    absent = "" if "decord" in names else "; decord, and mmaction2 by it, where decord is installed"
    raise InputError(f"--only {' '.join(missing)}: there are {', '.join(names)}{absent}.{nearest(missing[0], names)}")
  if args.only and args.workers:
    raise InputError("--only and --workers: which decoder was asked, and what two workers give; one of them was wanted")
  cv2.setNumThreads(1)
  with tempfile.TemporaryDirectory() as folder:
    if args.list:
      records = read_records(args.list, format=args.format, root=args.root)[: args.videos]
    else:
      records = make_videos(pathlib.Path(folder), count=args.videos, gop=args.gop)
    if records[0].stored is not None:
      raise InputError(f"--list {args.list}: holds shards; wanted a list of files, of which the benchmark makes shards")
    where = args.list or f"{args.videos} videos of 340x256, 10 s, a keyframe every {args.gop} frames"
    if args.workers:
      figures = {pattern: by_workers(records, pattern, args.repeat) for pattern in PATTERNS}
    else:
      stored = in_shards(records, pathlib.Path(folder) / "shards")
      figures = {pattern: compare(records, stored, pattern, args.repeat, args.only) for pattern in PATTERNS}
  for pattern, rows in figures.items():
    clip_len, interval, clips = PATTERNS[pattern]
    taken = f"{clips} x {clip_len} frames" + (f" at stride {interval}" if interval > 1 else "")
    ratio, unit = ("times one", "workers") if args.workers else ("times ours", "candidate")
    columns = [unit, "ms a clip", ratio] + ["mean grey levels from ours"] * (not args.workers)
    table = Table(*columns, title=f"{pattern}: {taken}")
    for name, row in rows.items():
      table.add_row(name, *(f"{row[key]:.2f}" for key in ("ms", "ratio", "difference") if key in row))
    Console().print(table)
  versions = ", ".join(f"{name} {version}" for name, version in installed().items())
  missing = "" if "decord" in installed() else "; decord is not installed, and MMAction2's form with it is left out"
  print(f"{'all cores' if args.workers else 'one core'}; {where}; {versions}{missing}")
  if args.json:
    facts = {"where": where, "installed": installed(), "figures": figures}
    args.json.write_text(json.dumps(facts, indent=1) + "\n")
