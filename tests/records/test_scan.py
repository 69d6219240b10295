import collections
import json
import os

import cv2
import numpy as np
import pytest

from jaction.errors import InputError
from jaction.launch import data
from jaction.records import open_frames, read_label_map, read_records
from jaction.records.scan import Scanned, scan, split


@pytest.fixture
def folder(films, tmp_path):
  """Two classes: three videos in one, two and two damaged ones in the other."""
  films.folder = tmp_path / "set"
  for name, count in (("run/a 1.mp4", 10), ("run/b.mp4", 5), ("run/c.mp4", 5), ("walk/d.mp4", 20), ("walk/e.mp4", 5)):
    (films.folder / name).parent.mkdir(parents=True, exist_ok=True)
    films.make(name, count=count)
  (films.folder / "walk" / "text.mp4").write_text("no video")
  (films.folder / "walk" / "empty.avi").write_bytes(b"")
  return films.folder


def test_every_whole_video_is_in_one_list_and_the_damaged_ones_are_told(folder):
  found = scan(folder, val=0.34, test=0.34)
  records = {name: read_records(folder / f"{name}.txt") for name in ("train", "val", "test")}
  ids = [record.id for members in records.values() for record in members]
  assert sorted(ids) == ["run/a 1.mp4", "run/b.mp4", "run/c.mp4", "walk/d.mp4", "walk/e.mp4"]
  assert [sum(r.label == 0 for r in members) for members in records.values()] == [1, 1, 1]
  assert all(record.label == record.id.startswith("walk") for members in records.values() for record in members)
  assert read_label_map(folder / "labels.txt") == found.classes == ("run", "walk")
  assert found.splits == {name: len(members) for name, members in records.items()}
  told = (folder / "damaged.txt").read_text().splitlines()
  assert len(found.damaged) == 2 and [line.split("\t")[0] for line in told] == [d.source for d in found.damaged]
  facts = json.loads((folder / "statistics.json").read_text())
  assert facts["frames"] == {"sum": 45, "min": 5, "median": 5, "max": 20} and facts["sizes"] == {"64x48": 5}
  assert facts["seconds"]["sum"] == pytest.approx(45 / 25) and (facts["videos"], facts["damaged"]) == (5, 2)
  assert facts["classes"]["walk"]["damaged"] == 2


def test_a_second_scan_gives_the_same_lists_and_other_places_give_absolute_paths(folder, tmp_path):
  scan(folder, val=0.3, test=0.3, seed=3)
  first = {path.name: path.read_text() for path in folder.glob("*.txt")}
  scan(folder, val=0.3, test=0.3, seed=3, threads=1)
  assert {path.name: path.read_text() for path in folder.glob("*.txt")} == first
  for format in ("csv", "jsonl"):
    scan(folder, tmp_path / "else", val=0.3, test=0.3, seed=3, format=format)
    sources = [record.source for record in read_records(tmp_path / "else" / f"train.{format}")]
    assert sources == [record.source for record in read_records(folder / "train.txt")]


def files(counts):
  return [Scanned(f"/s/{label}/{i}.mp4", label, 1) for label, count in enumerate(counts) for i in range(count)]


def test_the_split_takes_its_shares_from_every_class_and_always_leaves_a_training_video():
  counts = (100, 10, 3, 2, 1)
  lists = split(files(counts), val=0.2, test=0.3, seed=0, root="/s")
  per_class = {name: collections.Counter(one.label for one in members) for name, members in lists.items()}
  for label, count in enumerate(counts):
    assert sum(found[label] for found in per_class.values()) == count and per_class["train"][label] >= 1
  assert [per_class["test"][label] for label in (0, 1)] == [30, 3]
  assert [per_class["val"][label] for label in (0, 1)] == [20, 2]
  none = split(files(counts), val=0, test=0, seed=0, root="/s")
  assert not none["val"] and not none["test"] and len(none["train"]) == sum(counts)


