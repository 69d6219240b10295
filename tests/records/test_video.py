import os
import pathlib
import wave

import av
import numpy as np
import pytest

from jaction.errors import InputError, MediaError
from jaction.records import Video
from jaction.records import video as video_module

X264 = "keyint=10:min-keyint=10:scenecut=0"


@pytest.fixture(autouse=True, params=[True, False], ids=["held", "sought"])
def packets_held(request, monkeypatch):
  """Everything twice: with the packets kept from the first look at the file, and, as of large files, without."""
  if not request.param:
    monkeypatch.setattr(video_module, "KEPT_PACKETS", 0)
  return request.param


def assert_same(source, expected, reads=12):
  """Forward at once, one by one backwards, and at random with repeats."""
  rng = np.random.default_rng(0)
  with Video(source) as video:
    assert (video.num_frames, video.height, video.width) == expected.shape[:3]
    assert np.array_equal(video.read(range(video.num_frames)), expected)
    for index in range(video.num_frames - 1, -1, -5):
      assert np.array_equal(video.read([index]), expected[[index]]), index
    for _ in range(reads):
      indices = rng.integers(0, video.num_frames, 4)
      assert np.array_equal(video.read(indices), expected[indices]), indices
    assert video.times.shape == (video.num_frames,) and (np.diff(video.times) > 0).all()
    return video


def test_b_frames_and_short_groups_are_read_exactly(films, decode_all):
  path = films.make("b.mp4")
  video = assert_same(path, decode_all(path))
  assert video.fps == 25 and np.allclose(video.times, np.arange(40) / 25)


@pytest.mark.parametrize("name", ["seek.mp4", "seek.mkv", "seek.mov"])
def test_a_frame_is_reached_from_its_own_keyframe_and_not_from_one_before(name, films, monkeypatch):
  packets, plain = [], Video._decode

  def counted(video, given, **options):
    def each():
      for packet in given:
        packets.append(packet.pts)
        yield packet

    yield from plain(video, each(), **options)

  with Video(films.make(name, count=80)) as video:  # a keyframe every ten
    monkeypatch.setattr(Video, "_decode", counted)
    for index in (75, 51, 37):
      packets.clear()
      video.read([index])
      assert len(packets) < 14, f"frame {index} cost {len(packets)} packets"


def test_pictures_on_which_no_other_rests_are_left_out_on_the_way(films, monkeypatch):
  frames, plain = [], Video._decode

  def counted(video, *args, **options):
    for frame in plain(video, *args, **options):
      frames.append(frame.pts)
      yield frame

  with Video(films.make("skip.mp4", count=60, options={"x264-params": "keyint=60:scenecut=0:bframes=3"})) as video:
    monkeypatch.setattr(Video, "_decode", counted)
    wanted = video.read([7, 55])
    assert 20 < len(frames) < 50
    np.testing.assert_array_equal(wanted, video.read(range(56))[[7, 55]])


def test_the_frames_are_those_that_were_put_in(films):
  path = films.make("b.mp4", options={"x264-params": X264, "crf": "4"}, pixels="yuv444p")
  with Video(path) as video:
    greys = video.read(range(40))[:, 1:7, 1:7].mean((1, 2, 3))
  assert np.abs(greys - np.arange(40) * 37 % 256).max() < 6


