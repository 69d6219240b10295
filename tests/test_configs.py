"""Every packaged config loads, is locked, fits its model, and says the facts of the published one."""

import importlib
import json
import os
import pathlib

import jax
import numpy as np
import pytest

from jaction.clips.key_frames import KeyFrames
from jaction.clips.preprocessing import Preprocessing
from jaction.configs.base import base
from jaction.errors import InputError
from jaction.launch.train import keys, main, names, packaged, parse_config
from jaction.models import create_model, variant
from jaction.records import toy
from jaction.train.checks import check_numbers
from jaction.train.optim import check_groups, make_optimizer
from jaction.train.schedules import in_steps, make_schedule

ALL = names()
DETECTION = [name for name in ALL if "_ava" in name]
LOCALIZATION = [name for name in ALL if name.startswith(("bmn_", "bsn_", "ssn_", "toy_bmn", "toy_bsn", "toy_ssn"))]
NAMES = [name for name in ALL if name not in (*DETECTION, *LOCALIZATION)]
TOYS = ["toy_i3d", "toy_slowfast", "toy_tsm", "toy_tsn", "toy_x3d", "toy_tsm:short", "toy_tsn:short"]
SHARED = pathlib.Path(os.environ.get("JACTION_SHARED", pathlib.Path(__file__).parent.parent.parent / "shared"))
ZOO = SHARED / "zoo" / "mmaction2_v0.9.0_zoo.json"


def zoo() -> dict[str, list[dict]]:
  """{name of a recognition or audio config of MMAction2 0.9.0: its rows, the published ones first}."""
  rows = {}
  if ZOO.exists():
    data = json.loads(ZOO.read_text())
    for row in data["results"] + data["configs_without_published_results"]:
      if row["task"] in ("action recognition", "audio recognition") and row.get("config"):
        rows.setdefault(row["config"].split("/")[-1].removesuffix(".py"), []).append(row)
  return rows


@pytest.mark.parametrize("name", [*NAMES, *(name for name in TOYS if name not in ALL), "toy_tsm:own", "toy_tsn:own"])
def test_a_config_is_locked_has_the_keys_of_base_and_fits_its_model(name):
  config = parse_config([f"--config={name}"])
  assert config.is_locked
  free = ("preprocessing.", "model.fields.", "data.mix.")
  own, wanted = ({k for k in keys(c) if not k.startswith(free)} for c in (config, base()))
  assert own == wanted
  model = create_model(config.model.name, num_classes=config.model.num_classes, **config.model.fields)
  kinds = ("train", "test") + (("published",) if config.preprocessing.published else ())
  train, *tests = (Preprocessing.from_json(config.preprocessing[kind].to_dict()) for kind in kinds)
  for test in tests:
    assert (train.mean, train.std, train.modality) == (test.mean, test.std, test.modality)
  assert len(tests) == 2
  if train.modality == "rgb":
    assert (train.mean, train.std) == (variant(config.model.name).mean, variant(config.model.name).std)
  if train.modality != "spectrogram":  # whose clips count in frames of the video
    assert train.frames_per_view == model.clip[0]
  sizes = {"batch_size": config.batch_size, "examples": 640 if "toy" in name else 240000}
  total = in_steps(config.duration, what="duration", **sizes)
  warmup = in_steps(config.schedule.warmup, what="warmup", optional=True, **sizes)
  rate = make_schedule(config.schedule, total=total, warmup=warmup, **sizes)
  assert 0 <= rate(total - 1) <= rate(warmup) <= config.schedule.lr
  make_optimizer(config.optimizer)
  check_numbers(config.to_dict())
  assert json.dumps(config.to_dict())


