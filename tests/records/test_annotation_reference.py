"""The annotation files of the reference data, against the records that MMAction2 made of them."""

import json
import pickle

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.records import by_class, read_records
from jaction.records.activitynet import read_activitynet
from jaction.records.ava import read_ava, read_ava_labels, read_exclusions
from jaction.records.boxes_file import read_box_file
from jaction.records.hvu import category_mask, tags, targets
from jaction.records.ssn import read_proposals
from jaction.records.untrimmed import read_untrimmed

pytestmark = pytest.mark.reference
TEMPLATE = "img_{:05}.jpg"


def cases(shared, name):
  path = shared / "golden" / "datasets" / name
  if not path.exists():
    pytest.skip(f"no reference data at {path}")
  return json.loads(path.read_text())


def named(record, name, folder):
  """The record as the reference's dict: its source under `name`, relative to the folder of the annotation file."""
  label = list(record.labels) if record.label is None else record.label
  found = {name: record.source.removeprefix(f"{folder}/"), "label": label}
  if record.frames is not None:
    found["total_frames"] = record.frames
  return found


def hot(labels, num_classes):
  return [float(i in labels) for i in range(num_classes)]


def read(path, case, formats):
  """Records by the reader that the case's class and parameters call for."""
  params = case["params"]
  several = params.get("multi_class", False)
  form = "json" if path.suffix == ".json" else formats[several]
  form = "multi_label_json" if form == "json" and several else form
  form = "frame_list_offset" if params.get("with_offset") else form
  return read_records(path, format=form, root=path.parent / params.get("data_prefix", ""), template=TEMPLATE,
                      num_classes=params.get("num_classes"), check=False)  # fmt: skip


PLAIN = {  # class -> (name of the source, formats of a single- and a multi-label text list)
  "RawframeDataset": ("frame_dir", ("frame_list", "frame_multi_label_list")),
  "VideoDataset": ("filename", ("video_list", "multi_label_list")),
  "ImageDataset": ("filename", ("image_list", "image_list")),
  "AudioDataset": ("audio_path", ("audio_list", "audio_list")),
  "AudioFeatureDataset": ("audio_path", ("audio_feature_list", "audio_feature_list")),
}


def check_plain(case, path):
  source, formats = PLAIN[case["cls"]]
  params = case["params"]
  if "error" in case:
    blank = all(len(line.rsplit(None, 1)) == 2 and line.split()[-1].isdigit() for line in case["text"].splitlines())
    if blank and case["cls"] == "VideoDataset":  # a name with blanks, on which the reference fails
      ids = [record.id for record in read(path, case, formats)]
      assert ids == [line.rsplit(None, 1)[0] for line in case["text"].splitlines()]
      return
    with pytest.raises(InputError, match=r"a\.\w+:\d+: "):
      read(path, case, formats)
    return
  records = read(path, case, formats)
  found = [named(record, source, path.parent) for record in records]
  for one, record, expected in zip(found, records, case["expect"], strict=True):
    if "offset" in expected:
      one["offset"] = record.offset
    if isinstance(expected["label"], list) and isinstance(expected["label"][0], float):
      one["label"] = hot(record.labels, params["num_classes"])
    assert one == expected
  if "by_class" in case:
    grouped = by_class(records)
    expected = {int(label): members for label, members in case["by_class"].items()}
    assert {k: [named(r, source, path.parent) for r in v] for k, v in grouped.items()} == expected
  if "item0" in case:
    item, record = case["item0"], records[0]
    label = hot(record.labels, params["num_classes"]) if isinstance(item["label"], list) else record.label
    assert label == item["label"] and record.offset == item.get("offset", 0)
    assert source == "filename" or record.frames == item["total_frames"]
    assert (record.template, record.first) == (item.get("filename_tmpl"), 1)
    assert record.template is None or item["start_index"] == record.first


def check_untrimmed(case, path):
  for video, expected in zip(
    read_untrimmed(path, root=path.parent / case["params"].get("data_prefix", "")), case["expect"], strict=True
  ):
    assert {
      "video_dir": video.source.removeprefix(f"{path.parent}/"),
      "label": video.label,
      "num_clips": video.clips,
      "positive_clip_inds": list(video.positive),
    } == expected


