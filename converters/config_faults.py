"""Known faults of the configs of MMAction2 0.9, where one of them is met; jaction's configs do not copy them."""

from collections.abc import Mapping
from typing import Any

from jaction.converters.config_pipelines import PHASES, SOUND, at, dataset_of, kind_of, pipeline_of

IMAGENET = (123.675, 116.28, 103.53)
CSN = (110.2008, 100.63983, 95.99475)


def known_faults(
  values: Mapping[str, Any], found: Mapping[str, Any], modality: str, modern: bool, dataset: str
) -> list[tuple[str, str]]:
  """(beginning of a key, what is wrong); "" where no key is concerned."""
  faults = []
  model, means = values["model"], [found.get(f"preprocessing.{phase}.mean") for phase in PHASES.values()]
  backbone = at(model, "backbone")
  steps = [step for phase in PHASES for step in pipeline_of(values, phase)]
  norm = [f"preprocessing.{phase}.{key}" for phase in PHASES.values() for key in ("mean", "std")]
  if dataset == "gym99" and found.get("model.num_classes") == 400:
    faults.append(("model.num_classes", "GYM99 has 99 classes; the originals say 400"))
  if "flow" in modality and IMAGENET in means:
    faults += [(key, "flow with the normalisation of RGB; ours is 128, 128") for key in norm]
  if modality == "stacked_flow" and kind_of(backbone) == "ResNet" and at(backbone, "in_channels") in (None, 3):
    faults.append(("", "flow in stacks lacks in_channels=10; ours takes the channels from the input"))
  if kind_of(backbone) == "ResNet3dCSN" and IMAGENET in means:
    faults += [(key, f"CSN's normalisation was wrong until 0.18; ours has the mean {CSN}") for key in norm]
  if not modern and any(kind_of(step) == "ColorJitter" for step in steps):
    faults.append(("", "ColorJitter was wrong until 0.17; ours is as it was meant"))
  if at(model, "pem_low_temporal_iou_threshold") == 2.2 or at(backbone, "pem_low_temporal_iou_threshold") == 2.2:
    faults.append(("", "pem_low_temporal_iou_threshold=2.2 was meant as 0.2"))
  if any(kind_of(step) in SOUND and "Mel" in kind_of(step) for step in steps):
    faults.append(("", "the mel spectrogram is padded and cut along the mel axis; ours along time"))
  datasets = [dataset_of(values, phase) for phase in PHASES]
  if any(at(part, "sample_by_class") for part in datasets):
    faults.append(("", "class-balanced sampling works there only when distributed"))
  if not modern and any(kind_of(part) == "AVADataset" for part in datasets):
    faults.append(("", "AVA: frames are drawn around the key frame in tests too, and the frame rate is misread"))
  if not modern and found.get("loss.label_smoothing"):
    faults.append(("", "label_smooth_eps had no effect on single labels in 0.9; ours has it"))
  return faults
