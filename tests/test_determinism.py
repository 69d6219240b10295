"""The clips of a stream do not depend on who makes them: workers, hosts, a resume, or the Python that runs."""

import cv2
import numpy as np
import pytest

from jaction.batches import Processes, training_batches
from jaction.clips.preprocessing import Preprocessing
from jaction.launch import data
from jaction.launch.digest import stream_digest
from jaction.records import read_records
from jaction.records.toy import scene, write_scene

STEPS = 6
# Of frames that every decoder gives alike (png) and steps without arithmetic on pixels: one number for every machine,
# Python and numpy. It changes where the order of the stream or a step's draws do: then say so in the CHANGELOG.
EVERYWHERE = "bae5ce0077bec284e3a09e61f6cd9fded80b39409266367a2cc8ebebd91805cd"


def preprocessing(steps, settings):
  return Preprocessing(
    sampler="uniform", clip_len=1, frame_interval=1, num_clips=4, frames_per_view=4, steps=steps, settings=settings,
    mean=(127.5,), std=(63.75,),
  )  # fmt: skip


FILMS = preprocessing(
  ("resize", "random_resized_crop", "flip"),
  {"resize": {"size": 48}, "random_resized_crop": {"size": 32}, "flip": {"ratio": 0.5}},
)
PICTURES = preprocessing(("random_crop", "flip"), {"random_crop": {"size": 12}, "flip": {"ratio": 0.5}})


@pytest.fixture(scope="module")
def films(tmp_path_factory):
  folder = tmp_path_factory.mktemp("films")
  for number in range(5):
    write_scene(folder / f"{number}.mp4", scene(0, number))
  (folder / "list.txt").write_text("".join(f"{number}.mp4 {number}\n" for number in range(5)))
  return read_records(folder / "list.txt")


def streamed(records, preprocess=FILMS, *, start=0, hosts=1, threads=2, processes=0):
  """The digest of steps `start` to STEPS, of all hosts together."""
  loaders = [
    training_batches(
      records, preprocess, batch_size=4, seed=3, start_step=start, stop_step=STEPS, shard=(host, hosts),
      threads=threads, processes=Processes(processes),
    )
    for host in range(hosts)
  ]  # fmt: skip
  try:
    return stream_digest(zip(*loaders, strict=True))
  finally:
    for loader in loaders:
      loader.close()


@pytest.fixture(scope="module")
def alone(films):
  """start -> the digest that the calling thread makes by itself."""
  return {start: streamed(films, start=start, threads=0) for start in range(STEPS)}


@pytest.mark.parametrize("workers", [{"threads": 1}, {"threads": 2}, {"processes": 1}, {"processes": 2}], ids=str)
@pytest.mark.parametrize("hosts", [1, 2])
def test_workers_and_hosts_change_nothing(films, alone, workers, hosts):
  assert streamed(films, hosts=hosts, **workers) == alone[0]


def test_a_resume_at_any_step_goes_on_with_the_rest(films, alone):
  assert len(set(alone.values())) == STEPS
  for start in range(1, STEPS):
    assert streamed(films, start=start, threads=2) == alone[start]
  assert streamed(films, start=4, processes=2, hosts=2) == alone[4]


def test_another_order_of_hosts_or_another_seed_is_noticed(films, alone):
  """The control: the digest is of the order too."""
  with training_batches(films, FILMS, batch_size=4, seed=4, stop_step=STEPS) as other:
    assert stream_digest([batch] for batch in other) != alone[0]
  halves = [training_batches(films, FILMS, batch_size=4, seed=3, stop_step=STEPS, shard=(i, 2)) for i in (1, 0)]
  assert stream_digest(zip(*halves, strict=True)) != alone[0]
  for half in halves:
    half.close()


def test_the_stream_is_the_same_on_every_python(tmp_path):
  rows = []
  for number in range(7):
    (tmp_path / f"{number}").mkdir()
    for frame in range(9):
      y, x, c = np.indices((16, 20, 3))
      picture = ((x * 7 + y * 11 + c * 50 + frame * 23 + number * 31) % 256).astype(np.uint8)
      cv2.imwrite(str(tmp_path / f"{number}" / f"img_{frame + 1:05d}.png"), picture)
    rows.append(f"{number} 9 {number % 3}\n")
  (tmp_path / "list.txt").write_text("".join(rows))
  records = read_records(tmp_path / "list.txt", format="frame_list", template="img_{:05d}.png")
  assert streamed(records, PICTURES) == EVERYWHERE


def test_the_command_prints_what_other_workers_print_too(tmp_path, films, capsys):
  folder = films[0].source.rpartition("/")[0]
  given = ["--config=toy_tsm", f"--config.data.root={folder}", "--config.data.train=list.txt",
           "--config.data.val=gone.txt", "--config.data.labels=", "--config.batch_size=8", "--steps=2"]  # fmt: skip
  data.main(["digest", *given])
  data.main(["digest", *given, "--config.data.threads=0"])
  data.main(["digest", *given, "--config.seed=1"])
  first, second, third = capsys.readouterr().out.split("\n")[:3]
  assert first == second != third and len(first.split()[0]) == 64
