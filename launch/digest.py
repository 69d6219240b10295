"""A digest of the clips that a config trains on: the same on two machines, workers or versions where the clips are."""

import argparse
import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from jaction.errors import InputError
from jaction.launch.train import parse_config


def stream_digest(parts: Iterable[Iterable[Mapping[str, np.ndarray]]]) -> str:
  """SHA-256 of the rows of a stream, in their order; `parts` gives, step by step, the batches of all hosts.

  It knows rows alone: how they fall into batches and hosts does not change it.
  """
  made = hashlib.sha256()
  for batches in parts:
    for batch in batches:
      for row in range(len(batch["index"])):
        for name in sorted(batch):
          value = np.ascontiguousarray(batch[name][row])
          made.update(f"{name} {value.dtype.str} {value.shape}".encode())
          made.update(value.tobytes())
  return made.hexdigest()


def digest(argv: list[str]) -> None:
  """Prints the digest of the batches of training from one step to another."""
  parser = argparse.ArgumentParser(
    "jaction data digest",
    description=__doc__,
    epilog="--config and --config.KEY=VALUE as of `jaction train`, such as --config.data.processes=2, which changes "
    "nothing. What decodes and resizes (PyAV, OpenCV, the processor) may change pixels, and with them the digest.",
  )
  parser.add_argument("--steps", type=int, default=8, help="how many batches (default 8)")
  parser.add_argument("--start", type=int, default=0, help="the first one's number (default 0)")
  args, rest = parser.parse_known_args(argv)
  for name, value, least in (("steps", args.steps, 1), ("start", args.start, 0)):
    if value < least:
      raise InputError(f"--{name}={value}: wanted {least} or more")
  config = parse_config(rest)
  if config is None:
    raise InputError("--config is missing: wanted a path, or the name of a packaged config, and --config.data.root")
  from jaction.train.experiment import Experiment  # deferred, so that --help is quick

  settings = config.to_dict()
  settings["data"]["val"] = ""  # nothing is evaluated
  with Experiment(settings).training_batches(args.start, args.start + args.steps) as batches:
    print(f"{stream_digest([batch] for batch in batches)}  steps {args.start} to {args.start + args.steps - 1}")