def check_hvu(case, path):
  params = case["params"]
  categories = dict(zip(params["tag_categories"], params["tag_category_nums"], strict=True))
  options = {"template": params["filename_tmpl"]} if "filename_tmpl" in params else {}
  records = read_records(path, format="hvu", categories=categories, root=path.parent / params.get("data_prefix", ""),
                         first=case["expect"][0]["start_index"], check=False, **options)  # fmt: skip
  for record, expected in zip(records, case["expect"], strict=True):
    source = "frame_dir" if "frame_dir" in expected else "filename"
    assert record.source == f"{path.parent}/{expected[source]}" and record.frames == expected.get("total_frames")
    assert {name: list(found) for name, found in tags(record, categories).items()} == expected["label"]
    assert (list(categories), list(categories.values())) == (expected["categories"], expected["category_nums"])
    assert (record.template, record.first) == (expected["filename_tmpl"], expected["start_index"])


def check_hvu_label(case, path):
  params = case["params"]
  categories = dict(zip(params["categories"], params["category_nums"], strict=True))
  path = path.parent / "labels.json"
  path.write_text(json.dumps([{"filename": "a.mp4", "label": params["label"]}]))
  (record,) = read_records(path, format="hvu", categories=categories, check=False)
  labels, mask = targets(record, sum(categories.values()))
  expected = case["expect"]
  assert (labels.tolist(), mask.tolist()) == (expected["label"], expected["mask"])
  assert category_mask(record, categories).tolist() == expected["category_mask"]


def check_activitynet(case, path):
  for video, expected in zip(read_activitynet(path), case["expect"], strict=True):
    assert {
      "video_name": video.id,
      "duration_second": video.seconds,
      "duration_frame": video.frames,
      "annotations": [{"segment": [s.start, s.end], "label": s.label} for s in video.segments],
      "feature_frame": video.feature_frames,
      "fps": video.fps,
      "rfps": video.rfps,
    } == expected


CHECKS = dict.fromkeys(PLAIN, check_plain) | {
  "RawVideoDataset": check_untrimmed,
  "HVUDataset": check_hvu,
  "LoadHVULabel": check_hvu_label,
  "ActivityNetDataset": check_activitynet,
}


def test_every_annotation_file_gives_the_reference_s_records(shared, tmp_path):
  found = cases(shared, "annotations.json")
  for at, case in enumerate(found):
    folder = tmp_path / str(at)
    folder.mkdir()
    path = folder / case.get("file_name", "none")
    path.write_text(case.get("text", ""))
    CHECKS[case["cls"]](case, path)
  assert found


@pytest.mark.parametrize("name", ["ava_v09.json", "ava_later.json"])
@pytest.mark.parametrize("form", ["pickle", "npz"])
def test_every_ava_case_gives_the_reference_s_key_frames(shared, tmp_path, name, form):
  old = name == "ava_v09.json"
  for case in cases(shared, name):
    params = case["params"]
    (tmp_path / "ann.csv").write_text(case["ann_csv"])
    (tmp_path / "exclude.csv").write_text(case["exclude_csv"])
    boxes = {key: np.array(rows) for key, rows in case["proposals"].items()}
    if form == "pickle":
      (tmp_path / "boxes").write_bytes(pickle.dumps(boxes))
    else:
      np.savez(tmp_path / "boxes.npz", **boxes)
    frames = read_ava(
      tmp_path / "ann.csv",
      exclude=None if params.get("test_mode") else tmp_path / "exclude.csv",
      proposals=tmp_path / ("boxes" if form == "pickle" else "boxes.npz"),
      num_classes=params.get("num_classes", 81),
      classes=params.get("custom_classes"),
      min_score=0 if old else params.get("person_det_score_thr", 0.9),  # 0.9 keeps every proposal
      max_proposals=params.get("num_max_proposals", 1000),
    )
    width = params.get("num_classes", 81)
    for frame, expected in zip(frames, case["expect"], strict=True):
      key = (expected["video_id"], expected["timestamp"], expected["img_key"])
      assert (frame.video, frame.second, frame.key) == key
      ann = expected["ann"]
      assert list(map(list, frame.boxes)) == ann["entity_boxes" if old else "gt_bboxes"]
      assert list(frame.people) == ann["entity_ids"]
      if old:
        assert [list(labels) + [-1] * (width - len(labels)) for labels in frame.labels] == ann["labels"]
      else:
        assert frame.targets(width).tolist() == ann["gt_labels"]
    if "item0" in case:
      item, frame = case["item0"], frames[0]
      boxes = [[*box, score] for box, score in zip(frame.proposals, frame.scores, strict=True)]
      assert item["proposals"] == (boxes if old else list(map(list, frame.proposals)))
      assert old or item["scores"] == list(frame.scores)


