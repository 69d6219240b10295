"""The folder of a run: its resolved config, the versions it ran under, and whether a run may go on in it."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

import jax

from jaction.errors import InputError

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "av", "opencv-python-headless")
FREE = ("log",)  # what may change between the starts of one run


def open_workdir(workdir: str | os.PathLike, config: Mapping[str, Any]) -> tuple[pathlib.Path, list[str]]:
  """Makes or reopens the folder of a run: (folder, what differs from its earlier start: versions, devices).

  Writes config.json and versions.json at the first start.  Raises InputError, naming the keys that differ, where the
  folder belongs to a run of another config.
  """
  folder = pathlib.Path(workdir).absolute()
  if folder.exists() and not folder.is_dir():
    raise InputError(f"--workdir={workdir} is a file: wanted a folder")
  config = json.loads(json.dumps(config))  # as it comes back from the file: tuples are lists
  versions = collect_versions()
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f"--workdir={workdir} cannot be made: {error.strerror}") from error
  if not (folder / "config.json").exists():
    if any((folder / name).exists() for name in ("checkpoints", "metrics.jsonl")):
      raise InputError(
        f"{folder} holds a run without config.json, so that it cannot be told which: take another workdir"
      )
    _write(folder / "versions.json", versions)
    _write(folder / "config.json", config)
    return folder, []
  differing = differences(_read(folder / "config.json"), config)
  if differing:
    raise InputError(
      f"{folder} belongs to a run of another config: take another workdir, or the same settings. What differs:\n  "
      + "\n  ".join(f"{key}: {was} there, {now} now" for key, was, now in differing)
    )
  earlier = _read(folder / "versions.json") if (folder / "versions.json").exists() else {}
  changes = [f"{key}: {was} then, {now} now" for key, was, now in differences(earlier, versions, free=())]
  if changes:
    _write(folder / "versions.json", versions)
  return folder, changes


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
