"""A pipeline of MMAction2, as the keys of `preprocessing.train`, `.test` and `.published` of a jaction config."""

from collections.abc import Mapping
from typing import Any

from jaction.converters.config_values import MISSING

PHASES = {"train": "train", "val": "test", "test": "published"}  # theirs -> ours
QUIET = {  # steps that only decode, rearrange or collect, and have no setting here
  *("DecordInit", "DecordDecode", "OpenCVInit", "OpenCVDecode", "PyAVInit", "PyAVDecode", "PIMSInit", "PIMSDecode"),
  *("RawFrameDecode", "PickFrames", "FrameSelector", "ImageDecode", "FormatShape", "Collect", "ToTensor", "Fuse"),
  *("PackActionInputs", "Rename", "ToDataContainer", "Transpose", "Normalize", "DecompressVideo"),
}
SOUND = {
  *("AudioDecodeInit", "AudioDecode", "AudioAmplify", "AudioFeatureSelector", "LoadAudioFeature", "FormatAudioShape"),
  *("MelSpectrogram", "MelLogSpectrogram"),
}
CROPS = {  # theirs -> ours, with their name of the side
  "RandomResizedCrop": ("random_resized_crop", ""),
  "MultiScaleCrop": ("multi_scale_crop", "input_size"),
  "RandomCrop": ("random_crop", "size"),
  "CenterCrop": ("center_crop", "crop_size"),
  "ThreeCrop": ("three_crop", "crop_size"),
  "TenCrop": ("ten_crop", "crop_size"),
}
SAME = {  # settings of a step that have the same name and meaning on both sides
  "random_resized_crop": ("area_range", "aspect_ratio_range"),
  "multi_scale_crop": ("scales", "max_wh_scale_gap", "num_fixed_crops", "random_crop"),
}
SAMPLERS = {
  "SampleFrames": "uniform",
  "DenseSampleFrames": "dense",
  "UntrimmedSampleFrames": "untrimmed",
  "UniformSample": "each_part",
  "UniformSampleFrames": "each_part",
}


def at(value: Any, *keys: str) -> Any:
  """value[key][key]..., None where it leads nowhere or to what was not read."""
  for key in keys:
    value = value.get(key) if isinstance(value, Mapping) else None
  return None if value is MISSING else value


def kind_of(value: Any) -> str:
  """The `type` of a dict, without a registry's scope; "" where it has none."""
  kind = at(value, "type")
  return kind.split(".")[-1] if isinstance(kind, str) else ""


def dataset_of(values: Mapping[str, Any], phase: str) -> Mapping[str, Any]:
  """The (first) dataset of "train", "val" or "test", out of what wraps it."""
  found = at(values, "data", phase) or at(values, f"{phase}_dataloader", "dataset")
  for _ in range(8):
    if isinstance(found, list | tuple):
      found = found[0] if found else None
    elif at(found, "pipeline") is None and (at(found, "dataset") or at(found, "datasets")):
      found = at(found, "dataset") or at(found, "datasets")
  return found if isinstance(found, Mapping) else {}


def pipeline_of(values: Mapping[str, Any], phase: str) -> list[Mapping[str, Any]]:
  """The steps of a phase: those of its dataset, else of the name that configs give them."""
  steps = at(dataset_of(values, phase), "pipeline") or values.get(f"{phase}_pipeline") or []
  return [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list | tuple) else []


def modality_of(values: Mapping[str, Any]) -> str:
  """rgb, flow, stacked_flow or spectrogram."""
  for phase in PHASES:
    dataset, steps = dataset_of(values, phase), pipeline_of(values, phase)
    if "audio" in kind_of(dataset).lower() or any(kind_of(step) in SOUND for step in steps):
      return "spectrogram"
    layouts = [at(step, "input_format") for step in steps if kind_of(step) == "FormatShape"]
    if at(dataset, "modality") == "Flow" or "NCHW_Flow" in layouts:
      return "stacked_flow" if "NCHW_Flow" in layouts else "flow"
  return "rgb"