def test_the_shared_proposal_files_give_the_reference_s_instances(shared, tmp_path):
  path = shared / "golden" / "metrics" / "ssn_thumos.json"
  if not path.exists():
    pytest.skip(f"no reference data at {path}")
  for case in json.loads(path.read_text()):
    (tmp_path / "p.txt").write_text(case["proposal_file"])
    videos = {video.id: video for video in read_proposals(tmp_path / "p.txt")}
    for expected in case["parsed"]:
      video = videos[expected["video_id"]]
      assert video.frames == expected["total_frames"]
      for found, wanted in ((video.instances, expected["gts"]), (video.proposals, expected["proposals"])):
        rows = [[p.label, p.start, p.end, p.iou, p.overlap, p.coverage] for p in found]
        assert rows == [row[:6] for row in wanted]


def test_the_shared_sample_files_are_read(shared):
  data = shared / "media" / "data"
  if not (data / "test_ava_dataset").is_dir():
    pytest.skip(f"no samples at {data}")
  ava = data / "test_ava_dataset"
  frames = read_ava(ava / "ava_sample.csv", proposals=ava / "ava_proposals_sample.pkl")
  assert [(f.key, f.labels) for f in frames][-1] == ("_-Z6wFjXtGQ,0902", ((12, 74, 80),))
  assert {key: rows.shape for key, rows in read_box_file(ava / "ava_proposals_sample.pkl").items()} == {
    "0f39OWEqJ24,0902": (1, 5), "0f39OWEqJ24,0903": (1, 5), "_-Z6wFjXtGQ,0902": (3, 5)}  # fmt: skip
  assert len(read_exclusions(ava / "ava_excluded_timestamps_sample.csv")) == 2
  (plain,) = read_proposals(data / "proposal_test_list.txt")
  (scaled,) = read_proposals(data / "proposal_normalized_list.txt", normalized=True)
  assert plain == scaled and len(plain.proposals) == 10
  assert [video.id for video in read_activitynet(data / "action_test_anno.json")] == ["v_test1", "v_test2"]
  assert read_activitynet(data / "test_eval_detection" / "gt.json", subset="validation")[0].seconds == 224.49
  assert read_untrimmed(data / "rawvideo_test_anno.txt") == read_untrimmed(data / "rawvideo_test_anno.json")
  assert [r.source for r in read_records(data / "rawvideo_test_anno.json")] == [
    str(data / "test_rawvideo_dataset" / "part_0.mp4")
  ]
  hvu = read_records(data / "hvu_frame_test_anno.json", format="hvu")
  assert [(r.frames, len(r.labels), len(r.known)) for r in hvu] == [(5, 12, 5)] * 2
  assert [r.kind for r in read_records(data / "audio_test_list.txt")] == ["audio"] * 2


def test_the_label_maps_of_the_metric_cases_are_read(shared, tmp_path):
  path = shared / "golden" / "metrics" / "ava_map.json"
  if not path.exists():
    pytest.skip(f"no reference data at {path}")
  for case in json.loads(path.read_text()):
    (tmp_path / "map.pbtxt").write_text(case["labelmap"])
    assert len(read_ava_labels(tmp_path / "map.pbtxt")) == case["labelmap"].count("name:")
