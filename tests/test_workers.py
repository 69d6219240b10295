"""Processes that prepare records: what they import, what they give, how they die."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from jaction.batches import Processes, evaluation_batches, training_batches
from jaction.errors import InputError, MediaError
from jaction.workers import Workers

HELPER = """
  import os, signal, sys, time
  import numpy as np
  from jaction.errors import MediaError

  def prepare(record, rng=None, cache=None):
    if record == "modules":
      return {"names": sorted(sys.modules)}
    if record == "pid":
      return {"pid": os.getpid()}
    if record == "bad":
      raise MediaError("bad: cannot be read")
    if record == "odd":
      class Odd(Exception):
        def __init__(self, one, two):
          super().__init__(one)
      raise Odd("nobody", "knows it")
    if record == "die":
      os.kill(os.getpid(), signal.SIGSEGV)
    if record == "hang":
      time.sleep(600)
    drawn = 0 if rng is None else int(rng.integers(0, 100))
    return {"clips": np.full((1, 2, 4, 4, 3), record + drawn, np.uint8), "label": record % 3}

  class Cached:
    def __call__(self, record, rng=None, cache=None):
      return {"cached": 0 if cache is None else cache.max_bytes}
"""


@pytest.fixture(scope="module")
def helper(tmp_path_factory):
  """A module that a new process can import, since its folder is in sys.path, which goes to the process too."""
  folder = tmp_path_factory.mktemp("helper")
  (folder / "worker_helper.py").write_text(textwrap.dedent(HELPER))
  sys.path.insert(0, str(folder))
  import worker_helper

  yield worker_helper
  sys.path.remove(str(folder))


@pytest.fixture
def two(helper):
  workers = Workers(helper.prepare, 2)
  yield workers
  workers.close()


def alive(pid):
  try:
    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
  except FileNotFoundError:
    return False
  return state != "Z"


def wait_until(condition, seconds=20):
  deadline = time.monotonic() + seconds
  while not condition() and time.monotonic() < deadline:
    time.sleep(0.02)
  return condition()


def take(records, prepare, count, **options):
  options = {"batch_size": 4, "seed": 7} | options
  with training_batches(records, prepare, **options) as batches:
    return [next(batches) for _ in range(count)]


def same(left, right):
  assert len(left) == len(right)
  for a, b in zip(left, right, strict=True):
    assert a.keys() == b.keys()
    for key in a:
      np.testing.assert_array_equal(a[key], b[key])


def test_a_process_never_imports_jax(two):
  names = two("modules", None)["names"]
  assert "jaction.workers" in names and "numpy" in names
  assert not [name for name in names if name.split(".")[0] in ("jax", "jaxlib", "flax", "grain", "tensorflow")]


def test_what_a_config_prepares_with_imports_no_jax_in_a_process():
  code = """
    import pickle, sys
    from jaction.clips.multihot import MultiHot
    from jaction.clips.preprocessing import Preprocessing
    crop = {"center_crop": {"size": 8}}
    one = Preprocessing("uniform", 1, 1, 8, 8, ("center_crop",), crop, (0, 0, 0), (1, 1, 1))
    assert pickle.loads(pickle.dumps(one)) == one
    assert pickle.loads(pickle.dumps(MultiHot(one, 5))).preprocess == one
    sys.exit(" ".join({"jax", "flax", "grain"} & set(sys.modules)) or 0)
  """
  done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("processes", [Processes(1), Processes(2), Processes(3, recycle=3, timeout=60)])
def test_any_number_of_processes_gives_the_batches_of_threads(helper, processes):
  records = list(range(10))
  same(take(records, helper.prepare, 8, processes=processes), take(records, helper.prepare, 8))
  same(
    take(records, helper.prepare, 3, processes=processes, start_step=5, shard=(1, 2)),
    take(records, helper.prepare, 8, shard=(1, 2))[5:],
  )


def test_an_evaluation_in_processes_is_that_of_threads(helper):
  def evaluated(**options):
    with evaluation_batches(list(range(7)), helper.prepare, batch_size=3, **options) as batches:
      return list(batches)

  same(evaluated(processes=Processes(2)), evaluated())


def test_what_is_raised_in_a_process_is_raised_here(two):
  with pytest.raises(MediaError, match="bad: cannot be read"):
    two("bad", None)
  with pytest.raises(RuntimeError, match="Odd: nobody"):
    two("odd", None)
  assert two(1, None)["label"] == 1


def test_a_process_makes_place_for_a_new_one_after_so_many_records(helper):
  workers = Workers(helper.prepare, 1, recycle=3)
  pids = [workers("pid", None)["pid"] for _ in range(7)]
  workers.close()
  assert pids[0] == pids[1] == pids[2] != pids[3] == pids[5] != pids[6]
  assert not any(map(alive, pids))


def test_a_killed_process_is_replaced(helper):
  with training_batches(list(range(10)), helper.prepare, batch_size=4, seed=7, processes=Processes(2)) as batches:
    got = [next(batches)]
    for pid in batches.workers.pids():
      os.kill(pid, signal.SIGKILL)
    got += [next(batches) for _ in range(7)]
  same(got, take(list(range(10)), helper.prepare, 8))


def test_a_record_that_kills_its_process_twice_is_a_bad_file(two):
  with pytest.raises(MediaError, match=r"die: two processes died of it \(SIGSEGV\)"):
    two("die", None)
  assert two(1, None)["label"] == 1


def test_a_record_that_hangs_is_a_bad_file_after_the_timeout(helper):
  workers = Workers(helper.prepare, 1, timeout=3)
  assert workers(2, None)["label"] == 2  # started
  began = time.monotonic()
  with pytest.raises(MediaError, match="hang: not read after 3 s"):
    workers("hang", None)
  assert time.monotonic() - began < 20
  assert workers(1, None)["label"] == 1
  workers.close()


def test_bad_files_of_processes_are_substituted(helper):
  with training_batches(
    ["die", 1, 2, 3, 4], helper.prepare, batch_size=5, seed=0, processes=Processes(2), on_error="substitute"
  ) as batches:
    batch, faults = next(batches), batches.take_faults()
  assert 0 not in batch["index"] and batch["mask"].all()
  assert [fault.id for fault in faults] == ["die"] and "SIGSEGV" in faults[0].reason


def test_closing_ends_a_call_that_hangs_and_leaves_no_process(helper):
  workers = Workers(helper.prepare, 1)
  assert workers(2, None)["label"] == 2
  pids, raised = workers.pids(), []

  def call():
    try:
      workers("hang", None)
    except RuntimeError as error:
      raised.append(str(error))

  thread = threading.Thread(target=call)
  thread.start()
  time.sleep(0.3)
  workers.close()
  thread.join(20)
  assert raised == ["the workers are closed"]
  assert not any(map(alive, pids))
  with pytest.raises(RuntimeError, match="closed"):
    workers(1, None)


def test_processes_share_the_bytes_of_the_cache(helper):
  workers = Workers(helper.Cached(), 4, cache_bytes=1000)
  assert workers(1, None)["cached"] == 250
  workers.close()


def test_what_cannot_travel_is_an_input_error():
  with pytest.raises(InputError, match="define it in a module"):
    Workers(lambda record, rng, cache: {}, 1)
  with pytest.raises(InputError, match="processes=0"):
    Workers(print, 0)


CALLER = """
  import json, signal, sys, threading, time
  signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job of a shell ignores
  sys.path.insert(0, sys.argv[1])
  import worker_helper
  from jaction.batches import Processes, training_batches
  records = list(range(10)) if sys.argv[2] == "works" else ["hang"]
  with training_batches(records, worker_helper.prepare, batch_size=2, seed=0, processes=Processes(2)) as batches:
    def tell():
      while len(batches.workers.pids()) < 2:
        time.sleep(0.01)
      time.sleep(1.5)
      print(json.dumps(batches.workers.pids()), flush=True)
    threading.Thread(target=tell, daemon=True).start()
    for batch in batches:
      pass
"""


@pytest.mark.parametrize("kind", ["works", "hangs"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_a_caller_who_is_interrupted_or_killed_leaves_no_process(helper, number, kind):
  command = [sys.executable, "-c", textwrap.dedent(CALLER), str(pathlib.Path(helper.__file__).parent), kind]
  caller = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  guard = threading.Timer(60, caller.kill)  # a caller that says nothing fails the test, and does not hang it
  guard.start()
  try:
    pids = json.loads(caller.stdout.readline() or "[]")
    assert pids and all(map(alive, pids))
    caller.send_signal(number)
    _, said = caller.communicate(timeout=60)
  finally:
    guard.cancel()
    caller.kill()
  assert caller.returncode != 0
  assert number != signal.SIGINT or "KeyboardInterrupt" in said
  assert wait_until(lambda: not any(map(alive, pids))), said
