"""python -m launch.train --config=CONFIG --workdir=DIR [--config.key=value ...]: trains, or goes on training."""

import ast
import difflib
import logging
import os
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

import rich.console
import rich.table
from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags
from ml_collections.config_dict import ConfigDict

import jaction.configs
from jaction.errors import InputError, nearest
from jaction.launch import cli
from jaction.models import create_model

USAGE = """usage: {program} --config=CONFIG --workdir=DIR [--config.KEY=VALUE ...]

Trains CONFIG in DIR; started again with the same DIR it goes on from the last checkpoint.

  --config      a path, such as configs/toy_tsm.py, or the name of one of these:
{names}
  --workdir     the folder for checkpoints, metrics, curves and the trained model
  --config.KEY  another value for a key, such as --config.schedule.lr=0.01; a tuple is written "(1, 2)"

  --dry_run     reads the lists, loads some batches, compiles and times the step, estimates; writes nothing

With several processes, each is started with the same flags and these:
  --coordinator=HOST:PORT --processes=N --process_id=0 ... N-1, or --distributed where JAX knows the cluster (Slurm,
                Open MPI, Kubernetes, TPU pods)

A duration has three keys, of which one is above zero: --config.duration.epochs=0 --config.duration.steps=100
With --config given, --help lists its keys.
"""

_CHANNELS = {
  "flow": ("x", "y"),
  "stacked_flow": ("x", "y"),
  "motion": ("x", "y"),
  "spectrogram": ("of the log-mel feature",),
}


def main(argv: list[str]) -> int | None:
  """Parses the flags and trains; see USAGE."""
  values = flags.FlagValues()
  workdir = flags.DEFINE_string("workdir", None, "the run's folder", flag_values=values)
  coordinator = flags.DEFINE_string("coordinator", None, "host:port of the first process", flag_values=values)
  processes = flags.DEFINE_integer("processes", None, "of the run", lower_bound=1, flag_values=values)
  process_id = flags.DEFINE_integer("process_id", None, "number of this one, from 0", lower_bound=0, flag_values=values)
  distributed = flags.DEFINE_bool("distributed", False, "several processes, as the cluster says", flag_values=values)
  dry = flags.DEFINE_bool("dry_run", False, "try the config, write nothing", flag_values=values)
  argv, asked = _without_help(_resolved(argv))
  config = parse_config(argv, values)
  if asked or config is None:
    print(
      USAGE.format(program="python -m launch.train", names="".join(f"                {n}\n" for n in names()).rstrip())
    )
    if config is not None:
      _print_keys(config)
    if asked:
      return 0
    raise InputError("--config is missing")
  if dry.value:
    from jaction.train.dry_run import dry_run  # deferred, so that --help is quick

    _show("what a run would be", dry_run(config))
    return 0
  if not workdir.value:
    raise InputError("--workdir is missing: wanted the folder for checkpoints, metrics, curves and the trained model")
  absl_logging.set_verbosity(absl_logging.ERROR)  # orbax tells of each file that it writes
  logging.getLogger("jax").setLevel(logging.ERROR)
  if distributed.value or coordinator.value or "JAX_COORDINATOR_ADDRESS" in os.environ:
    from jaction.train.distributed import start  # deferred as well

    start(coordinator.value, processes.value, process_id.value)
  from jaction.train.distributed import alone  # deferred, so that --help is quick
  from jaction.train.loop import train

  with alone():
    metrics = train(config, workdir.value)
  if not metrics:  # of several processes the first has them
    return 0
  _show(f"{workdir.value}: {config.model.name}", metrics)
  return 0


def _show(title: str, values: Mapping[str, object]) -> None:
  table = rich.table.Table(title=title, show_header=False)
  for name, value in values.items():
    table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
  rich.console.Console().print(table)


def names() -> list[str]:
  """The packaged configs."""
  return sorted(p.stem for p in _folder().glob("*.py") if p.stem not in ("__init__", "base", "recipes", "detection"))


def packaged(name: str) -> tuple[str, str] | None:
  """(config, its argument) that a name of MMAction2 stands for; None where none is packaged.

  Experiments that differ by the size of the videos on disk alone are one config, with the size as its argument:
  tsn_r50_multiscalecrop_320p_... is tsn_r50_multiscalecrop_...:320p.
  """
  if name in names():
    return name, ""
  for size in ("256p", "320p", "340x256"):
    if f"_{size}_" in name and (short := name.replace(f"_{size}_", "_")) in names():
      return short, size
  return None


def parse_config(argv: list[str], values: flags.FlagValues | None = None) -> ConfigDict | None:
  """The locked config that --config and --config.KEY=VALUE in `argv` give; None where there is no --config.

  Raises InputError for a config that is not there, a key that it does not have, with the nearest, a value that does not
  fit, a flag that is not known.
  """
  values = flags.FlagValues() if values is None else values
  argv, fields = _new_fields(_resolved(argv))
  given = next((a.split("=", 1)[1] for a in argv if re.match(r"--?config=", a)), None)
  holder = config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
  if given is not None and not pathlib.Path(given.split(":")[0]).is_file():
    raise InputError(
      f"--config={given}: there is no such file, and no packaged config of this name."
      f"{nearest(given.split(':')[0], names())} `jaction train --help` lists them."
    )
  try:
    rest = values(["train", *argv])[1:]
  except flags.UnrecognizedFlagError as error:
    known = [f"--{name}" for name in values]
    raise InputError(f"the flag --{error.flagname} is not known.{nearest('--' + error.flagname, known)}") from error
  except Exception as error:  # a config is code, which can fail in every way
    raise InputError(_flag_error(error, given, argv)) from error
  if rest:
    raise InputError(f"{' '.join(rest)} is not a flag: flags start with --, and a value follows its = without a blank")
  config = holder.value
  if config is not None:
    if fields:
      create_model(config.model.name, num_classes=config.model.num_classes, **config.model.fields, **fields)
      with config.unlocked():
        config.model.fields.update(fields)
    _check_tuples(config)
  return config


