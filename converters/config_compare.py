"""The packaged config that is nearest to what an MMAction2 config says, and where the two differ."""

import difflib
import inspect
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaction.clips.preprocessing import Preprocessing
from jaction.clips.sampling import SAMPLERS
from jaction.clips.transforms import STEPS
from jaction.converters.config_facts import HINTS, Facts
from jaction.converters.config_network import CLIP, family
from jaction.converters.config_pipelines import PHASES
from jaction.converters.config_values import MISSING
from jaction.errors import InputError
from jaction.launch.train import keys, names, parse_config
from jaction.models.variants import list_models


class _Nothing:
  def __repr__(self) -> str:
    return "-"


NOTHING = _Nothing()  # the config does not have the key
TOLERANCE = 1e-4  # relative: 57.38 is 57.375
OTHER_NETWORK, OTHER_CLIP, OTHER_DATASET, OTHER_WORD = 60.0, 12.0, 30.0, 0.3
WEIGHTS = {  # how far a difference sets two configs apart, by the last parts of its key; others count 1
  "num_classes": 25.0,
  "modality": 15.0,
  "steps": 5.0,
  "sampler": 5.0,
  "num_clips": 4.0,
  "clip_len": 4.0,
  "frame_interval": 4.0,
  "schedule.name": 4.0,
  "duration.epochs": 4.0,
  "schedule.lr": 3.0,
  "milestones": 3.0,
  "groups": 3.0,
  "dropout": 3.0,
  "frames_per_view": 0.0,
  "batch_size": 0.5,
}


class Row(NamedTuple):
  """A key in which the two differ; `fault` names what is wrong on their side, "" where nothing is."""

  key: str
  theirs: Any
  ours: Any
  fault: str = ""


def packaged_configs(disk: str = "") -> dict[str, dict[str, Any]]:
  """{name: {dotted key: value}} of the configs that jaction comes with, but for the toys.

  Where `disk`, a size of videos, is an argument that a config takes, it is the form of that size, under name:disk.
  """
  found = {}
  for name in names():
    for form in (f"{name}:{disk}", name) if disk else (name,):
      if name.startswith("toy") or f"{name}:{disk}" in found:
        continue
      try:
        found[form] = keys(parse_config([f"--config={form}"]))
      except InputError:  # takes no argument; or is no config, or being edited
        continue
  if not found:
    raise InputError("no config is packaged with this jaction")
  return found


def nearest_config(facts: Facts, configs: Mapping[str, Mapping[str, Any]], stem: str = "") -> list[tuple[float, str]]:
  """(distance, name) of every config, the nearest first; `stem`, the name of the file, breaks ties."""
  found = [(_distance(facts, name, differences(facts, config)), name) for name, config in configs.items()]
  alike = difflib.SequenceMatcher(b=stem)
  return sorted(found, key=lambda pair: (round(pair[0], 6), -_ratio(alike, pair[1]), pair[1]))


def _ratio(alike: difflib.SequenceMatcher, name: str) -> float:
  alike.set_seq1(name)
  return alike.ratio()


def _distance(facts: Facts, name: str, rows: list[Row]) -> float:
  total = 0.0
  for row in rows:
    if row.key == "model.name":
      total += _between(str(row.theirs), str(row.ours))
    elif not row.fault:
      total += next((w for part, w in WEIGHTS.items() if row.key.endswith(part)), 1.0)
  total += OTHER_WORD * (facts.disk not in name)
  name = name.partition(":")[0]
  dataset = "kinetics" if "_kinetics_" in name and facts.dataset == "kinetics400" else facts.dataset
  if dataset and f"_{dataset}_" not in f"_{name}_":
    total += OTHER_DATASET
  return total + OTHER_WORD * sum((f"_{word}_" in f"_{name}_") != (word in facts.hints) for word in HINTS)


def _between(theirs: str, ours: str) -> float:
  """Between two names of networks: the share of their parts that differ, then clip, then the rest."""
  a, b = set(family(theirs)), set(family(ours))
  if a != b:
    return OTHER_NETWORK * (2 - len(a & b) / len(a | b))
  clips = [match.group() if (match := CLIP.search(name.removesuffix("_fb"))) else "" for name in (theirs, ours)]
  return OTHER_CLIP if clips[0] != clips[1] else 1.0


