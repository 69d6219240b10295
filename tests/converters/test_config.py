"""MMAction2 configs of both styles, made up, restated in jaction's keys; the command, its flags and its output file."""

import pathlib
import re
import shlex

import pytest

from jaction.clips.preprocessing import Preprocessing
from jaction.converters.config import main
from jaction.converters.config_compare import differences, flags, nearest_config, packaged_configs, same
from jaction.converters.config_facts import facts
from jaction.converters.config_network import network
from jaction.converters.config_reader import read_config
from jaction.errors import InputError
from jaction.launch import main as launch
from jaction.launch.train import keys, parse_config

NAME = "tsm_r50_1x1x8_50e_kinetics400_rgb"
NORM = "dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_bgr=False)"
OLD = f"""
norm = {NORM}
sampling = dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=8)
end = [dict(type='Normalize', **norm), dict(type='FormatShape', input_format='NCHW')]
model = dict(
  type='Recognizer2D',
  backbone=dict(type='ResNetTSM', depth=50, pretrained='torchvision://resnet50', shift_div=8),
  cls_head=dict(type='TSMHead', num_classes=400, dropout_ratio=0.5, is_shift=True))
train_cfg = None
test_cfg = dict(average_clips='prob')
train_pipeline = [
  sampling, dict(type='RawFrameDecode'), dict(type='Resize', scale=(-1, 256)),
  dict(type='MultiScaleCrop', input_size=224, scales=(1, 0.875, 0.75, 0.66), random_crop=False,
       max_wh_scale_gap=1, num_fixed_crops=13),
  dict(type='Resize', scale=(224, 224), keep_ratio=False), dict(type='Flip', flip_ratio=0.5)] + end
test_pipeline = [
  dict(test_mode=True, **sampling), dict(type='RawFrameDecode'), dict(type='Resize', scale=(-1, 256)),
  dict(type='CenterCrop', crop_size=224), dict(type='Flip', flip_ratio=0)] + end
data = dict(
  videos_per_gpu=8,
  train=dict(type='RawframeDataset', ann_file='data/kinetics400/train.txt', pipeline=train_pipeline),
  val=dict(type='RawframeDataset', ann_file='data/kinetics400/val.txt', pipeline=test_pipeline),
  test=dict(type='RawframeDataset', ann_file='data/kinetics400/val.txt', pipeline=test_pipeline))
optimizer = dict(type='SGD', constructor='TSMOptimizerConstructor', paramwise_cfg=dict(fc_lr5=True), lr=0.01,
                 momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=dict(max_norm=20, norm_type=2))
lr_config = dict(policy='step', step=[20, 40])
total_epochs = 50
"""
MODEL_1X = """
model = dict(
  type='Recognizer3D',
  backbone=dict(type='ResNet3dSlowFast', resample_rate=8, speed_ratio=8,
                slow_pathway=dict(type='resnet3d', depth=50), fast_pathway=dict(type='resnet3d', depth=50)),
  cls_head=dict(type='SlowFastHead', num_classes=400, dropout_ratio=0.5, average_clips='prob'),
  data_preprocessor=dict(type='ActionDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]))
"""
NEW = """
_base_ = ['models/slowfast.py']
train_pipeline = [
  dict(type='DecordInit', io_backend='disk'), dict(type='SampleFrames', clip_len=32, frame_interval=2, num_clips=1),
  dict(type='DecordDecode'), dict(type='Resize', scale=(-1, 256)), dict(type='RandomResizedCrop'),
  dict(type='Resize', scale=(224, 224), keep_ratio=False), dict(type='Flip', flip_ratio=0.5),
  dict(type='PackActionInputs')]
test_pipeline = [
  dict(type='SampleFrames', clip_len=32, frame_interval=2, num_clips=10, test_mode=True), dict(type='DecordDecode'),
  dict(type='Resize', scale=(-1, 256)), dict(type='ThreeCrop', crop_size=256)]
train_dataloader = dict(batch_size=8, dataset=dict(
  type='VideoDataset', ann_file='data/kinetics400/train_videos.txt', data_prefix=dict(video='data/kinetics400/v'),
  pipeline=train_pipeline))
test_dataloader = dict(batch_size=1, dataset=dict(type='VideoDataset', pipeline=test_pipeline))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=256, val_interval=5)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4), clip_grad=dict(max_norm=40))
param_scheduler = [
  dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=34, convert_to_iter_based=True),
  dict(type='CosineAnnealingLR', T_max=256, eta_min=0, by_epoch=True, begin=0, end=256)]
"""