@pytest.mark.parametrize("name", [*DETECTION, "toy_ava:short"])
def test_a_detection_config_is_locked_has_the_keys_of_base_and_fits_its_model(name):
  config = parse_config([f"--config={name}"])
  assert config.is_locked and config.task == "detection"
  free = ("preprocessing.", "model.fields.", "data.mix.")
  own, wanted = ({k for k in keys(c) if not k.startswith(free)} for c in (config, base()))
  assert own == wanted
  row = variant(config.model.name)
  model = create_model(config.model.name, num_classes=config.model.num_classes, **config.model.fields)
  for kind in ("train", "test"):
    form = KeyFrames.from_json(config.preprocessing[kind].to_dict())
    assert (form.clip_len, form.frame_interval) == row.clip[:2] and (form.mean, form.std) == row.norm
    assert form.clip_len == model.clip[0]
  sizes = {"batch_size": config.batch_size, "examples": 480 if "toy" in name else 180000}
  total = in_steps(config.duration, what="duration", **sizes)
  warmup = in_steps(config.schedule.warmup, what="warmup", optional=True, **sizes)
  rate = make_schedule(config.schedule, total=total, warmup=warmup, **sizes)
  assert 0 <= rate(total - 1) <= rate(warmup) <= config.schedule.lr
  make_optimizer(config.optimizer)
  check_numbers(config.to_dict())
  assert json.dumps(config.to_dict())


@pytest.mark.parametrize("name", DETECTION)
def test_a_detection_config_tells_paper_command_and_accuracy(name):
  text = " ".join(importlib.import_module(f"jaction.configs.{name}").__doc__.split())
  assert "arXiv:" in text and f"--config=configs/{name}.py" in text
  assert "Accuracy wanted: frame mAP" in text or name == "toy_ava"


@pytest.mark.reference
def test_every_ava_config_of_the_reference_has_one_here_with_its_figure(shared):
  if not ZOO.exists():
    pytest.skip(f"no {ZOO}")
  rows = [row for row in json.loads(ZOO.read_text())["detection_results"] if "frame_mAP_at_0_5_iou" in row]
  assert {row["name"] for row in rows} <= set(DETECTION)
  for row in rows:
    text = " ".join(importlib.import_module(f"jaction.configs.{row['name']}").__doc__.split())
    assert f"frame mAP {row['frame_mAP_at_0_5_iou']} %" in text, row["name"]
    assert f"AVA v{row['dataset'].removeprefix('AVA')}" in text and row["checkpoints"]["ckpt"]["file"] in text


def test_flags_may_stand_in_front_of_the_config():
  config = parse_config(["--config.batch_size=8", "--config.model.fields.dropout=0.3", "--config=toy_tsm"])
  assert (config.batch_size, config.model.fields.dropout) == (8, 0.3)


@pytest.mark.parametrize("name", [*LOCALIZATION, "toy_bmn:short", "toy_ssn:short"])
def test_a_localization_config_is_locked_has_the_keys_of_base_and_fits_its_model(name):
  config = parse_config([f"--config={name}"])
  assert config.is_locked and config.task == ("ssn" if name.startswith(("ssn_", "toy_ssn")) else "localization")
  own, wanted = (
    {k for k in keys(c) if not k.startswith(("model.fields.", "preprocessing."))} for c in (config, base())
  )
  assert own == wanted
  create_model(config.model.name, num_classes=config.model.num_classes, **config.model.fields)
  sizes = {"batch_size": config.batch_size, "examples": 160 if "toy" in name else 10000}
  total = in_steps(config.duration, what="duration", **sizes)
  warmup = in_steps(config.schedule.warmup, what="warmup", optional=True, **sizes)
  assert 0 <= make_schedule(config.schedule, total=total, warmup=warmup, **sizes)(total - 1) <= config.schedule.lr
  make_optimizer(config.optimizer)
  check_numbers(config.to_dict())
  assert json.dumps(config.to_dict())
  text = " ".join(importlib.import_module(f"jaction.configs.{name.split(':')[0]}").__doc__.split())
  assert "arXiv:" in text and "python -m launch." in text


