"""Exact frames of a video file: frame i is the i-th frame that decoding the whole file would show.

The packets' timestamps are read without decoding, so a frame is found by seeking to the keyframe at or before it and
decoding up to its timestamp. That rests on one timestamp per shown frame; where a file or a codec does not give it
(packed B-frames in AVI, interlaced fields in packets of their own, elementary streams), frames are counted from the
start instead. A timestamp that does not come out after a seek is looked for once more from the start of the file; not
found there either, it is a MediaError: a neighbour never stands in for it.
"""

import contextlib
import io
import itertools
import os
from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from jaction.errors import InputError, MediaError
from jaction.records.facts import check_file, check_indices, is_cover, is_hidden, orientation
from jaction.records.motion import motion_image, motion_picture
from jaction.records.runs import plan
from jaction.records.shard_files import StoredFile

# Codecs whose packets carry the timestamp of the one frame they hold; the others are counted.
INDEXED = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "libdav1d"})
# Containers that store each packet's time of showing; the others' are guessed, and the guess after a seek may differ
# (H.264 in AVI gave wrong frames).
TIMED = frozenset({"mov", "mp4", "matroska", "webm", "flv"})
# Colour conversion in one thread, as decoding: newer PyAV would start one per core for each open video.
ONE_THREAD = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}
# A title that is no UTF-8 is no reason to refuse a film; PyAV 19 never does, and has no such argument.
ANY_TITLE: dict[str, Any] = {"metadata_errors": "replace"} if "metadata_errors" in (av.open.__doc__ or "") else {}
# Decoders that can leave out pictures on which no other rests: the way from a keyframe to a wanted frame is shorter.
SKIPPING = frozenset({"h264", "hevc"})
HIDING = frozenset({"vp8", "vp9"})  # codecs with pictures that are never shown in packets of their own
VECTORS = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})  # codecs whose decoders tell motion vectors
NEAR = 8  # packets that are quicker decoded than skipped by a seek in the file
IO_BYTES = 1 << 16  # read at once from what is no file of the system's: a block of a shard
KEPT_PACKETS = 8 << 20  # bytes of compressed packets that an open video keeps, so that reading need not seek the file
KEPT_BYTES = 64 << 20  # decoded (not yet RGB) frames that counting a file may keep for the read that follows