@pytest.fixture(scope="module")
def packaged():
  return packaged_configs()


@pytest.fixture
def made(tmp_path):
  """Writes a config with replacements {old: new} in it, and gives its path."""

  def write(text, changes=()):
    for old, new in dict(changes).items():
      assert old in text
      text = text.replace(old, new)
    path = tmp_path / "in" / "config.py"
    (path.parent / "models").mkdir(parents=True, exist_ok=True)
    (path.parent / "models" / "slowfast.py").write_text(MODEL_1X)
    path.write_text(text)
    return path

  return write


def read(path, **options):
  return facts(read_config(path).values, **options)


def ours(name, *argv):
  return keys(parse_config([f"--config={name}", *argv]))


def test_a_config_of_the_0x_style_is_the_packaged_one_of_its_experiment(made, packaged):
  found = read(made(OLD))
  assert nearest_config(found, packaged)[0] == (0.0, NAME)
  assert differences(found, ours(NAME)) == []
  assert len(found.values) > 40
  assert (found.dataset, found.per_gpu, found.faults) == ("kinetics400", 8, ())


def test_a_config_of_the_1x_style_with_a_base_differs_by_its_sampling_in_tests_alone(made, packaged):
  found = read(made(NEW))
  name = "slowfast_r50_4x16x1_256e_kinetics400_rgb"
  assert nearest_config(found, packaged)[0][1] == name
  assert [(r.key, r.theirs) for r in differences(found, ours(name))] == [
    ("preprocessing.published.sampler", "uniform_v1")
  ]
  assert found.values["schedule.warmup.epochs"] == 34 and found.values["schedule.name"] == "cosine"


CHANGES = {  # in the old config -> the one key that then differs, and its value
  ("num_classes=400", "num_classes=12"): ("model.num_classes", 12),
  ("dropout_ratio=0.5", "dropout_ratio=0.25"): ("model.fields.dropout", 0.25),
  ("lr=0.01,", "lr=0.01 * 3,"): ("schedule.lr", 0.03),
  ("momentum=0.9", "momentum=0.8"): ("optimizer.momentum", 0.8),
  ("momentum=0.9,", "momentum=0.9, nesterov=True,"): ("optimizer.nesterov", True),
  ("weight_decay=0.0001", "weight_decay=5e-4"): ("optimizer.weight_decay", 5e-4),
  ("max_norm=20", "max_norm=35"): ("optimizer.clip_norm", 35.0),
  ("step=[20, 40]", "step=[25, 45]"): ("schedule.milestones", (25, 45)),
  ("step=[20, 40]", "step=20"): None,  # every 20 epochs of 50
  ("step=[20, 40]", "step=[20, 40], gamma=0.5"): ("schedule.gamma", 0.5),
  ("step=[20, 40]", "step=[20, 40], by_epoch=False"): ("schedule.by_epoch", False),
  ("step=[20, 40]", "step=[20, 40], warmup='linear', warmup_iters=5, warmup_by_epoch=True"): (
    "schedule.warmup.epochs",
    5.0,
  ),
  ("step=[20, 40]", "step=[20, 40], warmup='linear', warmup_iters=500"): ("schedule.warmup.steps", 500),
  ("total_epochs = 50", "total_epochs = 60"): ("duration.epochs", 60.0),
  ("total_epochs = 50", "runner = dict(type='EpochBasedRunner', max_epochs=45)"): ("duration.epochs", 45.0),
  ("max_wh_scale_gap=1", "max_wh_scale_gap=0"): ("preprocessing.train.settings.multi_scale_crop.max_wh_scale_gap", 0),
  ("num_fixed_crops=13", "num_fixed_crops=5"): ("preprocessing.train.settings.multi_scale_crop.num_fixed_crops", 5),
  (", num_fixed_crops=13", ""): ("preprocessing.train.settings.multi_scale_crop.num_fixed_crops", 5),
  ("dict(type='Flip', flip_ratio=0.5)", "dict(type='ToTensor')"): ("preprocessing.train.settings.flip.ratio", 0.0),
  ("fc_lr5=True", "fc_lr5=False"): ("optimizer.groups", None),
}