@pytest.mark.reference
def test_the_localization_configs_say_the_facts_of_the_zoo(shared):
  if not ZOO.exists():
    pytest.skip(f"no {ZOO}")
  rows = [row for row in json.loads(ZOO.read_text())["results"] if row["task"] == "temporal localization"]
  for row in rows:
    facts, stem = row.get("config_summary"), pathlib.Path(str(row.get("config"))).stem
    if not facts or stem not in LOCALIZATION:
      continue
    config, optimizer = parse_config([f"--config={stem}"]), facts["optimizer"]
    assert (config.optimizer.name, config.schedule.lr) == (optimizer["type"].lower(), optimizer["lr"])
    assert config.optimizer.weight_decay == optimizer["weight_decay"] and config.duration.epochs == facts["epochs"]
    if "gpus" in row:
      assert config.batch_size == row["gpus"] * facts["videos_per_gpu"]
    assert config.schedule.milestones == tuple(np.atleast_1d(facts["lr_config"]["step"]))
    if facts["model_type"] == "SSN":
      assert config.optimizer.clip_norm == facts["grad_clip"]["max_norm"]
      assert config.preprocessing.test.mean[::-1] == tuple(facts["img_norm"]["mean"])  # theirs is blue first
      assert config.model.num_classes == facts["num_classes"]
    if row.get("feature") == "cuhk_mean_100":
      assert f"AUC {row['AUC']} %, AR@100 {row['AR@100']} %" in " ".join(
        importlib.import_module(f"jaction.configs.{stem}").__doc__.split()
      )


@pytest.mark.parametrize("name", NAMES)
def test_a_config_tells_paper_command_and_accuracy(name):
  module = importlib.import_module(f"jaction.configs.{name}")
  text = " ".join(module.__doc__.split())
  assert "arXiv:" in text
  assert f"python -m launch.train --config=configs/{name}.py" in text
  assert "Accuracy wanted: " in text
  for row in getattr(module, "PUBLISHED", {}).values():
    for metric in ("top1", "top5", "mAP", "mean_class_accuracy"):
      assert metric not in row or f"{row[metric]} %" in text


@pytest.mark.reference
def test_every_recognition_and_audio_config_of_the_reference_has_one_here(shared):
  if not ZOO.exists():
    pytest.skip(f"no {ZOO}")
  assert len(zoo()) >= 122
  assert [name for name in zoo() if packaged(name) is None] == []


