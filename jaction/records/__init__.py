"""Annotation files -> `Record`s, and a record's frames as uint8 RGB arrays."""

from jaction.records.frames import FrameCache, FrameFolder, open_frames, read_image
from jaction.records.lists import READERS, by_class, class_names, read_label_map, read_records, read_weights
from jaction.records.record import Record
from jaction.records.video import Video
from jaction.records.writers import (
  write_csv,
  write_frame_list,
  write_json_rows,
  write_jsonl,
  write_label_map,
  write_video_list,
)

__all__ = [
  "READERS",
  "FrameCache",
  "FrameFolder",
  "Record",
  "Video",
  "by_class",
  "class_names",
  "open_frames",
  "read_image",
  "read_label_map",
  "read_records",
  "read_weights",
  "write_csv",
  "write_frame_list",
  "write_json_rows",
  "write_jsonl",
  "write_label_map",
  "write_video_list",
]
