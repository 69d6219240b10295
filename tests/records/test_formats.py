"""JSON, sounds, images, untrimmed videos, HVU, ActivityNet, SSN, AVA: forms, errors with their line, writers."""

import json
import pickle
import random

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.records import (
  Record,
  by_class,
  read_label_map,
  read_records,
  write_frame_list,
  write_json_rows,
  write_jsonl,
  write_label_map,
  write_video_list,
)
from jaction.records.activitynet import AnnotatedVideo, Segment, activity_names, read_activitynet, write_activitynet
from jaction.records.ava import check_actions, read_ava, read_ava_labels, read_exclusions, write_ava
from jaction.records.boxes_file import read_box_file, read_pickle
from jaction.records.hvu import HVU_CATEGORIES, category_mask, targets
from jaction.records.ssn import read_proposals, write_proposals
from jaction.records.untrimmed import read_untrimmed


@pytest.fixture
def file(tmp_path):
  def write(text, name="a.json"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path

  return write


def test_json_and_json_lines_are_the_same_records(file, tmp_path):
  objects = [{"filename": "a b.mp4", "label": 1}, {"frame_dir": "d", "total_frames": 5, "label": [2], "offset": 3},
             {"audio_path": "s", "total_frames": 7, "label": 0}, {"filename": "i.PNG", "label": 3},
             {"audio_path": "s.npy", "total_frames": 7, "label": 0},
             {"video_dir": "v", "label": 4, "num_clips": 3, "positive_clip_inds": [2, 0]}]  # fmt: skip
  expected = [
    Record("a b.mp4", f"{tmp_path}/a b.mp4", 1),
    Record("d", f"{tmp_path}/d", 2, frames=5, offset=3, template="img_{:05d}.jpg"),
    Record("s", f"{tmp_path}/s.wav", 0, frames=7, kind="audio"),
    Record("i.PNG", f"{tmp_path}/i.PNG", 3, kind="image"),
    Record("s.npy", f"{tmp_path}/s.npy", 0, frames=7, kind="features"),
    Record("v/part_2.mp4", f"{tmp_path}/v/part_2.mp4", 4),
    Record("v/part_0.mp4", f"{tmp_path}/v/part_0.mp4", 4),
  ]
  for path in (
    file(json.dumps(objects)),
    file("\ufeff \r\n" + json.dumps(objects, indent=2), "b.json"),
    file("\n\n".join(map(json.dumps, objects)), "c.jsonl"),
  ):
    assert read_records(path, check=False) == read_records(path, format="json", check=False) == expected


def test_json_labels_are_several_where_one_list_is(file):
  path = file('[{"filename": "a.mp4", "label": [1]}, {"filename": "b.mp4", "label": [2, 0]}]')
  assert [(r.label, r.labels) for r in read_records(path, check=False)] == [(None, (1,)), (None, (2, 0))]
  path = file('{"filename": "a.mp4", "label": [1]}\n')
  assert read_records(path, check=False)[0].label == 1
  assert read_records(path, format="multi_label_json", check=False)[0].labels == (1,)


def test_sounds_images_and_untrimmed_videos_are_told_from_their_suffix(file, tmp_path):
  for name in ("a.wav", "b.npy", "c.jpg"):
    file("x", name)
  kinds = [read_records(file(text, "l.txt"))[0].kind for text in ("a.wav 5 1\n", "b.npy 5 1\n", "c.jpg 1\n")]
  assert kinds == ["audio", "features", "image"]
  with pytest.raises(InputError, match="l.txt:1: there is no audio file .*gone.wav"):
    read_records(file("gone 5 1\n", "l.txt"), format="audio_list")
  path = file("d/v1 1 3 0 2\nd/v2 0 5\n", "u.txt")
  assert [r.id for r in read_records(path, format="untrimmed_list", check=False)] == [
    "d/v1/part_0.mp4",
    "d/v1/part_2.mp4",
  ]
  assert [v.id for v in read_untrimmed(path)] == ["d/v1"]
  (_, second) = read_untrimmed(path, with_negative=True)
  assert second.clip(4).source == f"{tmp_path}/d/v2/part_4.mp4"
  with pytest.raises(InputError, match="no clip 5, it has clips 0 to 4"):
    second.clip(5)


def test_the_first_image_s_number_can_be_another(file):
  path = file("d 4 1\n", "l.txt")
  assert read_records(path, format="frame_list", first=0, check=False)[0].first == 0


def test_by_class_keeps_the_order_of_the_list(file):
  records = read_records(file("a.mp4 2\nb.mp4 0\nc.mp4 2\n", "l.txt"), check=False)
  assert {k: [r.id for r in v] for k, v in by_class(records).items()} == {2: ["a.mp4", "c.mp4"], 0: ["b.mp4"]}
  with pytest.raises(InputError, match="no single label"):
    by_class([Record("a", "/a", labels=(1,))])


def test_hvu_masks_the_classes_nobody_looked_for(file):
  rows = [{"filename": "a.mp4", "label": {"scene": [1], "action": [0, 2]}}, {"filename": "b.mp4", "label": {}}]
  sizes = {"action": 3, "event": 2, "scene": 2}
  both, none = read_records(file(json.dumps(rows)), format="hvu", categories=sizes, check=False)
  labels, mask = targets(both, 7)
  assert labels.tolist() == [1, 0, 1, 0, 0, 0, 1] and mask.tolist() == [1, 1, 1, 0, 0, 1, 1]
  assert category_mask(both, sizes).tolist() == [1, 0, 1]
  assert not targets(none, 7)[1].any() and not category_mask(none, sizes).any()
  assert targets(Record("c", "/c", labels=(2,)), 3)[1].all()  # a plain multi-label record: all were looked for
  assert sum(HVU_CATEGORIES.values()) == 3142
  with pytest.raises(InputError, match="outside the 2 classes"):
    targets(Record("c", "/c", labels=(2,)), 2)


ERRORS = {  # (format, text) -> what the message must hold
  ("json", ""): r"a.json:1: ''; a JSON list was wanted",
  ("json", "[]"): r"a.json: no lines",
  ("json", '[{"filename": "a", "label": 1},\n{"filename": "a"}]'): r"a.json:2: no 'label' in",
  ("json", '[\n{"filename": "a", "label": "x"}]'): r"a.json:2: label 'x' is not a whole number",
  ("json", '[\n{"filename": "a", "label": true}]'): r"a.json:2: label True is not a whole number",
  ("json", '[\n{"filename": "a", "label": 1.0}]'): r"a.json:2: label 1.0 is not a whole number",
  ("json", '[\n{"filename": 3, "label": 1}]'): r"a.json:2: filename 3 is no path",
  ("json", '[\n{"filename": "a\\u0000", "label": 1}]'): r"a.json:2: filename .* is no path",
  ("json", '[\n{"filename": "\\ud800", "label": 1}]'): r"a.json:2: filename .* is no path",
  ("json", '[\n{"path": "a", "label": 1}]'): r"a.json:2: .*an object with one of filename, frame_dir",
  ("json", "[\n1]"): r"a.json:2: 1; an object with 'label' was wanted",
  ("json", '[\n{"frame_dir": "a", "label": 1}]'): r"a.json:2: no 'total_frames'",
  ("json", '[\n{"frame_dir": "a", "total_frames": 0, "label": 1}]'): r"a.json:2: 0 frames from offset 0",
  ("json", '[{"filename": "a", "label": 1}\n{"filename": "a"}]'): r"a.json:2: .*a comma or \] was wanted",
  ("json", '[{"filename": "a",\n\n "label": 1'): r"a.json:3: no JSON \(Expecting",
  ("json", '[{"filename": "a", "label": 1}]\n x'): r"a.json:2: 'x' behind the end of the JSON list",
  ("json", '[{"filename": "a", "label": NaN}]'): r"a.json:1: no JSON \('NaN is no JSON number'\)",
  ("json", "[" * 100000): r"a.json:1: JSON that is nested too deeply",
  ("json", '[{"label": ' + "9" * 5000 + "}]"): r"a.json:1: no JSON",
  ("json", '{"filename": "a", "label": 1}\n{"filename": "b"'): r"a.json:2: no JSON",
  ("json", '{"filename": "a", "label": 1} {}'): r"a.json:1: '\{\}' behind the line's object",
  ("json", '[{"video_dir": "v", "label": 1, "num_clips": 2, "positive_clip_inds": [2]}]'): r"a.json:1: positive clips",
  ("json", '[{"filename": "a", "label": 9}]'): r"a.json:1: label 9 is outside the classes",
  ("hvu", '[{"filename": "a", "label": [1]}]'): r"a.json:1: label \[1\]; an object of",
  ("hvu", '[{"filename": "a", "label": {"scen": [1]}}]'): r"a.json:1: no category 'scen'.*Near it: scene",
  ("hvu", '[{"filename": "a", "label": {"scene": 1}}]'): r"a.json:1: the tags of scene is 1; a list",
  ("hvu", '\n[{"filename": "a", "label": {"scene": [248]}}]'): r"a.json:2: tag 248 of scene, .* 0 to 247",
  ("audio_list", "a 0 1\n"): r"a.json:1: 0 frames",
  ("audio_list", "a 1\n"): r"a.json:1: .*`path frames label`",
  ("image_list", "a x\n"): r"a.json:1: field 'x'",
  ("video_list", "a.mp4 1\nb\0.mp4 1\n"): r"a.json:2: a NUL byte",
  ("video_list", b"a 1\n\xe9.mp4 1\n"): r"a.json:2: not UTF-8",
  ("video_list", "a " + "9" * 5000): r"a.json:1: field '9+\.\.\. is not a whole number",
  ("csv", 'path,label\n"a.mp4,1\n'): r"a.json:2: cannot be read as CSV",
}


@pytest.mark.parametrize(("format", "text"), ERRORS, ids=range(len(ERRORS)))
def test_errors_name_the_file_and_the_line(format, text, file):
  with pytest.raises(InputError, match=ERRORS[format, text]) as error:
    classes = None if format == "hvu" else 5
    read_records(file(text), format=format, num_classes=classes, check=False)
  assert len(str(error.value)) < 600  # whatever the length of the line


def test_what_is_written_is_read_back(tmp_path):
  rng = random.Random(0)
  names = sorted({"".join(rng.choice("ab1 2.é'#,-/") for _ in range(rng.randrange(1, 9))) for _ in range(200)} - {" "})
  rows = [(name, [rng.randrange(9) for _ in range(rng.randrange(1, 4))]) for name in names if name.strip()]
  path = tmp_path / "l.txt"
  write_video_list(path, rows)
  found = read_records(path, format="multi_label_list", check=False)
  assert [(r.id, list(r.labels)) for r in found] == rows
  write_frame_list(path, [(name, 3, labels) for name, labels in rows])
  found = read_records(path, format="frame_multi_label_list", check=False)
  assert [(r.id, r.frames, list(r.labels)) for r in found] == [(name, 3, labels) for name, labels in rows]
  write_frame_list(path, [(name, 3, labels[0]) for name, labels in rows])
  found = read_records(path, format="frame_list", check=False)
  assert [(r.id, r.label) for r in found] == [(name, labels[0]) for name, labels in rows]
  odd = [*rows, ('a"b\n.mp4', [1, 2])]
  write_jsonl(tmp_path / "l.jsonl", odd)
  assert [(r.id, list(r.labels)) for r in read_records(tmp_path / "l.jsonl", check=False)] == odd
  write_json_rows(tmp_path / "l.json", [{"filename": name, "label": labels} for name, labels in odd])
  assert [(r.id, list(r.labels)) for r in read_records(tmp_path / "l.json", check=False)] == odd
  write_label_map(tmp_path / "labels.txt", ["a b", "c"])
  assert read_label_map(tmp_path / "labels.txt") == ("a b", "c")
  for wrong in ("", " a", "a\nb"):
    with pytest.raises(InputError, match="cannot stand in a label map"):
      write_label_map(tmp_path / "labels.txt", ["a", wrong])


ANET = '{"v_1": {"duration_second": 2, "annotations": [%s]},\n"v_2": {"duration_second": 4.5, "subset": "training"}}'


def test_activitynet_files_of_both_shapes_are_read_and_written_back(file, tmp_path):
  segment = '{"segment": [0.5, 1], "label": "A"}'
  plain = read_activitynet(file(ANET % segment))
  assert plain == [
    AnnotatedVideo("v_1", 2.0, (Segment(0.5, 1.0, "A"),)),
    AnnotatedVideo("v_2", 4.5, (), "training"),
  ]
  assert [v.id for v in read_activitynet(file(ANET % segment), subset="training")] == ["v_2"]
  official = ANET.replace("duration_second", "duration") % segment
  assert read_activitynet(file('{"taxonomy": [1],\n"database":\n' + official + "}")) == plain
  full = [
    *plain,
    AnnotatedVideo("v_3", 10.0, (Segment(1, 2, "B"), Segment(3, 4, "A")), "testing", 250, 240, 25.0, 24.5),
  ]
  assert full[2].feature_seconds == 9.6 and plain[0].feature_seconds == 2
  write_activitynet(tmp_path / "w.json", full)
  assert read_activitynet(tmp_path / "w.json") == full and activity_names(full) == ("A", "B")


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("[]", r"a.json:1: '\[\]'; a JSON object was wanted"),
    ("{}", r"a.json: no videos"),
    ('{"v":\n1}', r"a.json:2: video 'v': 1; an object with 'duration_second'"),
    ('{"v": {"duration": "x"}}', r"a.json:1: video 'v': duration 'x' is not a number"),
    ('{"v": {"duration": 1e999}}', r"duration inf is not a number"),
    (ANET % '{"segment": [1], "label": "A"}', r"a.json:1: video 'v_1': .*a segment of start and end"),
    (ANET % '{"segment": [1, null], "label": "A"}', r"time None is not a number"),
    (ANET % '{"segment": [1, 2]}', r"no 'label' in"),
    ('{"v": {"duration": 1},\n"w": {"duration": 1, "duration_frame": 0}}', r"a.json:2: .*duration_frame 0"),
    ('{"v" {"duration": 1}}', r"a.json:1: no colon behind 'v'"),
    ('{"database":\n\n{"v": 3}}', r"a.json:3: video 'v': 3"),
  ],
)
def test_activitynet_errors_name_the_line_and_the_video(text, message, file):
  with pytest.raises(InputError, match=message):
    read_activitynet(file(text))


