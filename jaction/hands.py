"""Threads that do the work of loader threads, so that one that never comes back can be left standing.

A thread cannot be ended from outside.  What is possible: whoever waits for it stops waiting, goes on with a new one,
and says which record it was.  The old one keeps its core busy and its memory until the program ends; where that
matters, or where a file crashes the decoder, processes (jaction.workers) are the remedy.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from jaction.errors import MediaError

LEFT = "; its thread cannot be ended and is left standing (data.processes would end it)"


class Hands:
  """Calls `function(record, key)` in a thread of its own for each thread that calls; use `close` at the end.

  Attributes:
    left: names of the records whose threads did not come back.
  """

  def __init__(self, function: Callable[[Any, Any], Any], timeout: float):
    """timeout: seconds for a record, above 0."""
    self._function, self._timeout = function, timeout
    self._own = threading.local()
    self._lock, self._hands, self._closed = threading.Lock(), set[_Hand](), False
    self.left: list[str] = []

  def __call__(self, record: Any, key: Any) -> Any:
    """What the function gives or raises; MediaError, which names the record, where that takes too long."""
    hand = getattr(self._own, "hand", None)
    with self._lock:
      if self._closed:  # a loader's threads may go on for a moment after it: nobody would answer them
        raise RuntimeError("the loader is closed")
      if hand is None:
        hand = self._own.hand = _Hand(self._function)
        self._hands.add(hand)
      hand.tasks.put((record, key))
    try:
      done, value = hand.answers.get(timeout=self._timeout)
    except queue.Empty:
      self._own.hand, name = None, str(getattr(record, "id", record))
      hand.tasks.put(None)  # it ends, if it ever comes back
      with self._lock:
        self._hands.discard(hand)
        self.left.append(name)
      logging.getLogger("jaction").warning("%s: not read after %g s%s", name, self._timeout, LEFT)
      raise MediaError(f"{name}: not read after {self._timeout:g} s{LEFT}") from None
    if done:
      return value
    raise value

  def close(self) -> None:
    """Ends the threads when they are done with what they have; waits for none.  Calling afterwards is an error."""
    with self._lock:
      self._closed = True
      for hand in self._hands:
        hand.tasks.put(None)


class _Hand:
  """One thread and the lines to it."""

  def __init__(self, function: Callable[[Any, Any], Any]):
    self.tasks: queue.SimpleQueue = queue.SimpleQueue()
    self.answers: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=self._work, args=(function,), name="jaction-hand", daemon=True).start()

  def _work(self, function: Callable[[Any, Any], Any]) -> None:
    while (task := self.tasks.get()) is not None:
      try:
        answer = True, function(*task)
      except BaseException as error:  # everything goes to who asked
        answer = False, error
      self.answers.put(answer)
      del task, answer  # no clip is kept until the next one
