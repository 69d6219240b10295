"""The shape of every step of a multigrid training."""

import concurrent.futures
import importlib.util
import json
import pathlib

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaction.batches import put
from jaction.clips.multihot import MultiHot
from jaction.clips.preprocessing import Preprocessing
from jaction.clips.sets import BySet
from jaction.errors import InputError
from jaction.folders import load_folder
from jaction.train.dry_run import dry_run
from jaction.train.experiment import Experiment
from jaction.train.loop import train
from jaction.train.multigrid import Multigrid, Shaped, gridded


def multigrid(**changes):
  settings = {"batch": 8, "frames": 16, "side": 224, "stages": (0, 40, 80, 100)}
  return Multigrid(**(settings | changes))


def test_the_long_cycle_goes_through_the_papers_four_batches_in_each_stage_but_the_last():
  found = [tuple(multigrid(short=False).grid(step)) for step in range(100)]
  # 224 / sqrt 2 = 158.4, which becomes 160; the batches are the paper's 8B, 4B, 2B, B
  shapes = [(64, 4, 160, 8, 8), (32, 8, 160, 4, 4), (16, 8, 224, 2, 2), (8, 16, 224, 1, 1)]
  assert found == [shapes[step % 40 // 10] for step in range(80)] + [shapes[3]] * 20


def test_the_short_cycle_changes_the_side_from_step_to_step_and_not_the_rate():
  found = [multigrid(long=False).grid(step) for step in range(6)]
  assert [grid.side for grid in found] == [128, 160, 224] * 2  # 112 becomes 128
  assert [grid.batch for grid in found] == [24, 16, 8] * 2
  assert {grid.scale for grid in found} == {1}


def test_without_cycles_every_step_has_the_full_shape():
  assert set(multigrid(long=False, short=False).grids()) == {(8, 16, 224, 1, 1)}


@pytest.mark.parametrize("frames", [1, 2, 8, 32])
@pytest.mark.parametrize("norm_groups", [1, 2, 4])
def test_every_batch_splits_as_the_full_one_does_and_holds_about_as_many_pixels(frames, norm_groups):
  for grid in multigrid(frames=frames, norm_groups=norm_groups).grids():
    assert grid.batch % 8 == 0 and grid.side % 32 == 0 and grid.frames >= 1
    assert grid.batch / grid.norm_groups == 8 / norm_groups
    assert grid.batch * grid.frames * grid.side**2 == pytest.approx(8 * frames * 224**2, rel=0.2)


def test_the_list_of_shapes_holds_each_that_comes_and_no_other():
  for stages in ((0, 40, 80, 100), (0, 3, 5), (0, 1, 2), (0, 7)):
    one = multigrid(stages=stages)
    assert set(one.grids()) == {one.grid(step) for step in range(stages[-1])}
    assert len(set(one.grids())) == len(one.grids())


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"stages": (1, 5)}, "stages"),
    ({"stages": (0, 5, 5)}, "stages"),
    ({"side": 100}, "nearest is 96"),
    ({"norm_groups": 3}, "groups of batch norm"),
    ({"frames": 0}, "frames=0"),
  ],
)
def test_what_does_not_fit_is_said(changes, message):
  with pytest.raises(InputError, match=message):
    multigrid(**changes)


def test_behind_the_end_the_last_stage_goes_on_and_before_the_first_is_nothing():
  one = multigrid()
  assert one.grid(103) == one.grid(100) and one.grid(102) == one.grid(99)
  with pytest.raises(InputError, match="step -1"):
    one.grid(-1)


def test_places_are_the_clips_of_all_steps_before():
  one = multigrid()
  sizes = [one.grid(step).batch for step in range(110)]
  assert [one.place(step) for step in (0, 1, 7, 110)] == [0, sizes[0], sum(sizes[:7]), sum(sizes)]
  assert multigrid().place(50) == sum(sizes[:50])  # whatever was asked for before


def test_places_are_right_whoever_asks_first():
  one = multigrid(stages=(0, 15000, 30000))
  before = np.concatenate([[0], np.cumsum([one.grid(step).batch for step in range(30000)])])
  steps = np.random.default_rng(0).integers(0, 30000, 400).tolist()
  for _ in range(5):
    fresh = multigrid(stages=(0, 15000, 30000))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
      assert list(pool.map(fresh.place, steps)) == before[steps].tolist()


