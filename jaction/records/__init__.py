"""Annotation files -> `Record`s, and a record's frames as uint8 RGB arrays."""

from jaction.records.frames import FrameCache, FrameFolder, open_frames, read_image
from jaction.records.lists import READERS, class_names, read_label_map, read_records, write_csv, write_video_list
from jaction.records.record import Record
from jaction.records.video import Video

__all__ = [
  "READERS",
  "FrameCache",
  "FrameFolder",
  "Record",
  "Video",
  "class_names",
  "open_frames",
  "read_image",
  "read_label_map",
  "read_records",
  "write_csv",
  "write_video_list",
]