@pytest.mark.reference
@pytest.mark.parametrize("name", sorted(zoo()))
def test_optimizer_schedule_and_views_are_those_of_the_zoo(name):
  facts = zoo()[name][0]["config_summary"]
  config = parse_config([f"--config={name}"])
  published, protocol = config.preprocessing.published, facts["test_protocol"]
  assert config.model.num_classes == {"GYM99": 99}.get(
    zoo()[name][0]["dataset"], 291 if "hvu_concept" in name else facts["num_classes"]
  )
  norm = facts.get("img_norm", {})
  if "mean" in norm and "ircsn" not in name and not ("flow" in name and len(norm["mean"]) == 3):  # faults, mended
    assert published.mean == tuple(norm["mean"])
    assert published.std == pytest.approx(tuple(norm["std"]), abs=0.006)
  assert published.sampler == {"SampleFrames": "uniform", "DenseSampleFrames": "dense"}[protocol["sampler"]]
  assert (published.clip_len, published.frame_interval) == (protocol["clip_len"], protocol["frame_interval"])
  assert published.num_clips == protocol["num_clips_or_segments"]
  assert published.twice_sample == protocol["twice_sample"]
  if published.modality != "spectrogram":
    crop = {"CenterCrop": "center_crop", "ThreeCrop": "three_crop", "TenCrop": "ten_crop", "none": "center_crop"}
    assert published.steps == ("resize", crop[protocol["spatial_crop"]])  # none: multi-moments, see the config
    assert published.settings[published.steps[1]].size == protocol.get("crop_size", 256)
    for width, height in protocol["resize"]:
      size = published.settings.resize.size
      assert size == height if width == -1 else sorted(size) == sorted((width, height))
  assert published.average == ("prob" if protocol.get("average_clips") == "prob" else "score")
  if "optimizer" not in facts:
    return  # a test alone
  optimizer, lr = facts["optimizer"], facts["lr_config"]
  assert (config.optimizer.name, config.schedule.lr) == (optimizer["type"].lower(), optimizer["lr"])
  assert config.optimizer.momentum == optimizer["momentum"]
  assert config.optimizer.weight_decay == optimizer["weight_decay"]
  assert config.optimizer.nesterov == optimizer.get("nesterov", False)
  assert bool(config.optimizer.groups) == ("constructor" in optimizer)
  assert config.optimizer.clip_norm == facts["grad_clip"]["max_norm"]
  assert config.duration.epochs == facts["epochs"]
  if "videos_per_gpu" in facts:
    assert config.batch_size == 8 * facts["videos_per_gpu"]
  if lr["policy"] == "step":
    assert config.schedule.name == "step" and config.schedule.milestones == tuple(lr["step"]) or not lr["step"]
  else:
    assert config.schedule.name == "cosine"
    assert config.schedule.final_lr == lr.get("min_lr_ratio", 0) * optimizer["lr"]
  assert config.schedule.by_epoch == lr.get("by_epoch", True)
  assert config.schedule.warmup.epochs == lr.get("warmup_iters", 0)
  sampling, train = facts["train_sampling"], config.preprocessing.train
  assert (train.clip_len, train.frame_interval, train.num_clips) == tuple(
    sampling[key] for key in ("clip_len", "frame_interval", "num_clips")
  )
  assert (train.sampler == "dense") == (sampling["type"] == "DenseSampleFrames")
  steps = {
    "MultiScaleCrop": "multi_scale_crop",
    "RandomResizedCrop": "random_resized_crop",
    "RandomCrop": "random_crop",
  }
  assert [step for step in train.steps if "crop" in step] == [steps[crop] for crop in facts["train_crop"]]
  assert ("color_jitter" in train.steps) == bool(facts["train_color_jitter"])


@pytest.mark.reference
@pytest.mark.parametrize("name", sorted(name for name, rows in zoo().items() if "checkpoints" in rows[0]))
def test_the_published_figures_are_those_of_the_zoo(name):
  module = importlib.import_module(f"jaction.configs.{packaged(name)[0]}")
  here = [
    (row["checkpoint"], *(row[key] for key in ("top1", "top5", "mAP") if key in row))
    for row in module.PUBLISHED.values()
  ]
  checkpoint = None
  for row in zoo()[name]:
    checkpoint = next((c["file"] for c in row.get("checkpoints", {}).values()), checkpoint)
    if " + " in row["name"] or "w._omnisource" in row:  # two streams; a row of another table
      continue
    pairs = (("top1", "top5"), ("mAP",), ("top1_10-view",), ("top1_30-view",))
    pairs += tuple((f"top1_{views}", f"top5_{views}") for views in ("efficient_1clip_1crop", "accurate_2clip_3crop"))
    wanted = [(checkpoint, *(row[key] for key in pair if key in row)) for pair in pairs if pair[0] in row]
    assert wanted and set(wanted) <= set(here)


def test_tsm_gives_each_kind_of_leaf_the_rate_and_decay_of_the_reference():
  config = parse_config(["--config=tsm_r50_1x1x8_50e_kinetics400_rgb"])
  factors = check_groups(config.optimizer.groups)
  model = create_model("tsm_r50_1x1x8")
  shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 1, 8, 224, 224, 3), "float32"))
  paths = ["/".join(k.key for k in path) for path, _ in jax.tree_util.tree_leaves_with_path(shapes["params"])]
  found = {path: factors(path) for path in paths}
  assert sorted(p for p in paths if p.startswith("head/")) == ["head/fc/bias", "head/fc/kernel"]
  assert found["head/fc/bias"] == (10.0, 0.0) and found["head/fc/kernel"] == (5.0, 1.0)
  for path, value in found.items():
    if path.startswith("backbone/"):
      assert value == ((1.0, 1.0) if path.endswith("/kernel") else (1.0, 0.0)), path


