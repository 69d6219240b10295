"""Sound against golden/transforms/audio: MMAction2's cuts, librosa's mel bands."""

import jax
import numpy as np
import pytest

from jaction.clips import audio, device
from jaction.errors import InputError

pytestmark = pytest.mark.reference
FIXED = {"AudioDecode", "AudioFeatureSelector"}


def cases(golden, *names):
  table = golden("transforms/audio")
  found = {name: case for name, case in table.items() if isinstance(case, tuple) and case[0]["fn"] in names}
  if not found:
    pytest.skip(f"no {' or '.join(names)} in transforms/audio.json")
  return found


def test_every_case_is_of_a_kind_that_a_test_here_reads(golden):
  kinds = {case[0]["fn"] for case in golden("transforms/audio").values() if isinstance(case, tuple)}
  assert kinds and kinds <= FIXED | {"AudioAmplify", "MelSpectrogram"}


def test_amplified_sound_is_that_of_the_reference(golden):
  for name, (params, given, wanted) in cases(golden, "AudioAmplify").items():
    got = audio.amplify(given["audios"], ratio=params["ratio"])
    assert got.dtype == wanted["audios"].dtype
    np.testing.assert_allclose(got, wanted["audios"], rtol=1e-6, err_msg=name)


def test_the_sound_of_clips_of_frames_is_cut_as_in_the_reference(golden):
  for name, (params, given, wanted) in cases(golden, *FIXED).items():
    assert len(given["audios"]) == params["length"], name
    frames = given["frame_inds"].reshape(params["num_clips"], -1)
    got = audio.cut_by_frames(given["audios"], frames, params["total_frames"], length=params["fixed_length"])
    assert np.array_equal(got, wanted["audios"]), name


@pytest.mark.parametrize("where", ["host", "device"])
def test_mel_bands_are_librosas(golden, where):
  function = audio.mel_spectrogram if where == "host" else device.mel_spectrogram
  for name, (params, given, wanted) in cases(golden, "MelSpectrogram").items():
    got = function(
      given["audios"],
      rate=params["sample_rate"],
      window_ms=params["window_size"],
      step_ms=params["step_size"],
      bands=params["n_mels"],
    )
    bands = np.swapaxes(wanted["audios"], 1, 2)[..., : params["n_mels"]]  # the reference's cut is one of bands
    assert got.shape == (*bands.shape[:2], params["n_mels"]) and got.dtype == np.float32, name
    np.testing.assert_allclose(got[..., : bands.shape[-1]], bands, rtol=0, atol=1e-4 * bands.max(), err_msg=name)


def test_rows_are_the_references_frames_and_what_it_refuses_is_given(golden):
  table = golden("transforms/audio").get("mel_shapes")
  if not table:
    pytest.skip("no mel_shapes in transforms/audio.json")
  for name, case in table.items():
    bands = case.get("n_mels", 80)
    wave = np.zeros((1, case["samples"]), np.float32)
    got = audio.mel_spectrogram(wave, rate=case["sample_rate"], bands=bands)
    if "out_shape" in case:
      assert got.shape[1] == case["out_shape"][2], name  # bands were cut or repeated there, rows were not
    fixed = audio.mel_spectrogram(wave, rate=case["sample_rate"], bands=bands, rows=128)
    assert fixed.shape == (1, 128, bands), name  # what MelSpectrogram was to give, and raised for where "error" stands


def test_the_device_gives_what_the_host_gives_under_jit():
  waves = np.random.default_rng(0).normal(size=(2, 3, 3000)).astype(np.float32)
  for options in ({"log": True, "bands": 20}, {"rows": 7, "rate": 8000}, {"rows": 40, "window_ms": 20.0}):
    host = audio.mel_spectrogram(waves, **options)
    there = jax.jit(lambda x, options=options: device.mel_spectrogram(x, **options))(waves)
    np.testing.assert_allclose(there, host, rtol=1e-3, atol=1e-4 * np.abs(host).max())


def test_no_window_is_an_error():
  with pytest.raises(InputError, match="0.1 ms at 8000"):
    audio.mel_spectrogram(np.zeros(100, np.float32), rate=8000, window_ms=0.1)
