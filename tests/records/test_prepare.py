"""Each dataset's preparation, on small made-up files of the official shape."""

import json
import pickle

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.launch import data
from jaction.records import read_label_map, read_records
from jaction.records.activitynet import read_activitynet
from jaction.records.ava import read_ava, read_ava_labels, read_exclusions
from jaction.records.hvu import tags
from jaction.records.prepare import DATASETS, prepare
from jaction.records.ssn import read_proposals
from jaction.records.untrimmed import read_untrimmed


@pytest.fixture
def laid(tmp_path):
  """Writes annotation files and media; prepares; gives the report."""

  def run(name, notes, *, videos=(), folders=(), **options):
    for path, text in notes.items():
      (tmp_path / "notes" / path).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / "notes" / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "media").mkdir(exist_ok=True)
    for path in videos:
      (tmp_path / "media" / path).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / "media" / path).write_bytes(b"x")
    template = options.get("template", "img_{:05d}.jpg")
    for path, count in folders:
      (tmp_path / "media" / path).mkdir(parents=True)
      for image in range(1, count + 1):
        (tmp_path / "media" / path / template.format(image)).write_bytes(b"x")
    return prepare(name, tmp_path / "notes", tmp_path / "media", tmp_path / "out", frames=bool(folders), **options)

  return run


def clips(done, name, **options):
  """[(path below the media folder, label or labels)] of a list, which must be read as it is, its sources there."""
  records = read_records(done.folder / name, **options)
  media = f"{done.folder.parent}/media/"
  return [(r.source.removeprefix(media), r.labels if r.label is None else r.label) for r in records]


UCF = {"classInd.txt": "1 Archery\n2 Biking\n"} | {
  f"{split}list{at:02d}.txt": text
  for at in (1, 2, 3)
  for split, text in (
    ("train", f"Archery/v_Archery_g0{at}_c01.avi 1\nBiking/v_Biking_g01_c01.avi 2\n"),
    ("test", "Archery/v_Archery_g07_c01.avi\nBiking/v_Biking_g02_c01.avi\n"),
  )
}


def test_ucf101_has_three_splits_and_labels_from_zero(laid, tmp_path):
  videos = ["Archery/v_Archery_g01_c01.avi", "Archery/v_Archery_g07_c01.avi", "Biking/v_Biking_g01_c01.mp4"]
  done = laid("ucf101", UCF, videos=videos)
  assert clips(done, "train_1.txt") == [(videos[0], 0), (videos[2], 1)]  # whatever container it is stored in
  assert clips(done, "test_3.txt") == [(videos[1], 0)]
  assert done.counts["train_1"] == (2, 0) and done.counts["train_2"] == (1, 1) and done.counts["test_1"] == (1, 1)
  assert read_label_map(done.folder / "labels.txt") == done.classes == ("Archery", "Biking")
  assert "train_2\tArchery/v_Archery_g02_c01.avi\n" in (done.folder / "missing.txt").read_text()


def test_folders_of_frames_are_counted_by_their_template(laid):
  folders = [("Archery/v_Archery_g01_c01", 3), ("Biking/v_Biking_g01_c01", 5)]
  done = laid("ucf101", UCF, folders=folders, template="f{:03d}.png")
  records = read_records(done.folder / "train_1.txt", template="f{:03d}.png")
  assert [(r.frames, r.label) for r in records] == [(3, 0), (5, 1)]


