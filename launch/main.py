"""The one console command: `jaction NAME ...` is `python -m launch.NAME ...` wherever jaction is installed."""

import importlib
import sys
from typing import NamedTuple

import jaction
from jaction.errors import InputError, nearest
from jaction.launch import cli


class Command(NamedTuple):
  """Where a command lives and what it is for."""

  module: str
  does: str


COMMANDS = {
  "demo": Command("jaction.launch.demo", "make the toy set, train two small networks on it, show what they learned"),
  "data": Command("jaction.launch.data", "make the toy set, or lists of your own videos or a known dataset"),
  "train": Command("jaction.launch.train", "train, or resume, from a config"),
  "evaluate": Command("jaction.launch.evaluate", "accuracy of a trained model over a list of videos"),
  "predict": Command("jaction.launch.predict", "top classes of single videos, as a table, JSON, or drawn into them"),
  "detect": Command("jaction.launch.detect", "what each person of a video does: boxes and actions, drawn and as JSON"),
  "features": Command("jaction.launch.features", "a recognizer's features of a list of long videos, resumably"),
  "bsn": Command("jaction.launch.bsn", "BSN's three stages in one command, or one by one"),
  "localize": Command("jaction.launch.localize", "what happens when in a long video: JSON, subtitles, a timeline"),
  "inspect": Command("jaction.launch.inspect", "layers, parameters, operations and memory of a model"),
  "reproduce": Command("jaction.launch.reproduce", "a published figure of the zoo, measured here"),
  "convert": Command("jaction.converters.convert", "PyTorch checkpoints into model folders, and back"),
  "config": Command("jaction.converters.config", "import an MMAction2 config file"),
  "benchmark": Command("jaction.launch.benchmark", "time the networks, beside PyTorch's where torch is installed"),
}


def usage() -> str:
  """The text of `jaction --help`."""
  rows = "\n".join(f"  {name:<11}{command.does}" for name, command in COMMANDS.items())
  more = "`jaction COMMAND --help` tells a command's flags, `jaction --version` the version."
  return f"usage: jaction COMMAND ...\n\n{rows}\n\n{more}"


def main(argv: list[str]) -> int | None:
  """Runs the command that argv[0] names with the rest; its module is imported only then."""
  name, *rest = argv or ["--help"]
  if name in ("--help", "-h", "help"):
    print(usage())
    return 0
  if name in ("--version", "-V"):
    print(f"jaction {jaction.__version__}")
    return 0
  if name not in COMMANDS:
    raise InputError(f"no command {name!r}; there are {', '.join(COMMANDS)}.{nearest(name, COMMANDS)}")
  return importlib.import_module(COMMANDS[name].module).main(rest)


def console() -> int:
  """The installed `jaction`: exit status of the command in sys.argv."""
  return cli.run(main)


if __name__ == "__main__":
  sys.exit(console())
