import pathlib
import random

import pytest

from jaction.errors import InputError
from jaction.records import READERS, Record, read_label_map, read_records, write_csv, write_video_list
from jaction.records.lists import class_names


@pytest.fixture
def listed(tmp_path):
  """Writes a list, with the files or folders it names; returns the list's path."""

  def write(text, *, files=(), folders=(), name="list.txt"):
    for file in files:
      (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / file).write_bytes(b"x")
    for folder in folders:
      (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path

  return write


def test_a_video_list_gives_its_records_in_order(listed, tmp_path):
  path = listed("b.mp4 1\na.mp4 0\nb.mp4 1\n", files=["a.mp4", "b.mp4"])
  b, a = Record("b.mp4", str(tmp_path / "b.mp4"), 1), Record("a.mp4", str(tmp_path / "a.mp4"), 0)
  assert read_records(path) == read_records(path, format="video_list", num_classes=2) == [b, a, b]


def test_relative_lists_and_roots_give_absolute_sources(listed, tmp_path, monkeypatch):
  listed("a.mp4 1\n", files=["sub/a.mp4"])
  monkeypatch.chdir(tmp_path)
  assert read_records("list.txt", root="sub")[0].source == str(tmp_path / "sub" / "a.mp4")
  assert read_records("list.txt", check=False)[0].source == str(tmp_path / "a.mp4")
  absolute = listed(f"{tmp_path}/sub/a.mp4 1\n", name="other.txt")
  assert read_records(absolute, root="/nowhere")[0].source == str(tmp_path / "sub" / "a.mp4")


def test_blanks_in_paths_are_kept_since_the_label_comes_last(listed):
  path = listed("my own  clip.mp4 3\ntake 2 7\n\"odd 'one' 5\"  1 \n", files=["x"])
  records = read_records(path, format="video_list", check=False)
  assert [(r.id, r.label) for r in records] == [("my own  clip.mp4", 3), ("take 2", 7), ("odd 'one' 5", 1)]


def test_line_ends_marks_tabs_and_blank_lines_do_not_matter(listed):
  path = listed(b"\xef\xbb\xbfa.mp4\t1\r\n\r\n  b.mp4   2  \r\n\n", files=["a.mp4", "b.mp4"])
  assert [(r.id, r.label) for r in read_records(path)] == [("a.mp4", 1), ("b.mp4", 2)]


def test_multi_label_lists_take_the_numbers_at_the_end(listed):
  path = listed('a.mp4 1\nmy clip.mp4 3 0\n12 4 5\n"take 2" 7\n')
  records = read_records(path, format="multi_label_list", check=False)
  assert [(r.id, r.labels) for r in records] == [
    ("a.mp4", (1,)),
    ("my clip.mp4", (3, 0)),
    ("12", (4, 5)),
    ("take 2", (7,)),
  ]
  assert all(r.label is None and r.template is None for r in records)


def test_frame_lists_say_folder_offset_frames_and_labels(listed, tmp_path):
  path = listed("my dir 5 3\n")
  source = str(tmp_path / "my dir")
  template = "frame_{}.png"
  assert read_records(path, format="frame_list", template=template, check=False) == [
    Record("my dir", source, 3, frames=5, template=template)
  ]
  path = listed("my dir 2 5 3\n")
  assert read_records(path, format="frame_list_offset", check=False) == [
    Record("my dir", source, 3, frames=5, offset=2, template="img_{:05d}.jpg")
  ]
  assert read_records(path, format="frame_multi_label_list", check=False) == [
    Record("my dir", source, labels=(5, 3), frames=2, template="img_{:05d}.jpg")
  ]


def test_auto_finds_the_format_or_asks(listed, tmp_path):
  def guessed(text, **made):
    record = read_records(listed(text, **made))[0]
    return record.label, record.labels, record.frames

  assert guessed("a.mp4 1\n", files=["a.mp4"]) == (1, (), None)
  assert guessed("plain 1\n", files=["plain"]) == (1, (), None)
  assert guessed("a.mp4 1\na.mp4 1 2\n", files=["a.mp4"]) == (None, (1,), None)
  assert guessed("d 4 1\n", folders=["d"]) == (1, (), 4)
  assert guessed("v.mp4 4 1\n", folders=["v.mp4"]) == (1, (), 4)
  assert guessed("a.mp4 1\n", files=["a.mp4"], name="slow.csv") == (1, (), None)
  assert guessed("a.mp4,1\n", files=["a.mp4"], name="b.csv") == (1, (), None)
  with pytest.raises(InputError, match="frame_list_offset or frame_multi_label_list"):
    guessed("d 1 4 1\n")


def test_csv_takes_quotes_columns_in_any_order_and_no_header(listed):
  files = ["a, b.mp4", "c.mp4"]
  expected = [("a, b.mp4", 4), ("c.mp4", 5)]
  for text in (
    'path,label\n"a, b.mp4",4\nc.mp4,5\n',
    '"a, b.mp4",4\r\n\r\nc.mp4, 5\r\n',
    '\ufeffseconds,Label,Path\n1.5,4,"a, b.mp4"\n2,5,c.mp4\n',
  ):
    assert [(r.id, r.label) for r in read_records(listed(text, files=files, name="x.csv"))] == expected


def test_a_folder_per_class_numbers_classes_in_sorted_order(listed, tmp_path):
  listed("", files=["set/b/2.mp4", "set/b/1.MKV", "set/a x/z.avi", "set/a x/notes.txt", "set/.git/c.mp4", "set/d.mp4"])
  records = read_records(tmp_path / "set")
  assert [(r.id, r.label) for r in records] == [("a x/z.avi", 0), ("b/1.MKV", 1), ("b/2.mp4", 1)]
  assert all(pathlib.Path(r.source).is_file() for r in records)
  assert class_names(tmp_path / "set") == ("a x", "b")


def test_named_classes_number_the_folders_whatever_folders_there_are(listed, tmp_path):
  listed("", files=["set/run/a.mp4", "set/jump/b.mp4"])
  labels = {r.id: r.label for r in read_records(tmp_path / "set", classes=("run", "walk", "jump"))}
  assert labels == {"run/a.mp4": 0, "jump/b.mp4": 2}
  with pytest.raises(InputError, match="no class 'jump' among the 2 known ones.*Near it: jumps"):
    read_records(tmp_path / "set", classes=("run", "jumps"))
  with pytest.raises(InputError, match="They are: left, right"):
    read_records(tmp_path / "set", classes=("left", "right"))


def test_a_folder_without_videos_is_no_class(listed, tmp_path):
  files = ["set/__MACOSX/._a.mp4", "set/__MACOSX/x.txt", "set/b/a.mp4", "set/notes/read.me"]
  listed("", files=files, folders=["set/empty"])
  assert class_names(tmp_path / "set") == ("b",)
  assert [(r.id, r.label) for r in read_records(tmp_path / "set", classes=("a", "b"))] == [("b/a.mp4", 1)]


ERRORS = {  # text -> (format, what the message must hold)
  "a.mp4 0\ngone.mp4 1\n": ("auto", r"list.txt:2: there is no video file .*gone.mp4"),
  "a.mp4 0\n\na.mp4\n": ("auto", r"list.txt:3: 0 field\(s\) after the path 'a.mp4'"),
  "a.mp4 run\n": ("video_list", r"list.txt:1: field 'run' is not a whole number"),
  "my clip.mp4\n": ("video_list", r"list.txt:1: field 'clip.mp4' is not a whole number"),
  "a.mp4 1.0\n": ("video_list", r"list.txt:1: field '1.0' is not a whole number"),
  "a.mp4 1\na.mp4 3\n": ("auto", r"list.txt:2: label 3 is outside the classes, which are numbered from 0 to 2"),
  "a.mp4 -1\n": ("auto", r"list.txt:1: label -1 is outside"),
  "a.mp4 0 5\n": ("multi_label_list", r"list.txt:1: label 5 is outside"),
  "a.mp4 5 0\n": ("frame_list", r"list.txt:1: there is no folder of frames .*a.mp4"),
  "d 0 1\n": ("frame_list", r"list.txt:1: 0 frames from offset 0"),
  "d -1 5 1\n": ("frame_list_offset", r"list.txt:1: 5 frames from offset -1"),
  "d 5\n": ("frame_list", r"list.txt:1: 1 field\(s\) after the path 'd' .*`folder frames label`"),
  "d 5 1\n": ("frame_list_offset", r"list.txt:1: 2 field\(s\) after the path"),
  "d 5\n\n": ("frame_multi_label_list", r"list.txt:1: 1 field\(s\)"),
  "take 2 5 1\n": ("video_list", r"list.txt:1: there is no video file .*take 2 5;"),
  '"a.mp4 1\n': ("video_list", r"list.txt:1: .* no closing quote"),
  "\n  \n": ("auto", r"list.txt: no lines"),
  "": ("csv", r"list.txt: no lines"),
  "name,label\na.mp4,1\n": ("csv", r"list.txt:1: label 'label' is not a whole number"),
  "path,label\na.mp4\n": ("csv", r"list.txt:2: no path or no label in \['a.mp4'\]"),
  "path,label\na.mp4,1\n ,1\n": ("csv", r"list.txt:3: no path"),
  "path,label\na.mp4,\n": ("csv", r"list.txt:2: label '' is not"),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_name_the_file_and_the_line(text, listed):
  format, message = ERRORS[text]
  with pytest.raises(InputError, match=message):
    read_records(listed(text, files=["a.mp4"], folders=["d"]), format=format, num_classes=3)


def test_many_missing_files_are_one_error_that_counts_them(listed):
  with pytest.raises(InputError, match=r"list.txt:2: .*\(3 of 4 are missing\)"):
    read_records(listed("a.mp4 0\nb.mp4 0\nc.mp4 0\nd.mp4 0\n", files=["a.mp4"]))


def test_wrong_arguments_are_named(listed, tmp_path):
  path = listed("a.mp4 0\n", files=["a.mp4"])
  with pytest.raises(InputError, match="'videolist'.*Near it: video_list"):
    read_records(path, format="videolist")
  with pytest.raises(InputError, match="there is no such file"):
    read_records(tmp_path / "gone.txt")
  with pytest.raises(InputError, match="'folder' wants a folder"):
    read_records(path, format="folder")
  with pytest.raises(InputError, match="'csv' wants a file"):
    read_records(tmp_path, format="csv")
  with pytest.raises(InputError, match="no videos"):
    read_records(tmp_path)
  for template in ("img.jpg", "img_{:05q}.jpg", "{a}.jpg", "{} {}"):
    with pytest.raises(InputError, match="template"):
      read_records(path, template=template)
  for format in ("video_list", "csv"):
    with pytest.raises(InputError, match="list.txt:1: not UTF-8"):
      read_records(listed(b"\xff\xfe\x00a 1\n"), format=format)


def test_label_maps_are_lines_and_a_gap_is_an_error(listed):
  assert read_label_map(listed(b"\xef\xbb\xbfair drumming\r\nskiing \n\n\n")) == ("air drumming", "skiing")
  with pytest.raises(InputError, match="list.txt:2: an empty line"):
    read_label_map(listed("a\n\nb\n"))
  with pytest.raises(InputError, match="no class names"):
    read_label_map(listed("\n"))
  with pytest.raises(InputError, match="cannot be read"):
    read_label_map("gone.txt")


def test_what_is_written_is_read_back_whatever_the_path(tmp_path):
  rng = random.Random(0)
  names = ["".join(rng.choice("ab1 .é'#,-/") for _ in range(rng.randrange(1, 9))) for _ in range(300)]
  rows = [(name, i) for i, name in enumerate(names) if name.strip()]
  write_video_list(tmp_path / "a.txt", rows)
  write_csv(tmp_path / "a.csv", rows)
  for name, format in (("a.txt", "video_list"), ("a.csv", "csv")):
    assert [(r.id, r.label) for r in read_records(tmp_path / name, format=format, check=False)] == rows
  write_csv(tmp_path / "q.csv", [('a"b.mp4', 1)])
  assert read_records(tmp_path / "q.csv", check=False)[0].id == 'a"b.mp4'
  with pytest.raises(InputError, match="use CSV"):
    write_video_list(tmp_path / "q.txt", [('a"b.mp4', 1)])


def test_text_lists_agree_with_a_plain_split_where_no_path_has_blanks(listed):
  """The twin: fields by str.split, as the reference reads its lists."""
  rng = random.Random(1)
  for format, numbers in (
    ("video_list", 1),
    ("frame_list", 2),
    ("frame_list_offset", 3),
    ("frame_multi_label_list", 4),
  ):
    lines = [" ".join([f"d{i}", *(str(rng.randrange(1, 9)) for _ in range(numbers))]) for i in range(30)]
    for line, record in zip(lines, read_records(listed("\n".join(lines)), format=format, check=False), strict=True):
      name, *values = line.split()
      values = [int(value) for value in values]
      assert record.id == name
      if format == "frame_multi_label_list":
        assert (record.frames, *record.labels) == tuple(values)
      else:
        assert [record.offset, record.frames or 0, record.label][-numbers if numbers != 1 else 2 :] == values
  assert set(READERS) >= {"video_list", "frame_list", "frame_list_offset", "multi_label_list", "csv", "folder"}


@pytest.mark.reference
def test_the_shared_lists_are_read(shared):
  data = shared / "media" / "data"
  if not (data / "video_test_list.txt").exists():
    pytest.skip(f"no lists at {data}")
  assert [(r.id, r.label) for r in read_records(data / "video_test_list.txt")] == [("test.mp4", 0)] * 2
  assert [(r.frames, r.label) for r in read_records(data / "frame_test_list.txt")] == [(5, 127)] * 2
  offset = read_records(data / "frame_test_list_with_offset.txt", format="frame_list_offset")
  assert [(r.offset, r.frames, r.label) for r in offset] == [(2, 5, 127)] * 2
  multi = read_records(data / "frame_test_list_multi_label.txt", format="frame_multi_label_list")
  assert [(r.frames, r.labels) for r in multi] == [(5, (1,)), (5, (3, 5))]
  assert len(read_label_map(shared / "media" / "demo" / "label_map.txt")) == 400