def test_hmdb51_divides_by_the_number_behind_each_video(laid):
  notes = {}
  for at in (1, 2, 3):
    notes[f"splits/brush_hair_test_split{at}.txt"] = f"a b.avi {at % 3} \nc.avi 2 \n"
    notes[f"splits/cartwheel_test_split{at}.txt"] = "d.avi 1 \n"
  done = laid("hmdb51", notes, videos=["brush_hair/a b.avi", "brush_hair/c.avi", "cartwheel/d.avi"])
  assert clips(done, "train_1.txt") == [("brush_hair/a b.avi", 0), ("cartwheel/d.avi", 1)]
  assert clips(done, "test_2.txt") == [("brush_hair/a b.avi", 0), ("brush_hair/c.avi", 0)]
  assert clips(done, "train_3.txt") == [("cartwheel/d.avi", 1)] and done.classes == ("brush_hair", "cartwheel")


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600", "kinetics700"])
def test_kinetics_finds_clips_by_any_of_their_names(laid, name):
  head = "label,youtube_id,time_start,time_end,split,is_cc\n"
  train = head + 'air drumming,-aa,1,11,train,0\n"abseiling",bb,2.0,12.0,train,0\nzumba,cc,3,13,train,0\n'
  notes = {"kinetics_train.csv": train, "kinetics_val.csv": head + "zumba,dd,4,14,val,0\nzumba,ee,4,14,val,0\n",
           "kinetics_test.csv": "youtube_id,time_start,time_end,split\nff,1,11,test\n"}  # fmt: skip
  videos = ["train/air_drumming/-aa_000001_000011.mp4", "train/bb_000002_000012.mkv", "cc.webm", "val/zumba/dd.mp4"]
  done = laid(name, notes, videos=videos)
  assert clips(done, "train.txt") == [(videos[0], 1), (videos[1], 0), (videos[2], 2)]
  assert clips(done, "val.txt") == [(videos[3], 2)] and done.counts == {"train": (3, 0), "val": (1, 1)}
  assert done.classes == ("abseiling", "air drumming", "zumba")


@pytest.mark.reference
def test_kinetics_classes_are_numbered_as_the_published_label_map(shared, laid):
  path = shared / "media" / "demo" / "label_map.txt"
  if not path.exists():
    pytest.skip(f"no label map at {path}")
  names = read_label_map(path)
  head, rows = "label,youtube_id,time_start,time_end\n", [f'"{n}",v{i},0,10\n' for i, n in enumerate(names)]
  done = laid("kinetics400", {"train.csv": head + "".join(rows[::-1]), "val.csv": head + rows[7]}, videos=["v7.mp4"])
  assert done.classes == names and clips(done, "val.txt") == [("v7.mp4", 7)]


@pytest.mark.parametrize(("name", "head"), [("something_v1", "something-something-v1-"), ("jester", "jester-v1-")])
def test_lists_with_semicolons(laid, name, head):
  labels = 'Holding something\nDropping "x", then y\n'
  notes = {f"{head}labels.csv": labels, f"{head}train.csv": "12;Dropping \"x\", then y\n7;Holding something\n",
           f"{head}validation.csv": "9;Holding something\n", f"{head}test.csv": "3\n"}  # fmt: skip
  done = laid(name, notes, folders=[("7", 4), ("12", 2), ("9", 3)], template="{:05d}.jpg")
  options = {"template": "{:05d}.jpg"}
  assert clips(done, "train.txt", **options) == [("12", 1), ("7", 0)] and clips(done, "val.txt") == [("9", 0)]


def test_something_v2_takes_brackets_out_of_templates(laid):
  head = "something-something-v2-"
  train = [{"id": "5", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]}]
  notes = {f"{head}labels.json": '{"Holding something": "1", "Poking": "0"}', f"{head}train.json": json.dumps(train),
           f"{head}validation.json": '[{"id": "6", "template": "Poking"}]'}  # fmt: skip
  done = laid("something_v2", notes, videos=["5.webm", "6.webm"])
  assert clips(done, "train.txt") == [("5.webm", 1)] and clips(done, "val.txt") == [("6.webm", 0)]
  assert done.classes == ("Poking", "Holding something")


def test_moments_take_the_class_from_the_folder(laid):
  notes = {"moments_categories.txt": "adult+male+singing,1\nbuying,0\n",
           "trainingSet.csv": "adult+male+singing/yt-1_2.mp4,adult+male+singing,3,0\n",
           "validationSet.csv": "buying/v.mp4,buying,3,0\nbuying/w.mp4,buying,1,1\n"}  # fmt: skip
  done = laid("moments", notes, videos=["training/adult+male+singing/yt-1_2.mp4", "validation/buying/v.mp4"])
  assert clips(done, "train.txt") == [("training/adult+male+singing/yt-1_2.mp4", 1)]
  assert done.counts["val"] == (1, 1) and done.classes == ("buying", "adult+male+singing")


