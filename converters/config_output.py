"""A jaction config file that begins with a packaged one and sets what another says otherwise."""

from collections.abc import Mapping
from typing import Any

from jaction.converters.config_compare import NOTHING, Row
from jaction.converters.config_pipelines import PHASES
from jaction.converters.config_values import MISSING

VIEWS = ("sampler", "clip_len", "frame_interval", "num_clips", "frames_per_view", "mean", "std", "average")
MORE = ("twice_sample", "modality")  # of a whole section
TOGETHER = ("steps", "sampler")  # what a step or a sampler has set must not stay when it goes


def config_text(source: str, name: str, facts: Mapping[str, Any], rows: list[Row], built: list[str]) -> str:
  """The text of the file: `name` may have a :form; `built` are the networks that jaction has.

  Rows that are faults of theirs are left as ours.  Everything of theirs stands in it as a literal.
  """
  module, _, form = name.partition(":")
  left = [row for row in rows if not row.fault]
  body, whole, missing = [], [], []
  for ours in PHASES.values():
    start = f"preprocessing.{ours}."
    mine = [row for row in left if row.key.startswith(start)]
    if any(row.key == f"{start}steps" and row.ours is NOTHING for row in mine):
      missing.append(start)
    elif any(row.key[len(start) :].startswith("settings.") or row.key[len(start) :] in TOGETHER for row in mine):
      whole.append(start)
  for row in left:
    start = next((start for start in (*whole, *missing) if row.key.startswith(start)), None)
    rest = "" if start is None else row.key[len(start) :]
    if start in missing or rest == "steps" or rest.startswith("settings."):
      continue
    if row.key == "model.name" and row.theirs not in built:
      body.append(f"    # their network would be {row.theirs!a}, which jaction does not build")
    else:
      body.append(f"    c.{row.key} = {row.theirs!r}")
  for start in whole:
    body.append(f"    c.{start}steps = {facts[f'{start}steps']!r}")
    body.append(f"    c.{start}settings = {_read(facts.get(f'{start}settings', {}))!r}")
  for start in missing:
    options = {key: _read(facts[start + key]) for key in (*VIEWS, *MORE, "steps", "settings") if start + key in facts}
    body.append(f"    c.{start[:-1]} = preprocessing(**{options!r})")
  imports = [f"from jaction.configs import {module}"]
  if missing:
    imports.append("from jaction.configs.base import preprocessing")
  lines = [
    f"# Written by `python -m converters.config` from {source!a}.",
    *imports,
    "",
    "",
    "def get_config():",
    f"  c = {module}.get_config({repr(form) if form else ''}).unlock()",
    "  with c.ignore_type():",
    *(body or ["    pass"]),
    "  return c.lock()",
    "",
  ]
  return "\n".join(lines)


def _read(value: Any) -> Any:
  """Dicts without what could not be read."""
  if isinstance(value, Mapping):
    return {key: _read(item) for key, item in value.items() if item is not MISSING}
  return value
