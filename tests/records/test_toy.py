import csv
import filecmp
import json
import subprocess
import sys

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.records import Video, open_frames, read_label_map, read_records
from jaction.records.toy import (
  FLIP_LABELS,
  REVERSE_LABELS,
  SHAPE_LABELS,
  SPLITS,
  TOY_CLASSES,
  TOY_SHAPES,
  make_toy_set,
  scene,
)

SMALL = (16, 8, 8)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  return make_toy_set(tmp_path_factory.mktemp("toy") / "set", videos=SMALL).folder


def test_lists_of_every_form_name_the_same_videos_and_labels(toy):
  for split, count in zip(SPLITS, SMALL, strict=True):
    plain = read_records(toy / f"{split}.txt", num_classes=8)
    assert len(plain) == count and {r.label for r in plain} == set(range(8))
    assert [(r.source, r.label) for r in read_records(toy / f"{split}.csv")] == [(r.source, r.label) for r in plain]
    shapes = read_records(toy / f"{split}_shape.txt", num_classes=4)
    assert [r.label for r in shapes] == [SHAPE_LABELS[r.label] for r in plain]
    folders = read_records(toy / "by_class" / split)
    names = sorted(TOY_CLASSES)
    assert sorted(names[r.label] for r in folders) == sorted(TOY_CLASSES[r.label] for r in plain)
  assert read_label_map(toy / "labels.txt") == TOY_CLASSES
  assert read_label_map(toy / "shape_labels.txt") == TOY_SHAPES


def test_frame_folders_hold_the_frames_of_their_videos(toy):
  videos = {r.id.split("/")[-1].split(".")[0]: r for r in read_records(toy / "test.txt")}
  frames = read_records(toy / "test_frames.txt", format="frame_list")
  assert frames
  for record in frames[:2]:
    twin = videos[record.id.split("/")[-1]]
    assert record.label == twin.label
    with open_frames(record) as folder, open_frames(twin) as video:
      assert folder.num_frames == video.num_frames
      last = [0, folder.num_frames - 1]
      difference = np.abs(folder.read(last).astype(int) - video.read(last).astype(int))
      assert difference.mean() < 4  # JPEG


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_workers(toy, tmp_path):
  again = make_toy_set(tmp_path / "again", videos=SMALL, processes=1).folder
  files = [path.relative_to(toy) for path in sorted(toy.rglob("*")) if path.is_file()]
  assert files == [path.relative_to(again) for path in sorted(again.rglob("*")) if path.is_file()]
  _, different, errors = filecmp.cmpfiles(toy, again, files, shallow=False)
  assert not different and not errors
  other = scene(0, 0, seed=1)
  assert other.width != scene(0, 0).width or not np.array_equal(
    next(iter(other.frames())), next(iter(scene(0, 0).frames()))
  )


def test_the_set_is_as_varied_as_real_videos():
  scenes = [scene(0, i) for i in range(400)]
  sides = {min(s.width, s.height) for s in scenes}
  assert 95 <= min(sides) and max(sides) <= 128  # 95: an odd one of the smallest
  assert {s.width > s.height for s in scenes} == {True, False}
  assert {s.rotation for s in scenes} >= {0, 90}
  assert any(s.width % 2 or s.height % 2 for s in scenes)
  lengths = [float(s.times[-1]) for s in scenes]
  assert 0.4 < min(lengths) < 0.7 and 1.6 < max(lengths) < 2.3  # a varying rate stretches a few
  steps = [np.diff(s.times) for s in scenes]
  assert any(step.max() > 1.2 * step.min() for step in steps) and any(np.ptp(step) < 1e-3 for step in steps)


def test_odd_sizes_and_rotation_tags_survive_the_file(toy):
  for split, name in enumerate(SPLITS):
    for i, record in enumerate(read_records(toy / f"{name}.txt")):
      drawn = scene(split, i)
      with Video(record.source) as video:
        assert (video.width, video.height) == (drawn.width, drawn.height)
        assert video.num_frames == len(drawn.times)
        np.testing.assert_allclose(video.times - video.times[0], drawn.times - drawn.times[0], atol=1e-3)
        difference = np.abs(video.read([0])[0].astype(int) - next(iter(drawn.frames())).astype(int))
        assert difference.mean() < 12, f"{record.id}: what a player shows is not what was drawn"


def test_labels_of_mirror_and_reversal_are_their_own_inverses_and_keep_the_pair():
  for table in (FLIP_LABELS, REVERSE_LABELS):
    assert [table[label] for label in table] == list(range(8))
    assert [SHAPE_LABELS[label] for label in table] == list(SHAPE_LABELS)
  assert all(REVERSE_LABELS[label] != label for label in range(8))