def test_another_seed_gives_another_split_and_a_moved_folder_the_same():
  def tests(seed, root):
    moved = [Scanned(one.source.replace("/s/", f"{root}/"), one.label, 1) for one in files((50,))]
    return {one.source.removeprefix(root) for one in split(moved, val=0.2, test=0.2, seed=seed, root=root)["test"]}

  assert tests(0, "/s") == tests(0, "/elsewhere") != tests(1, "/s")


def test_what_no_list_can_hold_is_told_before_any_video_is_opened(folder, tmp_path, monkeypatch):
  opened = []
  monkeypatch.setattr("jaction.records.scan.Video", lambda source: opened.append(source))
  (folder / "train.txt").write_text("mine.mp4 0\n")
  with pytest.raises(InputError, match="holds train.txt, which no scan has written"):
    scan(folder)
  with pytest.raises(InputError, match=r"no videos in its folders.*wanted one of .*set"):
    scan(folder.parent)
  (folder / "run" / 'a "quoted".mp4').write_bytes(b"x")
  with pytest.raises(InputError, match="with a quote or a line end in it; use CSV or JSON"):
    scan(folder, tmp_path / "out")
  (tmp_path / "out").mkdir()
  for name in ("val.txt", "statistics.json"):  # of somebody else
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(InputError, match=f"out holds {name}, which no scan"):
      scan(folder, tmp_path / "out", format="csv" if name[0] == "s" else "txt")
    (tmp_path / "out" / name).unlink()
  (folder / "walk").rename(folder / "walk ")
  with pytest.raises(InputError, match="'walk ' cannot stand in a label map"):
    scan(folder, tmp_path / "out")
  os.rename(folder / "walk ", os.fsencode(folder) + b"/w\xff")
  with pytest.raises(InputError, match="is no UTF-8, so that no label map can hold it"):
    scan(folder, tmp_path / "out")
  assert not opened and (folder / "train.txt").read_text() == "mine.mp4 0\n"


@pytest.mark.parametrize("format", ["txt", "csv", "jsonl"])
def test_a_name_that_is_no_text_is_told_among_the_damaged(folder, format):
  os.rename(folder / "walk" / "text.mp4", os.fsencode(folder / "walk") + b"/t\xff.mp4")
  found = scan(folder, format=format)
  assert any("no UTF-8" in one.error for one in found.damaged) and sum(found.splits.values()) == 5
  assert "udcff.mp4" in (folder / "damaged.txt").read_text("utf-8")


def test_what_cannot_be_scanned_is_an_error(folder, tmp_path):
  for shares in ({"val": 1.0}, {"val": -0.1}, {"val": 0.5, "test": 0.5}, {"val": float("nan")}):
    with pytest.raises(InputError, match="a sum below 1"):
      scan(folder, **shares)
  with pytest.raises(InputError, match="no such folder"):
    scan(tmp_path / "gone")
  with pytest.raises(InputError, match="there are txt, csv, jsonl"):
    scan(folder, format="xml")
  for path in folder.rglob("*.mp4"):
    path.write_bytes(b"x")
  with pytest.raises(InputError, match="none of 7 videos can be opened"):
    scan(folder)


def test_the_command_tells_what_it_found(folder, capsys):
  data.main(["scan", str(folder), "--val", "0.34", "--test", "0"])
  told = capsys.readouterr().out
  assert "5 videos of 2 classes (3 train, 2 val, 0 test), 2 damaged" in told and "64x48 (5)" in told
  assert told.count("damaged  ") == 2