def test_an_absent_subset_is_told(file):
  with pytest.raises(InputError, match="no videos of the subset 'val', there are training"):
    read_activitynet(file(ANET % ""), subset="val")


SSN = "# 0\nv\n100\n1\n2\n3 10 20\n1 90 120\n3\n3 0.5 1.0 8 20\n0 0 0 100 120\n2 0.1 0.2 30 30\n#1\nw\n9\n1\n0\n0\n"


def test_proposal_files_leave_out_what_is_empty_and_cut_what_is_long(file, tmp_path):
  first, second = read_proposals(file(SSN))
  assert [(p.label, p.start, p.end, p.coverage) for p in first.instances] == [(3, 10, 20, 0.1), (1, 90, 100, 0.3)]
  assert [(p.start, p.end, p.iou, p.overlap) for p in first.proposals] == [(8, 20, 0.5, 1.0)]
  assert (second.id, second.frames, second.instances, second.proposals) == ("w", 9, (), ())
  write_proposals(tmp_path / "w.txt", [first, second])
  again = read_proposals(tmp_path / "w.txt")
  assert [[(p.label, p.start, p.end) for p in v.instances + v.proposals] for v in again] == [
    [(3, 10, 20), (1, 90, 100), (3, 8, 20)],
    [],
  ]
  shares = "# 0\nv\n7\n1\n1\n3 0.25 0.5\n1\n3 0.5 1.0 0.1 1.0\n"
  (video,) = read_proposals(file(shares), normalized=True, frames={"v": 40})
  assert [(p.start, p.end) for p in video.instances + video.proposals] == [(10, 20), (4, 40)]


