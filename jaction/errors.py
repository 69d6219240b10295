"""The errors a user can cause, and the phrase that points to the nearest right name."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
  """What came in (a flag, a file, an array) is not usable; the message says what came, what was wanted, what to do."""


class MediaError(InputError):
  """A video, image or audio file cannot be read."""


class CheckpointError(InputError):
  """A file of weights cannot be read, or its weights do not fit the model."""


def nearest(name: str, known: Iterable[str], *, n: int = 3) -> str:
  """' Near it: a, b.' for an unknown name, or '' where nothing is near."""
  close = difflib.get_close_matches(name, list(known), n=n, cutoff=0.5)
  return f" Near it: {', '.join(close)}." if close else ""
