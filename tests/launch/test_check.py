"""`jaction data check` finds every bad file, and `reencode` makes copies with the same frames."""

import json

import av
import cv2
import numpy as np
import pytest

from jaction.errors import InputError
from jaction.launch import data
from jaction.launch.check import targets
from jaction.records import Video, read_records
from jaction.records.build import build_set
from jaction.records.record import Record
from jaction.records.reencode import Copy, copied_size, reencode
from jaction.records.toy import make_toy_set


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
  folder = tmp_path_factory.mktemp("toy")
  make_toy_set(folder, videos=(8, 8, 8))
  return folder


def test_check_writes_the_list_without_the_bad_files_and_says_why_they_are(toy, tmp_path, capsys):
  lines = (toy / "train.txt").read_text().splitlines()[:3]
  good = toy / lines[0].split()[0]
  (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[:3000])
  (tmp_path / "text.mp4").write_text("no film")
  rows = [f"{toy / line.split()[0]} {line.split()[1]}" for line in lines]
  bad = [f"{tmp_path / 'cut.mp4'} 1", f"{tmp_path / 'text.mp4'} 2", f"{tmp_path / 'gone.mp4'} 3"]
  mixed = [rows[0], bad[0], bad[1], rows[1], bad[2], rows[2]]
  (tmp_path / "all.txt").write_text("\n\n".join(mixed) + "\n")
  assert data.main(["check", str(tmp_path / "all.txt"), f"--output={tmp_path / 'out'}"]) == 1
  assert (tmp_path / "out" / "all.txt").read_text().splitlines() == rows
  report = json.loads((tmp_path / "out" / "report.json").read_text())
  assert [one["id"].split("/")[-1] for one in report["bad"]] == ["cut.mp4", "text.mp4", "gone.mp4"]
  assert all(one["error"] for one in report["bad"])
  frames = 0
  for record in read_records(tmp_path / "out" / "all.txt"):
    with Video(record.source) as video:
      frames += video.num_frames
  assert report["frames"] == frames
  assert "6 files, 3 bad" in capsys.readouterr().out


def test_a_clean_list_has_exit_status_0_and_the_list_itself_is_never_written_over(toy, tmp_path):
  assert data.main(["check", str(toy / "val.csv"), f"--output={tmp_path}"]) == 0
  assert (tmp_path / "val.csv").read_text() == (toy / "val.csv").read_text()
  with pytest.raises(InputError, match="where the list itself lies"):
    data.main(["check", str(toy / "val.txt"), f"--output={toy}"])


def test_copies_have_the_frames_and_times_of_the_source_and_a_keyframe_every_few(toy, tmp_path):
  out = tmp_path / "copies"
  argv = ["reencode", str(toy / "val.txt"), f"--output={out}", "--short-side=48", "--gop=4"]
  assert data.main(argv) == 0
  copies, sources = read_records(out / "val.jsonl"), read_records(toy / "val.txt")
  assert [c.label for c in copies] == [s.label for s in sources]
  for copy, source in zip(copies, sources, strict=True):
    with Video(copy.source) as new, Video(source.source) as old:
      assert new.num_frames == old.num_frames and min(new.width, new.height) == 48
      np.testing.assert_allclose(new.times - new.times[0], old.times - old.times[0], atol=1e-3)
      small = cv2.resize(old.read([5])[0], (new.width, new.height), interpolation=cv2.INTER_AREA).astype(float)
      assert np.abs(small - new.read([5])[0]).mean() < 6
    with av.open(copy.source) as file:
      keys = [i for i, packet in enumerate(file.demux(video=0)) if packet.is_keyframe]
    assert max(np.diff(keys)) <= 4
  first = (out / copies[0].id).stat().st_mtime_ns
  (out / copies[1].id).unlink()
  assert data.main(argv) == 0 and (out / copies[0].id).stat().st_mtime_ns == first and (out / copies[1].id).exists()
  assert not list(out.rglob(".*"))
  with pytest.raises(InputError, match="holds copies made with"):
    data.main([*argv[:-1], "--gop=8"])


def test_sizes_are_even_and_never_grow():
  assert copied_size(640, 360, 256) == (456, 256)
  assert copied_size(320, 240, 256) == (320, 240)
  assert copied_size(255, 101, 0) == (256, 100)
  assert copied_size(3, 1001, 256) == (4, 1000)


def test_a_source_that_breaks_leaves_no_copy(tmp_path):
  (tmp_path / "a.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(200))
  with pytest.raises(InputError):
    reencode(Copy(str(tmp_path / "a.mp4"), str(tmp_path / "out" / "a.mp4"), 0, 8, 18))
  assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "a.mp4"]


