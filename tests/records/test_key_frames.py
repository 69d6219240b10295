"""AVA-style sets: what becomes of every kind of fault, the validator, the importers, the toy set, feature banks."""

import json

import numpy as np
import pytest
from PIL import Image

from jaction.errors import InputError
from jaction.records.ava import read_ava, read_ava_boxes, read_ava_labels, write_ava, write_ava_results
from jaction.records.box_imports import import_coco, import_cvat
from jaction.records.boxes_file import read_box_file
from jaction.records.check_ava import check_ava
from jaction.records.feature_bank import Bank, Banked, write_bank
from jaction.records.key_frames import action_names, find_video, read_key_frames
from jaction.records.toy_actors import ACTIONS, make_toy_actors

GOOD = "a,0902,0.1,0.2,0.5,0.9,3,0\na,0902,0.1,0.2,0.5,0.9,5,0\nb,0903,0.3,0.3,0.6,0.8,1,4\n"
LABELS = "".join(f'item {{\n  name: "act{k}"\n  id: {k}\n}}\n' for k in (1, 3, 5))


@pytest.fixture
def folder(tmp_path):
  for video in "ab":
    (tmp_path / "media" / video).mkdir(parents=True)
    for number in range(1, 8):
      Image.new("RGB", (40, 30), (number * 20, 0, 0)).save(tmp_path / "media" / video / f"img_{number:05d}.jpg")
  (tmp_path / "list.csv").write_text(GOOD)
  (tmp_path / "labels.pbtxt").write_text(LABELS)
  return tmp_path


def read(folder, **options):
  return read_key_frames(folder / "list.csv", folder / "media", start=900, fps=2, **options)


def test_key_frames_come_with_their_videos(folder):
  first, second = read(folder)
  assert (first.id, second.id) == ("a,0902", "b,0903")
  assert first.key.labels == ((3, 5),) and first.video.template == "img_{:05d}.jpg"
  boxes, scores = first.detected  # no proposals: the annotated ones
  np.testing.assert_allclose(boxes, [[0.1, 0.2, 0.5, 0.9]], atol=1e-6)
  assert scores.tolist() == [1.0]


@pytest.mark.parametrize(
  ("line", "told"),
  [
    ("a,0902,0.1,0.2,0.5,0.9,3", "video,second,x1,y1,x2,y2,action,person"),
    ("a,0902,0.1,0.2,0.5,0.9,3,0,7", "video,second,x1,y1,x2,y2,action,person"),
    ("a,nine,0.1,0.2,0.5,0.9,3,0", "second"),
    ("a,0902,0.1,zwei,0.5,0.9,3,0", "box"),
    ("a,0902,0.1,nan,0.5,0.9,3,0", "box"),
    ("a,0902,0.1,0.2,0.5,0.9,x,0", "action"),
    ("a,0902,0.1,0.2,0.5,0.9,81,0", "81"),
    ("a,0902,0.5,0.2,0.1,0.9,3,0", "x1 < x2"),  # reversed
    ("a,0902,0.1,0.2,0.1,0.9,3,0", "x1 < x2"),  # empty
    ("a,0902,40,20,90,80,3,0", "pixels"),  # outside of [0, 1]
    (",0902,0.1,0.2,0.5,0.9,3,0", "video,second"),
    ('a,0902,"0.1,0.2', "CSV"),
  ],
)
def test_a_malformed_line_is_named_by_file_and_number(folder, line, told):
  (folder / "list.csv").write_text(GOOD + line + "\n")
  with pytest.raises(InputError, match=r"list\.csv:4.*" + told):
    read(folder)
  faults, counts = check_ava(folder / "list.csv", labels=folder / "labels.pbtxt")
  assert any(f.level == "error" and f.where.endswith("list.csv:4") for f in faults) and counts.lines >= 3


def test_a_box_that_reaches_out_of_the_picture_is_taken_and_told_by_the_validator(folder):
  (folder / "list.csv").write_text(GOOD + "a,0903,-0.1,0.2,0.5,1.2,3,0\n")
  assert read(folder)[2].key.boxes == ((-0.1, 0.2, 0.5, 1.2),)
  faults, _ = check_ava(folder / "list.csv")
  assert [(f.level, f.where.rpartition(":")[2]) for f in faults] == [("warning", "4")]