@pytest.mark.parametrize(
  ("text", "message", "normalized"),
  [
    ("", r"a.json: no videos", False),
    ("v\n", r"a.json:1: 'v'; a line that begins with #", False),
    ("# 0\nv\n", r"a.json:2: the video that ends here lacks the number of its frames", False),
    (SSN.replace("2\n3 10", "3\n3 10", 1), r"a.json:8: '3'; `class start end` was wanted, instances 3 of 3", False),
    (SSN.replace("3 10 20", "3 x 20"), r"a.json:6: start 'x' is not a whole number", False),
    (SSN.replace("3 10 20", "3 10"), r"a.json:6: '3 10'; `class start end`", False),
    (SSN.replace("\n0 0 0 100 120", ""), r"a.json:11: the video that ends here lacks proposals 3 of 3", False),
    (SSN.replace("100\n1\n", "0\n1\n", 1), r"a.json:3: 'v' has 0 frames", False),
    (SSN.replace("0.5 1.0", "y 1.0"), r"a.json:9: IoU 'y' is not a number", False),
    (SSN.replace("2\n3 10", "99999999999\n3 10", 1), r"a.json:5: 99999999999 instances", False),
    (SSN, r"a.json:6: 10 to 20; shares of the video", True),
  ],
)
def test_proposal_errors_name_the_line(text, message, normalized, file):
  with pytest.raises(InputError, match=message):
    read_proposals(file(text), normalized=normalized)