def test_copies_stay_under_the_output_and_two_sources_are_never_one_copy():
  make = lambda name: Record(name, "/x/" + name, 0)  # noqa: E731
  assert targets([make("a/b.avi"), make("../c.webm"), make("/d/e.mp4")]) == ["a/b.mp4", "c.mp4", "d/e.mp4"]
  with pytest.raises(InputError, match=r"would both be copied to a\.mp4"):
    targets([make("a.avi"), make("a.mkv")])


@pytest.mark.parametrize(
  "argv, message",
  [
    (["check", "nothing.txt", "--output=x"], "nothing.txt: there is no such file"),
    (["reencode", "nothing.txt", "--output=x", "--gop=0"], "--gop=0: wanted 1"),
    (["check", "nothing.txt", "--output=x", "--processes=0"], "--processes=0"),
    (["check", "nothing.txt", "--output=x", "--seconds=nan"], "--seconds=nan"),
    (["show", "--config=toy_tsm", "--output=s.txt"], "--output=s.txt: wanted a name that ends in .png"),
    (["show", "--config=toy_ava", "--output=s.png"], "task='detection'.* `jaction data show-ava` draws boxes"),
    (["chek"], "no data command 'chek'"),
  ],
)
def test_a_mistake_is_one_clear_error(argv, message):
  with pytest.raises(InputError, match=message):
    data.main(argv)


def test_what_lies_at_a_copys_place_is_a_copy_of_this_source_or_no_copy_at_all(toy, tmp_path, capsys):
  rows = [line.split() for line in (toy / "val.txt").read_text().splitlines()[:3]]
  folder, out = tmp_path / "in", tmp_path / "out"
  folder.mkdir()
  for i, (name, _) in enumerate(rows):
    (folder / f"{i}.mp4").write_bytes((toy / name).read_bytes())
  (folder / "l.txt").write_text("".join(f"{i}.mp4 {i}\n" for i in range(3)))
  argv = ["reencode", str(folder / "l.txt"), f"--output={out}", "--short-side=32"]
  assert data.main(argv) == 0
  before = [(out / f"{i}.mp4").read_bytes() for i in range(3)]
  (folder / "1.mp4").write_bytes((toy / rows[2][0]).read_bytes())  # the source changes
  (out / "2.mp4").write_text("junk")  # in a folder of copies
  assert data.main(argv) == 0
  assert (out / "2.mp4").read_bytes() == before[2] and "3 of 3 videos" in capsys.readouterr().out
  foreign = tmp_path / "foreign"
  foreign.mkdir()
  (foreign / "2.mp4").write_text("mine")
  assert data.main(["reencode", str(folder / "l.txt"), f"--output={foreign}"]) == 1
  printed = capsys.readouterr().out
  assert "2 of 3 videos" in printed and "2.mp4: is there already and is no copy" in printed.replace("\n", "")
  assert (foreign / "2.mp4").read_text() == "mine"
  (tmp_path / "lists").mkdir()
  (tmp_path / "lists" / "l.jsonl").write_text("mine")
  with pytest.raises(InputError, match="l.jsonl: is there already, in a folder without copies"):
    data.main(["reencode", str(folder / "l.txt"), f"--output={tmp_path / 'lists'}"])
  with Video(out / "1.mp4") as new, Video(toy / rows[2][0]) as source:
    assert new.num_frames == source.num_frames
  assert (out / "0.mp4").read_bytes() == before[0]
  assert [r.id for r in read_records(out / "l.jsonl")] == ["0.mp4", "1.mp4", "2.mp4"]
  (folder / "other").mkdir()
  (folder / "other" / "0.mp4").write_bytes((folder / "1.mp4").read_bytes())
  (folder / "more.txt").write_text(f"{folder / '2.mp4'} 1\n")  # another list beside the first
  assert data.main(["reencode", str(folder / "more.txt"), *argv[2:]]) == 0
  (folder / "other" / "l2.txt").write_text("0.mp4 1\n")  # another video of the same name
  assert data.main(["reencode", str(folder / "other" / "l2.txt"), *argv[2:]]) == 1
  assert "0.mp4: is there already, the copy of" in capsys.readouterr().out.replace("\n", "")
  assert (out / "0.mp4").read_bytes() == before[0] and len(read_records(out / "l.jsonl")) == 3
  assert not (out / "l2.jsonl").exists()


