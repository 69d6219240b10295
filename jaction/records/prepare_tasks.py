"""Preparation of sets with more than a class a clip: tags, segments in time, boxes, and images beside videos."""

import json
import os
from pathlib import Path

import numpy as np

from jaction.errors import InputError
from jaction.records.activitynet import AnnotatedVideo, Segment, activity_names, read_activitynet, write_activitynet
from jaction.records.ava import KeyFrame, read_ava, read_ava_labels, read_exclusions, write_ava
from jaction.records.boxes_file import read_pickle
from jaction.records.lists import read_label_map, read_records
from jaction.records.prepare_classes import clip_name
from jaction.records.prepare_files import Found, Output, annotation, csv_table, first_of
from jaction.records.ssn import read_proposals, write_proposals
from jaction.records.text import numbered_lines, real, shown
from jaction.records.untrimmed import read_untrimmed
from jaction.records.video import Video
from jaction.records.writers import write_frame_list, write_json_rows, write_video_list


def hvu(folder: Path, out: Output) -> None:
  """HVU_Tags_Categories_V1.0.csv, HVU_Train_V1.0.csv, HVU_Val_V1.0.csv -> train.json, val.json, tags.json.

  A category's tags are sorted, as in MMAction2. A clip is looked for by the names that the crawlers give it: ID and
  its times in tenths of a second (MMAction2's) or in seconds.
  """
  path = annotation(folder, "HVU_Tags_Categories_V1.0.csv", "hvu_categories.csv")
  category = {row["tag"]: row["category"] for _, row in csv_table(path, "tag", "category")}
  tags: dict[str, list[str]] = {name: [] for name in sorted(set(category.values()))}
  for tag in sorted(category):
    tags[category[tag]].append(tag)
  number = {tag: at for members in tags.values() for at, tag in enumerate(members)}
  for split, names in (
    ("train", ("HVU_Train_V1.0.csv", "hvu_train.csv")),
    ("val", ("HVU_Val_V1.0.csv", "hvu_val.csv")),
  ):
    rows = []
    for where, row in csv_table(annotation(folder, *names), "tags", "youtube_id", "time_start", "time_end"):
      label: dict[str, list[int]] = {}
      for tag in filter(None, row["tags"].split("|")):
        if tag not in category:
          raise InputError(f"{where}: no tag {shown(tag)} among the {len(category)} of the categories")
        label.setdefault(category[tag], []).append(number[tag])
      video, times = row["youtube_id"], (row["time_start"], row["time_end"])
      rows.append(([clip_name(video, *times, where, 10), clip_name(video, *times, where), video], label))
    found = out.found(split, rows)
    objects = [_media_members(out, file) | {"label": label} for _, file, label in found]
    write_json_rows(out.folder / f"{split}.json", objects)
  (out.folder / "tags.json").write_text(json.dumps(tags, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _media_members(out: Output, file: Found) -> dict:
  place = out.place(file)
  return {"frame_dir": place, "total_frames": file.frames} if file.frames else {"filename": place}


def activitynet(folder: Path, out: Output) -> None:
  """activity_net.v1-3.min.json (or anet_anno_*.json) -> train, val, test .json, and .txt lists by the first class.

  Where video_info_new.csv is there, frames and rates come from it.
  """
  names = ("activity_net.v1-3.min.json", "activity_net.v1-2.min.json", "anet_anno_action.json")
  videos = read_activitynet(annotation(folder, *names))
  path = first_of(folder, "video_info_new.csv")
  table = csv_table(path, "video", "numframe", "fps", "rfps", "subset", "featureframe") if path is not None else []
  facts = {row["video"].removeprefix("v_"): (where, row) for where, row in table}
  classes = activity_names(videos)
  label = {name: at for at, name in enumerate(classes)}
  videos = [_with_facts(video, facts.get(video.id.removeprefix("v_"))) for video in videos]
  for split, subset in (("train", "training"), ("val", "validation"), ("test", "testing")):
    chosen = [video for video in videos if video.subset == subset]
    found = out.found(split, [([video.id, video.id.removeprefix("v_")], video) for video in chosen])
    write_activitynet(out.folder / f"{split}.json", [video for _, _, video in found])
    clips = [(file, label[video.segments[0].label]) for _, file, video in found if video.segments]
    _write_clips(out, split, clips)
  out.labels(classes)


def _with_facts(video: AnnotatedVideo, fact: tuple[str, dict[str, str]] | None) -> AnnotatedVideo:
  name = "v_" + video.id.removeprefix("v_")
  if fact is None:
    return AnnotatedVideo(name, video.seconds, video.segments, video.subset, video.frames, video.feature_frames,
                          video.fps, video.rfps)  # fmt: skip
  where, row = fact
  frames, features = (int(real(row[column], column, where)) for column in ("numframe", "featureframe"))
  fps, rfps = (real(row[column], column, where) for column in ("fps", "rfps"))
  return AnnotatedVideo(name, video.seconds, video.segments, row["subset"], frames, features, fps, rfps)


def _write_clips(out: Output, name: str, clips: list[tuple[Found, int]]) -> None:
  path = out.folder / f"{name}.txt"
  if out.media.frames:
    write_frame_list(path, [(out.place(file), file.frames, label) for file, label in clips])
  else:
    write_video_list(path, [(out.place(file), label) for file, label in clips])


def thumos14(folder: Path, out: Output) -> None:
  """CLASS_val.txt, CLASS_test.txt (video start end) and detclasslist.txt -> val.json, test.json as ActivityNet's.

  Ambiguous stretches are left out. A video's length is asked of itself; folders of frames are taken at 30 a second.
  Where thumos14_tag_*_normalized_proposal_list.txt and folders of frames are there, *_proposals.txt in frames too.
  """
  listed = first_of(folder, "detclasslist.txt")
  names = [line.split()[-1] for _, line in numbered_lines(listed)] if listed is not None else None
  seen: set[str] = set()
  for split in ("val", "test"):
    segments: dict[str, list[Segment]] = {}
    files = sorted(folder.rglob(f"*_{split}.txt"))
    for path in files:
      name = path.name.removesuffix(f"_{split}.txt")
      if name == "Ambiguous" or (names is not None and name not in names):
        continue
      seen.add(name)
      for where, line in numbered_lines(path):
        if len(line.split()) != 3:
          raise InputError(f"{where}: {shown(line)}; a video, its start and its end were wanted")
        video, start, end = line.split()
        segments.setdefault(video, []).append(Segment(real(start, "start", where), real(end, "end", where), name))
    if not files:
      raise InputError(f"{folder}: there is no CLASS_{split}.txt in it; THUMOS14's annotations were wanted")
    found = out.found(split, [([video], sorted(segments[video], key=lambda s: s.start)) for video in sorted(segments)])
    videos = [_thumos_video(name, file, tuple(found_segments), split) for name, file, found_segments in found]
    write_activitynet(out.folder / f"{split}.json", videos)
    _thumos_proposals(folder, out, split)
  out.labels(names if names is not None else sorted(seen))


def _thumos_video(name: str, file: Found, segments: tuple[Segment, ...], split: str) -> AnnotatedVideo:
  subset = {"val": "validation", "test": "testing"}[split]
  if file.frames:
    return AnnotatedVideo(name, file.frames / 30, segments, subset, file.frames, None, 30.0)
  with Video(file.path) as video:
    seconds = float(video.times[-1] - video.times[0]) + 1 / video.fps
    return AnnotatedVideo(name, seconds, segments, subset, video.num_frames, None, video.fps)


def _thumos_proposals(folder: Path, out: Output, split: str) -> None:
  path = first_of(folder, f"thumos14_tag_{split}_normalized_proposal_list.txt")
  if path is None or not out.media.frames:
    return
  videos = [(video.id, out.media.find(video.id)) for video in read_proposals(path, normalized=True)]
  frames = {name: 1 if file is None else file.frames for name, file in videos}
  kept = {name for name, file in videos if file is not None}
  scaled = [video for video in read_proposals(path, normalized=True, frames=frames) if video.id in kept]
  write_proposals(out.folder / f"{split}_proposals.txt", scaled)


def ava(folder: Path, out: Output) -> None:
  """ava_train_v2.2.csv, ava_val_v2.2.csv (or v2.1), exclusions and action list -> train, val .csv, actions.pbtxt.

  Only key frames of videos that are there are kept, and the lists name videos as the official files do; counts are of
  videos.
  """
  for split in ("train", "val"):
    path = annotation(folder, f"ava_{split}_v2.2.csv", f"ava_{split}_v2.1.csv")
    frames = read_ava(path)
    names = list(dict.fromkeys(frame.video for frame in frames))
    there = {name for name, _, _ in out.found(split, [([name], None) for name in names])}
    write_ava(out.folder / f"{split}.csv", [frame for frame in frames if frame.video in there])
    version = path.stem.rpartition("_")[2]
    excluded = first_of(folder, f"ava_{split}_excluded_timestamps_{version}.csv")
    if excluded is not None:
      pairs = sorted(pair for pair in read_exclusions(excluded) if pair[0] in there)
      text = "".join(f"{video},{second:04d}\n" for video, second in pairs)
      (out.folder / f"{split}_excluded.csv").write_text(text, "utf-8")
  lists = [f"ava_action_list_{v}{what}.pbtxt" for v in ("v2.2", "v2.1") for what in ("", "_for_activitynet_2019")]
  _write_actions(out, read_ava_labels(annotation(folder, *lists)))


def _write_actions(out: Output, names: dict[int, str]) -> None:
  text = "".join(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n' for number, name in sorted(names.items()))
  (out.folder / "actions.pbtxt").write_text(text, "utf-8")
  out.classes = tuple(names[number] for number in sorted(names))


def ucf101_24(folder: Path, out: Output) -> None:
  """UCF101v2-GT.pkl -> as `jhmdb`."""
  _tubes(annotation(folder, "UCF101v2-GT.pkl", "UCF101-24-GT.pkl"), out)


def jhmdb(folder: Path, out: Output) -> None:
  """JHMDB-GT.pkl -> train_1, test_1 (.txt by class, .csv of boxes in AVA's form), actions.pbtxt.

  In the csv a frame's number, from 1 on, stands for the second, boxes are shares of the picture, actions count from 1,
  and people are numbered by tube.
  """
  _tubes(annotation(folder, "JHMDB-GT.pkl"), out)


def _tubes(path: Path, out: Output) -> None:
  data = read_pickle(path)
  try:
    names, tubes, sizes = list(data["labels"]), data["gttubes"], data["resolution"]
    splits = [(f"{split}_{at}", list(videos)) for split in ("train", "test")
              for at, videos in enumerate(data[f"{split}_videos"], 1)]  # fmt: skip
    rows = {name: [(str(video), _key_frames(str(video), tubes[video], sizes[video])) for video in videos]
            for name, videos in splits}  # fmt: skip
  except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
    wanted = "labels, gttubes, resolution, train_videos and test_videos were wanted"
    raise InputError(f"{path}: {wanted} ({type(error).__name__}: {shown(str(error))})") from None
  for name, members in rows.items():
    found = out.found(name, [([video], frames) for video, frames in members])
    write_ava(out.folder / f"{name}.csv", [frame for _, _, frames in found for frame in frames], decimals=6)
    labels = [(file, frames[0].labels[0][0] - 1) for _, file, frames in found if frames]
    _write_clips(out, name, labels)
  _write_actions(out, {number: str(name) for number, name in enumerate(names, 1)})


def _key_frames(video: str, tubes: dict, size: tuple) -> list[KeyFrame]:
  """A key frame for each frame with a box, in the order of time."""
  height, width = (float(side) for side in size)
  people: dict[int, list] = {}
  number = 0
  for label in sorted(tubes):
    for tube in tubes[label]:
      rows = np.asarray(tube, np.float64)
      boxes = np.clip(rows[:, 1:5] / [width, height, width, height], 0, 1)
      for frame, box in zip(rows[:, 0].astype(int).tolist(), boxes.tolist(), strict=True):
        people.setdefault(frame, []).append((tuple(box), (int(label) + 1,), number))
      number += 1
  return [KeyFrame(video, frame, *map(tuple, zip(*people[frame], strict=True))) for frame in sorted(people)]


OMNI = {  # list here -> (annotation files, the first that is there is taken; the media folder; format)
  "kinetics_train": (("kinetics_200/k200_train.txt",), "kinetics_200_train", "video_list"),
  "kinetics_val": (("kinetics_200/k200_val.txt",), "kinetics_200_val", "video_list"),
  "google_image": (
    ("googleimage_200/tsn_8seg_googleimage_200_wodup.txt", "googleimage_200/googleimage_200.txt"),
    "googleimage_200",
    "image_list",
  ),
  "insta_image": (
    ("insimage_200/tsn_8seg_insimage_200_wodup.txt", "insimage_200/insimage_200.txt"),
    "insimage_200",
    "image_list",
  ),
  "web_image": (("webimage_200/tsn_8seg_webimage_200_wodup.txt",), "", "image_list"),
  "insta_video": (
    ("insvideo_200/slowonly_8x8_insvideo_200_wodup.txt", "insvideo_200/insvideo_200.txt"),
    "insvideo_200",
    "video_list",
  ),
}


def omnisource(folder: Path, out: Output) -> None:
  """The lists of OmniSource's annotations folder -> one list a source, labels.txt; kinetics_raw.json for raw videos."""
  for name, (files, place, format) in OMNI.items():
    path = next((folder / file for file in files if (folder / file).is_file()), None)
    if path is None:
      continue
    root = os.path.join(out.media.folder, place)
    records = read_records(path, format=format, root=root, check=False)
    there = [record for record in records if os.path.isfile(record.source)]
    out.count(name, records, there)
    write_video_list(out.folder / f"{name}.txt", [(out.place(Found(r.source)), r.label or 0) for r in there])
  raw = folder / "kinetics_raw_200" / "slowonly_8x8_kinetics_raw_200.json"
  if raw.is_file():
    videos = read_untrimmed(raw, root=os.path.join(out.media.folder, "kinetics_raw_200_train"), with_negative=True)
    there = [video for video in videos if os.path.isdir(video.source)]
    out.count("kinetics_raw", videos, there)
    keys = ("video_dir", "label", "num_clips", "positive_clip_inds")
    rows = [(out.place(Found(v.source)), v.label, v.clips, list(v.positive)) for v in there]
    write_json_rows(out.folder / "kinetics_raw.json", [dict(zip(keys, row, strict=True)) for row in rows])
  if not out.counts:
    raise InputError(f"{folder}: none of OmniSource's lists in it, such as {OMNI['kinetics_train'][0][0]}")
  names = folder / "k200_actions.txt"
  if names.is_file():
    out.labels(read_label_map(names))
