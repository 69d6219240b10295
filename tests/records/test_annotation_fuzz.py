"""Damaged annotation files of every format: an InputError that names file and line, or records; nothing else, ever."""

import functools
import io
import json
import pickle
import random
import re
import signal

import numpy as np
import pytest

from jaction.errors import InputError
from jaction.records import READERS, Record, read_label_map, read_records
from jaction.records.activitynet import read_activitynet
from jaction.records.ava import read_ava, read_ava_labels, read_exclusions
from jaction.records.boxes_file import read_box_file
from jaction.records.prepare_files import csv_lines, csv_table
from jaction.records.ssn import read_proposals
from jaction.records.untrimmed import read_untrimmed

SECONDS = 10  # far more than any of these files takes
FILES = 24  # mutated files of each format; 600 in all
BOXES = {"v,0902": np.array([[0.1, 0.2, 0.3, 0.4, 0.9]]), "v,0903": np.array([[0, 0, 1, 1, 0.5], [0, 0.5, 1, 1, 0.1]])}
VIDEOS = [{"filename": "a b.mp4", "label": 1}, {"frame_dir": "d", "total_frames": 5, "label": [2]},
          {"audio_path": "s.wav", "total_frames": 4, "label": 0},
          {"video_dir": "v", "label": 1, "num_clips": 3, "positive_clip_inds": [0, 2]}]  # fmt: skip
HVU = [{"filename": "a.mp4", "label": {"scene": [1, 5], "action": [3]}}, {"filename": "b.mp4", "label": {"event": [1]}}]
ANET = {"v_1": {"duration_second": 3.5, "duration_frame": 90, "fps": 25,
                "annotations": [{"segment": [0.5, 1.0], "label": "Archery"}]},
        "v_2": {"duration_second": 2, "annotations": []}}  # fmt: skip
SSN = "# 0\nv_1\n100\n1\n1\n3 10 20\n2\n3 0.5 1.0 8 20\n0 0.0 0.0 40 50\n# 1\nv_2\n30\n1\n0\n1\n1 0.1 0.2 3 9\n"
SHARES = "# 0\nv_1\n100\n1\n1\n3 0.1 0.2\n1\n3 0.5 1.0 0.25 0.5\n"
AVA = "v,0902,0.1,0.2,0.3,0.4,12,0\nv,0902,0.1,0.2,0.3,0.4,80,0\nw,0903,0.5,0.2,0.9,0.4,1,1\n"
PBTXT = 'item {\n  name: "stand"\n  id: 1\n}\nlabel {\n  name: "sit"\n  label_id: 2\n  label_type: P\n}\n'


def npz():
  file = io.BytesIO()
  np.savez(file, **BOXES)
  return file.getvalue()


def records(format):
  return functools.partial(read_records, format=format, check=False)


SEEDS = {  # what it is -> (name of the file, its contents, its reader)
  "video_list": ("l.txt", 'a b.mp4 1\nsome/c.mp4 2\n"take 2" 0\né.mp4 3\n', records("video_list")),
  "multi_label_list": ("l.txt", "a.mp4 1 2\nb.mp4 0\n", records("multi_label_list")),
  "frame_list": ("l.txt", "dir/v1 163 1\ndir/v2 122 0\n", records("frame_list")),
  "frame_list_offset": ("l.txt", "v1 10 163 1\nv2 0 122 0\n", records("frame_list_offset")),
  "frame_multi_label_list": ("l.txt", "v1 163 1 3\nv2 122 0\n", records("frame_multi_label_list")),
  "image_list": ("l.txt", "i/1.jpg 1\ni/2.jpg 0\n", records("image_list")),
  "audio_list": ("l.txt", "a/1.wav 163 1\na/2 122 0\n", records("audio_list")),
  "audio_feature_list": ("l.txt", "a/1 163 1\na/2.npy 122 0\n", records("audio_feature_list")),
  "untrimmed_list": ("l.txt", "d/v1 1 2 0 1\nd/v3 1 3 2\n", records("untrimmed_list")),
  "csv": ("l.csv", 'path,label\n"a, b.mp4",1\nc.mp4,0\n', records("csv")),
  "json": ("l.json", json.dumps(VIDEOS, indent=1), records("json")),
  "multi_label_json": ("l.jsonl", "\n".join(map(json.dumps, VIDEOS)), records("multi_label_json")),
  "hvu": ("l.json", json.dumps(HVU, indent=1), records("hvu")),
  "auto": ("l.txt", "a.mp4 1\nb.mp4 0\n", records("auto")),
  "untrimmed": ("l.txt", "d/v1 1 2 0 1\nd/v3 1 3 2\n", read_untrimmed),
  "activitynet": ("l.json", json.dumps(ANET, indent=1), read_activitynet),
  "activitynet official": ("l.json", json.dumps({"database": ANET, "version": "1"}, indent=1), read_activitynet),
  "ssn": ("l.txt", SSN, read_proposals),
  "ssn in shares": ("l.txt", SHARES, functools.partial(read_proposals, normalized=True)),
  "ava": ("l.csv", AVA, read_ava),
  "ava exclusions": ("l.csv", "v,0902\nw,0903\n", read_exclusions),
  "ava labels": ("l.pbtxt", PBTXT, read_ava_labels),
  "label map": ("l.txt", "archery\nbiking\n", read_label_map),
  "csv of a dataset": ("l.csv", "tag,category\nwater,scene\nrun,action\n", lambda p: csv_table(p, "tag", "category")),
  "semicolons": ("l.csv", '12;Dropping "x"\n7;Holding\n', lambda p: csv_lines(p, delimiter=";", quotes=False)),
  "boxes in a pickle": ("l.pkl", pickle.dumps(BOXES, 4), read_box_file),
  "boxes in an old pickle": ("l.pkl", pickle.dumps(BOXES, 2), read_box_file),
  "boxes in npz": ("l.npz", npz(), read_box_file),
}
BINARY = {name for name in SEEDS if name.startswith("boxes")}
WHOLE_FILE = "nothing to read|no videos|no class|no key frames|lists folders with|is empty"  # errors that have no line


