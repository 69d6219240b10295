"""Resizes, crops, mirrors, normalisation and view order against golden/transforms."""

import json
import math

import numpy as np
import pytest

from jaction.clips import geometry, transforms
from jaction.clips.boxes import crop_boxes, flip_boxes
from jaction.clips.clip import Clip, crop_frames, flip_frames, resize_frames
from jaction.clips.device import normalize
from jaction.clips.layout import pair_flow, split_views, stack_flow
from jaction.clips.sampling import sample_frames

pytestmark = pytest.mark.reference


def scale_of(value):
  """A scale as the files write it: a factor, or two bounds of which one may be "inf"."""
  return tuple(float(item) for item in value) if isinstance(value, list) else float(value)


def test_resized_sizes_are_those_of_the_reference(golden):
  records = golden("transforms/resize_sizes")
  assert records
  for record in records:
    size = record["img_w"], record["img_h"]
    got = geometry.scaled_size(size, scale_of(record["scale"]), keep_ratio=record["keep_ratio"])
    assert got == (record["new_w"], record["new_h"]), record
    factors = np.array([got[0] / size[0], got[1] / size[1]], np.float32)
    assert np.array_equal(factors, np.array(record["scale_factor"], np.float32)), record


def test_resized_pixels_are_those_of_opencv(golden):
  cases = {name: case for name, case in golden("transforms/resize").items() if isinstance(case, tuple)}
  assert cases
  for name, (params, given, wanted) in cases.items():
    if params.get("backend") == "pillow":
      continue  # kept for comparison: no transform resizes so
    images = given["imgs"]
    for scale in params.get("scales") or [params["scale"]]:
      size = geometry.scaled_size(
        (images.shape[2], images.shape[1]), scale_of(scale), keep_ratio=params.get("keep_ratio", -1 in scale)
      )
      images = resize_frames(images, size, params.get("interpolation", "bilinear"))
    assert images.dtype == wanted["imgs"].dtype and images.shape == wanted["imgs"].shape, name
    if images.dtype == np.uint8:
      assert np.array_equal(images, wanted["imgs"]), name
    else:
      np.testing.assert_allclose(images, wanted["imgs"], rtol=1e-5, atol=1e-4, err_msg=name)


def test_random_scales_draw_as_the_reference_does(golden, scripted):
  table = golden("transforms/resize").get("random_scale")
  if not table:
    pytest.skip("no random_scale in transforms/resize.json")
  # The picture is not recorded: some shape among those of resize_sizes has to explain every case.
  sizes = {(record["img_w"], record["img_h"]) for record in golden("transforms/resize_sizes")}
  for name, case in table.items():
    asked = [bounds for _, bounds in case["requests"]]

    def fits(size, pick, name=name, case=case, asked=asked):
      rng, clip = scripted(pick), Clip(np.zeros((1, size[1], size[0], 1), np.uint8))
      if len(asked) == 1:
        out = transforms.random_rescale(clip, rng, scales=(asked[0][0], asked[0][1] - 1))
      else:
        out = transforms.random_scale(
          clip, rng, scales=tuple((a, b) for a, b in zip(*[(lo, hi - 1) for lo, hi in asked], strict=True))
        )
      assert [draw[:2] for draw in rng.draws] == asked, name
      return list(out.frames.shape[1:3]) == case["new_hw"]

    assert any(fits(size, pick) for size in sizes for pick in ("low", "high")), name