def test_key_frames_without_video_are_refused_or_skipped(folder):
  (folder / "list.csv").write_text(GOOD + "gone,0902,0.1,0.2,0.5,0.9,3,0\n")
  with pytest.raises(InputError, match=r"1 of 3 videos.*gone.*wanted gone\.mp4 or gone/img_00001\.jpg"):
    read(folder)
  assert [record.id for record in read(folder, missing="skip")] == ["a,0902", "b,0903"]
  (folder / "list.csv").write_text("gone,0902,0.1,0.2,0.5,0.9,3,0\n")
  with pytest.raises(InputError, match="1 of 1"):
    read(folder, missing="skip")
  with pytest.raises(InputError, match="raise"):
    read(folder, missing="ignore")
  with pytest.raises(InputError, match="without a folder"):
    find_video(folder, "../a")


def test_proposals_of_unknown_videos_are_left_out_and_only_such_refused(folder):
  rows = np.array([[0.1, 0.1, 0.4, 0.4, 0.95]])
  records = read(folder, proposals={"a,0902": rows, "zzz,0902": rows})
  assert [len(r.key.proposals) for r in records] == [1, 1]  # b has none: the whole picture
  assert records[1].key.proposals == ((0.0, 0.0, 1.0, 1.0),)
  with pytest.raises(InputError, match="zzz,0902.*a,0902"):
    read(folder, proposals={"zzz,0902": rows})
  np.savez(folder / "p.npz", **{"zzz,0902": rows, "a,0902": rows})
  faults, _ = check_ava(folder / "list.csv", proposals=folder / "p.npz")
  assert any("zzz" in f.what and f.level == "warning" for f in faults)


@pytest.mark.parametrize("empty", [np.zeros((0, 5)), np.zeros((0, 4))])
def test_an_empty_proposal_list_stands_for_the_whole_picture(folder, empty):
  records = read(folder, proposals={"a,0902": empty, "b,0903": empty})
  for record in records:
    boxes, scores = record.detected
    assert boxes.tolist() == [[0, 0, 1, 1]] and scores.tolist() == [1.0]
  np.savez(folder / "p.npz", **{"a,0902": empty})
  faults, _ = check_ava(folder / "list.csv", proposals=folder / "p.npz")
  assert [f.what.partition(":")[0] for f in faults] == ["an empty list", "no proposals for 1 key frames (b,0903, ...)"]


def test_boxes_come_from_json_too(folder):
  (folder / "p.json").write_text(json.dumps({"a,0902": [[0.1, 0.1, 0.4, 0.4, 0.95]], "b,0903": []}))
  found = read_box_file(folder / "p.json")
  assert {key: rows.shape for key, rows in found.items()} == {"a,0902": (1, 5), "b,0903": (0, 5)}
  (folder / "p.json").write_text('{"a,0902": [[1, 2]]}')
  with pytest.raises(InputError, match="a,0902"):
    read_box_file(folder / "p.json")
  (folder / "p.json").write_text('{"a,0902": [')
  with pytest.raises(InputError, match="JSON"):
    read_box_file(folder / "p.json")


def test_the_validator_is_silent_where_all_is_well_and_names_each_fault(folder):
  options = {"media": folder / "media", "labels": folder / "labels.pbtxt", "start": 900, "fps": 2}
  faults, counts = check_ava(folder / "list.csv", **options)
  assert faults == [] and counts == (3, 2, 2, 2)
  (folder / "list.csv").write_text(
    GOOD
    + "a,0902,0.1,0.2,0.5,0.9,3,0\n"  # 4: twice
    + "a,0999,0.1,0.2,0.5,0.9,3,0\n"  # 5: behind the video
    + "a,0901,0.1,0.2,0.5,0.9,2,0\n"  # 6: not in the label map
    + "c,0901,0.1,0.2,0.5,0.9,1,0\n"  # 7: no such video
    + "a,0901,0.9,0.2,0.5,0.9,0,0\n"  # 8: reversed, and action 0
  )
  (folder / "excluded.csv").write_text("a,0902\na,0903\nwhat\n")
  faults, _ = check_ava(folder / "list.csv", exclude=folder / "excluded.csv", **options)
  got = [(f.where.rpartition("/")[2], f.level) for f in faults]
  assert sorted(got) == sorted(
    [("list.csv:4", "warning"), ("list.csv:5", "error"), ("list.csv:6", "error"), ("list.csv:7", "error")]
    + [("list.csv:8", "error")] * 2
    + [("excluded.csv:2", "warning"), ("excluded.csv:3", "error")]
  )
  assert str(faults[0]).startswith(str(folder / "list.csv:4"))


