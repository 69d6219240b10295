"""What makes a folder of shards a TFDS data set: features.json, dataset_info.json, the shards' names."""

import json
from typing import Any

from jaction.records.tfds_folder import TEMPLATE

_CORE = "tensorflow_datasets.core.features."


def features_json(stored: str, label: str | None, num_classes: int) -> str:
  """features.json of a set whose examples hold an id, `stored` (video, frames or image) and `label` (or labels)."""
  scalar = {"shape": {}, "dtype": "string", "encoding": "none"}
  image = {
    "pythonClassName": f"{_CORE}image_feature.Image",
    "image": {"shape": {"dimensions": ["-1", "-1", "3"]}, "dtype": "uint8"},
  }
  classes = {
    "pythonClassName": f"{_CORE}class_label_feature.ClassLabel",
    "classLabel": {"numClasses": str(num_classes)},
  }
  features = {
    "id": {"pythonClassName": f"{_CORE}text_feature.Text", "text": {}},
    stored: {
      "video": {"pythonClassName": f"{_CORE}scalar.Scalar", "tensor": scalar},
      "frames": _sequence(image),
      "image": image,
    }[stored],
  }
  if label:
    features[label] = classes if label == "label" else _sequence(classes)
  value = {
    "pythonClassName": f"{_CORE}features_dict.FeaturesDict",
    "featuresDict": {"features": features},
  }
  return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _sequence(feature: dict[str, Any]) -> dict[str, Any]:
  name = f"{_CORE}sequence_feature.Sequence"
  return {"pythonClassName": name, "sequence": {"feature": feature, "length": "-1"}}


def info_json(name: str, splits: dict[str, tuple[list[int], int]]) -> str:
  """dataset_info.json; splits: name -> (records of each shard, bytes of all)."""
  value = {
    "name": name,
    "version": "1.0.0",
    "description": "Videos as they are, in ArrayRecord; written by `jaction data build`.",
    "fileFormat": "array_record",
    "splits": [
      {"name": split, "shardLengths": [str(n) for n in lengths], "numBytes": str(size), "filepathTemplate": TEMPLATE}
      for split, (lengths, size) in splits.items()
    ],
  }
  return json.dumps(value, indent=2) + "\n"


def shard_name(name: str, split: str, number: int, count: int) -> str:
  return f"{name}-{split}.array_record-{number:05d}-of-{count:05d}"
