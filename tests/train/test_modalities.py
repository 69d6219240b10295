"""Whole runs on flow and on sound: training, evaluation, and a model folder that says the same of the same files."""

import json
import wave

import cv2
import numpy as np
import pytest

from jaction.configs.base import base, duration, preprocessing
from jaction.errors import InputError
from jaction.folders import load_folder
from jaction.launch.train import parse_config
from jaction.metrics.classification import top_k_accuracy
from jaction.predict.predictor import Predictor
from jaction.predict.scoring import mean_loss
from jaction.records import read_records
from jaction.train.experiment import Experiment
from jaction.train.loop import train

COUNTS = {"train": 8, "val": 5}
TWO = {"mean": (128.0, 128.0), "std": (64.0, 64.0)}


def put_flow(path, label, rng):
  """12 frames of 72 x 72 of a motion to the left or to the right."""
  path.mkdir()
  for number in range(1, 13):
    for axis in "xy":
      image = rng.integers(100, 156, (72, 72)).astype(np.uint8)
      if axis == "x":
        image[20:50, 20:50] = (30, 220)[label]
      cv2.imwrite(str(path / f"{axis}_{number:05d}.jpg"), image)


def put_feature(path, label, rng):
  """40 rows of 16 bands, of which the low or the high ones are louder."""
  bands = rng.normal(size=(40, 16)).astype(np.float32)
  bands[:, 8 * label : 8 * label + 8] += 3
  np.save(path.with_suffix(".npy"), bands)


