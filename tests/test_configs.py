"""Every packaged config loads, is locked, fits its model, and says the facts of the published one."""

import importlib
import json

import jax
import pytest

from jaction.clips.preprocessing import Preprocessing
from jaction.configs.base import base
from jaction.errors import InputError
from jaction.launch.train import keys, main, names, parse_config
from jaction.models import create_model, variant
from jaction.records import toy
from jaction.train.optim import check_groups, in_steps, make_optimizer, make_schedule

NAMES = names()
TOYS = ["toy_tsm", "toy_tsn", "toy_tsm:short", "toy_tsn:short"]


@pytest.mark.parametrize("name", [*NAMES, *TOYS[2:], "toy_tsm:own", "toy_tsn:own"])
def test_a_config_is_locked_has_the_keys_of_base_and_fits_its_model(name):
  config = parse_config([f"--config={name}"])
  assert config.is_locked
  free = ("preprocessing.", "model.fields.")
  own, wanted = ({k for k in keys(c) if not k.startswith(free)} for c in (config, base()))
  assert own == wanted
  model = create_model(config.model.name, num_classes=config.model.num_classes, **config.model.fields)
  train, test = (Preprocessing.from_json(config.preprocessing[kind].to_dict()) for kind in ("train", "test"))
  published = variant(config.model.name)
  assert (train.mean, train.std) == (test.mean, test.std) == (published.mean, published.std)
  assert train.frames_per_view == test.frames_per_view == model.clip[0]
  sizes = {"batch_size": config.batch_size, "examples": 640 if "toy" in name else 240000}
  total = in_steps(config.duration, what="duration", **sizes)
  warmup = in_steps(config.schedule.warmup, what="warmup", optional=True, **sizes)
  rate = make_schedule(config.schedule, total=total, warmup=warmup, **sizes)
  assert 0 <= rate(total - 1) < rate(warmup) <= config.schedule.lr
  make_optimizer(config.optimizer)
  assert json.dumps(config.to_dict())


@pytest.mark.parametrize("name", NAMES)
def test_a_config_tells_paper_command_and_accuracy(name):
  text = " ".join(importlib.import_module(f"jaction.configs.{name}").__doc__.split())
  assert "arXiv:" in text
  assert f"python -m launch.train --config=configs/{name}.py" in text
  assert "Accuracy wanted: top-1" in text


@pytest.mark.reference
@pytest.mark.parametrize("name", [n for n in NAMES if "toy" not in n])
def test_the_facts_are_those_of_the_zoo(shared, name):
  path = shared / "zoo" / "mmaction2_v0.9.0_zoo.json"
  if not path.exists():
    pytest.skip(f"no {path}")
  rows = [
    r
    for r in json.loads(path.read_text())["results"]
    if r.get("name") == name and "top1" in r and "config_summary" in r
  ]
  row = next(r for r in rows if r["input_resolution"] == "short-side 256")
  facts, config = row["config_summary"], parse_config([f"--config={name}"])
  module = importlib.import_module(f"jaction.configs.{name}")
  assert f"{row['top1']} %" in module.__doc__ and f"{row['top5']} %" in module.__doc__
  sampling, train = facts["train_sampling"], config.preprocessing.train
  assert [train[k] for k in ("clip_len", "frame_interval", "num_clips")] == [
    sampling[k] for k in ("clip_len", "frame_interval", "num_clips")
  ]
  assert config.optimizer.weight_decay == facts["optimizer"]["weight_decay"]
  assert config.optimizer.momentum == facts["optimizer"]["momentum"]
  assert config.schedule.lr == facts["optimizer"]["lr"]
  assert config.optimizer.clip_norm == facts["grad_clip"]["max_norm"]
  assert config.duration.epochs == facts["epochs"]
  assert config.batch_size == 8 * facts["videos_per_gpu"]
  lr = facts["lr_config"]
  assert config.schedule.name == {"step": "step", "CosineAnnealing": "cosine"}[lr["policy"]]
  assert config.schedule.milestones == tuple(lr.get("step", ()))
  assert config.schedule.warmup.epochs == lr.get("warmup_iters", 0)
  assert train.mean == tuple(facts["img_norm"]["mean"]) and train.std == tuple(facts["img_norm"]["std"])


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
    (["--config=toy_tsm", "--config.model.fields.dropot=1"], "no such key. Near it: model.fields.dropout"),
    (["--config=toy_tsm", "--config.batch_size=many"], "config.batch_size=many"),
    (["--config=toy_tsm", "--config.preprocessing.test.std=(1.0, 2.0)"], "wanted three numbers"),
    (["--config=toy_tsm:long"], "the forms short and own; got 'long'"),
    (["--config=toy_tsm", "--workdri=x"], "--workdri is not known. Near it: --workdir"),
    (["--config=toy_tsm", "stray"], "stray is not a flag"),
    (["--config=toy_tsm"], "--workdir is missing"),
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
