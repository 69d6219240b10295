"""A thread that says which stage of a run has stood still, and for how long."""

import threading
import time
from collections.abc import Callable


class Watchdog:
  """Says so where `stage` or `beat` was not called for `seconds`, and again after twice as long, and so on.

  Use it as a context manager; it only speaks, and stops nothing.  `seconds` 0: it never does.
  """

  def __init__(self, seconds: float, say: Callable[[str], None]):
    self._seconds, self._say = seconds, say
    self._stage, self._detail, self._since = "start", "", time.monotonic()
    self._ended = threading.Event()
    self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

  def __enter__(self) -> "Watchdog":
    if self._seconds:
      self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    self._ended.set()
    if self._thread.is_alive():
      self._thread.join()

  def stage(self, name: str, detail: str = "") -> None:
    """A stage begins: data, step, save, evaluation."""
    self._stage, self._detail, self._since = name, detail, time.monotonic()

  def beat(self) -> None:
    """The stage goes on."""
    self._since = time.monotonic()

  def _watch(self) -> None:
    said, seen = self._seconds, self._since
    while not self._ended.wait(min(self._seconds / 5, 5.0)):
      since = self._since
      if since != seen:
        said, seen = self._seconds, since
      still = time.monotonic() - since
      if still >= said:
        said *= 2
        self._say(f"watchdog: {self._stage} has stood still for {still:.0f} s{self._detail}")