def put_sound(path, label, rng):
  """Half a second of a tone."""
  tone = 0.5 * np.sin(2 * np.pi * (400, 3000)[label] * np.arange(8000) / 16000) + rng.normal(0, 0.05, 8000)
  with wave.open(str(path.with_suffix(".wav")), "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(16000)
    file.writeframes((tone.clip(-1, 1) * 32767).astype(np.int16).tobytes())


SOUND = {"modality": "spectrogram", "mean": (0.0,), "std": (1.0,)}
KINDS = {  # what a set holds, the network and its fields, the list, views, steps of training and of tests
  "flow": (
    put_flow,
    ("tsn_tiny_1x1x8", {}),
    ("frame_list", " 12"),
    {"num_clips": 3, "frames_per_view": 3, "modality": "flow", **TWO},
    ({"resize": {"size": 20}, "random_crop": {"size": 16}, "flip": {}}, {"center_crop": {"size": 16}}),
  ),
  "stacked_flow": (
    put_flow,
    ("tsn_tiny_1x1x8", {}),
    ("frame_list", " 12"),
    {"num_clips": 3, "clip_len": 5, "frames_per_view": 3, "modality": "stacked_flow", **TWO},
    (
      {"resize": {"size": 20}, "random_crop": {"size": 16}, "flip": {}},
      {"resize": {"size": 16}, "three_crop": {"size": 16}},
    ),
  ),
  "features": (
    put_feature,
    ("tsn_r18_audio", {"depth": 8, "width": 8}),
    ("audio_feature_list", " 40"),
    {"num_clips": 1, "clip_len": 16, **SOUND},
    ({"cut": {"length": 24}}, {}),
  ),
  "sounds": (
    put_sound,
    ("tsn_r18_audio", {"depth": 8, "width": 8}),
    ("audio_list", " 15"),
    {"num_clips": 2, "clip_len": 16, **SOUND},
    ({"amplify": {"ratio": 1.5}, "mel": {"bands": 16, "log": True}},) * 2,
  ),
}


def make(kind, root):
  """The config of a kind, and its set in `root`."""
  put, (name, fields), (format, length), views, (training, testing) = KINDS[kind]
  rng = np.random.default_rng(0)
  for split, count in COUNTS.items():
    lines = []
    for number in range(count):
      put(root / f"{split}{number}", number % 2, rng)
      lines.append(f"{split}{number}{length} {number % 2}\n")
    (root / f"{split}.txt").write_text("".join(lines))
  c = base().unlock()
  c.model.name, c.model.num_classes, c.model.fields = name, 2, fields
  c.batch_size, c.duration = 8, duration(steps=2)
  c.preprocessing.train = preprocessing(**views, steps=tuple(training), settings=training)
  c.preprocessing.test = preprocessing(**views, steps=tuple(testing), settings=testing)
  c.schedule.lr, c.eval.batch_size = 0.01, 8
  c.log.every_steps, c.log.tensorboard, c.log.curves = 1, False, False
  c.data.root, c.data.format = str(root), format
  return c


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_learns_and_its_folder_gives_the_scores_of_its_evaluation(kind, tmp_path):
  (tmp_path / "set").mkdir()
  config = make(kind, tmp_path / "set")
  metrics = train(config, tmp_path / "run")
  rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
  losses = [row["loss"] for row in rows if row.get("kind", "train") == "train" and "loss" in row]
  assert metrics["step"] == 2 and np.isfinite(losses).all()

  stored = load_folder(tmp_path / "run").preprocessing
  assert stored["modality"] == config.preprocessing.test.modality
  predictor = Predictor(tmp_path / "run")
  records = read_records(tmp_path / "set/val.txt", format=config.data.format, template=predictor.preprocessing.template)
  clips = predictor.preprocessing(records[0])["clips"]
  assert clips.shape[-1] == {"flow": 2, "stacked_flow": 10, "spectrogram": 1}[stored["modality"]]
  scores = predictor.score(records, batch_size=3)
  assert scores.scores.shape == (5, 2)
  assert mean_loss(scores.scores, scores.labels, predictor.average) == pytest.approx(metrics["loss"], rel=1e-5)
  assert top_k_accuracy(scores.scores, scores.labels, (1,))[0] == pytest.approx(metrics["top1"])


@pytest.mark.parametrize(
  "kind, change, wanted",
  [
    ("flow", {"modality": "rgb", "mean": (0.0,) * 3, "std": (1.0,) * 3}, "train.modality='flow' has 2 .*'rgb' has 3"),
    ("stacked_flow", {"clip_len": 4}, "'stacked_flow' has 10 channels .* has 8"),
  ],
)
def test_training_and_test_see_the_same_kind_of_thing(kind, change, wanted, tmp_path):
  config = make(kind, tmp_path)
  config.preprocessing.test.update(change)
  with pytest.raises(InputError, match=wanted):
    Experiment(config.to_dict())


def test_networks_on_sound_hear_and_the_others_see(tmp_path):
  config = make("features", tmp_path)
  config.model.name, config.model.fields = "tsn_tiny_1x1x8", {}
  with pytest.raises(InputError, match="'spectrogram': wanted rgb, flow or stacked_flow"):
    Experiment(config.to_dict())
  (tmp_path / "flow").mkdir()
  config = make("flow", tmp_path / "flow")
  config.model.name = "audioonly_r50"
  with pytest.raises(InputError, match="'flow': wanted spectrogram, as the network is one on sound"):
    Experiment(config.to_dict())


@pytest.mark.parametrize(
  "name, mean, wanted",
  [
    ("tsn_r50_320p_1x1x3_110e_kinetics400_flow", (1.0, 2.0, 3.0), "wanted two numbers, x, y"),
    ("tsn_r18_64x1x1_100e_kinetics400_audio_feature", (1.0, 2.0), "wanted one number, of the log-mel feature"),
  ],
)
def test_the_command_line_wants_a_number_for_each_channel(name, mean, wanted):
  with pytest.raises(InputError, match=f"test.mean=.*{wanted}"):
    parse_config([f"--config={name}", f"--config.preprocessing.test.mean={mean}"])
  right = mean[:-1] if len(mean) > 2 else mean[:1]
  config = parse_config([f"--config={name}", f"--config.preprocessing.test.mean={right}"])
  assert config.preprocessing.test.mean == right