def differences(facts: Facts, ours: Mapping[str, Any]) -> list[Row]:
  """Where a config, {dotted key: value}, differs from the facts, in their order; only what they say counts."""
  rows: list[Row] = []
  for key, theirs in facts.values.items():
    phase = key.rpartition(".")[0]
    if key.startswith("preprocessing.") and key.endswith(".steps"):
      rows += _step_rows(phase, facts.values, ours)
    elif key.endswith(".frames_per_view"):
      clips = [f"{phase}.{name}" for name in ("num_clips", "clip_len")]
      same_clips = all(same(facts.values.get(name), ours.get(name)) for name in clips)
      if not same_clips and not same(theirs, ours.get(key, NOTHING)):
        rows.append(Row(key, theirs, ours.get(key, NOTHING)))
    elif key == "batch_size":
      if not _same_batch(facts, ours):
        rows.append(Row(key, theirs, ours[key]))
    elif not key.endswith(".settings") and not same(theirs, ours.get(key, NOTHING)):
      rows.append(Row(key, theirs, ours.get(key, NOTHING)))
  return [row._replace(fault=next((why for at, why in facts.faults if at and row.key == at), "")) for row in rows]


def _same_batch(facts: Facts, ours: Mapping[str, Any]) -> bool:
  """A batch on another number of GPUs is the same experiment where the learning rate is that of ours."""
  size = ours["batch_size"]
  same_rate = same(facts.values.get("schedule.lr"), ours["schedule.lr"])
  return size == facts.values["batch_size"] or same_rate and size % facts.per_gpu == 0


def _step_rows(phase: str, facts: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Row]:
  theirs, settings = facts[f"{phase}.steps"], facts.get(f"{phase}.settings", {})
  own = ours.get(f"{phase}.steps", NOTHING)
  if own is NOTHING:
    return [Row(f"{phase}.steps", theirs, own)]
  rows, ratio = [], f"{phase}.settings.flip.ratio"
  if "flip" in own and "flip" not in theirs:  # a mirror in none of the cases is none
    own = tuple(step for step in own if step != "flip")
    if ours.get(ratio, 0.5):
      rows.append(Row(ratio, 0.0, ours.get(ratio, 0.5)))
  if own != theirs:
    rows.append(Row(f"{phase}.steps", theirs, own))
  sampler = facts.get(f"{phase}.sampler")
  common = [step for step in theirs if step in own] + [sampler] * (sampler == ours.get(f"{phase}.sampler"))
  for step in common:
    start = f"{phase}.settings.{step}."
    said = settings.get(step, {})
    for name in dict.fromkeys([*said, *(key[len(start) :] for key in ours if key.startswith(start))]):
      default = _default(step, name)
      a, b = said.get(name, default), ours.get(start + name, default)
      if a is not NOTHING and a is not MISSING and name != "labels" and not same(a, b):
        rows.append(Row(start + name, a, b))
  return rows


def _default(step: str, name: str) -> Any:
  function = STEPS.get(step) or SAMPLERS.get(step)
  parameter = inspect.signature(function).parameters.get(name) if function else None
  unsaid = parameter is None or parameter.default is parameter.empty or parameter.default is None
  return NOTHING if unsaid else parameter.default


def same(a: Any, b: Any) -> bool:
  """Equal but for rounding, and lists equal to tuples."""
  if isinstance(a, list | tuple) and isinstance(b, list | tuple):
    return len(a) == len(b) and all(map(same, a, b))
  numbers = isinstance(a, int | float) and isinstance(b, int | float)
  return math.isclose(a, b, rel_tol=TOLERANCE) if numbers else type(a) is type(b) and a == b


def flags(name: str, rows: list[Row]) -> dict[str, str]:
  """{key: the flag that makes ours equal}, for the rows that a flag can say; together they are a config that runs.

  A flag cannot add a key, change the type of a value, or name a network that jaction does not have.  Rows that are
  faults of theirs have none.
  """
  made = {}
  for row in rows:
    value = row.theirs if isinstance(row.theirs, str) else repr(row.theirs)
    text = f"--config.{row.key}={value}"
    known = row.key != "model.name" or row.theirs in list_models("*")
    if row.ours is not NOTHING and not row.fault and known and _gives(name, [text], row):
      made[row.key] = text
  for phase in PHASES.values():
    start = f"preprocessing.{phase}."
    for dropped in ((f"{start}steps", f"{start}sampler", f"{start}settings."), (start,)):
      if not _runs(name, list(made.values()), phase):
        made = {key: text for key, text in made.items() if not key.startswith(dropped)}
  return made


def _gives(name: str, argv: list[str], row: Row) -> bool:
  try:
    return same(keys(parse_config([f"--config={name}", *argv])).get(row.key), row.theirs)
  except InputError:
    return False


def _runs(name: str, argv: list[str], phase: str) -> bool:
  section = parse_config([f"--config={name}", *argv]).preprocessing[phase]
  try:
    return not section or bool(Preprocessing.from_json(section.to_dict()))
  except InputError:
    return False
