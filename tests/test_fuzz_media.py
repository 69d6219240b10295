"""Damaged media files through the loader: each is read or is a MediaError, in bounded time and memory."""

import collections
import pathlib
import resource
import struct
import sys
import time
import wave

import av
import cv2
import numpy as np
import pytest

from jaction.batches import evaluation_batches
from jaction.clips.preprocessing import Preprocessing
from jaction.errors import MediaError
from jaction.records.record import Record
from jaction.records.sound import read_feature

SECONDS = 20  # for one file, on a busy machine
VIDEOS = {"mp4": "libx264", "avi": "mpeg4", "webm": "libvpx-vp9", "mkv": "libx264"}
PLAIN = {"mean": (0.0,), "std": (1.0,)}
FRAMES = Preprocessing("uniform", 1, 1, 4, 4, ("center_crop",), {"center_crop": {"size": 16}}, **PLAIN)
FEATURES = Preprocessing("uniform", 8, 1, 1, 8, (), {}, modality="spectrogram", **PLAIN)
SOUND = Preprocessing("uniform", 8, 1, 1, 8, ("mel",), {}, modality="spectrogram", **PLAIN)


def prepare(record, rng=None, cache=None):
  """Any kind of record as clips of one shape, and how long it took as its label."""
  began = time.monotonic()
  kind = {"npy": FEATURES, "wav": SOUND}.get(record.source.rsplit(".", 1)[1], FRAMES)
  try:
    kind(record, rng, cache)
  finally:
    assert time.monotonic() - began < SECONDS, record.source
  return {"clips": np.zeros((1, 1, 1, 1, 1), np.uint8), "label": 0}


