"""One annotated video, image or sound: where it lies, and what is said about it."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
  """A video file, a folder of images, an image or a sound, with its labels.

  Frames count from 0, whatever the files are called.

  Fields:
    id: what people call it, the path or name as the annotation file has it; need not be unique.
    source: absolute path of the file, or of the folder of images; may have a scheme that fsspec knows (gs://, s3://).
    label: the class of a single-label set, else None.
    labels: the classes of a multi-label set, else ().
    frames: number of frames of a folder of images, or of the video that a sound belongs to, as its list says; None for
      a video file, which is asked itself.
    offset: frame 0 is image `first + offset` of the folder (a list may name a part of a folder).
    template: None for a video file; for a folder of images the name of image i, such as "img_{:05d}.jpg".
    first: number in the name of the folder's first image; 1 in MMAction2's sets.
    kind: "video" (a file, or with a template a folder of images), "image", "audio" (a wave file) or "features" (npy).
    known: the ranges [low, high) of classes that somebody looked for in a multi-label set; () where all of them were.
      A class in none of them is neither there nor absent, and belongs under the loss's mask.
    stored: where `source` is "shard#number" of an ArrayRecord, the feature of that example which holds the bytes of the
      video, or its frames as images; None for a file.
    set: which of several sets that are trained on together; their number in the mixture.
    data: the bytes of the whole video or image, where they are in memory; `source` is then only their name, one of its
      own for each.
  """

  id: str
  source: str
  label: int | None = None
  labels: tuple[int, ...] = ()
  frames: int | None = None
  offset: int = 0
  template: str | None = None
  first: int = 1
  kind: str = "video"
  known: tuple[tuple[int, int], ...] = ()
  stored: str | None = None
  set: int = 0
  data: bytes | None = dataclasses.field(default=None, repr=False)
