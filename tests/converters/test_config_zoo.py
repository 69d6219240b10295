"""Configs of MMAction2 0.9 made up from the facts in the zoo file find the packaged config of the same name."""

import json

import pytest

from jaction.converters.config_compare import differences, nearest_config, packaged_configs
from jaction.converters.config_facts import facts
from jaction.converters.config_reader import read_config
from jaction.launch.train import keys, packaged, parse_config

pytestmark = pytest.mark.reference

FOLDERS = {
  "Kinetics-400": "kinetics400",
  "Kinetics-600": "kinetics600",
  "Kinetics-700": "kinetics700",
  "Mini-Kinetics": "minikinetics",
  "Something-Something V1": "sthv1",
  "Something-Something V2": "sthv2",
  "UCF101": "ucf101",
  "HMDB51": "hmdb51",
  "Moments in Time": "mit",
  "Multi-Moments in Time": "mmit",
  "GYM99": "gym",
  "ActivityNet": "ActivityNet",
}
SIZES = ("256p", "320p", "340x256")  # of videos on disk
# Facts that the zoo file does not hold and that tell networks of one depth apart; from the names, as its README says.
BACKBONES = {
  "i3d_nl_": {"non_local": [[0] * 3, [0, 1, 0, 1], [0, 1, 0, 1, 0, 1], [0] * 3]},
  "tsm_nl_": {"non_local": [[0] * 3, [1, 0, 1, 0], [1, 0, 1, 0, 1, 0], [0] * 3]},
  "heavy": {"conv1_stride_t": 1, "pool1_stride_t": 1},
  "temporal_pool": {"temporal_pool": True},
  "bnfrozen": {"bn_frozen": True, "norm_eval": True},
}


def rows(shared) -> dict[str, dict]:
  """{file name: row} of the recognition configs, audio ones left out: their steps are not compared."""
  path = shared / "zoo" / "mmaction2_v0.9.0_zoo.json"
  if not path.exists():
    pytest.skip(f"no zoo file at {path}")
  data = json.loads(path.read_text())
  found = {}
  for row in data["results"] + data["configs_without_published_results"]:
    if (row.get("config") or "").startswith("configs/recognition/"):
      found.setdefault(row["config"].split("/")[-1].removesuffix(".py"), row)
  return found