@pytest.fixture
def frame_folders(tmp_path):
  """Three and two folders of frames, one with a gap, one with an image that is none, one of other names."""
  made = {"run/a b": 5, "run/b": 7, "run/c": 6, "walk/d": 9, "walk/e": 4, "walk/gap": 8, "walk/text": 5, "run/other": 3}
  for name, count in made.items():
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "img_thumb.jpg").write_text("of something else")
    for number in range(1, count + 1):
      picture = "other" if name == "run/other" else "img"
      cv2.imwrite(str(tmp_path / name / f"{picture}_{number:05d}.jpg"), np.full((24, 32, 3), number, np.uint8))
  (tmp_path / "walk/gap/img_00003.jpg").unlink()
  (tmp_path / "walk/text/img_00005.jpg").write_text("no image")
  (tmp_path / "walk/empty").mkdir()
  return tmp_path


@pytest.mark.parametrize("format", ["txt", "jsonl"])
def test_folders_of_frames_are_listed_with_their_counts(frame_folders, format):
  found = scan(frame_folders, val=0.34, test=0.0, frames=True, format=format)
  lists = [read_records(frame_folders / f"{name}.{format}") for name in ("train", "val")]
  frames = {record.id: (record.label, record.frames) for members in lists for record in members}
  assert frames == {"run/a b": (0, 5), "run/b": (0, 7), "run/c": (0, 6), "walk/d": (1, 9), "walk/e": (1, 4)}
  reasons = sorted(one.error for one in found.damaged)
  assert [os.path.relpath(one.source, frame_folders) for one in found.damaged] == ["run/other", "walk/gap", "walk/text"]
  assert "there is no such image" in reasons[0] and "7 images, of which 2 follow each other" in reasons[1]
  with open_frames(lists[0][0]) as video:
    assert video.read([video.num_frames - 1]).shape == (1, 24, 32, 3)


def test_a_folder_that_cannot_be_listed_is_damaged(frame_folders, monkeypatch):
  real = os.scandir

  def scandir(path):
    if str(path).endswith("walk/d") and len(calls) > 1:
      raise PermissionError(13, "Permission denied")
    calls.append(path)
    return real(path)

  calls = []
  monkeypatch.setattr("jaction.records.scan._frame_folders", lambda folder: sorted(
    name for name in os.listdir(folder) if os.listdir(os.path.join(folder, name))))  # fmt: skip
  monkeypatch.setattr(os, "scandir", scandir)
  found = scan(frame_folders, frames=True)
  assert any(one.error.endswith("walk/d: Permission denied") for one in found.damaged)


def test_lists_of_another_form_are_no_leave_to_write_over_foreign_ones(folder):
  scan(folder, format="csv")
  scan(folder, format="csv")
  (folder / "val.txt").write_text("mine")
  with pytest.raises(InputError, match="holds val.txt, which no scan has written"):
    scan(folder)
  (folder / "val.txt").unlink()
  scan(folder)
  scan(folder, format="csv")
  assert (folder / "val.txt").exists() and (folder / "val.csv").exists()


def test_folders_of_flow_are_listed_by_their_pairs(tmp_path):
  for name in ("run/a", "walk/b"):
    (tmp_path / name).mkdir(parents=True)
    for number in range(1, 4):
      for part in "xy":
        cv2.imwrite(str(tmp_path / name / f"flow_{part}_{number:05d}.jpg"), np.full((8, 8), 128, np.uint8))
  found = scan(tmp_path, val=0, test=0, frames=True, template="flow_{}_{:05d}.jpg")
  assert found.splits["train"] == 2 and not found.damaged
  assert [record.frames for record in read_records(tmp_path / "train.txt")] == [3, 3]


def test_the_command_lists_folders_of_frames(frame_folders, capsys):
  data.main(["scan", str(frame_folders), "--frames", "--output", str(frame_folders / "lists")])
  printed = capsys.readouterr().out
  assert "5 videos of 2 classes" in printed and "seconds" not in printed and "3 damaged" in printed
  with pytest.raises(InputError, match="lists of frame folders as 'csv'; there are txt, jsonl"):
    data.main(["scan", str(frame_folders), "--frames", "--format", "csv"])
  with pytest.raises(InputError, match="the template 'x.jpg' gives no file name"):
    data.main(["scan", str(frame_folders), "--frames", "--template", "x.jpg"])
