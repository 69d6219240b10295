"""Times of networks and of the forms of a convolution; ratios are taken within one run, the candidates taking turns.

jaction benchmark models 'slowonly*' --train          forward, and forward with backward, of every name that matches
jaction benchmark models '*' --train --side 64 --frames small --repeat 1    whether every name runs, on small clips
jaction benchmark models slowonly_r50_4x16x1 --torch  beside the same network in PyTorch (needs torch)
jaction benchmark models 'x3d*' --train --lax         beside the same network with XLA's own convolution everywhere
jaction benchmark convolutions                        every form of conv.FORMS for the shapes of a SlowOnly-R50
jaction benchmark data                                clips a second, from files to a batch (has flags of its own)
jaction benchmark decoder                             one decoder thread beside several, for pictures of several sizes
jaction benchmark boxes                               RoIAlign, AVA's evaluation (has flags of its own)
jaction benchmark training --root DIR/toy             what logging and checkpoints cost a run, and its waiting
jaction benchmark localization                        BMN's matching layer against the dense form; metrics against loops
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jaction.errors import InputError
from jaction.launch import (
  benchmark_boxes,
  benchmark_data,
  benchmark_decoder,
  benchmark_localization,
  benchmark_training,
  cli,
)
from jaction.models import create_model, initialize, list_models, variant
from jaction.models.conv import FORMS, choose, conv, plain, same

COMPARED = (
  ("forward", "torch"),
  ("forward", "torch_channels_last"),
  ("forward", "forward lax"),
  ("train", "train lax"),
  ("train", "torch train"),
  ("train", "torch_channels_last train"),
)
OWN = {  # what has flags of its own
  "data": benchmark_data.data,
  "boxes": benchmark_boxes.boxes,
  "decoder": benchmark_decoder.decoder,
  "localization": benchmark_localization.localization,
  "training": benchmark_training.training,
}
TORCH_TWIN = "slowonly_r50"  # the network that torch_slowonly.py is


def turns(candidates: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
  """The median milliseconds of each candidate; each is run once before, then all take turns `repeat` times."""
  for run in candidates.values():
    run()
  times: dict[str, list[float]] = {name: [] for name in candidates}
  for _ in range(repeat):
    for name, run in candidates.items():
      start = time.perf_counter()
      run()
      times[name].append(1e3 * (time.perf_counter() - start))
  return {name: statistics.median(values) for name, values in times.items()}


def models(args: argparse.Namespace) -> list[dict]:
  """A row a name; where a name fails the row says how, under "error", and the others still run."""
  names = sorted({name for pattern in args.names for name in list_models(pattern)})
  if not names:
    raise InputError(f"no model matches {' '.join(args.names)}; see jaction.list_models()")
  rows = []
  for name in names:
    row = {"name": name}
    rows.append(row)
    try:
      model = create_model(name)
      shape = clip_shape(name, args.frames, args.side)
      clips = np.random.default_rng(0).standard_normal((args.batch, 1, *shape), np.float32)
      row["clips"] = list(clips.shape)
      candidates = _jax_candidates(model, clips, args.train, lax=args.lax)
      if args.torch and name.startswith(TORCH_TWIN):
        candidates |= _torch_candidates(clips, args.train)
      row |= {f"{key}_ms": value for key, value in turns(candidates, args.repeat).items()}
    except Exception as error:
      row["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    for own, other in COMPARED:
      if f"{other}_ms" in row:
        row[f"{own} / {other}"] = row[f"{own}_ms"] / row[f"{other}_ms"]
    if len(names) > 1:
      print(name, row.get("error", "ok"), file=sys.stderr, flush=True)
      jax.clear_caches()  # programs of a hundred networks do not fit in memory
  return rows


def clip_shape(name: str, frames: int | str | None, side: int | None) -> tuple[int, ...]:
  """[T, H, W, C], or [T, F, C] of sound, of one view: the name's own, but for what is given and can be changed.

  frames "small" stands for eight at most where they are neighbours in the video (any network here works on so many:
  none divides time by more), and for the name's own where they are segments or a spectrogram.  C3D's dense layers take
  its own clip alone, and bands of sound are no pixels.
  """
  facts = variant(name)
  own, last = facts.shape[0], facts.shape[1:]
  fixed = name.startswith("c3d")
  if frames is None or fixed:
    frames = own
  elif frames == "small":
    frames = own if facts.views.kind != "clips" else min(own, 8)
  if side is not None and not fixed and len(last) == 3:
    last = (side, side, last[-1])
  return (int(frames), *last)


def _jax_candidates(model, clips, train, *, lax):
  variables = jax.device_put(initialize(model, jax.ShapeDtypeStruct(clips.shape, clips.dtype)))
  clips = jax.device_put(clips)

  def step(variables, clips):
    """Scores, gradient, and the plain step down it."""

    def loss(params):
      rngs = {"dropout": jax.random.key(0)}
      scores, new = model.apply({**variables, "params": params}, clips, train=True, mutable=["batch_stats"], rngs=rngs)
      return jnp.square(scores).mean(), new

    (value, new), gradient = jax.value_and_grad(loss, has_aux=True)(variables["params"])
    return value, new, jax.tree.map(lambda p, g: p - 1e-3 * g, variables["params"], gradient)

  def add(name, function):
    compiled = jax.jit(function)
    candidates[name] = lambda: _finite(compiled(variables, clips))

  candidates: dict[str, Callable[[], object]] = {}
  for name, wanted, function in (("forward", True, model.apply), ("train", train, step)):
    if wanted:
      add(name, lambda variables, clips, f=function: f(variables, clips))  # a function of its own: traced anew
    if wanted and lax:
      add(f"{name} lax", lambda variables, clips, f=function: _plain(f, variables, clips))
  return candidates


def _plain(function, *args):
  with plain():
    return function(*args)


def _finite(result):
  """Waits for all of the result, and looks at the scores, or the loss, of it."""
  first = jax.tree.leaves(jax.block_until_ready(result))[0]
  if not bool(jnp.isfinite(first).all()):
    raise FloatingPointError("the result is not finite")


def _torch_candidates(clips, train):
  try:
    import torch  # only here: torch is no part of the library
  except ImportError as error:
    raise InputError("--torch wants torch, which is not installed: pip install 'jaction[torch]'") from error
  from jaction.launch.torch_slowonly import SlowOnly

  torch.set_num_threads(os.cpu_count() or 1)
  x = torch.from_numpy(np.ascontiguousarray(clips[:, 0].transpose(0, 4, 1, 2, 3)))

  def forward(model, x):
    with torch.inference_mode():
      model.eval()(x)

  def step(model, x):
    """As the one in JAX: scores, gradient, and the plain step down it."""
    loss = model.train()(x).square().mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
      for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.sub_(gradient, alpha=1e-3)

  candidates = {}
  for suffix, layout in (("", torch.contiguous_format), ("_channels_last", torch.channels_last_3d)):
    model, own = SlowOnly().to(memory_format=layout), x.contiguous(memory_format=layout)
    candidates[f"torch{suffix}"] = lambda model=model, own=own: forward(model, own)
    if train:
      candidates[f"torch{suffix} train"] = lambda model=model, own=own: step(model, own)
  return candidates


CONVOLUTIONS = (  # kernel, channels in and out, side, spatial stride: those of a SlowOnly-R50 on 8 frames
  ((1, 7, 7), 3, 64, 224, 2),
  ((1, 1, 1), 256, 64, 56, 1),
  ((1, 3, 3), 64, 64, 56, 1),
  ((1, 3, 3), 256, 256, 14, 1),
  ((3, 1, 1), 1024, 256, 14, 1),
  ((3, 1, 1), 2048, 512, 7, 1),
  ((1, 1, 1), 512, 2048, 7, 1),
  ((3, 3, 3), 64, 64, 28, 1),
  ((5, 7, 7), 3, 8, 112, 2),
)


def convolutions(args: argparse.Namespace) -> list[dict]:
  rng, rows = np.random.default_rng(0), []
  for kernel, inputs, outputs, side, stride in CONVOLUTIONS:
    x = jax.device_put(rng.standard_normal((args.batch, 8, side, side, inputs), np.float32))
    w = jax.device_put(rng.standard_normal((*kernel, inputs, outputs), np.float32))
    chosen = choose(w.shape, 1, jax.default_backend())
    forms = [form for form in FORMS if _can(form, kernel)]
    candidates = {}
    for form in forms:
      candidates |= _form_candidates(form, x, w, (1, stride, stride), args.train)
    shape = f"{'x'.join(map(str, kernel))} {inputs} > {outputs}, {side} px"
    rows.append({"shape": shape, "chosen": chosen} | {f"{k}_ms": v for k, v in turns(candidates, args.repeat).items()})
  return rows


def _form_candidates(form, x, w, strides, train):
  def forward(x, w):
    return conv(x, w, strides=strides, padding=same(w.shape[:3]), form=form)

  def gradient(x, w):
    return jax.grad(lambda x, w: jnp.square(forward(x, w)).sum(), (0, 1))(x, w)

  functions = {form: jax.jit(forward)} | ({f"{form} gradient": jax.jit(gradient)} if train else {})
  return {name: lambda f=f: jax.block_until_ready(f(x, w)) for name, f in functions.items()}


def _can(form, kernel):
  if form == "frames":
    return kernel[0] == 1
  if form == "shifts":
    return False  # for depthwise kernels
  return form not in ("pixels", "products") or kernel[1:] == (1, 1)


def main(argv: list[str]) -> int | None:
  if argv and argv[0] in OWN:
    return OWN[argv[0]](argv[1:])
  parser = argparse.ArgumentParser(
    prog="jaction benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("what", choices=["models", "convolutions", *OWN])
  parser.add_argument("names", nargs="*", default=["slowonly_r50_4x16x1"], help="model names or patterns")
  parser.add_argument("--batch", type=int, default=1, help="clips in a batch (default 1)")
  parser.add_argument("--frames", type=_frames, help="frames of a clip, or small (default: the model's own)")
  parser.add_argument("--side", type=int, help="pixels of a side (default: the model's own)")
  parser.add_argument("--repeat", type=int, default=7, help="how often each candidate takes its turn (default 7)")
  parser.add_argument("--train", action="store_true", help="time the gradient too")
  parser.add_argument("--lax", action="store_true", help="beside the plain convolution (form lax) everywhere")
  parser.add_argument("--torch", action="store_true", help=f"beside PyTorch, for {TORCH_TWIN}_*")
  parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
  args = parser.parse_args(argv)
  for name in ("batch", "frames", "side", "repeat"):
    if isinstance(getattr(args, name), int) and getattr(args, name) < 1:
      raise InputError(f"--{name} must be at least 1, got {getattr(args, name)}")

  if args.json and not args.json.absolute().parent.is_dir():
    raise InputError(f"--json {args.json}: there is no such folder")
  rows = models(args) if args.what == "models" else convolutions(args)
  device = jax.devices()[0]
  where = {
    "backend": jax.default_backend(),
    "device": device.device_kind,
    "cores": os.cpu_count(),
    "jax": jax.__version__,
  }
  Console().print(_table(rows, ", ".join(f"{key} {value}" for key, value in where.items())))
  if args.json:
    args.json.write_text(json.dumps({"where": where, "rows": rows}, indent=1) + "\n")
  failed = [row["name"] for row in rows if "error" in row]
  if failed:
    raise InputError(f"{len(failed)} of {len(rows)} names failed: {', '.join(failed)}; the table says how")


def _table(rows, title):
  """A row a network; where that would be wider than a terminal and there are few, a column a network."""
  names = list(dict.fromkeys(key for row in rows for key in row))
  heads = [name.removesuffix("_ms") + (" ms" if name.endswith("_ms") else "") for name in names]
  cells = [[_shown(row.get(name, "")) for name in names] for row in rows]
  if len(names) > 6 and len(rows) <= 3:
    heads, *cells = map(list, zip(heads, *cells, strict=True))
  table = Table(title=title)
  for head in heads:
    table.add_column(head, overflow="fold")
  for row in cells:
    table.add_row(*row)
  return table


def _frames(text):
  return text if text == "small" else int(text)


def _shown(value):
  if isinstance(value, float):
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
  return "x".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
  sys.exit(cli.run(main))