def _new_fields(argv: list[str]) -> tuple[list[str], dict[str, Any]]:
  """Flags without, and the values of, --config.model.fields.NAME=VALUE for fields that the config does not set: any
  network's own fields may be given, and `create_model` says which there are."""
  own = [flag for flag in argv if re.match(r"--?config\.model\.fields\.\w+=", flag)]
  if not own:
    return argv, {}
  plain, found = flags.FlagValues(), {}
  chosen = [flag for flag in argv if re.match(r"--?config=", flag)]
  holder = config_flags.DEFINE_config_file("config", flag_values=plain, sys_argv=chosen)
  try:
    plain(["train", *chosen])
    known = holder.value.model.fields
  except Exception:  # said by the caller, which meets it again
    return argv, {}
  for flag in own:
    path, _, value = flag.partition("=")
    if (name := path.rpartition(".")[2]) in known:
      continue
    try:
      found[name] = ast.literal_eval(value)
    except (ValueError, SyntaxError):
      found[name] = value
    argv = [other for other in argv if other != flag]
  return argv, found


def _flag_error(error: Exception, given: str | None, argv: list[str]) -> str:
  """What is wrong with an override, with the nearest key; otherwise what the library says."""
  if given is None:
    return str(error)
  plain = flags.FlagValues()
  holder = config_flags.DEFINE_config_file("config", flag_values=plain, sys_argv=[f"--config={given}"])
  try:
    plain(["train", f"--config={given}"])
    known = keys(holder.value)
  except Exception as inner:  # the config itself fails, whatever its code raises
    return f"--config={given} cannot be loaded: {_last_line(inner)}"
  for arg in argv:
    key = re.sub(r"^--?(no)?config\.", "", arg.split("=", 1)[0])
    if key != arg.split("=", 1)[0] and key not in known and not any(k.startswith(key + ".") for k in known):
      tails = [
        k
        for k in known
        if k.split(".")[-1] in difflib.get_close_matches(key.split(".")[-1], [k.split(".")[-1] for k in known])
      ]
      near = nearest(key, known) or (f" Near it: {', '.join(tails[:3])}." if tails else "")
      return f"--config.{key}: the config has no such key.{near}"
  return _last_line(error)


def _last_line(error: Exception) -> str:
  """What config_flags says begins with whole tracebacks; the last line is the mistake."""
  return ([line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]


def keys(config: ConfigDict, at: str = "") -> dict[str, object]:
  """{dotted key: value} of every leaf."""
  found = {}
  for key, value in config.items():
    found |= keys(value, f"{at}{key}.") if isinstance(value, ConfigDict) else {f"{at}{key}": value}
  return found


def _check_tuples(config: ConfigDict) -> None:
  """config_flags does not look at the length of a tuple: mean and std need one number for each channel."""
  for kind in ("train", "test"):
    for name in ("mean", "std"):
      given = config.get("preprocessing", {}).get(kind, {})
      channels = _CHANNELS.get(given.get("modality", "rgb"), ("R", "G", "B"))
      value = given.get(name, channels)
      if len(value) != len(channels):
        numbers = ("one number", "two numbers", "three numbers")[len(channels) - 1]
        raise InputError(f"config.preprocessing.{kind}.{name}={value}: wanted {numbers}, {', '.join(channels)}")


def _folder() -> pathlib.Path:
  return pathlib.Path(next(iter(jaction.configs.__path__)))


def _resolved(argv: list[str]) -> list[str]:
  """`--config X` becomes `--config=X` and the first flag, and the name of a packaged config its path."""
  argv = list(argv)
  for i, arg in enumerate(argv):
    if arg in ("--config", "-config") and i + 1 < len(argv):
      argv[i : i + 2] = [f"--config={argv[i + 1]}"]
      break
  for i, arg in enumerate(argv):
    if re.match(r"--?config=", arg):
      name, colon, form = arg.split("=", 1)[1].partition(":")
      stem = pathlib.Path(name).stem
      meant = name == stem or (name == f"configs/{stem}.py" and not pathlib.Path(name).exists())
      if meant and (found := packaged(stem)):
        name, form = str(_folder() / f"{found[0]}.py"), form or found[1]
        colon = ":" if form else ""
      argv[i] = f"--config={name}{colon}{form}"
  return sorted(argv, key=lambda arg: not re.match(r"--?config=", arg))  # config_flags knows no other order


def _without_help(argv: list[str]) -> tuple[list[str], bool]:
  rest = [a for a in argv if a not in ("--help", "-h", "-help", "--helpfull")]
  return rest, len(rest) < len(argv)


def _print_keys(config: ConfigDict) -> None:
  print("Keys of this config:\n" + "\n".join(f"  --config.{key}={value!r}" for key, value in keys(config).items()))


if __name__ == "__main__":
  sys.exit(cli.run(main))
