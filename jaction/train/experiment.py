"""What a config builds: the task, the step, and how often what is done.  Nothing here knows what is learnt."""

import functools
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from jaction import folders
from jaction.batches import Batches, Processes, evaluation_batches, place_of, training_batches
from jaction.checkpoints import Checkpoints
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError, nearest
from jaction.faults import BadFiles, Fault, check_on_error
from jaction.flops import macs_of
from jaction.models import frozen_leaves, initialize
from jaction.models.conv import plain
from jaction.models.inflation import check_form, inflated
from jaction.records import FrameCache
from jaction.train.cautions import norm_warning, schedule_warnings
from jaction.train.checks import check_numbers, check_parts, check_plain, check_profile
from jaction.train.detection import Detection
from jaction.train.distributed import gathered, is_first
from jaction.train.localization import Localization
from jaction.train.log import Log
from jaction.train.mesh import check_batch_size, make_mesh, shared_out
from jaction.train.multigrid import Multigrid, Shaped, full_shape, gridded
from jaction.train.optim import check_patterns, depth_factors, leaf_paths, leaving, make_optimizer, scaled
from jaction.train.precise import make_statistics
from jaction.train.recognition import Recognition
from jaction.train.schedules import in_steps, make_schedule, rate_scale
from jaction.train.ssn import StructuredSegments
from jaction.train.state import TrainState, new_state
from jaction.train.step import make_train_step

TASKS = {  # config.task -> a class that is used like Recognition
  "detection": Detection,
  "localization": Localization,
  "recognition": Recognition,
  "ssn": StructuredSegments,
}