@pytest.mark.parametrize(("change", "wanted"), CHANGES.items())
def test_each_change_of_a_config_is_one_row_and_its_flag_undoes_it(made, change, wanted):
  found = read(made(OLD, [change]))
  rows = differences(found, ours(NAME))
  assert [row.key for row in rows] == ([wanted[0]] if wanted else [])
  if wanted:
    assert wanted[1] is None or same(rows[0].theirs, wanted[1])
    argv = flags(NAME, rows)
    assert list(argv) == [wanted[0]]
    assert differences(found, ours(NAME, *argv.values())) == []


BACKBONES = {
  "dict(type='ResNet', depth=50)": "tsn_r50_1x1x8",
  "dict(type='ResNetTSM', depth=101)": "tsm_r101_1x1x8",
  "dict(type='ResNetTSM', depth=50, num_segments=16)": "tsm_r50_1x1x16",
  "dict(type='ResNetTSM', depth=50, temporal_pool=True)": "tsm_temporal_pool_r50_1x1x8",
  "dict(type='ResNetTSM', depth=50, non_local=((0, 0), (1, 0)), non_local_cfg=dict(mode='gaussian'))": (
    "tsm_nl_gaussian_r50_1x1x8"
  ),
  "dict(type='ResNetTSM', depth=50, non_local=((0, 0), (0, 0)))": "tsm_r50_1x1x8",
  "dict(type='MobileNetV2TSM')": "tsm_mobilenetv2_1x1x8",
  "dict(type='ResNetTIN', depth=50)": "tin_tsm_r50_1x1x8",
  "dict(type='TANet', depth=50)": "tanet_r50_1x1x8",
  "dict(type='mmaction.ResNet3dSlowOnly', depth=50)": "slowonly_r50_1x1x1",
  "dict(type='ResNet3dCSN', depth=152, bn_frozen=True)": "ircsn_bnfrozen_r152_1x1x1",
  "dict(type='ResNet3dCSN', depth=50, bottleneck_mode='ip')": "ipcsn_r50_1x1x1",
  "dict(type='ResNet2Plus1d', depth=34)": "r2plus1d_r34_1x1x1",
  "dict(type='ResNet3d', depth=50, conv1_stride_t=1, pool1_stride_t=1)": "i3d_r50_heavy_1x1x1",
  "dict(type='ViT')": "",
  "dict()": "",
}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_name_of_a_network_follows_from_its_facts(made, backbone):
  old = "dict(type='ResNetTSM', depth=50, pretrained='torchvision://resnet50', shift_div=8)"
  values = read_config(made(OLD, {old: backbone})).values
  assert network(values) == BACKBONES[backbone]
  assert ("model.name" in facts(values).values) == bool(BACKBONES[backbone])


