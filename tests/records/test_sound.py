"""Waveforms out of files, against Python's own reader and known tones; files without sound."""

import wave

import av
import numpy as np
import pytest

from jaction.errors import MediaError
from jaction.records.sound import read_feature, read_waveform


def write_wav(path, values, rate=16000):
  """values: int16 [n, channels]."""
  with wave.open(str(path), "wb") as file:
    file.setnchannels(values.shape[1])
    file.setsampwidth(2)
    file.setframerate(rate)
    file.writeframes(np.ascontiguousarray(values).tobytes())
  return path


def tone(rate, seconds, hz=440):
  return np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_samples_are_those_of_the_file_and_channels_are_averaged(tmp_path, channels):
  values = np.random.default_rng(channels).integers(-30000, 30000, (5000, channels)).astype(np.int16)
  got = read_waveform(write_wav(tmp_path / "a.wav", values))
  assert got.dtype == np.float32 and got.shape == (5000,)
  np.testing.assert_allclose(got, values.mean(axis=1) / 32768, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_another_rate_is_resampled(tmp_path, rate):
  values = np.round(20000 * tone(rate, 0.5)).astype(np.int16)[:, None]
  got = read_waveform(write_wav(tmp_path / "a.wav", values, rate))
  assert abs(len(got) - 8000) <= 16
  wanted = 20000 / 32768 * tone(16000, 0.5)[: len(got)]
  np.testing.assert_allclose(got[100:7800], wanted[100:7800], atol=2e-3)


def test_the_sound_of_a_film_is_found_beside_its_pictures(tmp_path):
  path = tmp_path / "film.mkv"
  values = np.round(20000 * tone(16000, 0.5)).astype(np.int16)[None]
  with av.open(str(path), "w") as file:
    pictures = file.add_stream("mpeg4", rate=25)
    pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
    sound = file.add_stream("pcm_s16le", rate=16000, layout="mono")
    for _ in range(5):
      file.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
    frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
    frame.sample_rate = 16000
    file.mux(sound.encode(frame))
    for stream in (pictures, sound):
      file.mux(stream.encode())
  np.testing.assert_allclose(read_waveform(path), values[0] / 32768, atol=1e-6)


def test_a_file_that_is_cut_off_gives_what_it_still_holds(tmp_path):
  values = np.random.default_rng(0).integers(-30000, 30000, (5000, 1)).astype(np.int16)
  path = write_wav(tmp_path / "a.wav", values)
  data = path.read_bytes()
  path.write_bytes(data[: len(data) // 2])
  got = read_waveform(path)
  assert 2000 < len(got) < 3000
  np.testing.assert_allclose(got, values[: len(got), 0] / 32768, atol=1e-6)


def test_what_has_no_sound_is_a_media_error_that_names_it(tmp_path):
  with av.open(str(tmp_path / "mute.mkv"), "w") as file:
    stream = file.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
    file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
    file.mux(stream.encode())
  (tmp_path / "text.wav").write_text("no sound at all, only words")
  (tmp_path / "empty.wav").write_bytes(b"")
  write_wav(tmp_path / "none.wav", np.zeros((0, 1), np.int16))
  for name in ("mute.mkv", "text.wav", "empty.wav", "none.wav", "absent.wav"):
    with pytest.raises(MediaError, match=name):
      read_waveform(tmp_path / name)
  with pytest.raises(MediaError, match="no sound in it, only video"):
    read_waveform(tmp_path / "mute.mkv")


def test_damaged_files_end_in_a_media_error_or_in_samples(tmp_path):
  values = np.random.default_rng(0).integers(-30000, 30000, (3000, 2)).astype(np.int16)
  data = write_wav(tmp_path / "a.wav", values).read_bytes()
  rng, given = np.random.default_rng(1), 0
  for number in range(60):
    mutated = bytearray(data[: len(data) if number % 2 else int(rng.integers(1, len(data)))])
    for place in rng.integers(0, min(len(mutated), 60), 4):  # in the header, where it hurts
      mutated[place] = int(rng.integers(0, 256))
    (tmp_path / "b.wav").write_bytes(mutated)
    try:
      got = read_waveform(tmp_path / "b.wav")
      assert got.ndim == 1 and got.dtype == np.float32 and len(got)
      given += 1
    except MediaError as error:
      assert "b.wav" in str(error)
  assert given  # some were still readable


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_features_become_float32(tmp_path, dtype):
  array = np.arange(12).reshape(4, 3).astype(dtype)
  np.save(tmp_path / "a.npy", array)
  got = read_feature(tmp_path / "a.npy")
  assert got.dtype == np.float32 and np.array_equal(got, array)


@pytest.mark.reference
def test_a_film_of_the_reference_sounds_like_its_wave_file(shared):
  wav, film = shared / "media/data/test.wav", shared / "media/data/test.avi"
  if not (wav.is_file() and film.is_file()):
    pytest.skip(f"no {wav} or no {film}")
  one, two = read_waveform(wav), read_waveform(film)
  with wave.open(str(wav)) as file:
    assert len(one) == file.getnframes()
  count = min(len(one), len(two))
  assert abs(len(one) - len(two)) < 1600 and np.corrcoef(one[:count], two[:count])[0, 1] > 0.99