class Video:
  """A video file's frames, in the order and the orientation in which they are shown.

  Rotation and mirroring tags are applied; the shape of pixels is not. Frames of another size than the first (a stream
  may change it) are scaled to the first's. A truncated file has the frames whose packets are whole. In a damaged file
  frame i is still the frame of its time, smeared where the decoder conceals a loss, or a MediaError where it gives
  none; what it conceals with may differ from one reading to the next.

  An open Video is for one thread at a time, and holds a file open: use it in a `with`.

  Attributes:
    num_frames: frames shown, at least 1.
    times: float64 [num_frames], seconds, as the file has them: the first need not be 0. Even where it has none.
    fps: mean frames per second (1.0 where the file has one frame and no rate).
    width, height: pixels, as shown.
  """

  def __init__(
    self,
    source: str | os.PathLike | bytes | StoredFile,
    *,
    threads: int = 1,
    name: str | None = None,
    motion: bool = False,
  ):
    """Opens a path, a whole file's bytes, or a file in a shard, which is closed with the video.

    `threads`: of the decoder; more than 1 pays only for large pictures.
    `name`: what errors call it; by default the path, or how many bytes they are.
    `motion`: a frame is not its picture but its motion vectors, [height, width, 2]: see records/motion.py.

    Raises InputError for motion vectors of a codec that tells none, MediaError, which names the file, where it is
    absent, holds no video, or no frame of it can be decoded.
    """
    held = isinstance(source, bytes | StoredFile)
    self.name = name or (f"<{len(source)} bytes>" if held else os.fspath(source))
    self._source = source
    self._threads = threads
    self._motion = motion
    self.channels = 2 if motion else 3
    self._container: Any = None  # None when closed, as the stream
    self._reformatter = VideoReformatter()  # one for all frames: making its tables costs a third of the time
    self._stream: Any = None
    self._kept: list[av.VideoFrame] | None = None
    self._held: list[av.Packet] | None = None  # all packets, of a file that is not counted
    self._begun: tuple[list[av.VideoFrame], int] | None = None  # what the decoder gave for the first so many packets
    self._pts: list[Any] = []  # of the frames, in order
    self._numbers: dict[Any, int] = {}  # of the packets, by their timestamps
    if not held:
      check_file(os.fspath(source))
    try:
      self._stream = self._open()
      self._index()
    except BaseException:
      self.close()
      raise

  def __enter__(self) -> "Video":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def close(self) -> None:
    """Closes the file; reading afterwards is an InputError. Closing twice is fine."""
    self._kept = self._held = self._begun = None
    self._stream = None
    container, self._container = self._container, None
    if container is not None:
      container.close()
    if isinstance(self._source, StoredFile):
      self._source.close()

  def read(
    self, indices: Iterable[int], each: Callable[[np.ndarray, np.ndarray | None], np.ndarray] | None = None
  ) -> np.ndarray:
    """Frames `indices`, in any order and with repeats: uint8 [n, height, width, 3], RGB (with `motion` [..., 2]).

    `each(frame, out)`: what is done to each frame right after decoding, while it is in the processor's cache and the
    whole ones need not be kept: it gives an array of one shape for all, or writes into `out` where that is no None.

    Raises InputError for an index outside [0, num_frames), MediaError for a frame that cannot be decoded.
    """
    wanted = check_indices(indices, self.num_frames, self.name)
    if self._stream is None:
      raise InputError(f"{self.name}: read after close")
    each = _copied if each is None else each
    frames: np.ndarray | None = None
    if not len(wanted):
      return np.empty((0, self.height, self.width, self.channels), np.uint8)
    places: dict[int, list[int]] = {}
    for place, index in enumerate(wanted.tolist()):
      places.setdefault(index, []).append(place)
    with self._errors("decoded"):
      for index, frame in self._find(sorted(places)):
        first, *others = places.pop(index)
        picture = self._vectors(frame) if self._motion else self._rgb(frame)
        if frames is None:
          made = each(picture, None)
          frames = np.empty((len(wanted), *made.shape), made.dtype)
          frames[first] = made
        else:
          each(picture, frames[first])
        for place in others:
          frames[place] = frames[first]
    if places or frames is None:
      index = min(places)
      raise MediaError(
        f"{self.name}: frame {index} of {self.num_frames} ({self.times[index]:.3f} s) cannot be decoded; the file is "
        "damaged there, other frames may still be read"
      )
    return frames

  # Opening

  @contextlib.contextmanager
  def _errors(self, verb: str) -> Iterator[None]:
    try:
      yield
    except (FFmpegError, EOFError, OSError) as error:
      text = getattr(error, "strerror", None) or str(error)
      raise MediaError(f"{self.name}: cannot be {verb} ({text})") from None

  def _open(self) -> "av.VideoStream":
    """The file's first moving picture, at its start. Opens the file again where it is open: the one sure way there."""
    if self._container is not None:
      self._container.close()
    # The prefix and the list of protocols: a name is a name, never an address, and a playlist opens no connection.
    if isinstance(self._source, bytes):
      source: Any = io.BytesIO(self._source)
    elif isinstance(self._source, StoredFile):
      source = self._source
      source.seek(0)
    else:
      source = "file:" + os.path.abspath(self._source)
    options = {"protocol_whitelist": "file"}
    with self._errors("opened as a video"):
      self._container = av.open(source, container_options=options, buffer_size=IO_BYTES, **ANY_TITLE)
    streams = [s for s in self._container.streams.video if not is_cover(s)]
    text = self._container.format.name == "tty"  # FFmpeg takes any text for the film of a terminal
    if not streams or text:
      kinds = ["text"] if text else sorted({s.type for s in self._container.streams if s.type != "video"})
      raise MediaError(f"{self.name}: holds no video, only {', '.join(kinds) or 'a still picture or nothing known'}")
    stream = streams[0]
    if stream.codec_context is None:
      raise MediaError(f"{self.name}: no decoder for its video")
    if self._motion:
      if stream.codec_context.name not in VECTORS:
        raise InputError(
          f"{self.name}: {stream.codec_context.name} video gives no motion vectors; wanted {', '.join(sorted(VECTORS))}"
        )
      stream.codec_context.options = {"flags2": "+export_mvs"}
    stream.codec_context.thread_count = self._threads
    stream.codec_context.thread_type = "AUTO" if self._threads > 1 else "NONE"
    return stream

  def _index(self) -> None:
    """Reads every packet's timestamps, and decodes the first frame only; or counts, where timestamps will not do."""
    codec = self._stream.codec_context.name
    begun: list[av.VideoFrame] = []
    packets, keys, size, fed = 0, [], 0, 0
    shown: list[Any] = []
    kept: list[av.Packet] = []
    hides = codec in HIDING
    for packet in self._packets():
      length, time, number = packet.size, packet.pts, packets
      size += length
      packets += 1
      if size <= KEPT_PACKETS:
        kept.append(packet)
      if packet.is_keyframe and time is not None:
        keys.append((time, time if packet.dts is None else min(time, packet.dts), number))
      if not packet.is_discard and not (hides and is_hidden(codec, packet)):
        shown.append(time)
        self._numbers[time] = number
      if not begun:
        begun, fed = list(self._decode([packet])), packets
    drained = not begun
    if drained:
      begun = list(self._decode([], flush=True))
    first = begun[0] if begun else None
    if first is None:
      raise MediaError(f"{self.name}: {packets} packets of {codec} video, of which not one frame can be decoded")
    self._turn, self._size = orientation(first), (first.width, first.height)
    self.width, self.height = self._size[::-1] if self._turn[0] else self._size
    timed = not TIMED.isdisjoint(self._container.format.name.split(",")) and codec in INDEXED
    self._counted = not timed or None in shown or len(set(shown)) < len(shown) or bool(first.interlaced_frame)
    if not self._counted:
      # What precedes the first frame that comes out is never shown: pictures whose references lie before the file.
      pts = sorted(p for p in shown if first.pts is not None and p >= first.pts)
      self._counted = not pts or pts[0] != first.pts
    if self._counted:
      pts = self._count()
    elif size <= KEPT_PACKETS:
      self._held, self._begun = kept, None if drained else (begun, fed)
    self._pts, self._keys = pts, sorted(keys)
    self.num_frames = len(pts)
    rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
    if None in pts or (np.diff(pts) <= 0).any():
      self.fps = rate or 1.0
      self.times = np.arange(len(pts)) / self.fps
    else:
      self.times = np.array(pts, np.float64) * float(self._stream.time_base)
      mean = (len(pts) - 1) / (self.times[-1] - self.times[0]) if len(pts) > 1 else rate or 1.0
      self.fps = (
        rate if abs(rate - mean) < 0.01 * mean else float(mean)
      )  # the exact rate, where the header has it right

  def _count(self) -> list[Any]:
    """The timestamps of all frames, by decoding them; keeps the frames while they are few."""
    self._stream = self._open()
    kept, size, pts = [], 0, []
    for frame in self._decode(self._packets(), flush=True):
      pts.append(frame.pts)
      size += sum(plane.buffer_size for plane in frame.planes)
      if size > KEPT_BYTES:
        kept.clear()
      else:
        kept.append(frame)
    self._kept = kept if size <= KEPT_BYTES else None
    return pts

  # Reading

  def _packets(self) -> Iterator[av.Packet]:
    """Packets from where the file stands, up to its end or to where it cannot be read on."""
    with contextlib.suppress(FFmpegError, OSError):  # OSError: of a StoredFile
      for packet in self._container.demux(self._stream):
        if packet.size and not packet.is_corrupt:  # an empty packet would end the decoder; a corrupt one is cut short
          yield packet

  def _decode(
    self, packets: Iterable[av.Packet], *, flush: bool = False, wanted: Container[Any] | None = None
  ) -> Iterator[av.VideoFrame]:
    """The frames that come out, in the order shown; a packet that the decoder refuses gives none.

    With `wanted`, timestamps, frames of others may be left out where no frame rests on them.
    """
    codec = self._stream.codec_context
    needed = wanted if codec.name in SKIPPING else None
    skipping = False
    codec.skip_frame = "DEFAULT"
    for packet in itertools.chain(packets, [None] if flush else []):
      if needed is not None and skipping != (packet is not None and packet.pts not in needed):
        skipping = not skipping
        codec.skip_frame = "NONREF" if skipping else "DEFAULT"
      try:
        frames = codec.decode(packet)
      except FFmpegError:
        continue
      yield from frames

  def _find(self, indices: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """(index, frame) for the ascending `indices` that can be found."""
    if self._kept is not None:
      yield from ((index, self._kept[index]) for index in indices)
      return
    if self._counted:
      yield from self._scan({index: index for index in indices}, lambda at, frame: at)
      return
    missing: dict[Any, int] = {}
    gap = 0 if self._held is not None else NEAR
    for key, run in plan(indices, self._pts, self._keys, self._numbers, gap):
      left = {self._pts[index]: index for index in run}
      for frame in self._run(key, run):
        index = left.pop(frame.pts, None)
        if index is not None:
          yield index, frame
        if not left:
          break
      missing |= left
    if missing:
      yield from self._scan(missing, lambda at, frame: frame.pts)

  def _run(self, key: int, run: list[int]) -> Iterator[av.VideoFrame]:
    """What decoding from a keyframe up to the last packet of the run's frames gives.

    No frame rests on packets behind its own: the decoder gives those that it holds back without being fed more.
    """
    wanted = {self._pts[index] for index in run}
    end = self._pts[max(run, key=lambda index: self._numbers[self._pts[index]])]
    begun, self._begun = self._begun, None
    if self._held is not None:
      start = self._keys[key][2] if key >= 0 else 0
      stop = self._numbers[end] + 1
      if begun is not None and start == 0 and begun[1] <= stop:
        return itertools.chain(begun[0], self._decode(self._held[begun[1] : stop], flush=True, wanted=wanted))
      self._stream.codec_context.flush_buffers()
      return self._decode(self._held[start:stop], flush=True, wanted=wanted)
    return self._decode(self._up_to(end, self._seek(key, run[0])), flush=True, wanted=wanted)

  def _up_to(self, pts: Any, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Packets up to that of the frame of this timestamp, which is the last."""
    codec = self._stream.codec_context.name
    for packet in packets:
      yield packet
      if packet.pts == pts and not is_hidden(codec, packet):
        return

  def _seek(self, key: int, index: int = 0) -> Iterator[av.Packet]:
    """Packets from keyframe `key` on, or from an earlier one, or from the start of the file (-1).

    `index` is the frame that is looked for: the keyframe's own time often leads to the one before it, since an edit
    list, or pictures out of order, shift the times by which a container seeks.
    """
    if key >= 0:
      (pts, dts, _), later = self._keys[key], min(index + 2, self.num_frames - 1)
      packets = None
      for time in (self._pts[index], self._pts[later], dts):
        packets = self._packets_at(time)
        if packets is not None and packets[0].pts == pts:
          break
      if packets is not None and packets[0].pts <= pts:
        return itertools.chain(*packets[1])
    self._stream = self._open()
    return self._packets()

  def _packets_at(self, time: int) -> tuple[av.Packet, tuple[Iterable[av.Packet], ...]] | None:
    """The keyframe to which a seek leads, and all packets from it on; None where it leads nowhere."""
    try:
      self._container.seek(time, stream=self._stream)
    except FFmpegError:
      return None
    packets = itertools.dropwhile(lambda packet: not packet.is_keyframe or packet.pts is None, self._packets())
    start = next(packets, None)
    return None if start is None else (start, ([start], packets))

  def _all(self) -> Iterator[av.VideoFrame]:
    self._begun = None
    if self._held is None:
      return self._decode(self._seek(-1), flush=True)
    self._stream.codec_context.flush_buffers()
    return self._decode(self._held, flush=True)

  def _scan(self, wanted: dict, name: Callable[[int, av.VideoFrame], Hashable]) -> Iterator[tuple[int, av.VideoFrame]]:
    """(wanted[name(i, frame)], frame) for the frames from the file's start on, until none is wanted any more."""
    for at, frame in enumerate(self._all()):
      index = wanted.pop(name(at, frame), None)
      if index is not None:
        yield index, frame
      if not wanted:
        return

  def _vectors(self, frame: av.VideoFrame) -> np.ndarray:
    if (frame.width, frame.height) != self._size:
      raise MediaError(f"{self.name}: its pictures change their size, and motion vectors do not scale")
    field, (transpose, flip_rows, flip_columns) = motion_picture(frame), self._turn
    if transpose:
      field = field.swapaxes(0, 1)[..., ::-1]
    turned = field[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return motion_image(turned * np.float32([-1 if flip_columns else 1, -1 if flip_rows else 1]))

  def _rgb(self, frame: av.VideoFrame) -> np.ndarray:
    width, height = self._size
    plane = self._reformatter.reformat(frame, width=width, height=height, format="rgb24", **ONE_THREAD).planes[0]
    buffer: Any = plane
    rows = np.frombuffer(buffer, np.uint8).reshape(height, plane.line_size)  # a view; rows may end in padding
    picture = rows[:, : 3 * width].reshape(height, width, 3)
    transpose, flip_rows, flip_columns = self._turn
    picture = picture.swapaxes(0, 1) if transpose else picture
    return picture[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def _copied(frame: np.ndarray, out: np.ndarray | None) -> np.ndarray:
  if out is None:
    return frame
  out[...] = frame
  return out