def test_multi_moments_have_several_labels_even_where_a_name_looks_like_one(laid):
  notes = {"trainingSet.csv": "a/x 2.mp4,1,0\nb.mp4,2\n", "validationSet.csv": "c.mp4,0,2\n"}
  done = laid("multi_moments", notes, videos=["a/x 2.mp4", "b.mp4", "c.mp4"])
  found = clips(done, "train.txt", format="multi_label_list")
  assert found == [("a/x 2.mp4", (1, 0)), ("b.mp4", (2,))] and clips(done, "val.txt") == [("c.mp4", (0, 2))]


GYM_NAMES = "Clabel: 0; set: 1; Glabel: 1; (VT) round-off\nClabel: 1; set: 2; Glabel: 9; jump\n"


def test_gym99_lists_clips_of_clips(laid):
  notes = {"gym99_train_element_v1.1.txt": "A0_E_002407_002435_A_0003_0005 1\n", "gym99_val_element.txt": "B 0\n",
           "gym99_categories.txt": GYM_NAMES}  # fmt: skip
  done = laid("gym99", notes, videos=["A0_E_002407_002435_A_0003_0005.mp4", "B.mp4"])
  assert clips(done, "train.txt") == [("A0_E_002407_002435_A_0003_0005.mp4", 1)]
  assert done.classes == ("(VT) round-off", "jump")


def test_hvu_numbers_sorted_tags_within_their_category(laid):
  head = "Tags,youtube_id,time_start,time_end\n"
  notes = {"HVU_Tags_Categories_V1.0.csv": "Tag,Category\nwater,scene\nrun,action\nbeach,scene\n",
           "HVU_Train_V1.0.csv": head + "water|run|beach,aa,1.5,11.5\nwater,gone,1,2\n",
           "HVU_Val_V1.0.csv": head + "run,bb,2,12\n"}  # fmt: skip
  done = laid("hvu", notes, videos=["aa_000015_000115.mp4", "bb_000002_000012.mp4"])
  sizes = {"action": 1, "scene": 2}
  (train,) = read_records(done.folder / "train.json", format="hvu", categories=sizes)
  (val,) = read_records(done.folder / "val.json", format="hvu", categories=sizes)
  assert tags(train, sizes) == {"action": (0,), "scene": (1, 0)} and tags(val, sizes) == {"action": (0,)}
  assert json.loads((done.folder / "tags.json").read_text()) == {"action": ["run"], "scene": ["beach", "water"]}
  assert done.counts == {"train": (1, 1), "val": (1, 0)}


def anet(subset, *segments):
  notes = [{"segment": list(times), "label": label} for *times, label in segments]
  return {"duration": 20.5, "subset": subset, "resolution": "320x240", "url": "u", "annotations": notes}


def test_activitynet_keeps_segments_and_makes_lists_by_the_first_class(laid):
  base = {"aa": anet("training", (1, 2.5, "Surfing"), (3, 4, "Archery")), "-bb": anet("validation", (0, 9, "Archery")),
          "cc": anet("testing"), "dd": anet("training", (0, 1, "Archery"))}  # fmt: skip
  info = "video,numFrame,seconds,fps,rfps,subset,featureFrame\nv_aa,615,20.5,30,29.9,training,608\n"
  notes = {"activity_net.v1-3.min.json": json.dumps({"version": "1.3", "taxonomy": [], "database": base}),
           "video_info_new.csv": info}  # fmt: skip
  done = laid("activitynet", notes, videos=["v_aa.mp4", "v_-bb.mkv", "v_cc.mp4"])
  (video,) = read_activitynet(done.folder / "train.json", subset="training")
  assert (video.id, video.frames, video.feature_frames, video.rfps) == ("v_aa", 615, 608, 29.9)
  assert video.feature_seconds == pytest.approx(608 / 615 * 20.5)
  assert [(s.start, s.end, s.label) for s in video.segments] == [(1, 2.5, "Surfing"), (3, 4, "Archery")]
  assert clips(done, "train.txt") == [("v_aa.mp4", 1)] and clips(done, "val.txt") == [("v_-bb.mkv", 0)]
  assert done.counts == {"train": (1, 1), "val": (1, 0), "test": (1, 0)} and done.classes == ("Archery", "Surfing")