def clips_config(tiny_set, **changes):
  """A tiny SlowOnly on clips of four frames, 32 pixels."""
  tiny = importlib.util.spec_from_file_location("tiny", pathlib.Path(__file__).with_name("tiny.py"))
  module = importlib.util.module_from_spec(tiny)
  tiny.loader.exec_module(module)
  c = module.get_config().unlock()
  c.data.root = str(tiny_set)
  c.model.name = "slowonly_tiny_4x4x1"
  for kind, crop in (("train", "random_crop"), ("test", "center_crop")):
    form = c.preprocessing[kind]
    form.num_clips, form.clip_len, form.frames_per_view, form.frame_interval = 1, 4, 4, 2
    form.steps, form.settings = (
      ("resize", crop),
      ConfigDict({"resize": {"size": 32}, crop: {"size": 32}}, convert_dict=False),
    )
  c.duration.steps, c.schedule.warmup.steps = 16, 0
  c.eval.every.steps, c.checkpoint.every.steps, c.log.every_steps = 16, 5, 1
  c.multigrid.divisor, c.multigrid.long, c.multigrid.short = 8, True, True
  c.optimizer.name = "sgd"
  for key, value in changes.items():
    c.update_from_flattened_dict({key: value})
  return c


def test_a_run_sees_the_shapes_of_its_grid_and_every_record_in_its_order(tiny_set):
  run = Experiment(clips_config(tiny_set).to_dict())
  assert run.grids.stages == (0, 12, 16)
  seen = []
  with run.training_batches(0) as batches:
    for step, batch in enumerate(batches):
      grid = run.grids.grid(step)
      assert batch["clips"].shape == (grid.batch, 1, grid.frames, grid.side, grid.side, 3)
      assert run.schedule(step) == pytest.approx(run._rate(step) * grid.scale)
      seen += batch["index"].tolist()
  assert {grid.frames for grid in run.grids.grids()} == {1, 2, 4}
  assert seen == [run.task.order(place) for place in range(len(seen))]
  with run.training_batches(7) as batches:  # where a resumed run begins
    np.testing.assert_array_equal(next(batches)["index"], seen[run.grids.place(7) :][: run.grids.grid(7).batch])


def test_fewer_frames_span_the_time_of_all_and_smaller_sides_show_the_same_crop(tiny_set):
  run = Experiment(clips_config(tiny_set).to_dict())
  record, prepare = run.task.records[0], run.task.prepare["train"]
  full, half, small = (
    prepare(Shaped(record, *shape), np.random.default_rng(3))["clips"] for shape in ((4, 32), (2, 32), (4, 16))
  )
  np.testing.assert_array_equal(half[0], full[0, ::2])
  means = full[0].reshape(4, 16, 2, 16, 2, 3).astype(float).mean(axis=(2, 4))
  assert np.abs(means - small[0]).max() <= 1


def test_a_batch_of_several_times_the_size_is_as_many_batches_to_batch_norm(tiny_set):
  run = Experiment(clips_config(tiny_set).to_dict())
  with run.training_batches(0, 6) as batches:
    batch = next(batch for batch in batches if len(batch["mask"]) > run.batch_size)
  size = len(batch["mask"])
  changes = {
    "batch_size": size,
    "accumulate": size // run.batch_size,
    "multigrid.long": False,
    "multigrid.short": False,
  }
  by_parts = Experiment(clips_config(tiny_set, **changes).to_dict())
  lr = np.float32(0.1)
  found = run.step(run.first_state(), put(batch, run.mesh), lr)[0]
  wanted = by_parts.step(by_parts.first_state(), put(batch, run.mesh), lr)[0]
  jax.tree.map(np.testing.assert_array_equal, found.tree(), wanted.tree())


def test_a_killed_multigrid_run_goes_on_to_the_same_bits(tiny_set, tmp_path, monkeypatch):
  config = clips_config(tiny_set)
  train(config, tmp_path / "whole")

  class Killed(Exception):
    pass

  step, calls = Experiment.step, []

  def killing(self, state, batch, lr):
    calls.append(len(batch["mask"]))
    if len(calls) == 8:
      raise Killed
    return step(self, state, batch, lr)

  monkeypatch.setattr(Experiment, "step", killing)
  with pytest.raises(Killed):
    train(config, tmp_path / "killed")
  monkeypatch.setattr(Experiment, "step", step)
  train(config, tmp_path / "killed")
  saved = [load_folder(tmp_path / name / "model").variables for name in ("whole", "killed")]
  jax.tree.map(np.testing.assert_array_equal, *saved)
  rows = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
  assert len({row["lr"] for row in rows if row["kind"] == "train"}) > 3