FAULTS = {
  "GYM99": ({"data/kinetics400": "data/gym"}, "GYM99 has 99 classes", "model.num_classes"),
  "flow": (
    {"type='RawframeDataset',": "type='RawframeDataset', modality='Flow',", "clip_len=1": "clip_len=5"},
    "flow with the normalisation of RGB",
    "preprocessing.train.mean",
  ),
  "channels": (
    {"'NCHW'": "'NCHW_Flow'", "type='ResNetTSM'": "type='ResNet'"},
    "in_channels=10",
    "preprocessing.train.std",
  ),
  "CSN": ({"type='ResNetTSM'": "type='ResNet3dCSN'"}, "CSN's normalisation", "preprocessing.published.mean"),
  "colour": ({"] + end\ntest": ", dict(type='ColorJitter')] + end\ntest"}, "ColorJitter was wrong", ""),
  "classes": ({"data/kinetics400/train.txt'": "x', sample_by_class=True"}, "class-balanced sampling", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_known_faults_of_the_originals_are_named_and_have_no_flag(made, fault, capsys, packaged):
  changes, said, key = FAULTS[fault]
  path = made(OLD, changes)
  found = read(path)
  assert any(said in why for _, why in found.faults)
  main([str(path)])
  shown = capsys.readouterr().out
  assert said in shown.split("Faults of the original")[1]
  assert not key or f"--config.{key}=" not in shown
  if key:
    near = nearest_config(found, packaged)[0][1]
    assert all(row.fault for row in differences(found, ours(near)) if row.key == key)


def test_what_is_not_read_is_no_default_and_no_difference(made):
  unread = {"weight_decay=0.0001": "weight_decay=float(os.environ['WD'])", "max_norm=20": "max_norm=x"}
  found = read(made(OLD, unread))
  assert "optimizer.weight_decay" not in found.values and "optimizer.clip_norm" not in found.values
  assert differences(found, ours(NAME)) == []


def test_a_batch_of_other_gpus_is_the_same_experiment_where_the_rate_is(made):
  config = ours("ircsn_ig65m_pretrained_bnfrozen_r152_32x2x1_58e_kinetics400_rgb")
  size = config["batch_size"]
  per_gpu, rate = f"videos_per_gpu={size // 2}", f"lr={config['schedule.lr']}"
  found = read(made(OLD, {"videos_per_gpu=8": per_gpu, "lr=0.01": rate}))
  assert "batch_size" not in [row.key for row in differences(found, config)]
  other = read(made(OLD, {"videos_per_gpu=8": per_gpu}))
  assert "batch_size" in [row.key for row in differences(other, config)]
  assert read(made(OLD), gpus=4).values["batch_size"] == 32


MANY = {
  "num_classes=400": "num_classes=7",
  "scale=(-1, 256)": "scale=(340, 256)",
  "'MultiScaleCrop', input_size=224, scales=(1, 0.875, 0.75, 0.66), random_crop=False,": "'RandomResizedCrop',",
  "max_wh_scale_gap=1, num_fixed_crops=13": "area_range=(0.5, 1.0)",
  "num_clips=8": "num_clips=4",
  "'CenterCrop'": "'TenCrop'",
  "policy='step', step=[20, 40]": "policy='CosineAnnealing', min_lr_ratio=0.01",
}


def test_the_output_file_is_a_config_that_says_all_that_theirs_says(made, tmp_path, capsys):
  path, output = made(OLD, MANY), tmp_path / "new" / "mine.py"
  assert main([str(path), "--against", NAME, "--output", str(output)]) == 0
  assert "No flag can say these" in capsys.readouterr().out
  config = parse_config([f"--config={output}"])
  assert config.is_locked
  left = differences(read(path), keys(config))
  assert [(row.key, row.theirs) for row in left] == [("model.name", "tsm_r50_1x1x4")]  # no such network is built
  for phase in ("train", "test", "published"):
    Preprocessing.from_json(config.preprocessing[phase].to_dict())
  assert config.preprocessing.train.settings.random_resized_crop.area_range == (0.5, 1.0)
  assert config.preprocessing.train.settings.resize.to_dict() == {"size": (340, 256), "keep_ratio": True}
  assert config.schedule.final_lr == pytest.approx(1e-4)
  with pytest.raises(InputError, match="exists already"):
    main([str(path), "--output", str(output)])
  with pytest.raises(InputError, match="one of the files that are read"):
    main([str(path), "--output", str(path), "--overwrite"])
  with pytest.raises(InputError, match="ends in .py"):
    main([str(path), "--output", str(tmp_path / "x.txt")])


def test_a_section_that_ours_lacks_is_written_whole(made, tmp_path, capsys):
  output = tmp_path / "mine.py"
  main([str(made(OLD)), "--against", "toy_tsm", "--output", str(output)])
  config = parse_config([f"--config={output}"])
  assert config.preprocessing.published.steps == ("resize", "center_crop")
  Preprocessing.from_json(config.preprocessing.published.to_dict())
  assert [row.key for row in differences(read(made(OLD)), keys(config))] == []


def test_the_printed_command_can_be_pasted_and_leaves_only_what_no_flag_can_say(made, capsys):
  path = made(OLD, MANY | {"momentum=0.9": "momentum=0.7"})
  assert main([str(path), "--against", NAME]) == 0
  shown = capsys.readouterr().out
  command = shlex.split(re.split("experiment here:|another network:", shown)[1].split("\n\n")[0].replace("\\\n", " "))
  assert command[:5] == ["python", "-m", "launch.train", f"--config={NAME}", "--workdir=DIR"]
  argv = [word for word in command if word.startswith("--config")]
  config = parse_config(argv)
  for phase in ("train", "test", "published"):
    Preprocessing.from_json(config.preprocessing[phase].to_dict())
  left = {row.key for row in differences(read(path), keys(config))}
  told = shown.split("--output writes a config that does where a network here has them:")[1].split("\n\n")[0].split()
  assert left and left <= set(told)
  assert config.optimizer.momentum == 0.7


def test_a_network_that_is_not_known_here_is_not_called_the_same_experiment(made, capsys):
  assert main([str(made("model = dict(type='FasterRCNN')\n"))]) == 0
  shown = capsys.readouterr().out
  assert "The same experiment" not in shown and "which is another network" in shown


def test_the_report_names_theirs_ours_what_was_not_read_and_what_has_no_key(made, capsys):
  path = made(
    OLD + "load_from = 'https://x/tsm.pth'\nimport os\nos.system('touch \x1b[31mran')\n", {"lr=0.01,": "lr=0.017,"}
  )
  assert launch.main(["config", str(path)]) == 0
  shown = capsys.readouterr().out
  assert f"nearest: {NAME}" in shown
  assert re.search(r"schedule\.lr +0\.017 +0\.01\n", shown)
  assert "--config.schedule.lr=0.017" in shown
  assert re.search(r"config\.py:\d+: os\.system\(.*\(a call\)", shown) and "\x1b" not in shown
  assert "load_from = 'https://x/tsm.pth'" in shown
  assert not pathlib.Path("ran").exists()
  main([str(path), "--against", "slowfast_r50_4x16x1_256e_kinetics400_rgb"])
  assert re.search(r"model\.name +tsm_r50_1x1x8 +slowfast_r50_4x16x1\n", capsys.readouterr().out)


@pytest.mark.parametrize(
  ("argv", "text", "said"),
  [
    ([], "a = 1", r"config\.py: the config has no model"),
    ([], "model = foo()", r"(?s)no model.*config\.py:1: model = foo\(\)"),
    (["--gpus=0"], OLD, "wanted at least 1"),
    (["--against=tsm_r50_1x1x8_50e_kinetics400_rbg"], OLD, "Near it: tsm_r50_1x1x8_50e_kinetics400_rgb"),
  ],
)
def test_wrong_use_is_one_clear_error(made, argv, text, said):
  with pytest.raises(InputError, match=said):
    main([str(made(text)), *argv])


WEIRD = ["None", "'x'", "-3", "{}", "[]", "[None, {}]", "{'type': 3}", "10.5", "True", "[[1], [2]]", "foo()"]


@pytest.mark.parametrize("weird", WEIRD)
def test_values_of_any_type_in_any_place_are_a_report_or_one_clear_error(weird, tmp_path):
  """Every literal of the two configs replaced in turn."""
  (tmp_path / "models").mkdir()
  (tmp_path / "models" / "slowfast.py").write_text(MODEL_1X)
  config, seen = ours(NAME), 0
  for text in (OLD, NEW):
    for match in re.finditer(r"=\s*('[^']*'|\[[^\[\]{}()]*\]|[-\w.]+)(?=[,)\n])", text):
      (tmp_path / "x.py").write_text(text[: match.start(1)] + weird + text[match.end(1) :])
      try:
        differences(facts(read_config(tmp_path / "x.py").values), config)
      except InputError:
        pass
      seen += 1
  assert seen > 100