class Experiment:
  """Built from the plain dict of a config; raises InputError for whatever in it does not fit."""

  def __init__(self, config: Mapping[str, Any]):
    self.config = config
    self.skip: tuple[int, ...] = ()  # batches of the stream that are left out: see divergence.py
    if config["task"] not in TASKS:
      raise InputError(
        f"task={config['task']!r} is not known; wanted one of {', '.join(TASKS)}.{nearest(config['task'], TASKS)}"
      )
    check_numbers(config)
    check_on_error(config["data"]["on_error"])
    if config["init"]["inflate"]:
      check_form("init.inflate", config["init"]["inflate"])
    self.mesh, self.batch_size = make_mesh(model=config["mesh"]["model"]), config["batch_size"]
    check_batch_size("batch_size", self.batch_size, self.mesh)
    check_parts(config, self.mesh.devices.size)
    check_batch_size("eval.batch_size", config["eval"]["batch_size"], self.mesh)
    if config["task"] != "recognition":
      check_plain(config)
    self.task = TASKS[config["task"]](config, self.mesh)
    self.epoch, self.metric, self.has_val = self.task.epoch, self.task.metric, bool(self.task.val_records)
    cached = config["data"]["cache_mb"]
    self.cache = FrameCache(int(cached * 2**20)) if cached else None

    sizes = {"batch_size": self.batch_size, "examples": self.epoch}
    self.total = in_steps(config["duration"], what="duration", **sizes)
    check_profile(config["log"]["profile"], self.total)
    self.eval_every = in_steps(config["eval"]["every"], what="eval.every", optional=True, **sizes)
    self.save_every = in_steps(config["checkpoint"]["every"], what="checkpoint.every", optional=True, **sizes)
    warmup = in_steps(config["schedule"]["warmup"], what="schedule.warmup", optional=True, **sizes)
    self._rate = make_schedule(config["schedule"], total=self.total, warmup=warmup, **sizes)
    self.grids = self._multigrid() if config["multigrid"]["long"] or config["multigrid"]["short"] else None
    self.optimizer = self._optimizer(config["optimizer"])
    shared = {"seed": config["seed"], "inputs": self.task.inputs}
    template = jax.eval_shape(self._new_state, self._shapes())
    self.shardings = shared_out(template, self.mesh)
    self._new_step = functools.partial(
      make_train_step,
      self.task.model,
      self.task.objective,
      self.optimizer,
      self.mesh,
      blend=self.task.blend,
      ema=config["optimizer"]["ema"],
      shardings=self.shardings,
      **shared,
    )
    self._compiled: dict[int, Callable] = {}  # the step by how many parts a batch goes through in
    self._flops: dict[tuple, float] = {}
    precise = config["eval"]["precise_norm"]
    self.statistics = make_statistics(self.task.model, self.mesh, **shared) if precise else None

  def _multigrid(self) -> Multigrid:
    """The shapes of the steps.  The stages of the long cycle end where the rate falls at milestones; without
    those there is one, of three quarters of the run."""
    settings, schedule = self.config["multigrid"], self.config["schedule"]
    if self.config["task"] != "recognition":
      raise InputError(f"multigrid with task={self.config['task']!r}: wanted recognition")
    frames, side = full_shape(Preprocessing.from_json(self.config["preprocessing"]["train"]))
    epochs = schedule["milestones"] if schedule["name"] == "step" else ()
    marks = {math.ceil(epoch * self.epoch / self.batch_size) for epoch in epochs}
    inner = sorted(mark for mark in marks if 0 < mark < self.total) or [self.total * 3 // 4]
    grids = Multigrid(
      batch=self.batch_size,
      frames=frames,
      side=side,
      stages=(0, *(mark for mark in inner if mark), self.total),  # a run of one step has no other stage
      long=settings["long"],
      short=settings["short"],
      divisor=settings["divisor"],
    )
    self.task.prepare["train"] = gridded(self.task.prepare["train"], grids.grids())
    least = min(grids.grids(), key=lambda grid: (grid.frames, grid.side))
    view, *others = self._inputs()
    small = jax.ShapeDtypeStruct((*view.shape[:2], least.frames, least.side, least.side, view.shape[-1]), view.dtype)
    try:
      jax.eval_shape(functools.partial(self.task.model.init, train=False), jax.random.key(0), small, *others)
    except (ValueError, TypeError) as error:
      shape = f"{least.frames} x {least.side} x {least.side}"
      reason = str(error).splitlines()[0]
      raise InputError(f"multigrid: {self.config['model']['name']} does not take clips of {shape}: {reason}") from error
    return grids

  def schedule(self, step: int) -> float:
    """The learning rate of `step` (the first is 0); of a larger batch of the long cycle so many times the usual."""
    rate = self._rate(step)
    return rate if self.grids is None else rate * self.grids.grid(place_of(step, self.skip)).scale

  def step(self, state: TrainState, batch: Mapping[str, jax.Array], lr: Any) -> tuple[TrainState, dict]:
    """One step of training: see `make_train_step`."""
    return self.step_of(batch)(state, batch, lr)

  def step_of(self, batch: Mapping[str, jax.Array]) -> Callable:
    """The jitted step for a batch of so many rows; a larger one goes through in so many more parts, so that a batch
    norm always sees as many clips (the groups of multigrid training)."""
    parts = self.config["accumulate"] * (batch["mask"].shape[0] // self.batch_size)
    if parts not in self._compiled:
      self._compiled[parts] = self._new_step(accumulate=parts)
    return self._compiled[parts]

  def _plan(self, number: int) -> tuple[int, int, Callable]:
    assert self.grids is not None
    grid = self.grids.grid(number)
    return self.grids.place(number), grid.batch, lambda record: Shaped(record, grid.frames, grid.side)

  def _plan_whole(self, number: int) -> tuple[int, int, Callable]:
    """A batch of the full shape at a batch's place."""
    assert self.grids is not None
    frames, side = self.grids.frames, self.grids.side
    return self.grids.place(number), self.batch_size, lambda record: Shaped(record, frames, side)

  def _optimizer(self, settings: Mapping[str, Any]) -> optax.GradientTransformation:
    optimizer = make_optimizer(settings)
    if settings["groups"] or settings["no_decay"] or settings["layer_decay"] != 1:
      paths = leaf_paths(self._shapes()["params"])
      check_patterns(settings, paths)
      if settings["layer_decay"] != 1:
        optimizer = scaled(depth_factors(paths, settings["layer_decay"]), optimizer)
    frozen = frozen_leaves(self.task.model, *self._inputs())
    return leaving(frozen, optimizer) if frozen else optimizer

  def _inputs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
    return self.task.model.inputs(self.task.channels)

  def _shapes(self) -> dict[str, Any]:
    """The model's variables as shapes and dtypes."""
    return jax.eval_shape(self.task.model.init, jax.random.key(0), *self._inputs())

  def flops(self, batch: Mapping[str, jax.Array]) -> float:
    """Floating-point operations of a step as they are usually reckoned: two of each multiply-accumulate of the forward
    pass, three times, since the backward pass has about twice as many; computing a layer again does not count."""

    def forward(variables, batch):
      rngs = {"dropout": jax.random.key(0)}
      return self.task.model.apply(variables, *self.task.inputs(batch), train=True, mutable=["batch_stats"], rngs=rngs)

    shape = tuple(sorted((name, rows.shape) for name, rows in batch.items()))
    if shape not in self._flops:
      with plain():
        self._flops[shape] = 6.0 * macs_of(forward, self._shapes(), jax.eval_shape(dict, batch))
    return self._flops[shape]

  def first_state(self) -> TrainState:
    """The state before step 0, on the devices: drawn from the seed, or from the folder that init.folder names."""
    init = self.config["init"]
    variables = initialize(self.task.model, *self._inputs(), seed=self.config["seed"])
    if init["folder"]:
      source = folders.load_folder(os.path.expanduser(init["folder"]))
      given = source.variables
      if init["inflate"]:
        given = inflated(given, variables, init["inflate"])
      variables, report = folders.merge(given, variables, reinit=tuple(init["reinit"]))
      if is_first():
        anew = ", ".join(report.reinitialized) or "none"
        print(f"{init['folder']}: {len(report.loaded)} arrays taken; drawn anew: {anew}", file=sys.stderr)
    return jax.device_put(self._new_state(variables), self.shardings)

  def _new_state(self, variables: Mapping[str, Any]) -> TrainState:
    return new_state(variables, self.optimizer, ema=self.config["optimizer"]["ema"] > 0)

  def restore(self, checkpoints: Checkpoints) -> TrainState:
    """The last saved state, on the devices."""
    template = jax.eval_shape(lambda variables: self._new_state(variables).tree(), self._shapes())
    return jax.device_put(TrainState(**checkpoints.restore(template)), self.shardings)

  def training_batches(self, start: int, stop: int | None = None, *, whole: bool = False) -> Batches:
    """The batches of the steps from `start` up to `stop`, by default to the last; without those in `skip`.

    whole: all of the full shape, in multigrid training too."""
    plan = self._plan_whole if whole else self._plan
    return training_batches(
      self.task.records,
      self.task.prepare["train"],
      batch_size=self.batch_size,
      start_step=start,
      stop_step=self.total if stop is None else stop,
      order=self.task.order,
      seed=self.config["seed"],
      on_error=self.config["data"]["on_error"],
      skip=self.skip,
      plan=None if self.grids is None else plan,
      **self._loading(),
    )

  def _loading(self) -> dict[str, Any]:
    data = self.config["data"]
    processes = Processes(data["processes"], data["recycle"], data["timeout"])
    shard = jax.process_index(), jax.process_count()
    return {
      "shard": shard,
      "threads": data["threads"],
      "processes": processes,
      "prefetch": data["prefetch"],
      "cache": self.cache,
    }

  def bad_files(self, folder: pathlib.Path, start: int) -> BadFiles:
    name = f"bad_files_{jax.process_index()}.jsonl" if jax.process_index() else "bad_files.jsonl"
    return BadFiles(folder / name, limit=self.config["data"]["max_errors"], start=start)

  def note_bad(self, batches: Batches, bad: BadFiles, step: int) -> int:
    """Writes what could not be read for the batches of training given until now, the last for `step`; how many."""
    count, ids = 0, [record.id for record in self.task.records] if self.config["data"]["on_error"] != "raise" else []
    own = -(-self.epoch // jax.process_count())  # each process counts those of its own rows
    for fault in batches.take_faults():
      count += bad.add([fault], ids, step=step, epoch=fault.place // self.epoch, videos=own)
    return count

  def settled(self, state: TrainState, done: int) -> TrainState:
    """The state with the statistics of its norms taken anew (eval.precise_norm), over the batches of the next steps;
    it depends on the state and the step alone, so that a resumed run comes to the same."""
    if self.statistics is None:
      return state
    kept = [state.variables, *([state.ema] if state.ema else [])]
    found = []
    for variables in kept:
      with self.training_batches(done, done + self.config["eval"]["precise_norm"], whole=True) as batches:
        found.append(self.statistics(variables, batches, done))
    average = {**state.ema, "batch_stats": found[1]} if state.ema else state.ema
    return state.replace(batch_stats=found[0], ema=average)

  def describe(self) -> list[str]:
    """What a run says first: its learning rate, and what else is not as people may think."""
    settings, lines = self.config["schedule"], []
    rate, scale = (
      f"learning rate {settings['lr'] * rate_scale(settings, self.batch_size):.6g}",
      settings["reference_batch"],
    )
    given = (
      f" = {settings['lr']:g} x {self.batch_size} / {scale} (schedule.reference_batch)" if scale else ", as written"
    )
    lines.append(f"{rate}{given}; schedule {settings['name']}, {self.total} steps")
    if (parts := self.config["accumulate"]) > 1:
      size = self.batch_size // parts
      lines.append(f"accumulate={parts}: a step goes through in parts of {size} clips; each is a batch to batch norm")
    sizes = {"total": self.total, "batch_size": self.batch_size, "examples": self.epoch}
    lines += schedule_warnings(settings, self.schedule, **sizes)
    if self.grids is not None:
      shown = "; ".join(f"{g.batch} x {g.frames} x {g.side} x {g.side}" for g in self.grids.grids())
      lines.append(f"multigrid: batches of {shown}; epochs count as if all had {self.batch_size} clips")
    return lines + norm_warning(self.task.model, self._shapes().get("batch_stats"), self.batch_size // parts)

  def evaluate(
    self, state: TrainState, log: Log, done: int, bad: BadFiles, beat: Callable[[], None] = lambda: None
  ) -> dict[str, float]:
    """The task's metrics on the validation list, which are logged too; of the records that can be read.

    Where the state has averaged parameters, theirs are there too, with the prefix "ema_".  `beat` is called with every
    batch.
    """
    began, records = time.perf_counter(), self.task.val_records
    batches = evaluation_batches(
      records,
      self.task.prepare["test"],
      batch_size=self.config["eval"]["batch_size"],
      # One video is never scored by another.
      on_error="raise" if self.config["data"]["on_error"] == "raise" else "skip",
      **self._loading(),
    )
    batches.on_next = beat
    nets = {"": state.variables} | ({"ema_": state.ema} if state.ema else {})
    found, unread = self.task.evaluate(list(nets.values()), batches)
    metrics = {
      f"{prefix}{name}": float(value)
      for prefix, values in zip(nets, found, strict=True)
      for name, value in values.items()
    }
    unread = [Fault(**row) for row in gathered([fault._asdict() for fault in unread])]  # so that all stop, or none
    ids, epoch = [record.id for record in records], done * self.batch_size // self.epoch
    faults = bad.add(unread, ids, step=done, epoch=epoch, videos=len(ids), kind="val")
    metrics |= {"bad_files": float(faults)} if faults else {}
    log.evaluation(done, metrics, time.perf_counter() - began)
    if (matrix := getattr(self.task, "confusion", None)) is not None:
      log.confusion(done, matrix, self.task.labels)
    return metrics

  def export(self, checkpoints: Checkpoints, folder: pathlib.Path) -> dict[str, float]:
    """Writes model/ from the best checkpoint (without evaluation: the last); gives the metrics of last and best.

    The weights are the averaged ones where eval.metric is one of theirs; "weights" of the folder's source says which.
    """
    last = checkpoints.latest()
    best = checkpoints.best() or last
    shapes = {"batch_stats": {}} | self._shapes()
    averages = self.metric is not None and self.metric.startswith("ema_")
    variables = checkpoints.restore({"ema": shapes}, best)["ema"] if averages else checkpoints.restore(shapes, best)
    metrics = checkpoints.metrics(best)
    save = folders.save_model if jax.process_index() == 0 else lambda *_, **__: None  # all take part in the reading
    save(
      folder / "model",
      name=self.config["model"]["name"],
      fields=self.task.fields,
      variables=variables,
      labels=self.task.labels,
      preprocessing=self.task.preprocessing,
      source={
        "workdir": str(folder),
        "step": best,
        "metrics": metrics,
        "weights": "ema" if averages else "raw",
        **self.task.about,
      },
    )
    return {"step": last, **checkpoints.metrics(last), "best_step": best} | {f"best_{k}": v for k, v in metrics.items()}