def make_sources(folder, shared):
  found = []
  rng = np.random.default_rng(0)
  for ending, codec in VIDEOS.items():
    if codec not in av.codecs_available:
      continue
    path = folder / f"made.{ending}"
    with av.open(str(path), "w") as file:
      stream = file.add_stream(codec, rate=25, options={"g": "6"})
      stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
      for i in range(14):
        picture = np.roll(rng.integers(0, 256, (48, 64, 3), np.uint8), i, 1)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
      file.mux(stream.encode())
    found.append(path)
  for ending in ("jpg", "png", "webp", "bmp"):
    cv2.imwrite(str(folder / f"made.{ending}"), rng.integers(0, 256, (48, 64, 3), np.uint8))
    found.append(folder / f"made.{ending}")
  np.save(folder / "made.npy", rng.random((40, 8), np.float32))
  with wave.open(str(folder / "made.wav"), "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(16000)
    file.writeframes(rng.integers(-9000, 9000, 16000, np.int16).tobytes())
  found += [folder / "made.npy", folder / "made.wav"]
  if shared is not None:
    found += [path for name in ("test.mp4", "test.avi", "test.jpg", "test.wav") for path in [shared / name]]
  return [path for path in found if path.is_file()]


def flipped(data, other, rng):
  data = bytearray(data)
  for place in rng.integers(0, len(data), 1 + len(data) // 400):
    data[place] = int(rng.integers(256))
  return bytes(data)


def flipped_header(data, other, rng):
  data = bytearray(data)
  for place in rng.integers(0, min(len(data), 256), 6):
    data[place] = int(rng.integers(256))
  return bytes(data)


def huge(data, other, rng):
  """Sizes of 32 bits, of either order, that say much more than there is."""
  data = bytearray(data)
  for place in rng.integers(0, max(len(data) - 4, 1), 3):
    place = int(place) if rng.random() < 0.3 else int(place) % min(1024, max(len(data) - 4, 1))
    data[place : place + 4] = struct.pack(
      ">I" if rng.random() < 0.5 else "<I", int(rng.choice([2**31 - 1, 2**30, 65535]))
    )
  return bytes(data)


MUTATIONS = {
  "flipped": flipped,
  "flipped header": flipped_header,
  "huge": huge,
  "truncated": lambda data, other, rng: data[: int(rng.integers(1, len(data)))],
  "headers swapped": lambda data, other, rng: other[:200] + data[200:],
  "middle gone": lambda data, other, rng: data[: len(data) // 3] + data[len(data) // 2 :],
  "zeros": lambda data, other, rng: data[: len(data) // 4] + bytes(len(data) // 2),
  "empty": lambda data, other, rng: b"",
  "text": lambda data, other, rng: b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n" * int(rng.integers(1, 40)),
}


def mutants(folder, shared, count):
  sources, rng = make_sources(folder, shared), np.random.default_rng(1)
  contents = [path.read_bytes() for path in sources]
  assert len(sources) >= 9
  records, kinds = [], list(MUTATIONS)
  for i in range(count):
    number, kind = i % len(sources), kinds[(i // len(sources)) % len(kinds)]
    data = MUTATIONS[kind](contents[number], contents[int(rng.integers(len(sources)))], rng)
    path = folder / f"{i:04d}_{kind.replace(' ', '_')}{sources[number].suffix}"
    path.write_bytes(data)
    image = path.suffix in (".jpg", ".png", ".webp", ".bmp")
    records.append(Record(id=path.name, source=str(path), label=0, kind="image" if image else "video"))
  return records


def resident():
  """Bytes of memory that this process holds now."""
  text = pathlib.Path("/proc/self/statm")
  if text.exists():
    return int(text.read_text().split()[1]) * resource.getpagesize()
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def through_the_loader(records, **options):
  """(how many were read, how many were faults); every record is exactly one of them."""
  with evaluation_batches(records, prepare, batch_size=1, on_error="skip", **options) as batches:
    read, faults = [], {}
    for batch in batches:
      read += batch["index"][batch["mask"]].tolist()
    faults = {fault.number: fault for fault in batches.take_faults()}
  assert sorted([*read, *faults]) == list(range(len(records)))
  assert all(fault.reason for fault in faults.values())
  return len(read), len(faults)


def each(records):
  """Every file by itself, so that a fault names its file and no other stands in for it."""
  counts, slow = collections.Counter(), {}
  for record in records:
    began = time.monotonic()
    try:
      prepare(record)
      counts["read"] += 1
    except MediaError as error:
      assert record.id in str(error) or record.source in str(error), str(error)
      counts["bad"] += 1
    slow[record.id] = time.monotonic() - began
  return counts, slow


def test_damaged_files_are_read_or_are_media_errors(tmp_path):
  counts, slow = each(mutants(tmp_path, None, 90))
  assert counts.total() == 90 and min(counts["read"], counts["bad"]) > 9, counts
  assert max(slow.values()) < SECONDS, slow


def test_the_loader_counts_every_damaged_file(tmp_path):
  records = mutants(tmp_path, None, 50)
  records.insert(0, Record(id="good", source=str(tmp_path / "made.mp4"), label=0))
  read, bad = through_the_loader(records)
  assert read + bad == 51 and bad > 3


@pytest.mark.slow
@pytest.mark.reference
def test_a_thousand_damaged_real_files_leave_memory_as_it_was(tmp_path, shared):
  records = mutants(tmp_path, shared / "media" / "data", 1000)
  each(records[:200])
  before = resident()
  counts, slow = each(records)
  grown = resident() - before
  print(f"{dict(counts)}, slowest {max(slow, key=slow.get)} {max(slow.values()):.1f} s, grown {grown / 2**20:.0f} MiB")
  assert counts.total() == 1000 and min(counts["read"], counts["bad"]) > 100
  assert max(slow.values()) < SECONDS
  assert grown < 100 * 2**20


def header(text):
  text = text.encode().ljust(117) + b"\n"
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
  "shape", ["(4000000000, 8)", "(4611686018427387904, 4611686018427387904)", "(-1, 8)", "(40, 1000)"]
)
def test_features_that_claim_more_than_the_file_holds_are_refused_unread(shape, tmp_path):
  path = tmp_path / "huge.npy"
  path.write_bytes(header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}") + bytes(1280))
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  with pytest.raises(MediaError, match=r"huge\.npy"):
    read_feature(path)
  assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_pickled_features_are_refused(tmp_path):
  np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], object), allow_pickle=True)
  with pytest.raises(MediaError, match=r"pickled\.npy"):
    read_feature(tmp_path / "pickled.npy")