def flip(rng, data):
  for _ in range(rng.choice([1, 3, 10])):
    at = rng.randrange(len(data))
    data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
  return data


def cut(rng, data):
  return data[: rng.randrange(len(data))]


def insert(rng, data, what):
  at = rng.randrange(len(data) + 1)
  return data[:at] + what + data[at:]


def swap_token(rng, data):
  """A number, a text or a mark in the place of another one."""
  places = list(re.finditer(rb"[\w.]+|[^\w\s]", data))
  other = rng.choice(
    [b"-1", b"1e999", b"nan", b"x", b"[]", b"{}", b"null", b"true", b'"', b"0.5", b"9" * 30, b"", b","]
  )
  place = rng.choice(places)
  return data[: place.start()] + other + data[place.end() :]


def lines(rng, data):
  rows = data.split(b"\n")
  at, to = rng.randrange(len(rows)), rng.randrange(len(rows))
  return b"\n".join(rng.choice([rows[:at] + rows[at + 1 :], [*rows, rows[at]], [*rows[:to], rows[at], *rows[to:]]]))


MUTATIONS = {
  "flipped bytes": flip,
  "cut off": cut,
  "empty": lambda rng, data: b"",
  "blank": lambda rng, data: b" \n\t\r\n ",
  "noise": lambda rng, data: rng.randbytes(rng.choice([1, 50, 5000])),
  "a huge line": lambda rng, data: insert(rng, data, rng.choice([b"x", b"1 ", b'"', b"a,", b"9"]) * 200_000),
  "huge lines of fields": lambda rng, data: data + b"v" + b" 1" * 100_000 + b"\n",
  "NUL bytes": lambda rng, data: insert(rng, data, b"\0" * rng.choice([1, 9])),
  "UTF-16": lambda rng, data: data.decode("latin1").encode("utf-16"),
  "Latin-1": lambda rng, data: insert(rng, data, "Jürgen".encode("latin1")),
  "nested lists": lambda rng, data: insert(rng, data, b"[" * 50_000),
  "nested objects": lambda rng, data: b'{"a":' * 50_000,
  "another value": swap_token,
  "another value still": swap_token,
  "lines lost and doubled": lines,
  "other ends of lines": lambda rng, data: data.replace(b"\n", rng.choice([b"\r", b"\r\n", b"\x0b", b"\n\n"])),
}


def late(*_):
  raise AssertionError(f"no answer within {SECONDS} s")


@pytest.mark.parametrize("kind", SEEDS)
def test_a_damaged_annotation_file_is_an_error_with_its_line_or_is_read(kind, tmp_path):
  rng = random.Random(kind)
  name, seed, read = SEEDS[kind]
  seed = seed.encode() if isinstance(seed, str) else seed
  path = tmp_path / name
  path.write_bytes(seed)
  assert read(path)  # whole, it is read
  outcomes = {"read": 0, "error": 0}
  mutations = list(MUTATIONS) + rng.choices(["flipped bytes", "cut off", "another value"], k=FILES - len(MUTATIONS))
  for mutation in mutations:
    path.write_bytes(MUTATIONS[mutation](rng, seed))
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
      found = read(path)
    except InputError as error:
      outcomes["error"] += 1
      assert str(path) in str(error) and len(str(error)) < 1000, mutation
      located = re.search(re.escape(str(path)) + r":\d+: ", str(error)) or re.search(WHOLE_FILE, str(error))
      assert located or kind in BINARY, f"{mutation}: {error}"
    else:
      outcomes["read"] += 1
      check_read(kind, path, found, mutation)
    finally:
      signal.setitimer(signal.ITIMER_REAL, 0)
      signal.signal(signal.SIGALRM, before)
  assert sum(outcomes.values()) == FILES and outcomes["error"] >= 6, outcomes


def check_read(kind, path, found, mutation):
  """Records have labels that a list can have; a plain list is read as its plain twin reads it."""
  if kind in READERS:
    for record in found:
      assert isinstance(record, Record) and "\0" not in record.source, mutation
      assert all(label >= 0 for label in (record.labels if record.label is None else (record.label,))), mutation
      assert record.frames is None or record.frames > 0, mutation
  if kind in ("frame_list", "image_list"):  # whose seeds have no quotes; a mutation may bring one
    rows = [line.strip() for line in path.read_text("utf-8-sig").split("\n")]
    rows = [row.rsplit(None, 2 if kind == "frame_list" else 1) for row in rows if row]
    if not any(row[0].startswith('"') for row in rows):
      assert [(r.id, r.label) for r in found] == [(row[0], int(row[-1])) for row in rows], mutation


def test_every_list_format_has_a_seed_above():
  assert set(READERS) - {"folder", "tfds", "array_record"} <= set(SEEDS)  # these are folders and shards, no lists
  assert len(SEEDS) * FILES >= 200


def test_a_pipe_or_a_folder_is_no_annotation_file(tmp_path):
  import os

  os.mkfifo(tmp_path / "pipe")
  for read in (read_activitynet, read_proposals, read_ava, read_ava_labels, read_box_file, read_label_map):
    with pytest.raises(InputError, match="pipe: is not a file"):
      read(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a file"):
      read(tmp_path)
    with pytest.raises(InputError, match="gone: cannot be read"):
      read(tmp_path / "gone")
  with pytest.raises(InputError, match="pipe: is not a file"):
    read_records(tmp_path / "pipe", format="video_list")
