"""launch.train in a process that kills itself inside a stage: killed.py STAGE STEP SHARE MARK [arguments of train].

In the first save or evaluation (STAGE) of a step that is no less than STEP, SIGKILL comes when SHARE of the time is
over that such a stage takes: the last one of this process, or else what a run of STAGE "none" left in MARK.STAGE.  MARK
is a file that is there only while the process is inside of it, so that whoever finds it knows where the process died.
"""

import os
import pathlib
import signal
import sys
import threading
import time

from jaction.checkpoints import Checkpoints
from jaction.launch import cli, train
from jaction.train.experiment import Experiment

STAGES = {
  "save": (Checkpoints, "save", 0),
  "evaluation": (Experiment, "evaluate", 2),
}  # class, method, where its step is


def arm(stage, step, share, mark):
  """Lets the stage's method kill this process; where `step` is None it leaves its time."""
  owner, name, place = STAGES[stage]
  real, lasting, lock = getattr(owner, name), mark.with_suffix(f".{stage}"), threading.Lock()
  seconds = None if step is None else float(lasting.read_text())

  def killing(self, *args, **options):
    nonlocal seconds, share
    began, ended = time.monotonic(), threading.Event()

    def kill():
      if not ended.wait(share * seconds):
        with lock:  # the stage does not end between the question and the kill
          if not ended.is_set():
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    if step is not None and args[place] >= step:
      mark.touch()
      threading.Thread(target=kill, daemon=True).start()
    try:
      result = real(self, *args, **options)
      if owner is Checkpoints:
        self.settle()  # a save goes on behind the training: its end counts
      return result
    finally:
      with lock:
        ended.set()
      mark.unlink(missing_ok=True)
      seconds = time.monotonic() - began
      share = 0.0  # where it was quicker than that: in the next one at once, as there may be no other
      if step is None and not lasting.exists():
        lasting.write_text(str(seconds))

  setattr(owner, name, killing)


if __name__ == "__main__":
  wanted, at, part, file = sys.argv[1:5]
  for each in STAGES if wanted == "none" else (wanted,):
    arm(each, None if wanted == "none" else int(at), float(part), pathlib.Path(file))
  sys.exit(cli.run(train.main, sys.argv[5:]))
