"""The rehearsal of a published figure: formula weights, toy videos, the protocol of the row."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaction.clips.preprocessing import Preprocessing
from jaction.converters import to_torch
from jaction.converters.writer import write_checkpoint
from jaction.errors import InputError
from jaction.folders import save_model
from jaction.launch.reproduce import find_row, main, protocol, published_rows
from jaction.launch.train import names, parse_config
from jaction.models import create_model, initialize
from jaction.predict.scoring import average_views
from jaction.records import read_records
from jaction.records.toy import make_toy_set


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  folder = tmp_path_factory.mktemp("toy")
  make_toy_set(folder, videos=(16, 8, 8))
  return folder


def by_hand(model, variables, preprocessing, records):
  """Scores of each record by itself: nothing of the loader, the batches and the predict step."""
  apply, rows = jax.jit(model.apply), []
  for record in records:
    clips = preprocessing(record)["clips"].astype(np.float32)
    clips = (clips - np.float32(preprocessing.mean)) / np.float32(preprocessing.std)
    rows.append(average_views(apply(variables, jnp.asarray(clips)[None]), preprocessing.average)[0])
  return np.stack(rows)


def test_a_row_of_the_toy_set_is_published_here_and_difference(toy, tmp_path, capsys):
  config = parse_config(["--config=toy_tsm"]).to_dict()
  model = create_model("tsm_tiny_1x1x8", num_classes=8)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, 8, 64, 64, 3), jnp.float32), seed=3)
  save_model(
    tmp_path / "model",
    name="tsm_tiny_1x1x8",
    fields={"num_classes": 8},
    variables=variables,
    labels=(),
    preprocessing=config["preprocessing"]["test"],
    source={},
  )
  output = tmp_path / "figures.json"
  main(["--row=toy_tsm", f"--checkpoint={tmp_path / 'model'}", f"--data={toy}", f"--output={output}", "--batch-size=3"])
  said, facts = capsys.readouterr().out, json.loads(output.read_text())
  records = read_records(toy / "test.txt")
  preprocessing = Preprocessing.from_json(config["preprocessing"]["published"])
  scores = by_hand(model, variables, preprocessing, records)
  wanted = 100 * np.mean(scores.argmax(-1) == [record.label for record in records])
  assert facts["videos"] == len(records) == 8
  assert facts["figures"]["top1"] == {"published": 100.0, "here": pytest.approx(wanted)}
  assert "published" in said and "difference" in said and f"{wanted - 100:+.2f}" in said


@pytest.mark.slow
def test_a_row_of_the_zoo_from_a_pytorch_file(toy, tmp_path, capsys):
  row = "tsn_r50_1x1x8_50e_hmdb51_imagenet_rgb"
  model = create_model("tsn_r50_1x1x8", num_classes=51)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, 8, 64, 64, 3), jnp.float32), seed=1)
  write_checkpoint(tmp_path / "weights.pth", to_torch(variables, model))
  output = tmp_path / "figures.json"
  (toy / "few.txt").write_text("".join((toy / "test.txt").read_text().splitlines(keepends=True)[:3]))
  argv = [f"--row={row}", f"--checkpoint={tmp_path / 'weights.pth'}", f"--data={toy}", f"--output={output}"]
  main([*argv, "--list=few.txt"])
  facts = json.loads(output.read_text())
  preprocessing = protocol(parse_config([f"--config={row}"]).to_dict(), find_row(row)[2])
  assert facts["preprocessing"] == preprocessing.to_json()
  records = read_records(toy / "few.txt")
  scores = by_hand(model, variables, preprocessing, records)
  here = 100 * np.mean(scores.argmax(-1) == [record.label for record in records])
  assert facts["figures"]["top1"] == {"published": 48.95, "here": pytest.approx(here)}


def test_every_published_row_has_a_protocol_that_can_be_built():
  seen = 0
  for name in names():
    for key, row in published_rows(name).items():
      config, found, same = find_row(f"{name}:{key}")
      assert (found, same) == (key, row)
      made = protocol(parse_config([f"--config={config}"]).to_dict(), row)
      assert made.twice_sample == row.get("twice_sample", made.twice_sample)
      assert "crop" not in row or made.steps[-1] == row["crop"][0]
      assert "num_clips" not in row or made.num_clips == row["num_clips"]
      seen += 1
  assert seen > 100


def test_the_references_own_names_find_their_rows():
  assert find_row("tsn_r50_multiscalecrop_320p_1x1x3_100e_kinetics400_rgb")[1] == "320p"
  config, key, row = find_row("tsn_r50_randomresizedcrop_1x1x3_100e_kinetics400_rgb:340x256, 3 crops")
  assert config.endswith(":340x256") and row["top1"] == 69.95
  made = protocol(parse_config([f"--config={config}"]).to_dict(), row)
  assert made.steps == ("resize", "three_crop") and made.settings["three_crop"]["size"] == 256


@pytest.mark.parametrize(
  "argv, message",
  [
    ([], "--row is missing; --rows lists them"),
    (["--row=toy_tsm"], "--checkpoint is missing"),
    (["--row=tsn_r50_1x1x3_100e_kinetics400_rbg", "--checkpoint=x", "--data=x"], "Near it: tsn_r50_1x1x3"),
    (["--row=tsn_r50_1x1x3_100e_kinetics400_rgb", "--checkpoint=x", "--data=x"], "several rows; wanted one of"),
    (["--row=toy_tsm:val", "--checkpoint=x", "--data=x"], "no such row; wanted one of toy_tsm:test"),
    (["--row=toy_tsm", "--checkpoint=x", "--data=x"], "x"),
    (["--row=toy_tsm", "--checkpoint=x", "--data=x", "--batch-size=0"], "--batch-size=0: wanted 1"),
    (["--row=i3d_r50_heavy_8x8x1_100e_kinetics400_rgb", "--checkpoint=x", "--data=x"], "nothing is published"),
    (["--row=bmn_400x100_2x8_9e_activitynet_feature", "--checkpoint=x", "--data=x"], "a config of localization"),
  ],
)
def test_a_mistake_is_one_clear_error(argv, message):
  with pytest.raises(InputError, match=message):
    main(argv)


def test_weights_of_another_count_of_classes_are_refused(tmp_path, toy):
  model = create_model("tsm_tiny_1x1x8", num_classes=5)
  variables = initialize(model, jax.ShapeDtypeStruct((1, 1, 8, 64, 64, 3), jnp.float32), seed=0)
  facts = {"labels": (), "preprocessing": None, "source": {}}
  save_model(tmp_path / "m", name="tsm_tiny_1x1x8", fields={"num_classes": 5}, variables=variables, **facts)
  with pytest.raises(InputError, match="with 5 classes; the row wants tsm_tiny_1x1x8 with 8"):
    main(["--row=toy_tsm", f"--checkpoint={tmp_path / 'm'}", f"--data={toy}"])