ROW = "v,0902,0.1,0.2,0.3,0.4,12,0\n"


def test_ava_joins_the_actions_of_a_box_and_gives_an_unlisted_frame_the_whole_picture(file, tmp_path):
  path = file(ROW + ROW.replace(",12,", ",80,") + ROW + ROW.replace("0902", "0903"), "a.csv")
  first, second = read_ava(path, proposals={"v,0902": np.array([[0, 0, 1, 0.5]])})
  assert first.labels == ((12, 80),) and first.proposals == ((0, 0, 1, 0.5),) and first.scores == ()
  assert second.proposals == ((0, 0, 1, 1),) and second.scores == (1,)
  assert read_ava(path)[0].proposals == ()
  write_ava(tmp_path / "w.csv", [first, second])
  assert read_ava(tmp_path / "w.csv") == read_ava(path)
  assert [f.second for f in read_ava(path, exclude=file("v,0902\n", "x.csv"))] == [903]
  assert read_exclusions(file("", "x.csv")) == frozenset()
  assert read_ava(path, classes=(80, 12), num_classes=3)[0].labels == ((2, 1),)


def test_low_scores_are_left_out_but_never_the_best(file):
  path = file(ROW, "a.csv")
  boxes = {"v,0902": np.array([[0, 0, 1, 1, 0.3], [0, 0, 1, 0.5, 0.5], [0, 0, 0.5, 1, 0.4]])}
  assert read_ava(path, proposals=boxes)[0].scores == (0.5,)
  assert read_ava(path, proposals=boxes, min_score=0.35)[0].scores == (0.5, 0.4)
  assert read_ava(path, proposals=boxes, min_score=0, max_proposals=1)[0].scores == (0.3,)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", r"a.csv: no key frames"),
    (ROW + "v,0902\n", r"a.csv:2: \['v', '0902'\]; `video,second,x1"),
    (ROW + ROW.replace("0.3", "x"), r"a.csv:2: box 'x' is not a number"),
    (ROW.replace("0.3", "nan"), r"a.csv:1: box 'nan' is not a number"),
    (ROW.replace(",12,", ",81,"), r"a.csv:1: action 81; there are actions 1 to 80"),
    (ROW.replace(",12,", ",0,"), r"a.csv:1: action 0"),
    (ROW.replace("0902", "9.5"), r"a.csv:1: second '9.5' is not a whole number"),
  ],
)
def test_ava_errors_name_the_line(text, message, file):
  with pytest.raises(InputError, match=message):
    read_ava(file(text, "a.csv"))
  with pytest.raises(InputError, match="each once"):
    read_ava(file(ROW, "a.csv"), classes=(0, 1))