@pytest.mark.parametrize("name", TOYS)
def test_the_toy_configs_know_the_toy_classes(name):
  config = parse_config([f"--config={name}"])
  assert config.model.num_classes == len(toy.TOY_CLASSES)
  settings = config.preprocessing.train.settings
  assert settings.flip.labels == toy.FLIP_LABELS
  assert settings.reverse.labels == toy.REVERSE_LABELS


@pytest.mark.parametrize("name", ["toy_tsm:own", "toy_tsn:own"])
def test_the_form_for_own_videos_knows_nothing_of_the_toy_classes(name):
  config = parse_config([f"--config={name}", "--config.preprocessing.train.settings.flip.ratio=0"])
  assert config.data.labels == "" and config.preprocessing.train.steps == ("resize", "random_crop", "flip")
  for kind in ("train", "test"):
    assert not any("labels" in settings for settings in config.preprocessing[kind].settings.values())


def test_a_flag_changes_a_key():
  changes = ["--config.schedule.lr=0.25", "--config.schedule.milestones=(3, 4)", "--config.log.curves=false"]
  config = parse_config(["--config", "toy_tsm", *changes])
  assert (config.schedule.lr, config.schedule.milestones, config.log.curves) == (0.25, (3, 4), False)


def test_a_path_does_as_well_as_a_name(tmp_path):
  own = tmp_path / "mine.py"
  own.write_text("from jaction.configs import toy_tsn\n\n\ndef get_config():\n  return toy_tsn.get_config()\n")
  assert parse_config([f"--config={own}"]).model.name == "tsn_tiny_1x1x8"
  assert parse_config(["--config=configs/toy_tsn.py:short"]).duration.steps > 0


@pytest.mark.parametrize(
  "argv, message",
  [
    (["--config=toy_tsmm"], "no packaged config of this name. Near it: toy_tsm"),
    (["--config=toy_tsm", "--config.schedule.lrr=1"], "schedule.lrr: the config has no such key. Near it: schedule.lr"),
    (["--config=toy_tsm", "--config.model.fields.dropot=1"], "has no field 'dropot'. Near it: dropout"),
    (["--config=toy_tsm", "--config.batch_size=many"], "config.batch_size=many"),
    (["--config=toy_tsm", "--config.preprocessing.test.std=(1.0, 2.0)"], "wanted three numbers"),
    (["--config=toy_tsm:long"], "the forms short, own and tfds; got 'long'"),
    (["--config=toy_tsm", "--workdri=x"], "--workdri is not known. Near it: --workdir"),
    (["--config=toy_tsm", "stray"], "stray is not a flag"),
    (["--config=toy_tsm"], "--workdir is missing"),
    (["--config=toy_tsm", "--workdir=nowhere"], "data.root is not set: --config.data.root=FOLDER"),
    ([], "--config is missing"),
  ],
)
def test_a_mistake_on_the_command_line_is_one_clear_error(argv, message, capsys):
  with pytest.raises(InputError) as error:
    main(argv)
  assert message in str(error.value)
  assert len(str(error.value)) < 500


def test_help_tells_the_configs_and_a_configs_keys(capsys):
  assert main(["--help"]) == 0
  said = capsys.readouterr().out
  assert all(name in said for name in NAMES) and "--workdir" in said
  assert main(["--config=toy_tsm", "--help"]) == 0
  assert "--config.schedule.lr=0.004" in capsys.readouterr().out
