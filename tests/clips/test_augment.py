"""RandAugment against Pillow, operation by operation, random erasing, and boxes that follow."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jaction.clips import augment
from jaction.clips.augment import OPERATIONS, augmented, rand_augment, random_erasing
from jaction.clips.clip import Clip
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError

WARPS = {"rotate", "shear_x", "shear_y", "translate_x", "translate_y"}
TWINS = {  # (image, level from -1 to 1) -> image
  "identity": lambda image, level: image,
  "auto_contrast": lambda image, level: ImageOps.autocontrast(image),
  "equalize": lambda image, level: ImageOps.equalize(image),
  "solarize": lambda image, level: ImageOps.solarize(image, 255 * (1 - abs(level))),
  "posterize": lambda image, level: ImageOps.posterize(image, 8 - round(4 * abs(level))),
  "color": lambda image, level: ImageEnhance.Color(image).enhance(1 + 0.9 * level),
  "contrast": lambda image, level: ImageEnhance.Contrast(image).enhance(1 + 0.9 * level),
  "brightness": lambda image, level: ImageEnhance.Brightness(image).enhance(1 + 0.9 * level),
  "sharpness": lambda image, level: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * level),
}
EXACT = {"identity", "equalize", "solarize", "posterize"}


def pictures_of_all_kinds():
  rng = np.random.default_rng(0)
  yield rng.integers(0, 256, (24, 31, 3), dtype=np.uint8)
  yield rng.integers(60, 90, (24, 31, 3), dtype=np.uint8)
  yield np.full((24, 31, 3), (0, 7, 255), np.uint8)
  yield np.where(rng.random((40, 40, 3)) < 0.9, 3, 200).astype(np.uint8)
  yield (np.linspace(0, 1, 24 * 31 * 3) ** 2 * 255).astype(np.uint8).reshape(24, 31, 3)


def test_the_operations_are_those_of_the_paper():
  assert set(OPERATIONS) == set(TWINS) | WARPS and len(OPERATIONS) == 14


@pytest.mark.parametrize("name", sorted(TWINS))
@pytest.mark.parametrize("level", [-1, -0.5, 0, 0.3, 1])
def test_colours_change_as_in_pillow(name, level):
  for number, picture in enumerate(pictures_of_all_kinds()):
    out = augmented(Clip(np.stack([picture, picture[::-1]])), name, level).frames
    for frame, done in zip((picture, picture[::-1]), out, strict=True):
      wanted = np.asarray(TWINS[name](Image.fromarray(frame), level)).astype(int)
      assert np.abs(done.astype(int) - wanted).max() <= (0 if name in EXACT else 2), number


@pytest.mark.parametrize("name", sorted(WARPS))
@pytest.mark.parametrize("level", [-1, 0, 0.4])
def test_pixels_come_from_where_the_inverse_map_says(name, level, pictures):
  frames = pictures(2, 15, 20, 3)
  out = augmented(Clip(frames), name, level, fill=(1, 2, 3), interpolation="nearest").frames
  matrix = OPERATIONS[name].matrix(level, (20, 15))
  inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
  seen = 0
  for y in range(15):
    for x in range(20):
      source = (inverse @ [x, y, 1])[:2]
      if np.abs(source % 1 - 0.5).min() < 0.05:
        continue  # half-way between two pixels: OpenCV's fixed point may take either
      u, v = np.rint(source).astype(int)
      wanted = frames[:, v, u] if 0 <= u < 20 and 0 <= v < 15 else np.array([[1, 2, 3]] * 2)
      assert np.array_equal(out[:, y, x], wanted), (x, y)
      seen += 1
  assert seen > 180
  if level == 0:
    assert np.array_equal(out, frames)


def test_the_strongest_warps_are_those_of_the_source():
  size = (331, 662)
  assert OPERATIONS["translate_x"].matrix(1, size)[0, 2] == pytest.approx(150)
  assert OPERATIONS["translate_y"].matrix(-1, size)[1, 2] == pytest.approx(-300)
  assert OPERATIONS["shear_x"].matrix(1, size)[0, 1] == pytest.approx(0.3)
  assert OPERATIONS["shear_y"].matrix(1, size)[1, 0] == pytest.approx(0.3)
  assert OPERATIONS["rotate"].matrix(1, size)[1, 0] == pytest.approx(0.5)
  centre = np.array([165, 330.5, 1])
  for name in ("rotate", "shear_x", "shear_y"):
    assert np.allclose(OPERATIONS[name].matrix(0.7, size) @ centre, centre[:2])


@pytest.mark.parametrize("name", sorted(WARPS))
@pytest.mark.parametrize("level", [-0.3, 0.2])
def test_a_box_surrounds_its_object_after_a_warp(name, level):
  frames = np.zeros((1, 40, 50, 3), np.uint8)
  frames[0, 15:24, 20:32] = 255
  clip = Clip(frames, boxes=np.array([[[20, 15, 32, 24]]], np.float32))
  out = augmented(clip, name, level, fill=0, interpolation="nearest")
  y, x = np.nonzero(out.frames[0, ..., 0])
  x1, y1, x2, y2 = out.boxes[0, 0]
  assert np.abs(np.array([x.min() - x1, y.min() - y1, x.max() + 1 - x2, y.max() + 1 - y2])).max() <= 1


def test_operations_and_signs_come_in_the_order_of_the_draws(pictures, scripted):
  names = list(OPERATIONS)
  clip = Clip(pictures(2, 9, 11, 3))
  rng = scripted(lambda low, high: low)
  picks, signs = iter([names.index("translate_x"), names.index("brightness")]), iter([0.4, 0.5])
  rng.integers = lambda high: next(picks)
  rng.random = lambda: next(signs)
  out = rand_augment(clip, rng, num_ops=2, magnitude=15, fill=0)
  there = augmented(clip, "translate_x", -0.5, fill=0)
  assert np.array_equal(out.frames, augmented(there, "brightness", 0.5, fill=0).frames)


def test_every_operation_is_drawn_and_none_at_magnitude_zero_moves_a_pixel(pictures):
  clip = Clip(pictures(1, 6, 7, 3))
  seen = set()
  original = augment.augmented

  def spy(clip, name, level, **own):
    seen.add((name, level > 0))
    return original(clip, name, level, **own)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(augment, "augmented", spy)
    rand_augment(clip, np.random.default_rng(0), num_ops=400)
  assert len(seen) == 28
  for name in set(OPERATIONS) - {"auto_contrast", "equalize", "solarize"}:
    assert np.array_equal(augmented(clip, name, 0).frames, clip.frames), name


def test_the_erased_rectangle_is_one_has_the_drawn_area_and_keeps_the_rest(pictures):
  clip = Clip(pictures(3, 60, 80, 3))
  areas, ratios = [], []
  for seed in range(150):
    out = random_erasing(clip, np.random.default_rng(seed), ratio=1, area_range=(0.1, 0.3)).frames
    changed = (out != clip.frames).any(axis=(0, 3))
    y, x = np.nonzero(changed)
    box = slice(y.min(), y.max() + 1), slice(x.min(), x.max() + 1)
    assert (out[:, *box] == out[0][box]).all()  # the same noise in all frames
    rest = ~np.isin(np.arange(60 * 80).reshape(60, 80), np.arange(60 * 80).reshape(60, 80)[box])
    assert np.array_equal(out[:, rest], clip.frames[:, rest])
    areas.append((y.max() + 1 - y.min()) * (x.max() + 1 - x.min()) / 4800)
    ratios.append((x.max() + 1 - x.min()) / (y.max() + 1 - y.min()))
  assert 0.09 < min(areas) < 0.12 and 0.27 < max(areas) < 0.32
  assert 0.25 < min(ratios) < 0.5 and 2 < max(ratios) < 3.6


def test_erasing_comes_as_often_as_asked_and_paints_what_is_asked(pictures):
  clip, rng = Clip(pictures(1, 20, 20, 2)), np.random.default_rng(0)
  outs = [random_erasing(clip, rng, ratio=0.3, fill=(7, 9)) for _ in range(500)]
  assert abs(np.mean([out is not clip for out in outs]) - 0.3) < 0.07
  changed = (outs[[out is not clip for out in outs].index(True)].frames != clip.frames).any(-1)
  assert (next(out for out in outs if out is not clip).frames[changed] == [7, 9]).all()
  # A rectangle that fits nowhere is none.
  assert random_erasing(clip, rng, ratio=1, area_range=(1, 1), aspect_ratio_range=(3, 3)) is clip


def test_wrong_frames_and_settings_are_named(pictures):
  rng = np.random.default_rng(0)
  with pytest.raises(InputError, match="uint8 frames with 2 channels; wanted uint8 RGB"):
    rand_augment(Clip(pictures(1, 5, 5, 2)), rng)
  with pytest.raises(InputError, match="float32 frames"):
    rand_augment(Clip(np.zeros((1, 5, 5, 3), np.float32)), rng)
  with pytest.raises(InputError, match=r"fill is \(1, 2\) for 3 channels"):
    random_erasing(Clip(pictures(1, 9, 9, 3)), rng, ratio=1, fill=(1, 2))
  for step, own, words in (
    ("rand_augment", {"magnitude": 31}, "from 0 to 30"),
    ("rand_augment", {"num_ops": 0}, "at least 1"),
    ("rand_augment", {"fill": 300}, "from 0 to 255"),
    ("random_erasing", {"fill": [1, "x", 2]}, "from 0 to 255"),
    ("multi_group_crop", {"size": 3}, "needs the setting 'groups'"),
  ):
    with pytest.raises(InputError, match=words):
      Preprocessing("uniform", 1, 1, 2, 2, (step,), {step: own}, (0, 0, 0), (1, 1, 1))