def test_ava_label_maps_of_both_forms_are_read(file):
  one = 'item {\n  name: "bend/bow (at the waist)"\n  id: 1\n}\n'
  other = "label { name: 'stand' label_id: 12 label_type: PERSON_MOVEMENT }\n# end\n"
  assert read_ava_labels(file(one + other)) == {1: "bend/bow (at the waist)", 12: "stand"}
  check_actions([1, 12], {1: "a", 12: "b"})
  with pytest.raises(InputError, match="action 2 is not among"):
    check_actions([2], {1: "a"})
  for text, message in (
    ("", "no classes"),
    ("item {\n id: 1\n}", "a.json:2: id 1 without a name"),
    (one + one, "a.json:7: id 1 is 'bend/bow"),
    ("stand 12\n", "a.json:1: 'stand 12' in a label map"),
    ('item {\n name: "a"\n id: x\n}', "a.json:3: id 'x' is not a whole number"),
  ):
    with pytest.raises(InputError, match=message):
      read_ava_labels(file(text))


class Harm:
  def __reduce__(self):
    return print, ("harm",)


def test_pickles_give_arrays_and_run_nothing(file, capsys):
  rows = np.arange(10, dtype=">f4").reshape(2, 5)
  data = {"a": rows, "b": np.asfortranarray(rows), "c": [[1, 2, 3, 4]], "d": np.zeros((0, 5)), "e": rows[:, ::-1]}
  for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    found = read_box_file(file(pickle.dumps(data, protocol)))
    assert all(np.array_equal(found[key], np.asarray(value)) for key, value in data.items())
    assert read_pickle(file(pickle.dumps(np.float32(0.5), protocol))) == 0.5
  with pytest.raises(InputError, match=r"a.json: no pickle that can be read .*builtins.print"):
    read_box_file(file(pickle.dumps({"a": Harm()})))
  assert not capsys.readouterr().out
  bomb = b"\x80\x04]r\xff\xff\xff\x7f."  # an entry in the memo at 2**31 - 1
  assert read_pickle(file(bomb)) == []
  for wrong in ({"a": rows[0]}, {"a": rows[:, :3]}, {1: rows}, [rows], {"a": rows * np.nan}, {"a": "xy"}):
    with pytest.raises(InputError, match="a.json: "):
      read_box_file(file(pickle.dumps(wrong)))
