"""What training leaves as it is: the first stages of a backbone, its batch norms.

One rule on the paths of parameters serves every backbone.  A frozen leaf gets no gradient, and the backward pass ends
behind the last frozen stage; that no weight decay moves it either is the optimizer's part (`jaction.train.optim`).
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import jax
from flax import linen as nn

from jaction.errors import InputError, nearest
from jaction.models.layers import frozen_rule

NORMS = {  # of the backbone
  "none": "as usual",
  "statistics": "running statistics, which stay; scales and biases learn (norm_eval of MMAction2)",
  "all": "nothing of them changes (bn_frozen)",
  "partial": "nothing of them changes but the first one, which is as usual (arXiv:1608.00859 sec. 3.3)",
}
STAGES = (  # pattern of a module of the backbone -> added to its number, for the number of the stage
  (r"res(\d+)", -1),
  (r"lateral_(?:bn_)?(\d+)", 1),  # into the stage behind
  (r"stage(\d+)_block\d+", 0),  # MobileNetV2
  (r"inception_(\d)\w", -2),  # 3a, 3b, ... are the first
  (r"conv([2-5])[ab]", -1),  # C3D
)


class Rule:
  """Answers for one call of one backbone.  A leaf that belongs to no stage is of the stem while no stage was met, and
  never frozen by stages afterwards (TPN's pyramid, X3D's conv5)."""

  def __init__(self, prefix: tuple[str, ...], stages: int, norms: str):
    self.prefix, self.stages, self.norms = prefix, stages, norms
    self.reached, self.first_norm = 0, None
    self.leaves: set[str] = set()  # frozen ones, "backbone/conv1/conv/kernel"

  def _in_frozen_stage(self, path: tuple[str, ...]) -> bool:
    for name in path[len(self.prefix) :]:
      for pattern, offset in STAGES:
        if match := re.fullmatch(pattern, name):
          number = int(match[1]) + offset
          self.reached = max(self.reached, number)
          return number <= self.stages
    return self.reached == 0 and self.stages >= 0

  def _inside(self, path: tuple[str, ...]) -> bool:
    return path[: len(self.prefix)] == self.prefix

  def leaf(self, path: tuple[str, ...], name: str, of_norm: bool) -> bool:
    """Whether the parameter `name` of the module at `path` gets no gradient."""
    if not self._inside(path):
      return False
    frozen = self._in_frozen_stage(path)
    if of_norm:
      frozen |= self._norm(path) and self.norms != "statistics"
    if frozen:
      self.leaves.add("/".join((*path, name)))
    return frozen

  def norm(self, path: tuple[str, ...]) -> bool:
    """Whether the batch norm at `path` takes its running statistics in training too."""
    return self._inside(path) and (self._in_frozen_stage(path) or self._norm(path))

  def _norm(self, path: tuple[str, ...]) -> bool:
    self.first_norm = self.first_norm or path
    return self.norms in ("statistics", "all") or (self.norms == "partial" and path != self.first_norm)


_leaves: list[set[str]] = []  # of the call under way, for `frozen_leaves`


@contextlib.contextmanager
def freezing(prefix: tuple[str, ...], stages: int, norms: str) -> Iterator[None]:
  """Within it the layers under `prefix` follow the rule.  InputError for stages that the network has not."""
  if norms not in NORMS:
    raise InputError(f"frozen_norms={norms!r} is not known; wanted one of {', '.join(NORMS)}.{nearest(norms, NORMS)}")
  if stages < -1:
    raise InputError(f"frozen_stages={stages}: wanted -1 for none, 0 for the stem, or how many stages")
  if stages == -1 and norms == "none":
    yield
    return
  token = frozen_rule.set(rule := Rule(prefix, stages, norms))
  try:
    yield
  finally:
    frozen_rule.reset(token)
  if stages > rule.reached:
    raise InputError(f"frozen_stages={stages}: this network has {rule.reached} stages")
  if _leaves:
    _leaves[-1].update(rule.leaves)


def frozen_leaves(model: nn.Module, *inputs: Any) -> frozenset[str]:
  """Paths ("backbone/conv1/conv/kernel") of the parameters that get no gradient; nothing is computed.

  inputs: what the model takes, or jax.ShapeDtypeStructs.
  """
  _leaves.append(set())
  try:
    jax.eval_shape(model.init, jax.random.key(0), *inputs)
    return frozenset(_leaves[-1])
  finally:
    _leaves.pop()
