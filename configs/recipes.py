"""What published experiments share: frames, crops, optimizer. A config names them and gives its own numbers.

A dict of views (`segments`, `clips`) holds what `base.preprocessing` takes; the facts are those of MMAction2 0.9.0.
"""

from typing import Any

from ml_collections import ConfigDict

from jaction.configs.base import duration, preprocessing

FLOW = {"modality": "flow", "mean": (128.0, 128.0), "std": (128.0, 128.0)}
STACKED_FLOW = FLOW | {"modality": "stacked_flow"}
SPECTROGRAM = {"modality": "spectrogram", "mean": (0.0,), "std": (1.0,)}
CSN = {"mean": (110.2008, 100.63983, 95.99475), "std": (58.14765, 56.46975, 55.332)}  # as corrected in 0.18
FACEBOOK = {"mean": (114.75, 114.75, 114.75), "std": (57.375, 57.375, 57.375)}
RESIZED_CROP = ("random_resized_crop", {"size": 224})
# TSM's parameter groups with fc_lr5: the classifier learns faster; biases and batch norm do not decay.
TSM_GROUPS = (("head/*/kernel", 5.0, 1.0), ("head/*/bias", 10.0, 0.0), ("*/scale", 1.0, 0.0), ("*/bias", 1.0, 0.0))
# Pairs of Something-Something classes that a mirror exchanges (MMAction2's later flip_label_map).
MIRRORED_V1 = ((2, 4), (30, 41), (52, 66))
MIRRORED_V2 = ((86, 87), (93, 94), (166, 167))


def segments(count: int, per_view: int = 0, **options: Any) -> dict[str, Any]:
  """One frame from each of `count` parts of the video; 2-D networks see `per_view` (all) of them as one view."""
  return {"num_clips": count, "frames_per_view": per_view or count, **options}


def clips(frames: int, interval: int, count: int = 1, **options: Any) -> dict[str, Any]:
  """`count` clips of `frames` neighbours, `interval` apart; each clip is a view."""
  return {"clip_len": frames, "frame_interval": interval, "num_clips": count, **options}


def multi_scale_crop(scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66), gap: int = 1, places: int = 5) -> tuple:
  """The step and its settings; `gap` is how many scales width and height may differ by."""
  settings = {"size": 224, "scales": scales, "max_wh_scale_gap": gap}
  return "multi_scale_crop", settings | ({"num_fixed_crops": places} if places != 5 else {})


def swapped(classes: int, pairs: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
  """The label of each class after the pairs are exchanged, for a flip's or a reversal's `labels`."""
  swap = dict(pairs) | {b: a for a, b in pairs}
  return tuple(swap.get(k, k) for k in range(classes))


def train_views(
  c: ConfigDict,
  views: dict[str, Any],
  crop: tuple[str, dict[str, Any]],
  *,
  resize: int | tuple[int, int] | None = 256,
  flip: dict[str, Any] | None = None,
  jitter: bool = False,
) -> None:
  """Training: resize (None: not), a random crop, a mirror in half the cases (or as `flip` says; {}: never), colour."""
  name, settings = crop
  flip = {"ratio": 0.5} if flip is None else flip
  steps = {"resize": _resize(resize)} if resize else {}
  steps |= {name: settings} | ({"flip": flip} if flip else {}) | ({"color_jitter": {}} if jitter else {})
  c.preprocessing.train = preprocessing(**views, steps=tuple(steps), settings=steps)


def test_views(
  c: ConfigDict, views: dict[str, Any], size: int = 224, *, resize: int | tuple[int, int] = 256, average: str = "prob"
) -> None:
  """Evaluation while training: the central crop of `size` pixels."""
  c.preprocessing.test = _tested(views, "center_crop", size, resize, average)


def published_views(
  c: ConfigDict,
  views: dict[str, Any],
  crop: str,
  size: int,
  *,
  resize: int | tuple[int, int] = 256,
  average: str = "prob",
) -> None:
  """How the published figure was measured: `crop` is center_crop, three_crop or ten_crop."""
  c.preprocessing.published = _tested(views, crop, size, resize, average)


def sound_views(
  c: ConfigDict, views: dict[str, Any], published: dict[str, Any], settings: dict[str, dict[str, Any]]
) -> None:
  """Spectrograms: the same steps, those of `settings`, in training and tests."""
  make = lambda views: preprocessing(**views, **SPECTROGRAM, steps=tuple(settings), settings=settings)  # noqa: E731
  c.preprocessing.train, c.preprocessing.test, c.preprocessing.published = make(views), make(views), make(published)


def sgd(
  c: ConfigDict,
  lr: float,
  *,
  decay: float = 1e-4,
  clip_norm: float = 40.0,
  nesterov: bool = False,
  groups: tuple[tuple[str, float, float], ...] = (),
) -> None:
  """Momentum 0.9; the learning rate changes between epochs, as in MMAction2."""
  c.optimizer.name, c.optimizer.momentum, c.optimizer.nesterov = "sgd", 0.9, nesterov
  c.optimizer.weight_decay, c.optimizer.clip_norm, c.optimizer.groups = decay, clip_norm, groups
  c.schedule.lr, c.schedule.by_epoch = lr, True


def steps_at(c: ConfigDict, *epochs: int) -> None:
  """A tenth of the learning rate from each of these epochs on."""
  c.schedule.name, c.schedule.milestones, c.schedule.gamma = "step", epochs, 0.1


def also(
  list: str,
  *,
  share: int = 1,
  format: str = "auto",
  balance: float = 1.0,
  weights: str = "",
  preprocessing: ConfigDict | None = None,
) -> ConfigDict:
  """A further set for `data.mix`; an epoch is one of the first set. `preprocessing` None: that of the first set."""
  own = ConfigDict() if preprocessing is None else preprocessing
  facts = {"list": list, "format": format, "share": share, "balance": balance, "weights": weights}
  return ConfigDict({**facts, "preprocessing": own})


def housekeeping(c: ConfigDict, *, evaluate: int) -> None:
  """An evaluation every `evaluate` epochs, a checkpoint every epoch, and threads for a machine of eight devices."""
  c.eval.every, c.eval.batch_size, c.checkpoint.every = duration(epochs=evaluate), 64, duration(epochs=1)
  c.data.threads = 16


def check_form(form: str, known: tuple[str, ...]) -> None:
  """Raises ValueError for an argument of the config that it does not know."""
  if form not in known:
    raise ValueError(f"this config has the forms {', '.join(known)}; got {form!r}")


def _resize(size: int | tuple[int, int]) -> dict[str, Any]:
  return {"size": size} if isinstance(size, int) else {"size": size, "keep_ratio": True}


def _tested(views: dict[str, Any], crop: str, size: int, resize: int | tuple[int, int], average: str) -> ConfigDict:
  settings = {"resize": _resize(resize), crop: {"size": size}}
  return preprocessing(**views, steps=tuple(settings), settings=settings, average=average)
