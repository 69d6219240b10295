"""From raw toy videos to features, training of every localizer, and localization, in small."""

import json

import numpy as np
import pytest

from jaction.configs import toy_tsm
from jaction.errors import InputError
from jaction.folders import save_model
from jaction.launch import bsn, features, localize
from jaction.launch import train as launch_train
from jaction.models import create_model, initialize
from jaction.records.activitynet import read_activitynet
from jaction.records.features import read_features
from jaction.records.toy import TOY_CLASSES, make_toy_set
from jaction.records.toy_untrimmed import exchanged, make_untrimmed_set

SMALL = ("--config.batch_size=8", "--config.eval.batch_size=8", "--config.log.progress=False")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  """A toy set of a few videos, a recognizer that nobody trained, and its features."""
  folder = tmp_path_factory.mktemp("localize")
  make_untrimmed_set(folder / "set", videos=(8, 2), processes=1)
  model = create_model("tsm_tiny_1x1x8", num_classes=8)
  preprocessing = toy_tsm.get_config().preprocessing.test.to_dict()
  variables = initialize(model, *model.inputs())
  save_model(
    folder / "tsm",
    name="tsm_tiny_1x1x8",
    fields={"num_classes": 8},
    variables=variables,
    labels=TOY_CLASSES,
    preprocessing=json.loads(json.dumps(preprocessing)),
  )
  argv = ["--model", folder / "tsm", "--videos", folder / "set/videos.txt", "--output", folder / "set/features"]
  assert features.main([*map(str, argv), "--window", "16", "--stride", "8"]) == 0
  return folder


def train(folder, config, workdir, *more):
  argv = [
    f"--config={config}:short",
    f"--workdir={folder / workdir}",
    f"--config.data.root={folder / 'set'}",
    *SMALL,
    *more,
  ]
  assert not launch_train.main(argv)
  return folder / workdir


def run(folder, localizers, output, capsys):
  videos = sorted((folder / "set/videos").glob("val_*.mp4"))
  argv = [*videos, "--features", folder / "tsm", "--classifier", folder / "tsm", "--localizer", *localizers]
  argv += ["--output", folder / output, "--annotations", folder / "set/val.json"]  # the localizer knows the window
  assert localize.main([str(arg) for arg in argv]) == 0
  assert "AUC" in capsys.readouterr().out
  for video in videos:
    found = json.loads((folder / output / f"{video.stem}.json").read_text())
    assert len(found["proposal_list"]) <= 100 and found["seconds"] > 30
    for one in found["results"][video.stem]:
      assert 0 <= one["segment"][0] <= one["segment"][1] <= found["seconds"] + 1e-3
    text = (folder / output / f"{video.stem}.srt").read_text()
    assert text.count("-->") == len(found["shown"])
    assert (folder / output / f"{video.stem}.png").stat().st_size > 3000


def test_features_have_times_and_are_made_once(made, capsys):
  video = read_activitynet(made / "set/val.json")[0]
  seen = read_features(made / f"set/features/{video.id}.npz")
  assert seen.features.shape[1] == 64 and len(seen.times) == len(seen.features) == len(seen.scores)
  assert seen.times[0, 0] == 0 and np.isclose(seen.covered, video.seconds)
  assert np.allclose(seen.times[1:, 0], seen.times[:-1, 1])
  argv = ["--model", made / "tsm", "--videos", made / "set/videos.txt", "--output", made / "set/features"]
  assert features.main([*map(str, argv), "--window", "16", "--stride", "8"]) == 0
  assert "0 made, 10 were there" in capsys.readouterr().out