THUMOS = {
  "val/annotation/Diving_val.txt": "video_validation_0000001  1.0 2.0\nvideo_validation_0000001  0.2 0.5\n",
  "val/annotation/Ambiguous_val.txt": "video_validation_0000001  0.1 0.2\n",
  "test/annotation/Diving_test.txt": "video_test_0000002  0.1 0.2\n",
  "detclasslist.txt": "9 Diving\n",
  "thumos14_tag_val_normalized_proposal_list.txt":
    "# 1\nvideo_validation_0000001\n60\n1\n1\n1 0.5000 1.0000\n1\n1 0.5 0.7 0.25 0.5\n"
    "# 2\ngone\n50\n1\n0\n0\n",
}  # fmt: skip


def test_thumos14_asks_the_videos_for_their_length(laid, films, tmp_path):
  (tmp_path / "media").mkdir()
  films.folder = tmp_path / "media"
  films.make("video_validation_0000001.mp4", count=50)
  films.make("video_test_0000002.mp4", count=10)
  done = laid("thumos14", THUMOS)
  (video,) = read_activitynet(done.folder / "val.json")
  assert (video.frames, video.seconds) == (50, pytest.approx(2.0)) and done.classes == ("Diving",)
  assert [(s.start, s.end) for s in video.segments] == [(0.2, 0.5), (1.0, 2.0)]
  assert read_activitynet(done.folder / "test.json", subset="testing")[0].frames == 10


def test_thumos14_proposals_are_scaled_to_the_frames_that_are_there(laid):
  done = laid("thumos14", THUMOS, folders=[("val/video_validation_0000001", 40), ("test/video_test_0000002", 6)])
  (video,) = read_proposals(done.folder / "val_proposals.txt")
  assert (video.frames, video.instances[0].start, video.instances[0].end) == (40, 20, 40)
  assert (video.proposals[0].start, video.proposals[0].end, video.proposals[0].overlap) == (10, 20, 0.7)


AVA_NAMES = 'label {\n  name: "watch (a person)"\n  label_id: 80\n  label_type: X\n}\n'


def test_ava_keeps_the_key_frames_of_the_videos_that_are_there(laid):
  row = "{},0902,0.077,0.151,0.283,0.811,80,1\n"
  notes = {"ava_train_v2.2.csv": row.format("aa") + row.format("gone"), "ava_val_v2.2.csv": row.format("bb"),
           "ava_train_excluded_timestamps_v2.2.csv": "aa,0903\ngone,0902\n",
           "ava_action_list_v2.2.pbtxt": AVA_NAMES}  # fmt: skip
  done = laid("ava", notes, videos=["aa.mkv", "bb.mp4"])
  assert [f.key for f in read_ava(done.folder / "train.csv")] == ["aa,0902"] and done.counts["train"] == (1, 1)
  assert (done.folder / "val.csv").read_text() == row.format("bb")
  assert read_exclusions(done.folder / "train_excluded.csv") == {("aa", 903)}
  assert read_ava_labels(done.folder / "actions.pbtxt") == {80: "watch (a person)"}