# Time's arrow: statistics of small grey pictures of the first, middle and last frames, by class.


def features(label: int, count: int, *, reverse: bool = False, ramp: float = 0) -> np.ndarray:
  """[count, F]: colours, spread and quarters of the first, the middle and the last frame; `ramp` darkens with time."""
  rows = []
  for i in range(count):
    drawn = scene(0, 8 * i + label)
    frames = list(drawn.frames())
    if reverse:
      frames.reverse()
    row = []
    for at in (0, len(frames) // 2, -1):
      frame = frames[at].astype(np.float32)
      row += [frame[..., 0].std(), frame[..., 1].std(), frame[..., 2].std()]
      grey = frame.mean(-1) - ramp * drawn.times[at] / drawn.times[-1] * (-1 if label % 2 else 1)
      h, w = grey.shape[0] // 2, grey.shape[1] // 2
      quarters = [grey[:h, :w], grey[:h, w:], grey[h:, :w], grey[h:, w:]]
      row += [grey.mean(), grey.std(), *(q.mean() - grey.mean() for q in quarters), *(q.std() for q in quarters)]
    rows.append(row)
  return np.array(rows)


def distance(a: np.ndarray, b: np.ndarray) -> float:
  """The largest difference of means in standard errors."""
  error = np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
  return float(np.abs((a.mean(0) - b.mean(0)) / error).max())


@pytest.mark.parametrize("first", [0, 2, 4, 6], ids=TOY_SHAPES)
def test_frame_for_frame_the_classes_of_a_pair_have_one_distribution(first):
  count = 40
  forward, backward = features(first, count), features(first + 1, count)
  assert distance(forward, backward) < 4, "a single frame tells the direction"
  assert distance(forward, features(first + 1, count, reverse=True)) < 4, "one class reversed is not the other"


def test_the_comparison_sees_shapes_and_a_hint_of_time_so_that_it_could_have_failed():
  assert distance(features(0, 40), features(4, 40)) > 6
  assert distance(features(0, 40, ramp=12), features(1, 40, ramp=12)) > 4


def motion(label: int, index: int) -> np.ndarray:
  """The mean displacement (x, y) in pixels between neighbouring frames, by phase correlation of their halves."""
  import cv2

  frames = [frame.astype(np.float32).mean(-1) for frame in scene(0, 8 * index + label).frames()]
  shifts = [cv2.phaseCorrelate(a, b)[0] for a, b in zip(frames, frames[1:], strict=False)]
  return np.median(shifts, axis=0)


def test_left_goes_left_and_up_goes_up():
  for axis, (less, more) in enumerate([(0, 1), (2, 3)]):
    signs = [np.sign(motion(label, i)[axis]) for i in range(6) for label in (less, more)]
    agree = np.mean([sign == (-1 if n % 2 == 0 else 1) for n, sign in enumerate(signs)])
    assert agree > 0.7, f"axis {axis}: {signs}"


def test_a_complete_set_is_taken_as_it_is_and_a_damaged_one_is_finished(toy):
  assert make_toy_set(toy, videos=SMALL).made == 0
  gone = sorted(toy.glob("videos/train/*.mp4"))[3]
  before = gone.read_bytes()
  gone.unlink()
  assert make_toy_set(toy, videos=SMALL).made == 1
  assert gone.read_bytes() == before


def test_a_folder_of_something_else_or_other_settings_is_left_alone(toy, tmp_path):
  with pytest.raises(InputError, match="seed"):
    make_toy_set(toy, videos=SMALL, seed=5)
  (tmp_path / "thesis.txt").write_text("important")
  with pytest.raises(InputError):
    make_toy_set(tmp_path, videos=SMALL)
  assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
  with pytest.raises(InputError, match="videos"):
    make_toy_set(tmp_path / "new", videos=(0, 0, 0))


def test_the_command_makes_the_set_and_says_what_comes_next(tmp_path):
  run = subprocess.run(
    [sys.executable, "-m", "jaction.launch.data", "toy", str(tmp_path / "toy"), "--videos", "8", "0", "0"],
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert run.returncode == 0, run.stderr
  assert "8 training" in run.stdout and "jaction train --config=toy_tsm" in run.stdout
  assert json.loads((tmp_path / "toy" / "toy.json").read_text())["complete"]
  assert len(list(csv.reader((tmp_path / "toy" / "train.csv").read_text().splitlines()))) == 9


def test_making_videos_imports_no_jax():
  code = "import sys; import jaction.records.toy; sys.exit(any(m in sys.modules for m in ('torch', 'tensorflow')))"
  assert subprocess.run([sys.executable, "-c", code]).returncode == 0
