"""Settings of samplers and steps by name: checked when they are written down, not when the first video arrives."""

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from jaction.clips.clip import INTERPOLATIONS
from jaction.errors import InputError, nearest


def frozen(value: Any, where: str) -> Any:
  """A value as JSON can carry it both ways: lists become tuples, numpy's numbers Python's; InputError for the rest."""
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, Mapping):
    wrong = [key for key in value if not isinstance(key, str)]
    if wrong:
      raise InputError(f"{where} has the key {wrong[0]!r}; wanted names")
    return {key: frozen(item, f"{where}.{key}") for key, item in value.items()}
  if isinstance(value, list | tuple | np.ndarray):
    return tuple(frozen(item, where) for item in value)
  if value is None or isinstance(value, bool | int | str) or isinstance(value, float) and math.isfinite(value):
    return value
  raise InputError(
    f"{where} is {value!r}; wanted what JSON can hold: finite numbers, texts, truth values, lists of them"
  )


def thawed(value: Any) -> Any:
  """`frozen`'s answer with lists for tuples, as json gives it back."""
  if isinstance(value, Mapping):
    return {key: thawed(item) for key, item in value.items()}
  return [thawed(item) for item in value] if isinstance(value, tuple) else value


def check_settings(name: str, function: Callable, settings: Any, given: Collection[str]) -> None:
  """The keyword settings of a sampler or step: all known, none missing, each of a form that makes sense.

  `given` names parameters that come from elsewhere.
  """
  if not isinstance(settings, Mapping):
    raise InputError(f"the settings of {name} are {settings!r}; wanted a mapping of names to values")
  known = {
    key: parameter
    for key, parameter in inspect.signature(function).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and key not in given
  }
  for key, value in settings.items():
    if key not in known:
      raise InputError(f"{name} has no setting {key!r}; it has {', '.join(known) or 'none'}.{nearest(key, known)}")
    if value is None and known[key].default is None:
      continue
    wanted, fits = _form(name, key)
    if not fits(value):
      raise InputError(f"{name}: {key} is {value!r}; wanted {wanted}")
  for key, parameter in known.items():
    if parameter.default is parameter.empty and key not in settings:
      raise InputError(f"{name} needs the setting {key!r} ({_form(name, key)[0]})")


def _form(name: str, key: str) -> tuple[str, Callable[[Any], bool]]:
  return FORMS.get(f"{name}.{key}") or FORMS[key]


def is_count(value: Any) -> bool:
  """Whether it is a whole number above 0."""
  return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _number(value: Any) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool)


def _size(value: Any) -> bool:
  return is_count(value) or _pair_of(value, is_count)


def _range(value: Any, top: float = math.inf) -> bool:
  return _pair_of(value, _number) and 0 < value[0] <= value[1] <= top


def _scales(value: Any) -> bool:
  return isinstance(value, tuple) and len(value) > 0 and all(_number(item) and 0 < item <= 1 for item in value)


def _pair_of(value: Any, fits: Callable[[Any], bool]) -> bool:
  return isinstance(value, tuple) and len(value) == 2 and all(map(fits, value))


def _labels(value: Any) -> bool:
  whole = isinstance(value, tuple) and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
  return whole and all(0 <= item < len(value) for item in value)


def _three(value: Any, fits: Callable[[Any], bool] = _number) -> bool:
  return isinstance(value, tuple) and len(value) == 3 and all(map(fits, value))


def _fill(value: Any) -> bool:
  rows = value if isinstance(value, tuple) and value else (value,)
  return all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= 255 for item in rows)


# What each setting may be, by its name, which means the same in every step but in those that are named with it.
_FLAG = ("true or false", lambda value: isinstance(value, bool))
_STRENGTH = ("a number of at least 0", lambda value: _number(value) and value >= 0)
_COUNT = ("a whole number of at least 1", is_count)
FORMS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
  "amplify.ratio": ("a number above 0", lambda value: _number(value) and value > 0),
  "length": _COUNT,
  "rate": ("samples per second", is_count),
  "window_ms": ("milliseconds", lambda value: _number(value) and value > 0),
  "step_ms": ("milliseconds", lambda value: _number(value) and value > 0),
  "bands": _COUNT,
  "rows": _COUNT,
  "log": _FLAG,
  "random_crop.size": ("the side of a square in pixels", is_count),
  "size": ("a side in pixels, or (width, height)", _size),
  "keep_ratio": _FLAG,
  "interpolation": (f"one of {', '.join(INTERPOLATIONS)}", lambda value: value in tuple(INTERPOLATIONS)),
  "scales": ("factors above 0 and at most 1", _scales),
  "random_rescale.scales": ("the least and the greatest short side", lambda value: _pair_of(value, is_count)),
  "random_scale.scales": (
    "two sizes (width, height)",
    lambda value: _pair_of(value, lambda size: _pair_of(size, is_count)),
  ),
  "area_range": ("two fractions, 0 < low <= high <= 1", lambda value: _range(value, 1)),
  "aspect_ratio_range": ("two positive numbers, low <= high", _range),
  "attempts": _COUNT,
  "max_wh_scale_gap": (
    "a whole number of at least 0",
    lambda value: value == 0 and value is not False or is_count(value),
  ),
  "num_fixed_crops": ("5 or 13", lambda value: value in (5, 13)),
  "random_crop": _FLAG,
  "flow": _FLAG,
  "ratio": ("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1),
  "direction": ("horizontal or vertical", lambda value: value in ("horizontal", "vertical")),
  "labels": ("the new label of each class, one entry a class", _labels),
  "groups": _COUNT,
  "brightness": _STRENGTH,
  "contrast": _STRENGTH,
  "saturation": _STRENGTH,
  "hue": ("a number from 0 to 0.5", lambda value: _number(value) and 0 <= value <= 0.5),
  "form": ("later or 0.9", lambda value: value in ("later", "0.9")),
  "color_space_aug": _FLAG,
  "alpha_std": _STRENGTH,
  "eig_val": ("three numbers", _three),
  "eig_vec": ("three rows of three numbers", lambda value: _three(value, _three)),
  "num_ops": _COUNT,
  "magnitude": ("a whole number from 0 to 30", lambda value: value in range(31) and not isinstance(value, bool)),
  "fill": ("a value from 0 to 255, or a list of one for each channel", _fill),
  "temporal_jitter": _FLAG,
  "wrap_past_end": _FLAG,
  "sample_range": _COUNT,
  "num_sample_positions": _COUNT,
  "clip_interval": _COUNT,
  "target_fps": ("frames per second", lambda value: _number(value) and value > 0),
  "fps": ("frames per second", lambda value: _number(value) and value > 0),
}