@pytest.mark.parametrize(("name", "file"), [("jhmdb", "JHMDB-GT.pkl"), ("ucf101_24", "UCF101v2-GT.pkl")])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tubes_become_key_frames_in_shares_of_the_picture(laid, name, file, protocol):
  tube = np.array([[1, 32, 24, 64, 48], [2, 0, 0, 400, 240]], np.float32)
  data = {
    "labels": ["brush", "wave"],
    "gttubes": {"wave/v": {1: [tube, tube[:1]]}, "brush/u": {0: [tube]}, "wave/gone": {1: [tube]}},
    "nframes": {"wave/v": 2, "brush/u": 2, "wave/gone": 2},
    "train_videos": [["wave/v", "wave/gone"]],
    "test_videos": [["brush/u"]],
    "resolution": {"wave/v": (240, 320), "brush/u": (240, 320), "wave/gone": (240, 320)},
  }
  done = laid(name, {file: pickle.dumps(data, protocol)}, folders=[("wave/v", 2), ("brush/u", 2)])
  first, second = read_ava(done.folder / "train_1.csv", num_classes=3)
  assert (first.key, first.labels, first.boxes) == ("wave/v,0001", ((2,),), ((0.1, 0.1, 0.2, 0.2),))
  assert (second.second, second.boxes, second.people) == (2, ((0, 0, 1, 1),), (0,))
  assert clips(done, "train_1.txt") == [("wave/v", 1)] and clips(done, "test_1.txt") == [("brush/u", 0)]
  assert done.counts == {"train_1": (1, 1), "test_1": (1, 0)} and done.classes == ("brush", "wave")


def test_omnisource_has_a_list_for_each_of_its_sources(laid):
  raw = [{"video_dir": "pref_/vv", "label": 1, "num_clips": 3, "positive_clip_inds": [2]}]
  notes = {"kinetics_200/k200_train.txt": "aa.mp4 0\ngone.mp4 1\n", "k200_actions.txt": "abseiling\nzumba\n",
           "googleimage_200/tsn_8seg_googleimage_200_wodup.txt": "000/00/1.jpg 0\n",
           "insvideo_200/slowonly_8x8_insvideo_200_wodup.txt": "001/zumba/B.mp4 1\n",
           "kinetics_raw_200/slowonly_8x8_kinetics_raw_200.json": json.dumps(raw)}  # fmt: skip
  media = ["kinetics_200_train/aa.mp4", "googleimage_200/000/00/1.jpg", "insvideo_200/001/zumba/B.mp4",
           "kinetics_raw_200_train/pref_/vv/part_2.mp4"]  # fmt: skip
  done = laid("omnisource", notes, videos=media)
  assert clips(done, "kinetics_train.txt") == [(media[0], 0)] and done.counts["kinetics_train"] == (1, 1)
  assert clips(done, "google_image.txt", format="image_list") == [(media[1], 0)]
  assert clips(done, "insta_video.txt") == [(media[2], 1)]
  assert clips(done, "kinetics_raw.json") == [(media[3], 1)]
  assert read_untrimmed(done.folder / "kinetics_raw.json")[0].positive == (2,)


@pytest.mark.parametrize("name", DATASETS)
def test_without_its_annotation_files_a_dataset_says_which_it_wants(laid, name):
  with pytest.raises(InputError, match=r"(there is no \S+.* in it|none of OmniSource's lists)"):
    laid(name, {"readme": "x"}, videos=["a.mp4"])


def test_a_class_out_of_the_class_list_is_named_with_its_line(laid):
  notes = UCF | {"testlist02.txt": "Archery/a.avi\nBikin/b.avi\n"}
  with pytest.raises(InputError, match=r"testlist02.txt:2: no class 'Bikin' among 2. Near it: Biking"):
    laid("ucf101", notes, videos=["a.avi"])


def test_media_of_other_names_are_an_error_that_says_what_was_wanted(laid):
  with pytest.raises(InputError, match="holds 1 videos, none of which .* first missing one is Archery/v_Archery_g01"):
    laid("ucf101", UCF, videos=["other.avi"])


def test_the_command_tells_how_many_videos_were_found(laid, tmp_path, capsys):
  laid("ucf101", UCF, videos=["v_Archery_g01_c01.avi"])
  data.main(["prepare", "ucf101", str(tmp_path / "notes"), str(tmp_path / "media"), str(tmp_path / "again")])
  told = capsys.readouterr().out
  assert "train_1                1 found        1 missing" in told and "published set has 101" in told
  with pytest.raises(InputError, match="no dataset 'ucf'.*Near it: ucf101"):
    data.main(["prepare", "ucf", "a", "b", "c"])