ODD = {
  "open groups": ("open.mp4", {"options": {"x264-params": X264 + ":bframes=3:open-gop=1"}}),
  "no keyframe but refresh": (
    "refresh.mkv",
    {"options": {"x264-params": "keyint=20:intra-refresh=1:bframes=0"}, "count": 60},
  ),
  "interlaced": ("interlaced.mp4", {"options": {"x264-params": X264 + ":tff=1"}}),
  "odd sides, full colour": ("odd.mp4", {"size": (49, 63), "pixels": "yuv444p"}),
  "ten bits": ("ten.mkv", {"pixels": "yuv420p10le"}),
  "one frame": ("one.mp4", {"count": 1}),
  "two frames": ("two.mp4", {"count": 2}),
  "an elementary stream": ("raw.h264", {}),
  "h264 in avi": ("h.avi", {}),
  "transport stream": ("a.ts", {}),
  "flash": ("a.flv", {}),
  "hevc with open groups": ("hevc.mp4", {"codec": "libx265", "size": (64, 64)}),
  "vp8": ("a.webm", {"codec": "libvpx"}),
  "vp9": ("b.webm", {"codec": "libvpx-vp9"}),
  "packed b-frames": ("a.avi", {"codec": "mpeg4"}),
  "mpeg4 in mp4": ("m.mp4", {"codec": "mpeg4"}),
  "motion jpeg": ("j.avi", {"codec": "mjpeg", "pixels": "yuvj420p"}),
  "gif": ("a.gif", {"codec": "gif", "pixels": "rgb8"}),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_are_read_as_sequential_decoding_reads_them(kind, films, decode_all):
  name, settings = ODD[kind]
  if settings.get("codec", "libx264") not in av.codecs_available:
    pytest.skip(f"this PyAV has no encoder {settings['codec']}")
  path = films.make(name, **settings)
  assert_same(path, decode_all(path), reads=6)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_a_variable_rate_keeps_its_times(name, films, decode_all):
  pts = np.cumsum(np.random.default_rng(1).integers(900, 9000, 40))
  path = films.make(name, pts=pts)
  video = assert_same(path, decode_all(path))
  assert np.allclose(video.times, pts / 90000, atol=6e-4)  # Matroska counts in milliseconds
  assert video.fps == pytest.approx(39 * 90000 / (pts[-1] - pts[0]), rel=1e-3)  # not the 25 that the header claims


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_a_first_timestamp_other_than_zero_shifts_times_and_no_frame(name, films, decode_all):
  path = films.make(name, pts=5 * 90000 + 3600 * np.arange(40))
  video = assert_same(path, decode_all(path))
  assert np.allclose(video.times, 5 + np.arange(40) / 25, atol=2e-3)


@pytest.mark.parametrize("first", [5, 10])
def test_a_file_that_begins_amid_a_group_has_the_frames_that_decode(first, films, decode_all):
  whole = films.make("open.mp4", options={"x264-params": X264 + ":bframes=3:open-gop=1"})
  path = films.packets(whole, "cut.mkv", lambda i, packet: packet if i >= first else None)
  expected = decode_all(path)
  assert 10 < len(expected) < 40 - first
  assert_same(path, expected)


def test_a_file_without_an_index_is_read(films, decode_all):
  path = films.packets(films.make("b.mp4"), "live.mkv", lambda i, packet: packet, options={"live": "1"})
  assert_same(path, decode_all(path))


def test_fragments_are_read(films, decode_all):
  options = {"movflags": "frag_keyframe+empty_moov"}
  path = films.packets(films.make("b.mp4"), "fragments.mp4", lambda i, packet: packet, options=options)
  assert_same(path, decode_all(path))


def test_vp8_pictures_that_are_never_shown_are_no_frames(films, decode_all):
  if "libvpx" not in av.codecs_available:
    pytest.skip("this PyAV has no encoder libvpx")

  def hide(i, packet):
    if i not in (3, 17, 30):
      return packet
    data = bytearray(bytes(packet))
    data[0] &= ~0x10  # show_frame, RFC 6386 section 9.1
    hidden = av.Packet(bytes(data))
    hidden.pts, hidden.dts, hidden.time_base = packet.pts, packet.dts, packet.time_base
    return hidden

  path = films.packets(films.make("a.webm", codec="libvpx"), "hidden.webm", hide)
  assert len(decode_all(path)) == 37
  assert_same(path, decode_all(path))


@pytest.mark.parametrize(
  "matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (0, 1, 1, 0)]
)
def test_turns_and_mirrorings_are_applied(matrix, films, decode_all):
  path = films.make("b.mp4", count=6)
  plain = decode_all(path)
  a, b, c, d = matrix
  rows, columns = np.mgrid[: plain.shape[1], : plain.shape[2]]
  x, y = a * columns + c * rows, b * columns + d * rows  # pixel by pixel, as libavutil/display.h has it
  x, y = x - x.min(), y - y.min()
  expected = np.zeros((6, y.max() + 1, x.max() + 1, 3), np.uint8)
  expected[:, y, x] = plain
  assert_same(films.turned(path, "turned.mp4", matrix), expected)


def test_bytes_are_read_as_their_file_is(films, decode_all):
  path = films.make("b.mp4")
  assert_same(pathlib.Path(path).read_bytes(), decode_all(path))


def test_a_name_like_an_address_or_an_option_is_a_name(films, decode_all, monkeypatch):
  path = films.make("b.mp4", count=4)
  expected = decode_all(path)
  monkeypatch.chdir(films.folder)
  for name in ("concat:x %05d.mp4", "-é.mp4"):
    os.link(path, name)
    assert_same(name, expected)


def test_a_title_in_another_encoding_does_not_matter(films, decode_all):
  path = films.make("b.mp4", count=4, container_options={"movflags": "faststart"}, title="caffe concerto")
  data = pathlib.Path(path).read_bytes()
  assert b"caffe concerto" in data
  assert_same(data.replace(b"caffe concerto", b"caff\xe9 concerto"), decode_all(path))


@pytest.mark.parametrize("part", [0.5, 0.8, 0.97, 0.99])
def test_a_truncated_file_has_the_frames_whose_packets_are_whole(part, films, decode_all):
  path = films.packets(films.make("b.mp4"), "s.mp4", lambda i, p: p, options={"movflags": "faststart"})
  data = pathlib.Path(path).read_bytes()
  cut = films.write("cut.mp4", data[: int(part * len(data))])
  whole, expected = decode_all(path), decode_all(cut)
  assert 0 < len(expected) < 40
  video = assert_same(cut, expected)
  numbers = np.rint(video.times * 25).astype(int)  # what is left is what it was, though the last frames have gaps
  assert np.array_equal(expected, whole[numbers])


def test_a_frame_that_does_not_decode_is_an_error_and_its_neighbours_are_right(films, decode_all):
  spoilt = 12  # in packets; the keyframe of a group begins at 10

  def spoil(i, packet):
    if i != spoilt:
      return packet
    bad = av.Packet(b"\0\0\0\1\x41" + bytes(40))
    bad.pts, bad.dts, bad.time_base = packet.pts, packet.dts, packet.time_base
    lost.append(packet.pts)
    return bad

  lost = []
  path = films.make("b.mkv", options={"x264-params": X264 + ":bframes=0"})
  expected = decode_all(path)
  spoilt_path = films.packets(path, "spoilt.mkv", spoil)
  with Video(spoilt_path) as video:
    assert video.num_frames == 40
    with pytest.raises(MediaError, match=r"spoilt.mkv: frame 12 of 40 .* cannot be decoded"):
      video.read([3, spoilt, 30])
    for good in ([11, 5], [20, 39], [spoilt - 1]):
      assert np.array_equal(video.read(good), expected[good])
  assert lost


def test_damage_gives_frames_or_a_media_error_and_no_noise(films, capfd):
  names = [films.make("b.mp4"), films.make("b.mkv"), films.make("a.avi", codec="mpeg4"), films.make("raw.h264")]
  capfd.readouterr()
  rng = np.random.default_rng(3)
  opened = 0
  for trial in range(48):
    data = bytearray(pathlib.Path(names[trial % len(names)]).read_bytes())
    for place in rng.integers(0 if trial % 3 else len(data) // 4, len(data), rng.integers(1, 40)):
      data[place] = rng.integers(256)
    try:
      with Video(bytes(data[: rng.integers(len(data) // 2, len(data))])) as video:
        opened += 1
        for index in (0, video.num_frames // 2, video.num_frames - 1):
          try:
            assert video.read([index]).shape == (1, video.height, video.width, 3)
          except MediaError:
            pass
    except MediaError:
      pass
  assert opened > 10
  assert capfd.readouterr().err == ""


def test_a_change_of_size_amid_the_stream_is_scaled_to_the_first(films):
  small, large = films.make("s.h264", count=10), films.make("l.h264", count=10, size=(96, 128))
  path = films.write("both.h264", pathlib.Path(small).read_bytes() + pathlib.Path(large).read_bytes())
  with Video(path) as video:
    assert video.num_frames == 20
    assert video.read([0, 15]).shape == (2, 48, 64, 3)


def test_files_without_a_video_say_what_they_are(films, tmp_path):
  with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
    sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000), sound.writeframes(bytes(8000))
  cases = {
    str(tmp_path / "sound.wav"): "holds no video, only audio",
    films.write("notes.txt", b"not a film\n" * 50): "holds no video, only text",
    films.write("noise.mp4", np.random.default_rng(0).bytes(20000)): "cannot be opened as a video",
    films.write("empty.mp4", b""): "is empty",
    films.write("head.mp4", pathlib.Path(films.make("b.mp4")).read_bytes()[:2000]): "cannot be opened as a video",
    str(tmp_path): "is not a file",
    str(tmp_path / "absent.mp4"): "No such file",
  }
  for path, message in cases.items():
    with pytest.raises(MediaError, match=message) as caught:
      Video(path)
    assert path in str(caught.value)
  with pytest.raises(MediaError, match="<10 bytes>"):
    Video(bytes(10))


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
  os.mkfifo(tmp_path / "pipe.mp4")
  with pytest.raises(MediaError, match="is not a file"):
    Video(tmp_path / "pipe.mp4")


def test_a_video_stream_without_frames_is_an_error(films):
  path = films.packets(films.make("b.mp4"), "s.mp4", lambda i, p: p, options={"movflags": "faststart"})
  data = pathlib.Path(path).read_bytes()
  for extra in (4, 30):  # nothing, or less than a packet, after the header
    with pytest.raises(MediaError, match="none.mp4: .* packets of h264 video, of which not one frame"):
      Video(films.write("none.mp4", data[: data.index(b"mdat") + extra]))
  with pytest.raises(MediaError, match="none.mp4: holds no video"):
    Video(films.packets(path, "none.mp4", lambda i, packet: None))


def test_a_cover_picture_is_no_video(films, monkeypatch):
  path = films.make("b.mp4", count=2)
  monkeypatch.setattr(video_module, "is_cover", lambda stream: True)
  with pytest.raises(MediaError, match="still picture"):
    Video(path)


def test_frames_that_are_not_there_are_input_errors(films):
  with Video(films.make("b.mp4", count=5)) as video:
    for indices, message in (
      (([5]), "no frame 5, it has frames 0 to 4"),
      ([-1], "no frame -1"),
      ([1.0], "integers"),
      ([[1]], "row"),
    ):
      with pytest.raises(InputError, match=message):
        video.read(indices)
    assert video.read([]).shape == (0, 48, 64, 3)
    assert video.read(iter([np.int32(2), 2])).shape == (2, 48, 64, 3)


def test_large_counted_files_are_decoded_again_rather_than_kept(films, decode_all, monkeypatch):
  monkeypatch.setattr(video_module, "KEPT_BYTES", 1000)
  path = films.make("a.avi", codec="mpeg4")
  assert_same(path, decode_all(path), reads=3)


def test_files_are_closed_whatever_happens(films, tmp_path):
  good = films.make("b.mp4", count=3)
  bad = films.packets(good, "none.mkv", lambda i, packet: None)
  before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else pytest.skip("no /proc")
  for _ in range(5):
    with Video(good) as video:
      video.read([2])
    with pytest.raises(InputError, match="after close"):
      video.read([0])
    video.close()
    with pytest.raises(MediaError):
      Video(bad)
    with pytest.raises(KeyError), Video(good):
      raise KeyError
  assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.reference
def test_the_shared_videos_are_read_as_sequential_decoding_reads_them(shared, decode_all):
  paths = sorted(p for p in (shared / "media").rglob("*") if p.suffix in (".mp4", ".avi", ".webm", ".mkv"))
  assert paths or pytest.skip("no videos in shared/media")
  rng = np.random.default_rng(0)
  for path in paths:
    expected = decode_all(str(path))
    with Video(path) as video:
      assert video.num_frames == len(expected)
      for wanted in (np.arange(len(expected)), rng.integers(0, len(expected), 8), rng.integers(0, len(expected), 3)):
        assert np.array_equal(video.read(wanted), expected[wanted]), path
    with Video(path.read_bytes()) as video:
      assert np.array_equal(video.read([len(expected) - 1, 0]), expected[[-1, 0]])
