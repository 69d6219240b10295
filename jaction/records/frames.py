"""The frames of any record, in colour or as optical flow, and a bounded memory of decoded ones."""

import collections
import dataclasses
import os
import string
import threading
from collections.abc import Callable, Hashable, Iterable

import numpy as np

from jaction.errors import InputError, MediaError
from jaction.records.array_records import holds_images, stored_file, stored_values
from jaction.records.facts import check_indices
from jaction.records.frame_arrays import ImageFrames, NpyFrames, decode_image
from jaction.records.paths import exists, is_dir, is_remote, join, read_remote
from jaction.records.record import Record
from jaction.records.video import Video


class FrameFolder:
  """The frames of a folder of images, with the interface of `Video`; frame i is image `first + offset + i`.

  A template of two fields, such as "flow_{}_{:05d}.jpg", names the images of optical flow: its frames are the grey
  images "x" and "y" of a number, as two channels.

  Attributes:
    channels: 3, or 2 of flow.
    num_frames: what the record says, or where it says nothing, how many images follow each other from the first on.
    width, height: pixels, of the first image.
  """

  def __init__(self, record: Record):
    if record.template is None:
      raise InputError(f"{record.source}: a folder of frames needs a template for their names, like 'img_{{:05d}}.jpg'")
    self.name = record.source
    self._folder, self._template, self._first = record.source, record.template, record.first + record.offset
    if not is_dir(record.source):
      raise MediaError(f"{record.source}: there is no such folder of frames")
    self.channels = 2 if is_flow(record.template) else 3
    self.num_frames = self._counted() if record.frames is None else record.frames
    if self.num_frames < 1:
      raise MediaError(f"{' or '.join(self._paths(0))}: there is no such image, so the folder has no frames")
    self._size: tuple[int, ...] | None = None

  def __enter__(self) -> "FrameFolder":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def close(self) -> None:
    """Nothing is held open."""

  @property
  def height(self) -> int:
    return self._shape()[0]

  @property
  def width(self) -> int:
    return self._shape()[1]

  def read(self, indices: Iterable[int]) -> np.ndarray:
    """Frames `indices`, in any order and with repeats: uint8 [n, height, width, 3], RGB, or [n, height, width, 2].

    Raises InputError for an index outside [0, num_frames), MediaError, which names the image, for one that is absent,
    cannot be decoded, or has another size than the rest.
    """
    wanted = check_indices(indices, self.num_frames, self.name)
    images: dict[int, np.ndarray] = {}
    for index in wanted.tolist():
      if index not in images:
        images[index] = self._image(index)
    if not images:
      return np.empty((0, *self._shape(), self.channels), np.uint8)
    return np.stack([images[index] for index in wanted.tolist()])

  def _paths(self, index: int) -> list[str]:
    """Of the image, or of the two of flow."""
    parts = [("x",), ("y",)] if self.channels == 2 else [()]
    return [join(self._folder, self._template.format(*part, self._first + index)) for part in parts]

  def _counted(self) -> int:
    count = 0
    while all(map(exists, self._paths(count))):
      count += 1
    return count

  def _shape(self) -> tuple[int, ...]:
    return self._size or self._image(0).shape[:2]

  def _read(self, path: str, index: int) -> np.ndarray:
    try:
      return read_image(path, grey=self.channels == 2)
    except FileNotFoundError:
      raise MediaError(f"{path}: there is no such image; it is frame {index} of {self.num_frames}") from None

  def _image(self, index: int) -> np.ndarray:
    paths = self._paths(index)
    path, *others = paths
    if others:
      x, y = (self._read(path, index) for path in paths)
      if x.shape != y.shape:
        raise MediaError(f"{others[0]}: is {y.shape[1]}x{y.shape[0]}, {path} {x.shape[1]}x{x.shape[0]}")
      image = np.stack([x, y], axis=-1)
    else:
      image = self._read(path, index)
    size = image.shape[:2]
    if self._size is None:
      self._size = size
    if size != self._size:
      raise MediaError(
        f"{path}: {size[1]}x{size[0]} pixels, where frames read before have {self._size[1]}x{self._size[0]}"
      )
    return image


def is_flow(template: str | None) -> bool:
  """Whether a template names images of flow: it has a field for "x" and "y", then one like {:05d} for the number."""
  forms = [form for _, field, form, _ in string.Formatter().parse(template or "") if field is not None]
  return len(forms) == 2 and not forms[0] and bool(forms[1])