def test_sources_are_not_taken_for_their_own_copies_and_shards_are_refused(toy, tmp_path):
  with pytest.raises(InputError, match="would be its own copy"):
    data.main(["reencode", str(toy / "val.txt"), f"--output={toy}"])
  shards = build_set({"val": read_records(toy / "val.txt")}, tmp_path / "set").folder
  with pytest.raises(InputError, match="holds shards; wanted a list of the videos"):
    data.main(["reencode", f"{shards}/val", f"--output={tmp_path / 'out'}"])
  assert not (tmp_path / "out").exists()


def test_videos_in_an_object_store_are_copied(toy, tmp_path):
  name, label = (toy / "val.txt").read_text().splitlines()[0].split()
  (tmp_path / "l.txt").write_text(f"file://{toy / name} {label}\n")
  assert data.main(["reencode", str(tmp_path / "l.txt"), f"--output={tmp_path / 'out'}", "--short-side=32"]) == 0
  (record,) = read_records(tmp_path / "out" / "l.jsonl")
  with Video(record.source) as new, Video(toy / name) as source:
    assert new.num_frames == source.num_frames


def test_shards_are_checked_and_no_list_is_written_of_them(toy, tmp_path, capsys):
  shards = build_set({"val": read_records(toy / "val.txt")}, tmp_path / "set").folder
  assert data.main(["check", f"{shards}/val", f"--output={tmp_path / 'out'}"]) == 0
  assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.json"]
  assert "no list" in capsys.readouterr().out


def test_a_folder_per_class_is_numbered_as_the_labels_say(toy, tmp_path, capsys):
  for name in ("b", "c"):
    (tmp_path / "set" / name).mkdir(parents=True)
    video = next((toy / "videos").rglob("*.mp4"))
    (tmp_path / "set" / name / "v.mp4").write_bytes(video.read_bytes())
  (tmp_path / "labels.txt").write_text("a\nb\nc\n")
  folder, labels = str(tmp_path / "set"), f"--labels={tmp_path / 'labels.txt'}"
  for more, wanted, said in (([], [0, 1], "by the sorted names"), ([labels], [1, 2], "as in --labels")):
    out = tmp_path / f"out{len(more)}"
    assert data.main(["check", folder, f"--output={out}", *more]) == 0
    assert [r.label for r in read_records(out / "clean.jsonl")] == wanted
    assert said in capsys.readouterr().out.replace("\n", " ")
    assert data.main(["reencode", folder, f"--output={out / 'copies'}", "--short-side=32", *more]) == 0
    assert [r.label for r in read_records(out / "copies" / "set.jsonl")] == wanted


def test_what_no_check_of_the_list_has_written_is_not_written_over(toy, tmp_path, monkeypatch):
  out = tmp_path / "out"
  argv = ["check", str(toy / "val.txt"), f"--output={out}"]
  assert data.main(argv) == 0 and data.main(argv) == 0
  monkeypatch.setattr("jaction.launch.check._run", lambda *args: pytest.fail("files were read first"))
  other = tmp_path / "val.txt"
  other.write_text(f"{toy}/{(toy / 'val.txt').read_text()}")
  with pytest.raises(InputError, match="holds report.json, val.txt, not of a check of"):
    data.main(["check", str(other), f"--output={out}"])
  (out / "report.json").unlink()
  with pytest.raises(InputError, match="holds val.txt, not of a check of"):
    data.main(argv)
  with pytest.raises(InputError, match="is a file, a folder was wanted"):
    data.main([*argv[:2], f"--output={other}"])
  (tmp_path / "report.json").write_text('[{"filename": "a.mp4", "label": 1}]')
  with pytest.raises(InputError, match="beside a report of its own name"):
    data.main(["check", str(tmp_path / "report.json"), f"--output={out}"])
  with pytest.raises(InputError, match="where the list itself lies"):
    data.main([*argv[:2], f"--output={toy}"])


def test_a_list_of_which_nothing_can_be_read_has_no_clean_one(tmp_path, capsys):
  (tmp_path / "l.txt").write_text("gone.mp4 1\n")
  assert data.main(["check", str(tmp_path / "l.txt"), f"--output={tmp_path / 'out'}"]) == 1
  assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.json"]
  assert "nothing is left of it" in capsys.readouterr().out


def test_a_form_that_auto_would_take_for_another_is_told(toy, tmp_path, capsys):
  name = (toy / "val.txt").read_text().split()[0]
  (tmp_path / "l.txt").write_text(f"{toy / name} 1\ngone.mp4 2 3\n")
  assert data.main(["check", str(tmp_path / "l.txt"), f"--output={tmp_path / 'out'}"]) == 1
  assert "--format multi_label_list" in capsys.readouterr().out.replace("\n", " ")
