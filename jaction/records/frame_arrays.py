"""Frames that lie in one array or in memory: an .npy file, and images kept as bytes. The interface is `Video`'s."""

import io
from collections.abc import Iterable, Sequence

import numpy as np

from jaction.errors import MediaError
from jaction.records.facts import check_indices
from jaction.records.paths import is_remote, read_remote


class NpyFrames:
  """An .npy file of uint8 frames [T, H, W, 3], RGB, or [T, H, W, 2] of flow; only the frames wanted are read.

  Attributes:
    channels, num_frames, width, height.
  """

  def __init__(self, path: str):
    """MediaError, which names the file, where it is absent, truncated, or holds anything else."""
    self.name = path
    try:
      if is_remote(path):
        self._frames = np.load(io.BytesIO(read_remote(path)), allow_pickle=False)
      else:
        self._frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
      raise MediaError(f"{path}: no .npy file of frames that can be read ({error})") from None
    array = self._frames
    if not isinstance(array, np.ndarray) or array.ndim != 4 or array.dtype != np.uint8 or array.shape[3] not in (2, 3):
      held = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else "an archive"
      raise MediaError(f"{path}: holds {held}; uint8 [T, H, W, 3], or [T, H, W, 2] of flow, was wanted")
    self.num_frames, self.height, self.width, self.channels = array.shape
    if not array.size:
      raise MediaError(f"{path}: holds no frame, its shape is {list(array.shape)}")

  def __enter__(self) -> "NpyFrames":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def close(self) -> None:
    """The mapping ends with the object."""

  def read(self, indices: Iterable[int]) -> np.ndarray:
    """Frames `indices`, in any order and with repeats: uint8 [n, height, width, channels], as `Video.read`."""
    return np.asarray(self._frames[check_indices(indices, self.num_frames, self.name)])


class ImageFrames:
  """Frames as encoded images in memory, each decoded when it is read.

  Attributes:
    channels: 3.
    num_frames, width, height: the size is the first image's.
  """

  channels = 3

  def __init__(self, images: Sequence[bytes], name: str):
    """`images`: JPEG or PNG; `name`: what errors call them. MediaError where there is none, or the first is damaged."""
    if not images:
      raise MediaError(f"{name}: holds no frame")
    self.name, self._images = name, images
    self.num_frames = len(images)
    self.height, self.width = self._image(0).shape[:2]

  def __enter__(self) -> "ImageFrames":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def close(self) -> None:
    """Nothing is held open."""

  def read(self, indices: Iterable[int]) -> np.ndarray:
    """Frames `indices`, in any order and with repeats: uint8 [n, height, width, 3], RGB, as `Video.read`."""
    wanted = check_indices(indices, self.num_frames, self.name).tolist()
    decoded = {index: self._image(index) for index in set(wanted)}
    for index, image in decoded.items():
      if image.shape != (self.height, self.width, 3):
        raise MediaError(
          f"{self.name}: frame {index} has {image.shape[1]}x{image.shape[0]} pixels, "
          f"the first {self.width}x{self.height}"
        )
    return np.stack([decoded[index] for index in wanted]) if wanted else np.empty((0, self.height, self.width, 3), "u1")

  def _image(self, index: int) -> np.ndarray:
    return decode_image(self._images[index], f"{self.name}: frame {index}")


def decode_image(data: bytes, name: str, *, grey: bool = False) -> np.ndarray:
  """The bytes of an image file, as `read_image` gives it; `name` is what an error calls it."""
  import cv2  # here, since sets of video files never need it

  # A JPEG that is cut off would be decoded with its rest in grey: its end mark must be there.
  whole = not data.startswith(b"\xff\xd8") or b"\xff\xd9" in data[-2048:]
  try:
    image = (
      cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
      if data and whole
      else None
    )
  except cv2.error:
    image = None
  if image is None:
    raise MediaError(
      f"{name}: {'no image that can be decoded' if whole else 'a JPEG that is cut off'} ({len(data)} bytes)"
    )
  return image if grey else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
