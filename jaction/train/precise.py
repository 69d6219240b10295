"""Precise batch norm: the statistics of norms taken anew over many batches, in place of running averages."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh

from jaction.batches import put
from jaction.models.layers import BatchNorm
from jaction.train.mesh import whole


def make_statistics(
  model: nn.Module, mesh: Mesh, *, seed: int, inputs: Callable[[Mapping[str, jax.Array]], tuple[Any, ...]]
) -> Callable[[Mapping[str, Any], Iterable[Mapping[str, Any]], int], dict[str, Any]]:
  """The function (variables, batches, step) -> batch_stats with those parameters, over all batches.

  The mean is that over the batches; the variance the mean of theirs and the variance of their means, the population's
  where batches are of one size.  All norms of a batch see what training would show them, dropout included (its key
  hangs on seed, step and the batch's number).  What a frozen norm has stays as it is, to the bit.
  Source: arXiv:2105.07576 sec. 3 (there without the variance of means).
  """
  momenta: dict[str, float] = {}
  key = jax.random.key(seed)

  def noting(next_call, args, kwargs, context):
    if isinstance(context.module, BatchNorm) and context.method_name == "__call__":
      momenta["/".join(context.module.path)] = context.module.momentum
    return next_call(*args, **kwargs)

  @functools.partial(jax.jit, out_shardings=whole(mesh))
  def of_batch(variables, batch, step, number):
    dropout = jax.random.fold_in(jax.random.fold_in(key, step), number)
    with nn.intercept_methods(noting):
      _, updated = model.apply(
        variables, *inputs(batch), train=True, mutable=["batch_stats"], rngs={"dropout": dropout}
      )
    before, after = (flatten_dict(tree, sep="/") for tree in (variables["batch_stats"], updated["batch_stats"]))
    # A norm goes the share `momentum` of the way to the batch's statistics: that is undone.
    return {
      path: before[path] + (value - before[path]) / momenta[path.rpartition("/")[0]] for path, value in after.items()
    }

  def statistics(variables, batches, step):
    if not variables["batch_stats"]:
      return {}
    rows: dict[str, list[np.ndarray]] = {}
    for number, batch in enumerate(batches):
      for path, value in of_batch(variables, put(batch, mesh), np.int32(step), np.int32(number)).items():
        rows.setdefault(path, []).append(np.asarray(value, np.float64))
    out = {}
    for path, values in rows.items():
      of = np.mean(values, axis=0)
      if path.endswith("/var"):
        of = of + np.var(rows[path.removesuffix("var") + "mean"], axis=0)
      out[path] = of.astype(np.float32)
    return jax.device_put(unflatten_dict(out, sep="/"), whole(mesh))

  return statistics