def written(name: str, row: dict) -> str:
  """A config of the 0.x style that says what the summary of a row says."""
  said = row["config_summary"]
  backbone = {"type": said["backbone_type"], "depth": said.get("depth"), "pretrained": said.get("backbone_pretrained")}
  for part, more in BACKBONES.items():
    if part in name:
      backbone |= more
  mode = next((m for m in ("embedded_gaussian", "gaussian", "dot_product") if m in name), None)
  if mode:
    backbone["non_local_cfg"] = {"mode": mode}
  if said["backbone_type"] == "ResNet3dSlowFast":
    rate = 4 if "_8x8x1_" in name else 8
    backbone |= {
      "resample_rate": rate,
      "speed_ratio": rate,
      "slow_pathway": {"depth": 50},
      "fast_pathway": {"depth": 50},
    }
  model = {"type": said["model_type"], "backbone": backbone}
  model["cls_head"] = {"type": said["head_type"], "num_classes": said["num_classes"]}
  if "neck_type" in said:
    model["neck"] = {"type": said["neck_type"]}
  test = said["test_protocol"]
  folder = next((word for key, word in FOLDERS.items() if row["dataset"].startswith(key)), row["dataset"])
  folder += next((f"/videos_{size}" for size in SIZES if f"_{size}_" in name), "")
  hvu = name.split("_hvu_")[1].split("_")[0] if "_hvu_" in name else ""
  shown = said.get("img_norm", {})
  kinds = {"input_format": "NCHW_Flow" if said["model_type"] == "Recognizer2D" else "NCTHW"}

  def steps(sampling: dict, middle: list, size: int | None) -> list:
    square = [{"type": "Resize", "scale": (size, size), "keep_ratio": False}] if size else []
    tail = [{"type": "Normalize", **shown}] if shown else []
    tail += [{"type": "FormatShape", **kinds}] if said["modality"] == "Flow" else []
    return [sampling, {"type": "RawFrameDecode"}, *middle, *square, *tail, {"type": "Collect", "keys": ["imgs"]}]

  sizes = [{"type": "Resize", "scale": tuple(scale)} for scale in test["resize"]]
  tested = {"type": test["sampler"], "clip_len": test["clip_len"], "frame_interval": test["frame_interval"]}
  tested |= {"num_clips": test["num_clips_or_segments"], "twice_sample": test["twice_sample"], "test_mode": True}
  crop = [{"type": test["spatial_crop"], "crop_size": test["crop_size"]}] if test["spatial_crop"] != "none" else []
  # The sampling of a config that only tests is in the zoo file as if it trained.
  trains = "optimizer" in said
  data = {"test": {"type": said["dataset_type"], "pipeline": steps(tested, sizes + crop, None)}}
  if trains:
    crops = [{"type": kind} | ({"input_size": 224} if kind == "MultiScaleCrop" else {}) for kind in said["train_crop"]]
    lazy = {"lazy": True} if "_lazy_" in name else {}
    mirror = [] if "sthv" in name else [{"type": "Flip", "flip_ratio": 0.5}]
    train = steps(said["train_sampling"], [*({**size, **lazy} for size in sizes), *crops], 224)
    train[-2:-2] = mirror
    data |= {"videos_per_gpu": said.get("videos_per_gpu", 8)}
    data["train"] = {"type": said["dataset_type"], "pipeline": train}
  for part in ("train", "test"):
    if part in data:
      data[part]["ann_file"] = f"data/{folder}/{hvu}_{part}_{'clip' if '_clip_' in name else 'video'}.txt"
      data[part]["modality"] = said["modality"]
  text = f"model = {model!r}\ndata = {data!r}\n"
  for key, value in (("optimizer", "optimizer"), ("lr_config", "lr_config"), ("total_epochs", "epochs")):
    if value in said:
      text += f"{key} = {said[value]!r}\n"
  if "grad_clip" in said:
    text += f"optimizer_config = dict(grad_clip={said['grad_clip']!r})\n"
  text += f"test_cfg = dict(average_clips={test.get('average_clips')!r})\n"
  if "load_from" in said or "hmdb51" in name:
    source = "kinetics400" if "hmdb51_kinetics" in name else "mit" if "hmdb51_mit" in name else ""
    text += f"load_from = {said.get('load_from', '') or (source and f'models/{source}_rgb.pth')!r}\n"
  if "fp16" in name:
    text += "fp16 = dict()\n"
  return text


def test_most_configs_find_their_own_name_and_all_are_at_the_least_distance(shared, tmp_path):
  path = tmp_path / "config.py"  # a name that says nothing
  missed, exact, seen = [], 0, 0
  forms = {size: packaged_configs(size) for size in ("", *SIZES)}
  for name, row in rows(shared).items():
    ours = packaged(name)
    if ours is None or ours[0] not in forms[""]:
      continue
    path.write_text(written(name, row))
    found = facts(read_config(path).values)
    ranked = [(far, near.partition(":")[0]) for far, near in nearest_config(found, forms[found.disk])]
    distance = {near: far for far, near in ranked}
    seen += 1
    exact += ranked[0][1] == ours[0]
    if distance[ours[0]] > ranked[0][0] + 1e-6:
      missed.append(f"{name}: {ranked[0][1]} at {ranked[0][0]:.2f}, its own at {distance[ours[0]]:.2f}")
  assert seen > 5
  assert not missed, "\n".join(missed)
  assert exact >= 0.85 * seen  # those of OmniSource differ by their sets alone, which are not compared


def test_the_facts_that_decide_a_training_agree_with_the_config_of_that_name(shared, tmp_path):
  path = tmp_path / "config.py"
  wrong = []
  for name, row in rows(shared).items():
    ours = packaged(name)
    if ours is not None and "optimizer" in row["config_summary"]:
      path.write_text(written(name, row))
      differ = differences(facts(read_config(path).values), keys(parse_config([f"--config={ours[0]}"])))
      wrong += [
        f"{name}: {r}" for r in differ if r.key.startswith(("optimizer", "schedule", "duration")) and not r.fault
      ]
  assert not wrong, "\n".join(wrong)