def views(
  steps: list[Mapping[str, Any]], phase: str, *, segments: bool, modern: bool, modality: str, remarks: list[str]
) -> dict[str, Any]:
  """{key below preprocessing.PHASE: value} of what a pipeline says; `settings` is a dict of dicts.

  `phase` is theirs; `segments`: a 2-D network, whose view holds all segments; `modern`: of MMAction2 1.x.  What has no
  counterpart goes into `remarks`.
  """
  facts: dict[str, Any] = {}
  taken: dict[str, dict[str, Any]] = {}  # the steps in their order
  sampling: dict[str, Any] = {}
  for step in steps:
    kind = kind_of(step)
    if kind in SAMPLERS:
      facts |= _sampling(step, kind, phase, segments=segments, modern=modern, settings=sampling)
    elif kind == "Resize":
      _resize(step, taken, phase, remarks)
    elif kind in CROPS:
      name, side = CROPS[kind]
      given = {key: _plain(step[key]) for key in SAME.get(name, ()) if key in step}
      taken[name] = given | ({"size": _side(step[side])} if side and side in step else {})
    elif kind == "Flip":
      taken |= _flip(step, phase, remarks)
    elif kind == "ColorJitter":
      taken["color_jitter"] = {}
    elif kind == "RandomRescale" and "scale_range" in step:
      taken["random_rescale"] = {"scales": _plain(step["scale_range"])}
    elif kind not in QUIET | SOUND:
      remarks.append(f"{phase} pipeline: the step {kind or 'without a type'} has no counterpart that is known here")
    if kind == "Normalize":
      facts |= _normalisation(step)
  if modality == "spectrogram":
    if any(kind_of(step) in SOUND for step in steps):
      remarks.append(f"{phase} pipeline: the steps of sound are not compared")
  elif steps:
    facts["steps"], facts["settings"] = tuple(taken), taken | sampling
  if steps:
    facts["modality"] = modality
  return facts


def _sampling(
  step: Mapping[str, Any], kind: str, phase: str, *, segments: bool, modern: bool, settings: dict[str, Any]
) -> dict[str, Any]:
  name = SAMPLERS[kind]
  if name == "uniform" and modern and phase != "train":
    name = "uniform_v1"  # 1.x samples in another way in its tests
  length, count = step.get("clip_len", 1), step.get("num_clips", 1)
  facts = {"sampler": name, "clip_len": length, "num_clips": count}
  if name == "untrimmed":
    settings[name] = {"clip_interval": step.get("frame_interval" if not modern else "clip_interval", 16)}
  elif name != "each_part":
    facts["frame_interval"] = step.get("frame_interval", 1)
  if name == "dense":
    settings[name] = {key: step[key] for key in ("sample_range", "num_sample_positions") if key in step}
  if step.get("temporal_jitter"):
    settings[name] = settings.get(name, {}) | {"temporal_jitter": True}
  if name in ("uniform", "uniform_v1"):
    facts["twice_sample"] = bool(step.get("twice_sample", False)) and phase != "train"
  facts["frames_per_view"] = count if segments else length
  return facts


def _resize(step: Mapping[str, Any], taken: dict[str, dict[str, Any]], phase: str, remarks: list[str]) -> None:
  """A resize before the crop, or that of the crop itself."""
  scale, keep = step.get("scale"), step.get("keep_ratio", True)
  sides = [side for side in scale if side != -1] if isinstance(scale, list | tuple) else []
  if not sides or len(sides) > 2:
    remarks.append(f"{phase} pipeline: a Resize to {scale!r:.40}")
    return
  crop = next((name for name in ("random_resized_crop", "multi_scale_crop") if name in taken), None)
  if crop is not None:
    size = sides[0] if len(set(sides)) == 1 else tuple(sides)
    if taken[crop].setdefault("size", size) != size:
      remarks.append(f"{phase} pipeline: {crop} of {taken[crop]['size']} is resized to {size} once more")
  elif taken:
    remarks.append(f"{phase} pipeline: a second Resize, to {scale!r:.40}")
  elif len(sides) == 1:
    taken["resize"] = {"size": sides[0]}
  else:
    taken["resize"] = {"size": tuple(sides)} | ({"keep_ratio": True} if keep else {})
  if step.get("interpolation", "bilinear") != "bilinear" and taken.get("resize") is not None:
    taken["resize"]["interpolation"] = step["interpolation"]


def _flip(step: Mapping[str, Any], phase: str, remarks: list[str]) -> dict[str, dict[str, Any]]:
  if step.get("flip_label_map") or step.get("left_kp"):
    remarks.append(f"{phase} pipeline: Flip also exchanges labels or key points; here flip.labels is a table of labels")
  if not step.get("flip_ratio", 0.5) or phase != "train":
    return {}
  turned = {"direction": step["direction"]} if step.get("direction", "horizontal") != "horizontal" else {}
  return {"flip": {"ratio": step.get("flip_ratio", 0.5)} | turned}


def _normalisation(step: Mapping[str, Any]) -> dict[str, Any]:
  """mean and std in the order R, G, B: `to_bgr` turns channels around before they are subtracted."""
  turn = -1 if step.get("to_bgr") else 1
  found = {name: step[name] for name in ("mean", "std") if isinstance(step.get(name), list | tuple)}
  return {name: tuple(float(x) for x in value[::turn] if _number(x)) for name, value in found.items()}


def _number(value: Any) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool)


def _side(value: Any) -> Any:
  plain = _plain(value)
  return plain[0] if isinstance(plain, tuple) and plain and len(set(plain)) == 1 else plain


def _plain(value: Any) -> Any:
  return tuple(_plain(item) for item in value) if isinstance(value, list | tuple) else value