def test_a_result_is_read_back(folder):
  rows = [("a,0902", (0.1, 0.2, 0.3, 0.4), 3, 0.5), ("b,0903", (0.0, 0.0, 1.0, 1.0), 1, 0.25)]
  write_ava_results(folder / "result.csv", rows)
  frames, boxes, actions, scores = read_ava_boxes(folder / "result.csv")
  assert frames.tolist() == ["a,0902", "b,0903"] and actions.tolist() == [3, 1] and scores.tolist() == [0.5, 0.25]
  np.testing.assert_allclose(boxes, [row[1] for row in rows])
  (folder / "empty.csv").write_text("")
  assert [len(column) for column in read_ava_boxes(folder / "empty.csv")] == [0] * 4


def test_classes_of_ones_own_get_names_and_numbers(folder):
  records = read(folder, classes=(5, 1), num_classes=3)
  assert [r.key.labels for r in records] == [((1,),), ((2,),)]
  labels = read_ava_labels(folder / "labels.pbtxt")
  assert action_names(labels, 3, (5, 1)) == ("(nobody)", "act5", "act1")
  assert action_names(labels, 6) == ("(nobody)", "act1", "action 2", "act3", "action 4", "act5")


COCO = {
  "categories": [{"id": 1, "name": "walk"}, {"id": 2, "name": "talk"}],
  "images": [
    {"id": 7, "file_name": "film/0902.jpg", "width": 200, "height": 100},
    {"id": 8, "video": "other", "second": 3, "width": 100, "height": 100},
  ],
  "annotations": [
    {"id": 1, "image_id": 7, "category_id": 1, "bbox": [20, 10, 100, 50], "attributes": {"actions": ["talk"]}},
    {"id": 2, "image_id": 8, "category_id": 2, "bbox": [0, 0, 50, 100], "track_id": 9},
  ],
}


def test_coco_becomes_a_list_that_reads(tmp_path):
  (tmp_path / "coco.json").write_text(json.dumps(COCO))
  frames, labels = import_coco(tmp_path / "coco.json")
  assert labels == {1: "walk", 2: "talk"}
  assert [(f.key, f.boxes, f.labels, f.people) for f in frames] == [
    ("film,0902", ((0.1, 0.1, 0.6, 0.6),), ((1, 2),), (1,)),
    ("other,0003", ((0.0, 0.0, 0.5, 1.0),), ((2,),), (9,)),
  ]
  write_ava(tmp_path / "boxes.csv", frames)
  assert [f.labels for f in read_ava(tmp_path / "boxes.csv")] == [((1, 2),), ((2,),)]


@pytest.mark.parametrize(
  ("change", "told"),
  [
    (lambda d: d["annotations"][0].update(image_id=99), r"annotations\[0\].*99"),
    (lambda d: d["annotations"][0].update(category_id=5), r"annotations\[0\].*5"),
    (lambda d: d["annotations"][0].update(bbox=[1, 2, 3]), r"annotations\[0\].*3 numbers"),
    (lambda d: d["annotations"][0].update(bbox=[20, 10, -5, 50]), r"annotations\[0\].*no area"),
    (lambda d: d["images"][0].update(file_name="film.jpg"), r"images\[0\].*VIDEO/0902"),
    (lambda d: d["categories"][0].update(id=0), r"categories\[0\].*from 1"),
    (lambda d: d.pop("images"), "images"),
  ],
)
def test_a_fault_of_a_coco_file_is_named(tmp_path, change, told):
  data = json.loads(json.dumps(COCO))
  change(data)
  (tmp_path / "coco.json").write_text(json.dumps(data))
  with pytest.raises(InputError, match=told):
    import_coco(tmp_path / "coco.json")


CVAT = """<annotations><version>1.1</version><meta><task><name>t</name>
<original_size><width>200</width><height>100</height></original_size><source>film.mp4</source></task></meta>
<track id="4" label="person">
{boxes}</track></annotations>"""
CVAT_BOX = """<box frame="{frame}" outside="{out}" xtl="20" ytl="10" xbr="120" ybr="60">
<attribute name="posture">{posture}</attribute><attribute name="talk">true</attribute></box>
"""


