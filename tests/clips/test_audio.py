"""Spectrograms by loops and by their own definition; clips along time; the preprocessing of sound."""

import dataclasses
import math
import wave

import numpy as np
import pytest

from jaction.clips import audio
from jaction.clips.device import normalize
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import InputError, MediaError
from jaction.records.frames import FrameCache
from jaction.records.record import Record

SOUND = {
  "modality": "spectrogram",
  "sampler": "uniform",
  "clip_len": 6,
  "frame_interval": 1,
  "num_clips": 2,
  "frames_per_view": 6,
  "steps": [],
  "settings": {},
  "mean": [0.0],
  "std": [1.0],
}
MEL = SOUND | {"steps": ["amplify", "mel"], "settings": {"amplify": {"ratio": 1.5}, "mel": {"bands": 12}}}


def make(**changes):
  return Preprocessing.from_json(SOUND | changes)


def feature(tmp_path, rows, name="a.npy", bands=5, **fields):
  array = np.random.default_rng(rows).normal(size=(rows, bands)).astype(np.float32)
  np.save(tmp_path / name, array)
  return Record(name, str(tmp_path / name), 1, **fields), array


def sounding(tmp_path, samples, rate=16000, **fields):
  values = (np.random.default_rng(samples).uniform(-0.5, 0.5, samples) * 32767).astype(np.int16)
  with wave.open(str(tmp_path / "a.wav"), "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(rate)
    file.writeframes(values.tobytes())
  return Record("a.wav", str(tmp_path / "a.wav"), 2, **fields), values.astype(np.float32) / 32768


def test_mel_bands_are_those_of_plain_loops():
  rate, size, hop, bands = 1000, 16, 8, 4
  sound = np.random.default_rng(0).normal(size=50).astype(np.float32)
  got = audio.mel_spectrogram(sound, rate=rate, window_ms=size, step_ms=hop, bands=bands)
  padded = [0.0] * (size // 2) + sound.tolist() + [0.0] * (size // 2)
  edges = [k / (bands + 1) * rate / 2 for k in range(bands + 2)]  # below 1000 Hz the scale is linear
  for row in range(1 + 50 // hop):
    part = [padded[row * hop + n] * (0.5 - 0.5 * math.cos(2 * math.pi * n / size)) for n in range(size)]
    power = []
    for k in range(size // 2 + 1):
      turned = sum(x * complex(math.cos(2 * math.pi * k * n / size), -math.sin(2 * math.pi * k * n / size))
                   for n, x in enumerate(part))  # fmt: skip
      power.append(abs(turned) ** 2)
    for band in range(bands):
      low, middle, high = edges[band : band + 3]
      total = 0.0
      for k, p in enumerate(power):
        hz = k * rate / size
        if low < hz < high:
          total += (
            p * ((hz - low) / (middle - low) if hz <= middle else (high - hz) / (high - middle)) * 2 / (high - low)
          )
      assert got[row, band] == pytest.approx(total, rel=1e-4, abs=1e-7)


def test_rows_are_cut_or_the_last_one_is_repeated_and_decibels_have_a_floor():
  sound = np.random.default_rng(0).normal(size=4000).astype(np.float32)
  plain = audio.mel_spectrogram(sound, bands=8)
  assert np.array_equal(audio.mel_spectrogram(sound, bands=8, rows=5), plain[:5])
  longer = audio.mel_spectrogram(sound, bands=8, rows=20)
  assert np.array_equal(longer[:16], plain) and np.array_equal(longer[16:], plain[[15] * 4])
  decibels = audio.mel_spectrogram(sound, bands=8, log=True)
  np.testing.assert_allclose(decibels, 10 * np.log10(plain), rtol=1e-4, atol=1e-4)
  silence = audio.mel_spectrogram(np.zeros(4000, np.float32), bands=8, log=True)
  np.testing.assert_allclose(silence, -100, atol=1e-4)  # the last bit is the machine's


def test_clips_of_a_feature_lie_along_its_own_rows(tmp_path):
  record, array = feature(tmp_path, 40)
  clips = make()(record)["clips"]
  starts = make().indices(40).reshape(2, 6)[:, 0]
  assert clips.shape == (2, 6, 5, 1) and clips.dtype == np.float32 and len(set(starts.tolist())) == 2
  for clip, start in zip(clips, starts, strict=True):
    assert np.array_equal(clip[..., 0], array[start : start + 6])
  assert np.array_equal(np.asarray(normalize(clips, (0.0,), (1.0,))), clips)


def test_a_feature_shorter_than_a_clip_is_followed_by_zeros(tmp_path):
  record, array = feature(tmp_path, 4)
  clips = make(twice_sample=True)(record)["clips"]
  assert clips.shape == (4, 6, 5, 1)
  for clip in clips:
    assert np.array_equal(clip[:4, :, 0], array) and not clip[4:].any()
  drawn = make()(record, np.random.default_rng(0))["clips"]
  assert drawn.shape == (2, 6, 5, 1)


def test_training_draws_other_clips_and_a_seed_the_same(tmp_path):
  record, array = feature(tmp_path, 200)
  one, same, other = (make()(record, np.random.default_rng(seed))["clips"] for seed in (0, 0, 1))
  assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_a_cut_counts_in_frames_of_the_video_where_the_record_knows_them(tmp_path):
  record, array = feature(tmp_path, 64, frames=32)
  cutting = make(steps=["cut"], settings={"cut": {"length": 16}})
  clips = cutting(record)["clips"]
  frames = cutting.indices(32).reshape(2, 6)
  for clip, inside in zip(clips, frames, strict=True):
    first, last = 2 * (inside[0] + 1), 2 * (inside[-1] + 1)
    assert np.array_equal(clip[: last - first, :, 0], array[first:last]) and not clip[last - first :].any()
  assert cutting(dataclasses.replace(record, frames=None))["clips"].shape == (2, 16, 5, 1)


def test_a_clip_of_a_waveform_is_a_part_of_the_whole_spectrogram(tmp_path):
  record, sound = sounding(tmp_path, 9000)
  clips = Preprocessing.from_json(MEL)(record)
  whole = audio.mel_spectrogram(1.5 * sound, bands=12)
  starts = Preprocessing.from_json(MEL).indices(len(whole)).reshape(2, 6)[:, 0]
  assert clips["clips"].shape == (2, 6, 12, 1) and clips["label"] == 2
  for clip, start in zip(clips["clips"], starts, strict=True):
    # the first and the last row see zeros where the whole has neighbours
    np.testing.assert_allclose(clip[1:-1, :, 0], whole[start + 1 : start + 5], rtol=1e-3, atol=1e-4 * whole.max())


def test_the_published_form_cuts_samples_and_fills_up_rows(tmp_path):
  record, sound = sounding(tmp_path, 9000, frames=20)
  steps = {"cut": {"length": 2000}, "amplify": {"ratio": 1.5}, "mel": {"rows": 10, "bands": 12}}
  form = make(steps=list(steps), settings=steps, num_clips=1)
  first = form.indices(20)[0]
  start = round((first + 1) / 20 * 9000)
  wanted = audio.mel_spectrogram(1.5 * sound[start : start + 2000], bands=12)
  clip = form(record)["clips"]
  assert clip.shape == (1, 10, 12, 1) and len(wanted) == 8
  np.testing.assert_allclose(clip[0, :, :, 0], wanted[[0, 1, 2, 3, 4, 5, 6, 7, 7, 7]], rtol=1e-4, atol=1e-6)


def test_a_cache_changes_nothing_and_holds_the_sound(tmp_path):
  cache = FrameCache(1 << 20)
  for data, record in ((SOUND, feature(tmp_path, 40)[0]), (MEL, sounding(tmp_path, 9000)[0])):
    form = Preprocessing.from_json(data)
    for _ in range(2):
      for seed in (None, 3):
        rng = [None if seed is None else np.random.default_rng(seed) for _ in range(2)]
        assert np.array_equal(form(record, rng[0], cache)["clips"], form(record, rng[1])["clips"])
  assert len(cache) == 2 and cache.nbytes == 40 * 5 * 4 + 9000 * 4


@pytest.mark.parametrize(
  "changes, wanted",
  [
    ({"frame_interval": 2}, "frame_interval is 2; wanted 1"),
    ({"frames_per_view": 3}, "frames_per_view is 3; wanted 6"),
    ({"sampler": "each_part", "num_clips": 1}, "sampler is 'each_part'; wanted uniform or dense"),
    ({"steps": ["resize"]}, "no step 'resize' for spectrogram; wanted names of cut, amplify, mel"),
    ({"steps": ["mel", "cut"], "settings": {"cut": {"length": 9}}}, "in the order cut, amplify, mel"),
    ({"steps": ["cut"]}, "cut needs the setting 'length'"),
    ({"steps": ["mel"], "settings": {"mel": {"band": 9}}}, "no setting 'band'.*Near it: bands"),
    ({"mean": [0.0, 0.0]}, "mean has 2 numbers; wanted one for each of the 1 channels"),
    ({"modality": "spectogram"}, "'spectogram'.*Near it: spectrogram"),
  ],
)
def test_what_sound_cannot_be_is_said_at_once(changes, wanted):
  with pytest.raises(InputError, match=wanted):
    make(**changes)


def test_files_of_another_kind_are_named(tmp_path):
  np.save(tmp_path / "flat.npy", np.zeros(9))
  (tmp_path / "text.npy").write_text("no array")
  np.save(tmp_path / "objects.npy", np.array([{}], object))
  np.savez(tmp_path / "many.npz", a=np.zeros((2, 2)))
  (tmp_path / "many.npz").rename(tmp_path / "many.npy")
  for name in ("flat.npy", "text.npy", "objects.npy", "many.npy", "absent.npy"):
    with pytest.raises(MediaError, match=name):
      make()(Record(name, str(tmp_path / name), 0))
  with pytest.raises(InputError, match='a.wav: wanted a .npy file of features, or the step "mel"'):
    make()(sounding(tmp_path, 100)[0])
