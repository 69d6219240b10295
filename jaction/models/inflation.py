"""Kernels of 2-D networks as those of 3-D networks.

Inflation in time: Carreira and Zisserman, 2017 (arXiv:1705.07750, sec. 2.4); the centred form: Feichtenhofer et al.,
2016 (arXiv:1611.02155).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaction.errors import InputError, nearest

FORMS = ("centred", "averaged")


def check_form(name: str, form: str) -> None:
  """InputError, which begins with `name`, for none of FORMS."""
  if form not in FORMS:
    raise InputError(f"{name}={form!r} is not known; wanted one of {', '.join(FORMS)}.{nearest(form, FORMS)}")


def in_time(kernel: np.ndarray, t: int, form: str = "centred") -> np.ndarray:
  """[h, w, I, O] -> [t, h, w, I, O], of which a still picture gives what `kernel` gives, away from the clip's ends.

  "centred": the kernel in the middle and zeros around it; "averaged": a t-th of it in each frame.
  """
  check_form("form", form)
  if form == "averaged":
    return np.repeat(kernel[None] / np.float32(t), t, axis=0)
  out = np.zeros((t, *kernel.shape), kernel.dtype)
  out[t // 2] = kernel
  return out


def inflated(weights: Mapping[str, Any], into: Mapping[str, Any], form: str = "centred") -> dict[str, Any]:
  """The tree `weights` with those kernels inflated that see one frame and in `into`, under the same path, several.

  All else is left as it is, what does not fit too: `jaction.folders.merge` tells of that.
  """
  check_form("form", form)
  want, out = flatten_dict(into, sep="/"), flatten_dict(weights, sep="/")
  for path, leaf in out.items():
    shape = np.shape(want[path]) if path in want else ()
    flat = leaf[0] if np.ndim(leaf) == 5 and leaf.shape[0] == 1 else leaf
    if len(shape) == 5 and np.shape(flat) == shape[1:]:
      out[path] = in_time(np.asarray(flat), shape[0], form)
  return unflatten_dict(out, sep="/")
