"""Odd video files, made on the spot, and the slow sure way to read them."""

import fractions
import pathlib
import struct

import av
import numpy as np
import pytest

TICKS = fractions.Fraction(1, 90000)
X264 = {"x264-params": "keyint=10:min-keyint=10:scenecut=0:bframes=3:b-pyramid=normal"}

OTHERS = {
  "libx265": {"preset": "ultrafast", "x265-params": "keyint=12:min-keyint=12:bframes=3:open-gop=1:log-level=none"}
}


def pictures(count: int, height: int, width: int) -> np.ndarray:
  """Blocks that move, and a square whose grey names the frame."""
  rng = np.random.default_rng(count)
  blocks = (
    rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8).repeat(8, 0).repeat(8, 1)[:height, :width]
  )
  frames = np.stack([np.roll(blocks, (2 * i, 3 * i), (0, 1)) for i in range(count)])
  frames[:, :8, :8] = (np.arange(count) * 37 % 256)[:, None, None, None]
  return frames


class Films:
  """Makes files in one folder; each method returns the path of a new one."""

  def __init__(self, folder):
    self.folder = folder

  def make(
    self,
    name,
    *,
    count=40,
    codec="libx264",
    options=X264,
    size=(48, 64),
    pixels="yuv420p",
    pts=None,
    title="",
    **container,
  ):
    """`count` pictures in a file of this name; pts in ticks of 1/90000 s, 25 frames a second by default."""
    path = str(self.folder / name)
    with av.open(path, "w", **container) as file:
      if title:
        file.metadata["title"] = title
      stream = file.add_stream(codec, rate=25, options=dict(options if codec == "libx264" else OTHERS.get(codec, {})))
      stream.height, stream.width = size
      stream.pix_fmt = pixels
      rated = codec in ("mpeg4", "mjpeg", "gif", "libx265")  # whose clock is the frame rate
      stream.codec_context.time_base = fractions.Fraction(1, 25) if rated else TICKS
      if codec == "mpeg4":
        stream.codec_context.max_b_frames = 2
      for i, picture in enumerate(pictures(count, *size)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.time_base = fractions.Fraction(1, 25) if rated else TICKS
        frame.pts = i if rated else i * 3600 if pts is None else int(pts[i])
        file.mux(stream.encode(frame))
      file.mux(stream.encode())
    return path

  def packets(self, source, name, keep, **container):
    """The packets of `source` for which keep(i, packet) gives a packet, in a file of this name."""
    path = str(self.folder / name)
    with av.open(source) as old, av.open(path, "w", **container) as new:
      stream = old.streams.video[0]
      if hasattr(new, "add_stream_from_template"):
        copy = new.add_stream_from_template(stream)
      else:
        copy = new.add_stream(template=stream)
      muxed = False
      for i, packet in enumerate(p for p in old.demux(stream) if p.size):
        packet = keep(i, packet)
        if packet is not None:
          packet.stream = copy
          new.mux(packet)
          muxed = True
      if not muxed:
        new.start_encoding()  # writes the header
    return path

  def turned(self, source, name, matrix):
    """An mp4 with the display matrix (a, b, c, d) written into its track header (ISO 14496-12, 8.3.2)."""
    data = bytearray(pathlib.Path(source).read_bytes())
    start = data.index(b"tkhd") + 4
    start += 40 if data[start] == 0 else 52
    a, b, c, d = (value << 16 for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return self.write(name, bytes(data))

  def write(self, name, data):
    path = str(self.folder / name)
    with open(path, "wb") as file:
      file.write(data)
    return path


@pytest.fixture
def films(tmp_path):
  return Films(tmp_path)


def decode_all(source) -> np.ndarray:
  """The twin of `Video`: every frame in order, as PyAV alone gives them, with nothing skipped and nothing sought."""
  frames = []
  with av.open(source) as file:
    stream = file.streams.video[0]
    stream.codec_context.thread_count = 1
    try:
      for packet in file.demux(stream):
        try:
          frames += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
        except av.FFmpegError:
          pass
    except av.FFmpegError:
      pass
  return np.stack(frames)


@pytest.fixture(name="decode_all")
def decode_all_fixture():
  return decode_all
