"""The folder of a run: its resolved config, its data, the versions it ran under, and whether a run may go on in it."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import jax

try:
  import fcntl
except ImportError:  # not on Windows, where a folder is then not locked
  fcntl = None

from jaction.errors import InputError

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "av", "opencv-python-headless")
# What may change between the starts of one run: the result does not hang on it.
FREE = (
  *("log", "data.root", "data.threads", "data.processes", "data.recycle", "data.timeout", "data.prefetch"),
  *("data.cache_mb", "data.on_error", "data.max_errors"),  # places before a bad file stay what they were
  *("eval.batch_size", "checkpoint.keep", "checkpoint.minutes"),
  *("divergence.action", "divergence.limit"),  # what is left out is written down, in diverged.jsonl
  "mesh",  # the sums' order: said at the start, as another number of devices is
)


@contextlib.contextmanager
def locked_workdir(workdir: str | os.PathLike) -> Iterator[pathlib.Path]:
  """The folder, made where it is not there, held against every other run until the context or the process ends.

  Raises InputError where another run holds it.
  """
  folder = _make(workdir)
  if fcntl is None or jax.process_index():  # of several processes of one run the first holds the folder
    yield folder
    return
  try:
    file = open(folder / "lock", "a+", encoding="utf-8")
  except OSError as error:
    raise InputError(f"--workdir={workdir} cannot be written to: {error.strerror}") from error
  with file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise InputError(
        f"another run is going on in {folder} ({file.read().strip() or 'it has only just begun'}): take another "
        "workdir, or wait for its end"
      ) from None
    except OSError:  # a file system without locks
      pass
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}\n")
    file.flush()
    yield folder


def _make(workdir: str | os.PathLike) -> pathlib.Path:
  folder = pathlib.Path(workdir).expanduser().absolute()
  if folder.exists() and not folder.is_dir():
    raise InputError(f"--workdir={workdir} is a file: wanted a folder")
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f"--workdir={workdir} cannot be made: {error.strerror}") from error
  return folder


def open_workdir(
  workdir: str | os.PathLike, config: Mapping[str, Any], data: Mapping[str, Any] | None = None
) -> tuple[pathlib.Path, list[str]]:
  """Makes or reopens the folder of a run: (folder, what differs from earlier starts: versions, devices).

  Writes config.json, data.json (`data`: facts of the training list) and versions.json, which holds an entry for each
  start.  A folder without a checkpoint is begun anew, whatever was wanted there before.  Raises InputError, naming the
  keys that differ, where the folder belongs to a run of another config or of other data.
  """
  folder = _make(workdir)
  config, data = (json.loads(json.dumps(value)) for value in (config, data))  # as from a file: tuples are lists
  versions = collect_versions() | {key: config[key] for key in ("mesh",) if key in config}
  if not (folder / "config.json").exists():
    if any((folder / name).exists() for name in ("checkpoints", "metrics.jsonl")):
      raise InputError(
        f"{folder} holds a run without config.json, so that it cannot be told which: take another workdir"
      )
    return _begin(folder, config, data, versions)
  if not _has_result(folder):
    diverged = folder / "diverged.jsonl"
    if diverged.exists() and differences(_read(folder / "config.json"), config):
      diverged.unlink()  # of another run, whose batches are none of this one's
    return _begin(folder, config, data, versions)
  differing = differences(_read(folder / "config.json"), config)
  if differing:
    raise InputError(
      f"{folder} belongs to a run of another config: take another workdir, or the same settings. What differs:\n  "
      + "\n  ".join(f"{key}: {was} there, {now} now" for key, was, now in differing)
    )
  earlier = _read(folder / "data.json") if (folder / "data.json").exists() else None
  differing = differences(earlier, data, free=()) if earlier and data else []
  if differing:
    raise InputError(
      f"the training videos, their labels or their order are not those that the run in {folder} began with, so that it "
      "cannot go on as it would have: take another workdir, or put the list back. What differs:\n  "
      + "\n  ".join(f"{key}: {was} there, {now} now" for key, was, now in differing)
    )
  starts = _read(folder / "versions.json") if (folder / "versions.json").exists() else []
  starts = starts if isinstance(starts, list) else [starts]
  found = (difference for start in starts for difference in differences(start, versions, free=()))
  changes = list(dict.fromkeys(f"{key}: {was} then, {now} now" for key, was, now in found))
  _write(folder / "versions.json", [*starts, versions])
  _write(folder / "config.json", config)  # with the values that may change
  if data and not earlier:
    _write(folder / "data.json", data)
  return folder, changes


def _begin(folder: pathlib.Path, config: Any, data: Any, versions: Any) -> tuple[pathlib.Path, list[str]]:
  _write(folder / "versions.json", [versions])
  _write(folder / "data.json", data)
  _write(folder / "config.json", config)
  return folder, []


def _has_result(folder: pathlib.Path) -> bool:
  """Whether a run left a checkpoint or a model there."""
  checkpoints = folder / "checkpoints"
  saved = checkpoints.is_dir() and any(path.name.isdigit() for path in checkpoints.iterdir())
  return saved or (folder / "model").exists()


def differences(was: Any, now: Any, *, free: tuple[str, ...] = FREE, at: str = "") -> list[tuple[str, str, str]]:
  """(dotted key, value there, value now) for each leaf that differs; keys under those in `free` may."""
  if not (isinstance(was, Mapping) and isinstance(now, Mapping)):
    return [] if was == now else [(at, _short(was), _short(now))]
  found = []
  for key in sorted({*was, *now}):
    path = f"{at}.{key}" if at else key
    if path in free:
      continue
    if key in was and key in now:
      found += differences(was[key], now[key], free=free, at=path)
    else:
      found.append((path, _short(was[key]) if key in was else "absent", _short(now[key]) if key in now else "absent"))
  return found


def collect_versions() -> dict[str, Any]:
  """What bit-equality of two runs hangs on, and the commit of a checkout."""
  installed = {}
  for name in PACKAGES:
    try:
      installed[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
  devices = jax.devices()
  return {
    "packages": installed,
    "python": platform.python_version(),
    "machine": f"{platform.system()} {platform.machine()} {platform.node()}",
    "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    "devices": {"kind": devices[0].device_kind, "count": len(devices), "platform": devices[0].platform},
    "processes": jax.process_count(),
    "xla_flags": os.environ.get("XLA_FLAGS", ""),
    "git": _git_hash(),
  }


def _git_hash() -> str:
  """The commit of the checkout this file lies in, with + where files differ from it; "" outside of one."""
  here = pathlib.Path(__file__).parent
  git = lambda *words: subprocess.run(("git", "-C", str(here), *words), capture_output=True, text=True, timeout=10)  # noqa: E731
  try:
    top, commit = git("rev-parse", "--show-toplevel"), git("rev-parse", "HEAD")
    if commit.returncode or pathlib.Path(top.stdout.strip()) != here.parents[1]:
      return ""  # installed inside somebody else's repository
    return commit.stdout.strip() + ("+" if git("status", "--porcelain", "-uno").stdout.strip() else "")
  except (OSError, subprocess.SubprocessError):
    return ""


def _short(value: Any) -> str:
  text = json.dumps(value)
  return text if len(text) <= 80 else text[:77] + "..."


def _read(path: pathlib.Path) -> Any:
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, json.JSONDecodeError) as error:
    raise InputError(f"{path} cannot be read ({error}): take another workdir, or put it back") from error


def _write(path: pathlib.Path, value: Any) -> None:
  new = path.with_suffix(".json.new")
  new.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
  os.replace(new, path)