def test_crops_are_those_of_the_reference(golden):
  cases = golden("transforms/crops")
  assert cases
  steps = {"CenterCrop": transforms.center_crop, "ThreeCrop": transforms.three_crop, "TenCrop": transforms.ten_crop}
  for name, (params, given, wanted) in cases.items():
    images = given["imgs"] if given["imgs"].ndim == 4 else given["imgs"][..., None]
    crop = tuple(params["crop_size_wh"])
    out = steps[params["fn"]](Clip(images), size=crop)
    assert np.array_equal(out.frames.reshape(wanted["imgs"].shape), wanted["imgs"]), name
    assert out.crops == {"CenterCrop": 1, "ThreeCrop": 3, "TenCrop": 10}[params["fn"]]
    if "bbox" in wanted:
      size = images.shape[2], images.shape[1]
      boxes = {
        "CenterCrop": lambda: geometry.centre_box(size, crop),  # noqa: B023
        "ThreeCrop": lambda: np.repeat(geometry.three_boxes(size, crop), len(images), axis=0),  # noqa: B023
        "TenCrop": lambda: np.repeat(geometry.five_boxes(size, crop), 2 * len(images), axis=0),  # noqa: B023
      }[params["fn"]]()
      assert np.array_equal(boxes, wanted["bbox"]), name


def test_multi_scale_crops_are_those_of_the_reference(golden, scripted):
  records = golden("transforms/multi_scale_crop")
  assert records
  for record in records:
    size, wanted = (record["img_w"], record["img_h"]), tuple(record["input_size_wh"])
    scales, gap, places = record["scales"], record["max_wh_scale_gap"], record["num_fixed_crops"]
    sizes = geometry.multi_scale_sizes(size, scales, gap)
    assert [list(crop) for crop in sizes] == record["size_candidates_wh_before_snap"], record
    crops = [geometry.snapped_size(crop, wanted) for crop in sizes]
    assert [list(crop) for crop in crops] == [entry["crop_wh"] for entry in record["crops"]], record
    for crop, entry in zip(crops, record["crops"], strict=True):
      offsets = geometry.fixed_offsets(size, crop, places)
      assert [list(offset) for offset in offsets] == entry["offsets_xy"], record
    # The free form draws its place inside the inclusive bounds, x first.
    rng, clip = scripted("high"), Clip(np.zeros((1, size[1], size[0], 1), np.uint8))
    own = {"scales": tuple(scales), "max_wh_scale_gap": gap, "num_fixed_crops": places}
    transforms.multi_scale_crop(clip, rng, size=wanted, random_crop=True, **own)
    bounds = [[low, high - 1] for low, high, _ in rng.draws[1:]]
    assert rng.draws[0][:2] == [0, len(sizes)]
    if crops[-1][0] <= size[0] and crops[-1][1] <= size[1]:
      assert bounds == record["random_crop_inclusive_bounds_xy_last_size"], record


def test_random_resized_crops_are_those_of_the_reference(golden):
  records = golden("transforms/random_resized_crop")
  assert records
  for record in records:
    size = record["img_w"], record["img_h"]
    crop = geometry.random_resized_size(size, record["log_ratio_draws"], record["area_draws"])
    assert (crop is None) == record["fallback"], record
    if crop is None:
      box = geometry.central_square(size)
    else:
      bounds = [[0, room - side] for room, side in zip(size, crop, strict=True)]
      assert bounds == record["offset_inclusive_bounds"], record
      share = record["offset_fraction_xy"]
      offset = tuple(int(part * (high + 1)) for part, (_, high) in zip(share, bounds, strict=True))
      box = geometry.placed_box(crop, offset)
    assert list(box) == record["bbox"], record


class DrawnFor:
  """The draws of one record, as a generator gives them to the step."""

  def __init__(self, record):
    self.record, self.uniforms = record, [record["log_ratio_draws"], record["area_draws"]]
    self.shares = list(record["offset_fraction_xy"])

  def uniform(self, low, high, size):
    values = np.array(self.uniforms.pop(0))
    assert len(values) == size and (values >= low - 1e-9).all() and (values <= high + 1e-9).all()
    return values

  def integers(self, low, high, size=None):
    return low + int(self.shares.pop(0) * (high - low))