def read_image(path: str, *, grey: bool = False) -> np.ndarray:
  """An image file as uint8 [height, width, 3], RGB, or with `grey` [height, width].

  MediaError where it is damaged, FileNotFoundError where absent.
  """
  if is_remote(path):
    return decode_image(read_remote(path), path, grey=grey)
  try:
    with open(path, "rb") as file:
      data = file.read()
  except FileNotFoundError:
    raise
  except OSError as error:
    raise MediaError(f"{path}: cannot be read ({error.strerror})") from None
  return decode_image(data, path, grey=grey)


Frames = Video | FrameFolder | NpyFrames | ImageFrames


def open_frames(record: Record, *, flow: bool = False, motion: bool = False) -> Frames:
  """The frames of a record, whatever they lie in: use it in a `with`.

  With `motion` they are a video's motion vectors, as pictures of two channels (records/motion.py).  InputError where
  they are no optical flow and `flow` is wanted, or the other way round: it is not computed here.
  """
  if record.kind not in ("video", "image"):
    raise InputError(f"{record.source}: is a sound ({record.kind}), pictures were wanted")
  if motion and (record.template is not None or record.kind != "video" or record.source.endswith(".npy")):
    raise InputError(f"{record.source}: motion vectors are told by video files alone")
  if record.template is None and record.stored is None and record.data is None and record.source.endswith(".npy"):
    return _npy(record, flow)
  if flow != is_flow(record.template):
    held = f"a {record.kind} file" if record.template is None else f"images named {record.template!r}"
    wanted = "optical flow, grey images named like 'flow_{}_{:05d}.jpg'" if flow else "pictures in colour"
    raise InputError(f"{record.source}: holds {held}; {wanted}, were wanted (flow is not computed from a video)")
  if record.stored is not None and record.data is None and (file := stored_file(record)) is not None:
    return Video(file, name=record.source, motion=motion)
  if record.stored is not None or record.data is not None:
    values = stored_values(record) if record.data is None else [record.data]
    if not holds_images(values[0]):
      return Video(values[0], name=record.source, motion=motion)
    if motion:
      raise InputError(f"{record.source}: holds images; motion vectors are told by videos alone")
    return ImageFrames(values, record.source)
  if record.kind == "image" and record.template is None:
    folder, name = os.path.split(record.source)
    template = name.replace("{", "{{").replace("}", "}}")  # whatever its number
    return FrameFolder(dataclasses.replace(record, source=folder, template=template, frames=1, offset=0))
  if record.template is not None:
    return FrameFolder(record)
  if is_remote(record.source):
    return Video(read_remote(record.source), name=record.source, motion=motion)
  return Video(record.source, motion=motion)


def _npy(record: Record, flow: bool) -> NpyFrames:
  frames = NpyFrames(record.source)
  if flow != (frames.channels == 2):
    wanted = "2, of optical flow, were" if flow else "3, of colour, were"
    raise InputError(f"{record.source}: frames of {frames.channels} channels; {wanted} wanted")
  return frames


class FrameCache:
  """Keeps decoded arrays up to a number of bytes, and drops those unused for longest. Any thread may use it."""

  def __init__(self, max_bytes: int):
    """`max_bytes`: 0 keeps nothing."""
    if max_bytes < 0:
      raise InputError(f"a cache of {max_bytes} bytes; 0 or more was wanted")
    self.max_bytes = max_bytes
    self._arrays: collections.OrderedDict[Hashable, np.ndarray] = collections.OrderedDict()
    self._bytes = 0
    self._lock = threading.Lock()

  def __len__(self) -> int:
    return len(self._arrays)

  @property
  def nbytes(self) -> int:
    """Bytes kept now, never above `max_bytes`."""
    with self._lock:
      return self._bytes

  def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array kept under `key`, or what `make()` gives, which is then kept if it is no larger than the cache.

    The array is read-only, since others are given the same one. `make` runs without the lock: two threads that miss the
    same key at once both run it, and both are given the array of the one that was done first. What it raises passes on.
    """
    with self._lock:
      if key in self._arrays:
        self._arrays.move_to_end(key)
        return self._arrays[key]
    array = np.asarray(make())
    if array.base is not None:  # a view would keep bytes that are not counted
      array = array.copy()
    array.setflags(write=False)
    with self._lock:
      if key in self._arrays:
        return self._arrays[key]
      if array.nbytes <= self.max_bytes:
        self._arrays[key] = array
        self._bytes += array.nbytes
        while self._bytes > self.max_bytes:
          self._bytes -= self._arrays.popitem(last=False)[1].nbytes
    return array
