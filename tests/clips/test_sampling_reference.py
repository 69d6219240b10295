"""Samplers against every record of golden/sampling, draws included."""

import numpy as np
import pytest

from jaction.clips import sampling
from jaction.errors import InputError

pytestmark = pytest.mark.reference

V0 = {
  "SampleFrames": sampling.sample_frames,
  "DenseSampleFrames": sampling.dense_sample_frames,
  "UntrimmedSampleFrames": sampling.untrimmed_sample_frames,
}
V1 = {
  "SampleFrames": sampling.sample_frames_v1,
  "UniformSample": sampling.uniform_sample_frames,
  "UntrimmedSampleFrames": sampling.untrimmed_sample_frames,
}


def settings(record):
  own = {key: value for key, value in record["params"].items() if key != "test_mode"}
  if "out_of_bound_opt" in own:
    own["out_of_bound"] = own.pop("out_of_bound_opt")
  return own


def check(record, wanted, sample):
  """The record's indices, or, where the original raised, an InputError."""
  if "error" in record:
    with pytest.raises(InputError):
      sample()
    return
  got = sample()
  assert got.dtype == np.int64
  assert np.array_equal(got + record.get("start_index", 0), wanted), record


def test_the_test_forms_are_those_of_the_reference(golden):
  records = golden("sampling/test_mode")
  assert records
  for record in records:
    own = settings(record)
    if record["cls"] == "UntrimmedSampleFrames" and "clip_interval" not in own:
      own["clip_interval"] = own.pop("frame_interval")  # 0.9's name for it
    check(record, record.get("frame_inds"), lambda: V0[record["cls"]](record["total_frames"], **own))  # noqa: B023


def test_the_training_forms_draw_in_the_order_of_the_reference(golden, scripted):
  records = golden("sampling/random_mode")
  assert records
  for record in records:
    own = settings(record)
    if record["cls"] == "SampleFrames":
      own["wrap_past_end"] = True  # the reference's fault, off by default
    for pick in ("low", "mid", "high"):
      rng = scripted(pick)
      check(
        record,
        record[f"frame_inds_{pick}"],
        lambda: V0[record["cls"]](record["total_frames"], **own, rng=rng),  # noqa: B023
      )
      assert rng.draws == record["draws"], record


def test_by_default_only_a_start_past_the_end_differs_from_the_reference(golden, scripted):
  for record in golden("sampling/random_mode"):
    if record["cls"] != "SampleFrames":
      continue
    for pick in ("low", "mid", "high"):
      got = sampling.sample_frames(record["total_frames"], **settings(record), rng=scripted(pick))
      wanted = np.array(record[f"frame_inds_{pick}"]) - record["start_index"]
      differs = got != wanted
      assert (wanted[differs] < got[differs]).all(), record
      if record["params"]["clip_len"] == 1:
        assert (got[differs] == record["total_frames"] - 1).all(), record


def test_the_1x_test_forms_are_those_of_the_reference(golden):
  records = golden("sampling/test_mode_v1")
  assert records
  for record in records:
    own = settings(record)
    if record["cls"] == "SampleAVAFrames":
      keys = {"fps": record["fps"], "timestamp_start": record["timestamp_start"], "shot": record["shot_info"]}
      sample = lambda: sampling.ava_sample_frames(record["timestamp"], **keys, **own)  # noqa: B023, E731
    else:
      own |= {"fps": record["avg_fps"]} if "avg_fps" in record else {}
      sample = lambda: V1[record["cls"]](record["total_frames"], **own)  # noqa: B023, E731
    check(record, record.get("frame_inds"), sample)


def test_clips_of_proposals_are_those_of_the_reference(golden, scripted):
  for record in golden("sampling/proposal_frames"):
    own, total = record["params"], record["total_frames"]
    sample = lambda rng=None: sampling.proposal_sample_frames(total, record["proposals"], **own, rng=rng)  # noqa: B023, E731
    check(record, record["val"], sample)
    for pick in ("low", "high"):
      rng = scripted(pick)
      check(record, record[f"train_{pick}"], lambda: sample(rng))  # noqa: B023
      assert rng.draws == record["train_draws"], record
    spacing = {"clip_len": own["clip_len"], "frame_interval": own["frame_interval"]}
    whole = lambda: sampling.proposal_test_frames(total, **spacing, test_interval=record["test_interval"])  # noqa: B023, E731
    check(record, record["test"], whole)


def test_ava_clips_are_those_of_the_reference_with_its_draws_and_still_without(golden, scripted):
  for record in golden("sampling/ava_frames"):
    keys = {"fps": record["fps"], "timestamp_start": record["timestamp_start"], "shot": record["shot_info"]}
    sample = lambda rng=None: sampling.ava_sample_frames(record["timestamp"], **keys, **record["params"], rng=rng)  # noqa: B023, E731
    check(record, record["no_jitter"], sample)
    for pick in ("low", "high"):
      rng = scripted(pick)
      check(record, record[f"jitter_{pick}"], lambda: sample(rng))  # noqa: B023
      assert rng.draws == record["draws"], record
