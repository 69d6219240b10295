"""Training state on disk, by orbax: the last few steps and the best one; whole after a SIGKILL or a full disk.

A step is written into a temporary folder that is renamed once it is complete, so a folder named by a number is whole.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaction.errors import CheckpointError


class Checkpoints:
  """The checkpoints in one folder, named by step; use it as a context manager, or call `close`.

  `keep` is how many of the latest are kept; with `metric` the best by that metric (largest, or smallest where `mode`
  is "min") is kept besides.  A step saved without metrics is never the best.
  """

  def __init__(self, folder: str | os.PathLike, *, keep: int = 2, metric: str | None = None, mode: str = "max"):
    if keep < 1:
      raise CheckpointError(f"keep={keep}: at least the latest checkpoint must be kept")
    if mode not in ("max", "min"):
      raise CheckpointError(f"mode={mode!r}: wanted 'max' or 'min'")
    self.folder = pathlib.Path(folder).absolute()
    self.metric, self._sign = metric, 1 if mode == "max" else -1
    policies = [checkpoint_managers.LatestN(keep)]
    if metric:
      policies.append(checkpoint_managers.BestN(get_metric_fn=self._score, n=1, keep_checkpoints_without_metrics=False))
    options = ocp.CheckpointManagerOptions(
      preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
      save_decision_policy=checkpoint_managers.FixedIntervalPolicy(1),
      best_fn=self._score if metric else None,  # without it orbax writes no metrics
      cleanup_tmp_directories=True,
    )
    self._saving = -1, 0  # step and bytes of the last save
    self._manager = ocp.CheckpointManager(self.folder, options=options, item_handlers=ocp.PyTreeCheckpointHandler())

  def _score(self, metrics: Mapping[str, float]) -> float:
    return self._sign * float(metrics[self.metric])

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, kind: type | None, *_: object) -> None:
    if kind is None:
      self.close()
      return
    with contextlib.suppress(Exception):  # what went wrong first is what people have to know
      self._manager.close()

  def close(self) -> None:
    """Waits for the end of a save that is under way; CheckpointError where it failed."""
    try:
      self.settle()
    finally:
      self._manager.close()

  def steps(self) -> list[int]:
    """The saved steps, in order."""
    return sorted(self._manager.all_steps())

  def latest(self) -> int | None:
    """The last saved step, or None; waits for a save that is under way."""
    self.settle()
    return self._manager.latest_step()

  def best(self) -> int | None:
    """The step with the best metric (the later one of equals), or None where none was saved with metrics."""
    scored = [(self._score(m), s) for s in self.steps() if self.metric and (m := self.metrics(s))]
    return max(scored)[1] if scored else None

  def metrics(self, step: int) -> dict[str, float]:
    """The metrics that a step was saved with; empty where it was saved with none."""
    return dict(self._manager.metrics(step) or {})

  def save(self, step: int, state: Any, metrics: Mapping[str, float] | None = None, *, wait: bool = True) -> None:
    """Writes `state` (any pytree of arrays) under `step`, and returns when it is on disk.

    With wait=False it returns when the state is copied, and the next call of this object waits for the end.  Raises
    CheckpointError where a state cannot be written, most often on a full disk; earlier checkpoints stay whole.
    """
    self.settle()
    if step in self.steps():
      return
    # Copies: on CPU device_get gives a view of a buffer that the next step is allowed to write over.
    # Of several processes each writes what it holds, and nothing goes on before the end of it.
    several = jax.process_count() > 1
    arrays = state if several else jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(state))
    metrics = {k: float(v) for k, v in metrics.items()} if metrics else None
    self._saving = step, sum(x.nbytes for x in jax.tree.leaves(arrays))
    with self._failing():
      self._manager.save(step, args=ocp.args.PyTreeSave(arrays), metrics=metrics)
    if wait or several:
      self.settle()

  def settle(self) -> None:
    """Waits for the end of a save that is under way; CheckpointError where it failed."""
    with self._failing():
      self._manager.wait_until_finished()

  @contextlib.contextmanager
  def _failing(self) -> Iterator[None]:
    try:
      yield
    except (OSError, ValueError, RuntimeError) as error:  # tensorstore reports a failed write as a ValueError
      step, size = self._saving
      free = shutil.disk_usage(self.folder).free
      raise CheckpointError(
        f"step {step} could not be saved in {self.folder}: {_first_line(error)}. "
        f"It needs {size / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free there. "
        f"Checkpoints that stay: {self.steps() or 'none'}; make room, then start the same command again to go on."
      ) from error

  def restore(self, template: Any, step: int | None = None) -> Any:
    """The state saved under `step` (the latest by default), in the structure of `template`, as numpy arrays.

    `template` may leave out whole top-level entries (parameters alone are restored so).  Raises CheckpointError where
    there is no such step, or where a name, shape or dtype differs; every difference is listed.
    """
    self.settle()
    step = self.latest() if step is None else step
    if step is None or step not in self.steps():
      raise CheckpointError(f"{self.folder} holds no checkpoint of step {step}; it holds {self.steps() or 'none'}")
    wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), template)
    try:
      # orbax casts to the wanted dtype without a word, and takes a leaf of another shape: compare before reading
      saved = _leaves(self._manager.item_metadata(step))
      _compare(saved, _leaves(wanted), f"{self.folder}/{step}")
      args = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
      return self._manager.restore(
        step, args=ocp.args.PyTreeRestore(item=wanted, restore_args=args, partial_restore=True)
      )
    except CheckpointError:
      raise
    except Exception as error:  # orbax, tensorstore and json each have errors of their own for a damaged folder
      raise CheckpointError(
        f"the checkpoint {self.folder}/{step} cannot be read: {_first_line(error)}. Where it is damaged, remove it: "
        f"the run then goes on from an earlier one of {[s for s in self.steps() if s != step] or 'none'}"
      ) from error


def _first_line(error: BaseException) -> str:
  text = (str(error).strip() or "no message").splitlines()[0]
  # tensorstore's lines are long paths with the cause at the end
  return f"{type(error).__name__}: " + (text if len(text) < 240 else f"{text[:80]} ... {text[-150:]}")


def _leaves(tree: Any) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
  """{path: (shape, dtype)}; tuples, lists and named tuples count alike, as orbax keeps them."""
  flat = jax.tree_util.tree_flatten_with_path(getattr(tree, "tree", tree))[0]
  return {"/".join(_key(k) for k in path): (tuple(x.shape), np.dtype(x.dtype)) for path, x in flat}


def _key(key: Any) -> str:
  return str(next(getattr(key, name) for name in ("key", "name", "idx") if hasattr(key, name)))


def _compare(saved: dict, wanted: dict, where: str) -> None:
  top = {path.split("/")[0] for path in wanted}
  saved = {path: leaf for path, leaf in saved.items() if path.split("/")[0] in top}
  wrong = [f"{p}: not in the checkpoint" for p in wanted if p not in saved]
  wrong += [f"{p}: in the checkpoint, not wanted" for p in saved if p not in wanted]
  wrong += [
    f"{p}: {saved[p][1]}{list(saved[p][0])} in the checkpoint, {wanted[p][1]}{list(wanted[p][0])} wanted"
    for p in wanted
    if p in saved and saved[p] != wanted[p]
  ]
  if wrong:
    raise CheckpointError(f"{where} does not fit this state:\n  " + "\n  ".join(sorted(wrong)))
