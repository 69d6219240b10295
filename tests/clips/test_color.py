"""Colour against golden/transforms, a step-by-step twin, and by what must not change."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaction.clips import color
from jaction.clips.clip import Clip
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError

quick = settings(max_examples=30, deadline=None, database=None, derandomize=True)
factors = st.floats(0.5, 1.5)


class Given:
  """A generator whose draws are given, in the order in which they are asked for."""

  def __init__(self, *draws):
    self.draws = list(draws)

  def _next(self, size=None):
    value = np.array(self.draws.pop(0))
    assert size is None or value.shape == ((size,) if isinstance(size, int) else tuple(size))
    return value

  def uniform(self, low, high):
    value = float(self._next())
    assert low <= value <= high
    return value

  def random(self, size):
    return self._next(size)

  def normal(self, mean, std, size):
    return self._next(size)

  def permutation(self, count):
    return self._next(count)


@pytest.mark.reference
def test_the_first_form_is_that_of_the_reference(golden):
  cases = golden("transforms/color_jitter")
  assert cases
  for name, (params, inputs, wanted) in cases.items():
    assert params["fn"] == "ColorJitter", name
    images, draws = inputs["imgs"], []
    if params["color_space_aug"]:
      names = ("brightness_delta", "contrast_alpha", "saturation_alpha", "hue_alpha", "order_coin")
      # The reference draws a coin where it stands: image by image, and in each by the order of what is done.
      draws = [params[key] for key in names] + [np.reshape(params["per_image_coins"], (len(images), 4))]
    rng = Given(*draws, params["pca_alpha"])
    own = {key: params[key] for key in ("alpha_std", "eig_val", "eig_vec") if key in params}
    out = color.color_jitter(Clip(images), rng, form="0.9", color_space_aug=params["color_space_aug"], **own)
    assert not rng.draws and out.frames.dtype == np.float32
    np.testing.assert_allclose(out.frames, wanted["imgs"], rtol=0, atol=2e-3, err_msg=name)


@pytest.mark.reference
def test_pca_noise_is_that_of_the_reference(golden):
  cases = {name: case for name, case in golden("transforms/color_jitter").items() if not case[0]["color_space_aug"]}
  assert cases
  for name, (params, inputs, wanted) in cases.items():
    out = color.pca_noise(Clip(inputs["imgs"]), Given(params["pca_alpha"]))
    np.testing.assert_allclose(out.frames, wanted["imgs"], rtol=0, atol=2e-3, err_msg=name)


@pytest.mark.reference
def test_the_later_form_is_that_of_the_reference(golden):
  cases = {name: case for name, case in golden("transforms/later_forms").items() if "ColorJitter" in case[0]["fn"]}
  assert cases
  for name, (params, inputs, wanted) in cases.items():
    draws = [params[key] for key in ("brightness", "contrast", "saturation", "hue", "order")]
    out = color.color_jitter(Clip(inputs["imgs"]), Given(*draws))
    assert out.frames.dtype == np.uint8
    assert np.abs(out.frames.astype(int) - wanted["imgs"]).max() <= 1, name


@quick
@given(factors, factors, factors, st.permutations([0, 1, 2]), st.integers(0, 99))
def test_a_chain_of_matrices_is_the_steps_one_after_the_other(brightness, contrast, saturation, order, seed):
  frames = np.random.default_rng(seed).integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
  got = color.jittered(frames, brightness, contrast, saturation, 0.0, order)
  for frame, done in zip(frames, got, strict=True):
    image = frame.astype(np.float64)
    for step in order:
      gray = image @ [0.2989, 0.587, 0.114]
      if step == 0:
        image = image * brightness
      elif step == 1:
        image = contrast * image + (1 - contrast) * gray.mean()
      else:
        image = saturation * image + (1 - saturation) * gray[..., None]
    assert np.abs(np.floor(np.clip(image, 0, 255)) - done).max() <= 1


def test_hue_turns_by_int_of_255_in_steps_of_two_degrees():
  frames = np.random.default_rng(0).integers(0, 256, (1, 6, 7, 3), dtype=np.uint8)
  for hue in (0.1, -0.1, 0.5):
    got = color.jittered(frames, 1, 1, 1, hue, [3, 0, 1, 2]).reshape(-1, 3) / 255
    for pixel, done in zip(frames.reshape(-1, 3) / 255, got, strict=True):
      h, s, v = colorsys.rgb_to_hsv(*pixel)
      np.testing.assert_allclose(done, colorsys.hsv_to_rgb((h + int(hue * 255) / 180) % 1, s, v), atol=0.03)


def test_factors_of_one_change_nothing_and_grey_keeps_its_colour(pictures):
  frames = pictures(3, 8, 9, 3)
  assert np.array_equal(color.jittered(frames, 1, 1, 1, 0, [2, 0, 3, 1]), frames)
  gray = np.repeat(pictures(1, 8, 9, 1), 3, axis=-1)
  for seed in range(5):
    out = color.color_jitter(Clip(gray), np.random.default_rng(seed), brightness=0, contrast=0).frames
    assert np.abs(out.astype(int) - gray).max() <= 1


def test_drawn_strengths_stay_in_their_ranges_and_fill_them(pictures):
  clip = Clip(np.full((1, 2, 2, 3), 100, np.uint8))
  off = {"contrast": 0, "saturation": 0, "hue": 0}
  outs = [color.color_jitter(clip, np.random.default_rng(seed), brightness=0.2, **off) for seed in range(200)]
  values = [int(out.frames[0, 0, 0, 0]) for out in outs]
  assert 79 <= min(values) < 84 and 116 < max(values) <= 120


def test_noise_is_one_shift_for_all_pixels_and_stays_in_bytes():
  frames = np.full((2, 3, 4, 3), 250, np.uint8)
  out = color.pca_noise(
    Clip(frames), Given([1.0, 0, 0]), eig_val=(10, 1, 1), eig_vec=((1, 0, 0), (0.3, 0, 0), (-1, 0, 0))
  )
  assert out.frames.dtype == np.uint8 and (out.frames == [255, 253, 240]).all()
  wide = color.pca_noise(Clip(frames.astype(np.float32)), Given([1.0, 0, 0]), eig_val=(10, 1, 1), eig_vec=np.eye(3))
  assert wide.frames.dtype == np.float32 and np.allclose(wide.frames, [260, 250, 250])


def test_each_frame_of_the_first_form_has_its_own_coins():
  coins = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]], float)
  matrices = color.first_form(10, 0.5, 1.2, 3.0, 0.9, coins)
  assert np.allclose(matrices[0], color.shift([10] * 3)) and np.allclose(matrices[1], color.scale(0.5))
  assert np.allclose(matrices[2], color.turn_hue(3.0) @ color.saturate(1.2)) and np.allclose(matrices[3], np.eye(4))


def test_wrong_frames_forms_and_settings_are_named(pictures):
  flow, rng = Clip(pictures(2, 4, 5, 2)), np.random.default_rng(0)
  for step in (color.color_jitter, color.pca_noise):
    with pytest.raises(InputError, match="2 channels; wanted RGB"):
      step(flow, rng)
  with pytest.raises(InputError, match="form is 'latter'.*Near it: later"):
    color.color_jitter(Clip(pictures(1, 2, 2, 3)), rng, form="latter")

  def stored(**own):
    return Preprocessing(
      "uniform", 1, 1, 2, 2, ("color_jitter", "pca_noise"), {"color_jitter": own}, (0, 0, 0), (1, 1, 1)
    )

  kept = stored(form="0.9", color_space_aug=True, eig_vec=np.eye(3), eig_val=[1, 2, 3])
  assert Preprocessing.from_json(kept.to_json()) == kept
  for own, words in (
    ({"hue": 0.7}, "hue is 0.7; wanted a number from 0 to 0.5"),
    ({"brightness": -1}, "brightness is -1; wanted a number of at least 0"),
    ({"form": "0.8"}, "wanted later or 0.9"),
    ({"eig_vec": [[1, 2], [3, 4]]}, "three rows of three numbers"),
    ({"brigthness": 1}, "Near it: brightness"),
  ):
    with pytest.raises(InputError, match=words):
      stored(**own)