def test_precise_statistics_and_a_dry_run_see_the_full_shape(tiny_set):
  config = clips_config(tiny_set)
  run = Experiment(config.to_dict())
  with run.training_batches(3, 6, whole=True) as batches:
    shapes = [(batch["clips"].shape, batch["index"].tolist()) for batch in batches]
  firsts = [run.grids.place(step) for step in (3, 4, 5)]
  assert shapes == [((8, 1, 4, 32, 32, 3), [run.task.order(p) for p in range(f, f + 8)]) for f in firsts]
  assert dry_run(config)["batch, clips"] == "uint8 [8, 1, 4, 32, 32, 3]"


def test_rows_of_a_shard_and_batches_left_out_keep_their_places(tiny_set):
  run = Experiment(clips_config(tiny_set).to_dict())
  parts = []
  for index in range(2):
    run._loading = lambda index=index: {"shard": (index, 2), "threads": 2}
    with run.training_batches(2, 8) as batches:
      parts.append([batch["index"].tolist() for batch in batches])
  wanted = [[run.task.order(p) for p in range(run.grids.place(s), run.grids.place(s + 1))] for s in range(2, 8)]
  assert [a + b for a, b in zip(*parts, strict=True)] == wanted
  run.skip, run._loading = (3,), lambda: {"threads": 2}
  with run.training_batches(2, 7) as batches:
    assert [batch["index"].tolist() for batch in batches] == wanted[:1] + wanted[2:]
  assert run.schedule(3) == run._rate(3) * run.grids.grid(4).scale


def test_what_multigrid_cannot_do_is_refused_by_name(tiny_set):
  for changes, message in (
    ({"multigrid.divisor": 0}, "multigrid.divisor=0"),
    ({"multigrid.divisor": 5}, "multigrid.divisor=5; nearest is 30"),
    ({"preprocessing.train.steps": ("resize",), "preprocessing.train.settings": {"resize": {"size": 32}}}, "no square"),
    ({"loss.name": "hvu"}, "multigrid on"),
  ):
    with pytest.raises(InputError, match=message):
      Experiment(clips_config(tiny_set, **changes).to_dict())
  c = clips_config(tiny_set)
  c.model.name, c.multigrid.divisor, c.multigrid.long = "c3d_16x1x1", 28, False
  for form in (c.preprocessing.train, c.preprocessing.test):
    form.clip_len = form.frames_per_view = 16
    for settings in form.settings.values():
      settings["size"] = 112
  with pytest.raises(InputError, match="c3d_16x1x1 does not take clips of 16 x 56 x 56"):
    Experiment(c.to_dict())


def test_several_labels_and_several_sets_have_their_forms_too(tiny_set):
  form = Preprocessing.from_json(clips_config(tiny_set).to_dict()["preprocessing"]["train"])
  grids = Multigrid(batch=8, frames=4, side=32, stages=(0, 4, 8), divisor=8).grids()
  for one in (MultiHot(form, 5), BySet((form, MultiHot(form, 5)))):
    made = gridded(one, grids)
    assert set(made.forms) == {1, 2, 4} and type(made.forms[1]) is type(one)
  assert made.forms[2].parts[1].preprocess.frame_interval == 4 and made.forms[4].parts[0] == form


def test_segments_have_no_long_cycle_and_a_side_must_be_known(tiny_set, config):
  config.multigrid.long, config.multigrid.divisor = True, 8
  with pytest.raises(InputError, match="multigrid.long"):
    Experiment(config.to_dict())
  config.multigrid.long, config.multigrid.short = False, True
  assert Experiment(config.to_dict()).grids.grid(0).side == 8
  config.preprocessing.train.steps = ("flip",)
  config.preprocessing.train.settings = {"flip": {"ratio": 0.5}}
  with pytest.raises(InputError, match="no square"):
    Experiment(config.to_dict())
