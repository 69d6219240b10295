"""A list without its bad records: what is kept stays word for word, whatever the form of the list."""

import json

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.records import read_records
from jaction.records.clean import write_clean
from jaction.records.writers import write_json_rows

NAMES = ["a.mp4", "with blank.mp4", "come,ma.mp4", "line\u2028mark.mp4", "tab\x0bform\x0c.mp4", "ü\x85.mp4", "a 7.mp4"]
FOLDERS = ["a", "b c", "d\u2028e", "f"]

LISTS = {
  ("video_list", "l.txt"): "".join(f"{name} {i}\n" for i, name in enumerate(NAMES)),
  ("video_list", "crlf.txt"): "\ufeff" + "\r\n\r\n".join(f"{name} {i}" for i, name in enumerate(NAMES)),
  ("multi_label_list", "m.txt"): "".join(f'"{name}" {i} 3\n' for i, name in enumerate(NAMES)),
  ("frame_list", "f.txt"): "".join(f"{name} {i + 3} {i}\n" for i, name in enumerate(FOLDERS)),
  ("frame_list_offset", "o.txt"): "".join(f"{name} {i} {i + 3} {i}\n" for i, name in enumerate(FOLDERS)),
  ("audio_list", "s.txt"): "".join(f"{name} {i + 3} {i}\n" for i, name in enumerate(FOLDERS)),
  ("csv", "plain.csv"): "".join(f'"{name}",{i}\n' for i, name in enumerate(NAMES)) + " , \n",
  ("csv", "head.csv"): "label,note,path\n" + "".join(f'{i},"a ""word"", two",{n!s}\n' for i, n in enumerate(FOLDERS)),
  ("csv", "odd.csv"): 'path,label\n"two\nlines.mp4",1\n"quote "" d.mp4",2\nplain.mp4,0\n',
  ("untrimmed_list", "u.txt"): "w 4 1\nu 3 3 0 2\nv x 2 5 4 1 3\nnone 1 2\n",
  ("json", "f.json"): [{"frame_dir": f"d{i}", "total_frames": 4 + i, "offset": i, "label": i} for i in range(4)],
  ("json", "several.json"): [{"filename": f"{i}.mp4", "label": [i, 5][: 1 + i % 2]} for i in range(5)],
  ("multi_label_json", "m.json"): [{"filename": f"{i}.mp4", "label": [i]} for i in range(5)],
  ("json", "u.json"): [
    {"video_dir": f"d{i}", "label": 1, "num_clips": 6, "positive_clip_inds": list(range(i + 1))} for i in range(3)
  ],
  ("json", "lines.jsonl"): "".join(json.dumps({"filename": name, "label": i}) + "\n" for i, name in enumerate(NAMES)),
  ("hvu", "hvu.json"): [
    {"filename": f"{i}.mp4", "label": {"action": [i], "scene": [2, 3]} if i % 2 else {"event": []}} for i in range(5)
  ],
}


@pytest.fixture(params=LISTS, ids=lambda key: f"{key[0]} {key[1]}")
def case(request, tmp_path):
  """(path, format, records)."""
  (format, name), text = request.param, LISTS[request.param]
  path = tmp_path / name
  if isinstance(text, list):
    write_json_rows(path, text)
  else:
    path.write_bytes(text.encode())
  return path, format, read_records(path, format=format, check=False)


def plain(record):
  labels = record.labels if record.label is None else (record.label,)
  return record.id, record.source, labels, record.frames, record.offset, record.kind, record.known


def test_the_list_without_some_records_reads_as_the_others_and_keeps_their_lines(case, tmp_path):
  path, format, records = case
  rng, before = np.random.default_rng(0), path.read_bytes()
  output = tmp_path / "out"
  output.mkdir()
  for _ in range(12):
    good = np.flatnonzero(rng.random(len(records)) < 0.6).tolist()
    target = write_clean(str(path), records, good, output, format=format)
    assert target == output / path.name and path.read_bytes() == before and list(output.iterdir()) == [target]
    if not good:
      continue
    found = read_records(target, format=format, root=tmp_path, check=False)
    assert [plain(r) for r in found] == [plain(records[i]) for i in good]
    if path.suffix == ".txt" and format != "untrimmed_list":
      lines = before.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
      kept = [line for line in lines if line.strip()]
      assert target.read_text("utf-8").split("\n")[:-1] == [kept[i].strip() for i in good]
  everything = write_clean(str(path), records, list(range(len(records))), output, format=format)
  assert read_records(everything, format=format, root=tmp_path, check=False) == records


def test_other_columns_and_members_are_kept(tmp_path):
  path = tmp_path / "l.csv"
  path.write_text("path,who,label\na.mp4,Ann,1\nb.mp4,Bob,2\n")
  (tmp_path / "l.json").write_text('[{"filename": "a.mp4", "label": 1, "who": "Ann"}, {"filename": "b", "label": 2}]')
  output = tmp_path / "out"
  output.mkdir()
  write_clean(str(path), read_records(path, check=False), [0], output)
  assert (output / "l.csv").read_text() == "path,who,label\na.mp4,Ann,1\n"
  write_clean(str(tmp_path / "l.json"), read_records(tmp_path / "l.json", check=False), [0], output)
  assert json.loads((output / "l.json").read_text()) == [{"filename": "a.mp4", "label": 1, "who": "Ann"}]


def test_what_would_be_read_otherwise_is_not_written(tmp_path):
  path = tmp_path / "l.txt"
  path.write_text("a.mp4 0\nb.mp4 1\n")
  records = read_records(path, check=False)
  path.write_text("b.mp4 1\na.mp4 0\n")  # it changed meanwhile
  output = tmp_path / "out"
  output.mkdir()
  with pytest.raises(InputError, match=r"l.txt: cannot be written without .*, a.mp4 would be read otherwise"):
    write_clean(str(path), records, [0], output)
  assert not list(output.iterdir())


def test_an_untrimmed_video_without_positive_clips_stays_and_one_whose_clips_are_all_bad_goes(tmp_path):
  path = tmp_path / "u.txt"
  path.write_text("none 1 2\nbad 1 4 0 3\nsome 0 5 1 2\n")
  output = tmp_path / "out"
  output.mkdir()
  records = read_records(path, format="untrimmed_list", check=False)
  write_clean(str(path), records, [3], output, format="untrimmed_list")
  assert (output / "u.txt").read_text() == "none 1 2\nsome 0 5 2\n"