def test_the_random_resized_crop_step_cuts_the_box_of_the_reference(golden):
  for record in golden("transforms/random_resized_crop"):
    height, width = record["img_h"], record["img_w"]
    places = np.stack(np.meshgrid(np.arange(width) % 256, np.arange(height) % 256), axis=-1).astype(np.uint8)
    own = {key: tuple(record[key]) for key in ("area_range", "aspect_ratio_range")}
    out = transforms.random_resized_crop(
      Clip(places[None]), DrawnFor(record), **own, attempts=len(record["area_draws"])
    )
    assert np.array_equal(out.frames, crop_frames(places[None], tuple(record["bbox"]))), record


def test_random_crops_are_those_of_the_reference(golden, scripted):
  records = golden("transforms/random_crop")
  assert records
  for record in records:
    places = np.stack(np.meshgrid(np.arange(record["img_w"]), np.arange(record["img_h"])), axis=-1)[None]
    rng = scripted("high")
    out = transforms.random_crop(Clip(places), rng, size=record["size"])
    assert [draw[:2] for draw in rng.draws] == record["half_open_bounds_yx"], record
    assert np.array_equal(out.frames, crop_frames(places, tuple(record["bbox_at_max"]))), record


def test_mirrors_are_those_of_the_reference(golden):
  cases = {name: case for name, case in golden("transforms/flip_lazy").items() if case[0]["fn"] == "Flip"}
  assert cases
  for name, (params, given, wanted) in cases.items():
    if params.get("modality") == "Flow":
      got = flip_frames(pair_flow(given["imgs"]), params["direction"], flow=True)
      assert np.array_equal(got, pair_flow(wanted["imgs"])), name
    else:
      assert np.array_equal(flip_frames(given["imgs"], params["direction"]), wanted["imgs"]), name


def test_a_chain_fused_into_one_crop_and_one_resize_is_that_of_the_reference(golden):
  cases = {name: case for name, case in golden("transforms/flip_lazy").items() if case[0]["fn"] != "Flip"}
  assert cases
  for name, (params, given, wanted) in cases.items():
    # "Resize(-1,48) > RandomResizedCrop > Resize(24,24) > Flip"
    first, last = (json.loads(f"[{text.split(')')[0]}]") for text in params["fn"].split("Resize(")[1:])
    images = given["imgs"]
    whole = (0, 0, images.shape[2], images.shape[1])
    size = geometry.scaled_size(whole[2:], tuple(first))
    crop = geometry.random_resized_size(size, [params["log_ratio_draw"]], [params["area_draw"]])
    box = geometry.placed_box(crop, tuple(params["offset_xy"]))
    lazy = geometry.source_box(box, size, whole)
    np.testing.assert_allclose(lazy, wanted["lazy_bbox"], rtol=1e-6, err_msg=name)
    rounded = tuple(np.round(np.array(lazy, np.float32)).astype(int).tolist())
    fused = flip_frames(resize_frames(crop_frames(images, rounded), tuple(last)))
    assert np.array_equal(fused, wanted["lazy"]), name
    plain = flip_frames(resize_frames(crop_frames(resize_frames(images, size), box), tuple(last)))
    assert np.array_equal(plain, wanted["plain"]), name


def close(got, wanted, name):
  np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-5, atol=1e-6, err_msg=name)


def test_normalisation_and_layouts_are_those_of_the_reference(golden):
  cases = golden("transforms/normalize_format")
  assert cases
  for name, (params, given, wanted) in cases.items():
    if params["fn"] == "Normalize":
      flow = params.get("modality") == "Flow"
      images = pair_flow(given["imgs"]) if flow else given["imgs"]
      gain = params["scale_factor"] if params.get("adjust_magnitude") else None
      got = normalize(images, params["mean"], params["std"], reverse_channels=params.get("to_bgr", False), gain=gain)
      close(got, wanted["imgs"], name)
    elif params["fn"] == "FormatShape":
      check_layout(name, params, given["imgs"], wanted["imgs"])
    elif params["fn"].startswith("SampleFrames("):
      check_views(name, params["fn"], given, wanted["imgs"])
    else:
      assert params["fn"] == "FormatAudioShape" and params["input_format"] == "NCTF", name
      rows = given["audios"].reshape(-1, given["audios"].shape[-1], 1)  # what is sampled: rows of features, one channel
      got = np.moveaxis(split_views(rows, given["audios"].shape[1]), -1, 1)
      assert np.array_equal(got, wanted["audios"]), name