def test_a_cvat_video_gives_its_whole_seconds(tmp_path):
  boxes = "".join(CVAT_BOX.format(frame=f, out=int(f == 50), posture="sit" if f < 40 else "none") for f in range(0, 60))
  (tmp_path / "cvat.xml").write_text(CVAT.format(boxes=boxes))
  frames, labels = import_cvat(tmp_path / "cvat.xml", fps=25, start=10)
  assert labels == {1: "sit", 2: "talk"}
  assert [(f.key, f.boxes, f.labels, f.people) for f in frames] == [
    ("film,0010", ((0.1, 0.1, 0.6, 0.6),), ((1, 2),), (4,)),
    ("film,0011", ((0.1, 0.1, 0.6, 0.6),), ((1, 2),), (4,)),
  ]  # frame 50 is outside
  assert import_cvat(tmp_path / "cvat.xml", fps=25, video="v")[0][0].video == "v"


def test_cvat_images_and_their_faults(tmp_path):
  path = tmp_path / "cvat.xml"
  image = '<annotations><image name="{}" width="100" height="50">'
  image += '<box label="walk" xtl="{}" ytl="5" xbr="50" ybr="25"/></image></annotations>'
  path.write_text(image.format("film/0007.png", 10))
  frames, labels = import_cvat(path)
  assert (frames[0].key, frames[0].boxes, labels) == ("film,0007", ((0.1, 0.1, 0.5, 0.5),), {1: "walk"})
  for text, told in (
    (image.format("film.png", 10), "VIDEO/0902"),
    (image.format("film/0007.png", 60), "no area"),
    ("<annotations></annotations>", "no boxes"),
    ("<other/>", "<annotations>"),
    ("<annot", "XML"),
  ):
    path.write_text(text)
    with pytest.raises(InputError, match=told):
      import_cvat(path)


def test_the_toy_set_is_a_set_without_faults_and_the_same_for_a_seed(tmp_path):
  made = [make_toy_actors(tmp_path / name, videos=(2, 1), seed=3) for name in ("one", "two")]
  for split in ("train", "val"):
    texts = {(folder / f"{split}.csv").read_text() for folder in made}
    assert len(texts) == 1
    faults, counts = check_ava(
      made[0] / f"{split}.csv",
      media=made[0] / "videos",
      labels=made[0] / "actions.pbtxt",
      exclude=made[0] / f"{split}_excluded.csv",
      proposals=made[0] / f"proposals_{split}.npz",
    )
    assert faults == [] and counts.people >= 2
  assert len(read_ava_labels(made[0] / "actions.pbtxt")) == len(ACTIONS)
  with pytest.raises(InputError, match="not empty"):
    make_toy_actors(made[0])
  with pytest.raises(InputError, match="two counts"):
    make_toy_actors(tmp_path / "three", videos=(0, 1))


def test_a_bank_gives_the_seconds_around_a_clip(tmp_path):
  rows = {f"v,{s:04d}": np.full((n, 3), s, np.float32) for s, n in ((10, 1), (11, 4), (13, 2))}
  write_bank(tmp_path / "bank.npz", rows)
  bank = Bank(tmp_path / "bank.npz", (8, 3), seconds=4)  # two people of each of four seconds
  window, mask = bank.window("v", 12)
  assert window[:, 0].tolist() == [10, 0, 11, 11, 0, 0, 13, 13]  # seconds 10, 11, 12, 13
  assert mask.tolist() == [True, False, True, True, False, False, True, True]
  drawn, same = bank.window("v", 12, np.random.default_rng(0))
  assert drawn.tolist() == window.tolist() and same.tolist() == mask.tolist()
  assert not bank.window("other", 12)[1].any()

  class Key:
    video, second = "v", 12

  class One:
    key = Key

  made = Banked(lambda record, rng, cache: {"clips": 1}, bank)(One)
  assert made["clips"] == 1 and made["bank"].shape == (8, 3) and made["bank_mask"].sum() == 5
  with pytest.raises(InputError, match="rows of 4"):
    Bank(tmp_path / "bank.npz", (8, 4), seconds=4)
  with pytest.raises(InputError, match="divides"):
    Bank(tmp_path / "bank.npz", (8, 3), seconds=3)
  (tmp_path / "bad.npz").write_text("no")
  with pytest.raises(InputError, match="no feature bank"):
    Bank(tmp_path / "bad.npz", (8, 3), seconds=4)