def test_bmn_trains_and_localizes(made, capsys):
  workdir = train(made, "toy_bmn", "bmn", "--config.model.fields.temporal_dim=16")
  run(made, [workdir], "out_bmn", capsys)
  video = str(next((made / "set/videos").glob("val_*.mp4")))
  argv = [video, "--features", str(made / "tsm"), "--classifier", str(made / "tsm"), "--localizer", str(workdir)]
  for wrong in (["--window", "8"], ["--stride", "16"]):
    with pytest.raises(InputError, match="window 16 and stride 8"):
      localize.main([*argv, "--output", str(made / "out"), *wrong])
  other = ["--model", str(made / "tsm"), "--videos", str(made / "set/videos.txt"), "--output", str(made / "other")]
  assert features.main([*other, "--window", "16"]) == 0
  with pytest.raises(InputError, match="features of stride 16; 8 was wanted"):
    localize.main([*argv, "--output", str(made / "out"), "--cache", str(made / "other")])
  facts = json.loads((workdir / "model/model.json").read_text())
  del facts["source"]["window"], facts["source"]["stride"]
  (workdir / "model/model.json").write_text(json.dumps(facts))
  for wrong, message in (([], "give --window and --stride"), (["--window", "0"], "wanted 1 or more")):
    with pytest.raises(InputError, match=message):
      localize.main([*argv, "--output", str(made / "out"), *wrong])
  assert localize.main([*argv, "--output", str(made / "out"), "--window", "16", "--stride", "8"]) == 0


def test_the_stages_of_bsn_run_as_one_command_and_one_by_one(made, capsys):
  argv = ["--tem", "toy_bsn_tem:short", "--pem", "toy_bsn_pem:short", "--root", str(made / "set"), *SMALL]
  assert bsn.main([*argv, "--workdir", str(made / "bsn")]) == 0
  run(made, [made / "bsn/tem", made / "bsn/pem"], "out_bsn", capsys)
  for stage in bsn.STAGES:
    assert bsn.main([*argv, "--workdir", str(made / "staged"), "--stage", stage]) == 0
  for name in ("val_0000", "val_0001"):
    one, other = (np.load(made / f"{which}/candidates/{name}.npz") for which in ("bsn", "staged"))
    assert np.array_equal(one["candidates"], other["candidates"])
    assert np.array_equal(one["features"], other["features"])


def test_the_exchanged_list_has_every_video_with_segments_of_another(made):
  own, other = (read_activitynet(made / f"set/{name}.json") for name in ("train", "exchanged"))
  assert [video.id for video in own] == [video.id for video in other]
  for number, (video, changed) in enumerate(zip(own, other, strict=True)):
    assert changed.segments != video.segments and changed.seconds == video.seconds
    taken = own[(number + 2) % 8].segments
    assert set(changed.segments) <= set(taken) and all(one.end <= video.seconds for one in changed.segments)
  assert exchanged(own[:1])[0].segments == own[0].segments  # of one video there is no other


@pytest.mark.slow
def test_bmn_finds_the_actions_of_long_videos_and_not_when_trained_on_annotations_of_others(tmp_path, monkeypatch):
  """docs/localization.md's commands in order; a quarter of an hour on two cores."""
  long, quiet = tmp_path / "untrimmed", "--config.log.progress=False"
  make_toy_set(tmp_path / "toy")
  make_untrimmed_set(long)
  tsm = str(tmp_path / "tsm")
  root = f"--config.data.root={tmp_path / 'toy'}"
  assert not launch_train.main(["--config=toy_tsm", f"--workdir={tsm}", root, quiet])
  made = ["--model", tsm, "--videos", f"{long}/videos.txt", "--output", f"{long}/features"]
  assert features.main([*made, "--window", "8", "--stride", "4"]) == 0
  found, report = {}, localize.report
  for name in ("train", "exchanged"):
    argv = [f"--config.data.root={long}", f"--config.data.train={name}.json", quiet]
    assert not launch_train.main(["--config=toy_bmn", f"--workdir={tmp_path / name}", *argv])
    monkeypatch.setattr(localize, "report", lambda *given, name=name: found.update({name: report(*given)}))
    videos = [str(path) for path in sorted((long / "videos").glob("val_*.mp4"))]
    argv = ["--features", tsm, "--classifier", tsm, "--localizer", str(tmp_path / name)]
    assert localize.main([*videos, *argv, "--output", f"{tmp_path}/out", "--annotations", f"{long}/val.json"]) == 0
  print(found)
  assert found["train"]["AUC"] >= 80 and found["train"]["mAP@0.5"] >= 0.8
  assert found["exchanged"]["AUC"] < 65 and found["exchanged"]["mAP@0.5"] < 0.6
