"""Processes that prepare records, for loaders whose threads do not suffice; they never import jax.

Each is started by its command line, not forked and not through multiprocessing's spawn, which would run the caller's
main module, and with it jax, in each of them.  A process does one record at a time and holds nothing else.  It ends
when its standard input does, so that it outlives nobody: not a caller who closes, is interrupted, or is killed.
"""

import json
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from jaction.errors import InputError, MediaError
from jaction.records.frames import FrameCache

_MAIN = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from jaction.workers import serve; serve(sys.argv[2])"
_START = 120.0  # seconds that a process may take until it is ready: imports from a slow disk


class Workers:
  """Calls `preprocess(record, rng, cache)` in one of `processes` processes; any number of threads may call at once.

  `preprocess` is pickled: an instance or a function of a module that a new process can import.
  """

  def __init__(
    self,
    preprocess: Callable[..., Mapping[str, Any]],
    processes: int,
    *,
    recycle: int = 0,
    timeout: float = 0.0,
    cache_bytes: int = 0,
  ):
    """recycle: records after which a process makes place for a new one; 0: never.  timeout: seconds for a record; 0:
    any.  cache_bytes: decoded frames that all processes together keep (each its own)."""
    if processes < 1 or recycle < 0 or timeout < 0:
      raise InputError(
        f"processes={processes}, recycle={recycle}, timeout={timeout}: wanted 1 or more, 0 or more, 0 or more"
      )
    try:
      self._state = pickle.dumps((preprocess, cache_bytes // processes))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
      raise InputError(f"{preprocess!r} cannot be sent to a process ({error}): define it in a module") from None
    self.count, self._recycle, self._timeout = processes, recycle, timeout
    self._lock, self._closed = threading.Lock(), False
    self._live: set[_Process] = set()
    self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
    for _ in range(processes):
      self._idle.put(None)  # the right to start one

  def __call__(self, record: Any, key: tuple[int, ...] | None) -> Mapping[str, Any]:
    """What preprocess gives; its generator is made of `key`, None is the test form.

    What it raises is raised here.  A process that dies is replaced, and the record tried once more: MediaError where
    that dies too.  MediaError also where a record takes longer than the timeout: its process is killed.
    """
    process = self._idle.get()
    try:
      for last in (False, True):
        if process is None:
          process = self._start()
        try:
          done, value = process.call((record, key), self._timeout)
          break
        except TimeoutError:
          self._end(process)
          process = None
          name = getattr(record, "id", record)
          raise MediaError(f"{name}: not read after {self._timeout:g} s, its process was ended") from None
        except (EOFError, OSError):
          status = self._end(process)
          process = None
          if self._closed:
            raise RuntimeError("the workers are closed") from None
          if last:
            name = getattr(record, "id", record)
            raise MediaError(f"{name}: two processes died of it ({_cause(status)})") from None
      if self._recycle and process.count >= self._recycle:
        self._end(process)
        process = None
    finally:
      self._idle.put(process)
    if done:
      return value
    raise value

  def pids(self) -> list[int]:
    """Of the processes that live now."""
    with self._lock:
      return sorted(process.popen.pid for process in self._live)

  def close(self) -> None:
    """Ends all processes, whatever they are at; calls that go on raise RuntimeError."""
    with self._lock:
      self._closed = True
      live = list(self._live)
    for process in live:
      self._end(process)

  def _start(self) -> "_Process":
    """A process that is ready.  One that is killed on the way there is tried once more."""
    for last in (False, True):
      with self._lock:
        if self._closed:
          raise RuntimeError("the workers are closed")
        process = _Process()
        self._live.add(process)
      try:
        process.begin(self._state)
        return process
      except (EOFError, OSError) as error:  # of which TimeoutError is one
        status, fault = self._end(process), repr(error)
      except BaseException:
        self._end(process)
        raise
      if last and not self._closed:
        raise RuntimeError(f"a worker process did not start ({_cause(status)}; {fault}); its error is above")
    raise RuntimeError("the workers are closed")

  def _end(self, process: "_Process") -> int:
    with self._lock:
      self._live.discard(process)
    return process.end()


class _Process:
  """One process and the line to it."""

  def __init__(self):
    ours, theirs = socket.socketpair()
    with theirs:
      command = [sys.executable, "-c", _MAIN, json.dumps([os.path.abspath(p) if not p else p for p in sys.path])]
      self.popen = subprocess.Popen(
        [*command, str(theirs.fileno())], stdin=subprocess.PIPE, pass_fds=[theirs.fileno()], close_fds=True
      )
    self.count, self._line = 0, Connection(ours.detach())

  def begin(self, state: bytes) -> None:
    self._line.send_bytes(state)
    done, value = self._answer(_START)
    if not done:
      raise value

  def call(self, task: Any, timeout: float) -> tuple[bool, Any]:
    self._line.send(task)
    self.count += 1
    return self._answer(timeout or None)

  def _answer(self, timeout: float | None) -> tuple[bool, Any]:
    if not self._line.poll(timeout):
      raise TimeoutError
    data, sizes = self._line.recv()
    buffers = [np.empty(size, np.uint8) for size in sizes]  # not bytearrays: those would be zeroed first
    for buffer in buffers:
      self._line.recv_bytes_into(buffer)
    return pickle.loads(data, buffers=buffers)

  def end(self) -> int:
    """Ends it at once, and gives its exit status; a second call too."""
    self.popen.kill()
    status = self.popen.wait()
    if self.popen.stdin is not None:
      self.popen.stdin.close()
    return status


def _cause(status: int) -> str:
  if status >= 0:
    return f"exit status {status}"
  try:
    return signal.Signals(-status).name
  except ValueError:
    return f"signal {-status}"


def serve(line: str) -> None:
  """What a process does: answers tasks on the socket of this number until the other side closes."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the caller is the one to stop
  threading.Thread(target=_leave_with_caller, daemon=True).start()
  connection = Connection(int(line))
  try:
    try:
      preprocess, cache_bytes = pickle.loads(connection.recv_bytes())
    except (ImportError, AttributeError) as error:
      _send(connection, (False, InputError(f"a worker process cannot load the preprocessing: {error}")))
      return
    cache = FrameCache(cache_bytes) if cache_bytes else None
    _send(connection, (True, None))
    while True:
      record, key = connection.recv()
      _send(connection, _answer(preprocess, record, key, cache))
  except (EOFError, OSError):
    return


def _answer(preprocess: Callable, record: Any, key: tuple[int, ...] | None, cache: Any) -> tuple[bool, Any]:
  try:
    return True, preprocess(record, None if key is None else np.random.default_rng(key), cache)
  except Exception as error:
    try:
      pickle.loads(pickle.dumps(error))
    except Exception:  # an exception of somebody's own that does not travel
      error = RuntimeError(f"{type(error).__name__}: {error}")
    return False, error


def _send(connection: Connection, value: Any) -> None:
  """Arrays go behind the rest, as they lie in memory."""
  buffers: list[pickle.PickleBuffer] = []
  data = pickle.dumps(value, 5, buffer_callback=buffers.append)
  raw = [buffer.raw() for buffer in buffers]
  connection.send((data, [part.nbytes for part in raw]))
  for part in raw:
    connection.send_bytes(part)


def _leave_with_caller() -> None:
  sys.stdin.buffer.read()
  os._exit(1)