def check_layout(name, params, images, wanted):
  kind = params["input_format"]
  if kind == "NCHW":
    got = np.moveaxis(images, -1, 1)
  elif kind == "NCTHW":
    got = np.moveaxis(split_views(images, params["clip_len"]), -1, 1)
  elif kind == "NCHW_Flow":
    got = np.moveaxis(stack_flow(images, params["clip_len"]), -1, 1)
  else:
    assert kind == "NPTCHW", name
    got = np.moveaxis(split_views(images, params["num_clips"] * params["clip_len"]), -1, 2)
  assert np.array_equal(got, wanted), name


def check_views(name, chain, given, wanted):
  """ "SampleFrames(clip_len=2, ..., test) > three crop > FormatShape NCTHW": the settings are in the text."""
  words = [word.split("=") for word in chain.split("(")[1].split(")")[0].split(", ") if "=" in word]
  own = {key: int(value) for key, value in words}
  video = given["video"]
  indices = sample_frames(len(video), **own)
  assert np.array_equal(indices, given["frame_inds"]), name
  step = transforms.three_crop if "three crop" in chain else transforms.ten_crop
  out = step(Clip(video[indices]), size=(wanted.shape[-1], wanted.shape[-2]))
  if chain.endswith("NCTHW"):
    got = np.moveaxis(split_views(out.frames, own["clip_len"]), -1, 1)
  else:
    got = np.moveaxis(out.frames, -1, 1)
  assert np.array_equal(got, wanted), name


def test_label_mapped_mirrors_and_boxes_are_those_of_the_later_reference(golden):
  for name, (params, given, wanted) in golden("transforms/later_forms").items():
    if "flip_label_map" in params:
      table = {int(key): value for key, value in params["flip_label_map"].items()}
      labels = tuple(table.get(label, label) for label in range(max(*table, params["label"]) + 1))
      out = transforms.flip(
        Clip(given["imgs"], label=params["label"]), np.random.default_rng(0), ratio=1, labels=labels
      )
      assert out.label == params["out_label"] and np.array_equal(out.frames, wanted["imgs"]), name
    elif params["fn"] == "Flip":
      height, width = given["imgs"].shape[1:3]
      assert np.array_equal(flip_boxes(given["boxes"], (width, height)), wanted["boxes"]), name
    elif params["fn"].startswith("Resize("):
      height, width = params["img_hw"]
      resize, crop = (tuple(json.loads(f"[{text.split(')')[0]}]")) for text in params["fn"].split("(")[1:])
      clip = Clip(np.zeros((1, height, width, 3), np.uint8), boxes=given["boxes"])
      resized = transforms.resize(clip, size=resize, keep_ratio=True)
      close(resized.boxes, wanted["resized"], name)
      close(transforms.center_crop(resized, size=crop).boxes, wanted["cropped"], name)
      x, y, *_ = box = geometry.centre_box(resized.size, crop)
      quadruple = [x / resized.size[0], y / resized.size[1], crop[0] / resized.size[0], crop[1] / resized.size[1]]
      close(quadruple, params["crop_quadruple"], name)
      assert np.array_equal(crop_boxes(resized.boxes, box), transforms.center_crop(resized, size=crop).boxes)
    else:
      assert "ColorJitter" in params["fn"], name  # test_color.py


def test_an_infinite_bound_bounds_nothing():
  assert geometry.scaled_size((320, 240), (math.inf, 256)) == geometry.scaled_size((320, 240), (-1, 256))
