"""tf.train.Example, the form in which TFDS stores one example, without TensorFlow or protobuf.

An Example holds features by name; each is a list of bytes, of floats or of integers (tensorflow/core/example/
example.proto, feature.proto). In the encoding of protocol buffers that is: Example{1: Features}, Features{1: entries},
entry{1: name, 2: Feature}, Feature{1: bytes list | 2: floats | 3: integers}, each list {1: values}.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaction.errors import MediaError

Values = list[bytes] | list[int] | list[float]
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types


def encode_example(features: Mapping[str, Sequence[Any]]) -> bytes:
  """Features by name -> a serialised Example; values of a feature are all bytes or all integers."""
  entries = []
  for name, values in features.items():
    if all(isinstance(value, bytes) for value in values) and values:
      feature = _field(1, b"".join(_field(1, value) for value in values))
    else:
      feature = _field(3, _field(1, b"".join(_varint(int(value)) for value in values)))
    entries.append(_field(1, _field(1, name.encode()) + _field(2, feature)))
  return _field(1, b"".join(entries))


def decode_example(data: bytes, name: str) -> dict[str, Values]:
  """A serialised Example -> its features; MediaError, which begins with `name`, for anything else."""
  try:
    features: dict[str, Values] = {}
    for number, wire, body in _fields(memoryview(data)):
      if number != 1 or wire != _LENGTH:
        raise ValueError("a field that no Example has")
      for _, _, entry in _fields(body):
        parts = {number: value for number, _, value in _fields(entry)}
        features[bytes(parts[1]).decode()] = _values(parts.get(2, memoryview(b"")))
    return features
  except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
    raise MediaError(f"{name}: no tf.train.Example ({len(data)} bytes, {error})") from None


def _values(feature: memoryview) -> Values:
  found: list = []
  for kind, _, body in _fields(feature):
    for _, wire, value in _fields(body):
      if kind == 1:
        found.append(bytes(value))
      elif kind == 2:  # packed, or one by one
        found += struct.unpack(f"<{len(value) // 4}f", value)
      elif wire == _VARINT:
        found.append(_signed(value))
      else:
        found += _integers(value)
  return found


def _integers(packed: memoryview) -> Iterator[int]:
  at = 0
  while at < len(packed):
    value, at = _read_varint(packed, at)
    yield _signed(value)


def _signed(value: int) -> int:
  return value - (1 << 64) if value >> 63 else value


def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
  """(number, wire type, value) of each field of a message; of a varint the value is an int."""
  at = 0
  while at < len(data):
    key, at = _read_varint(data, at)
    wire = key & 7
    if wire == _VARINT:
      value, at = _read_varint(data, at)
    else:
      size, at = _read_varint(data, at) if wire == _LENGTH else ({_FIXED64: 8, _FIXED32: 4}[wire], at)
      value = data[at : at + size]
      at += size
      if at > len(data):
        raise ValueError("it ends too early")
    yield key >> 3, wire, value


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
  value, shift = 0, 0
  while True:
    byte = data[at]
    value |= (byte & 0x7F) << shift
    at, shift = at + 1, shift + 7
    if byte < 0x80:
      return value, at
    if shift > 63:
      raise ValueError("a number of more than 64 bits")


def _varint(value: int) -> bytes:
  value &= (1 << 64) - 1
  out = bytearray()
  while value > 0x7F:
    out.append(value & 0x7F | 0x80)
    value >>= 7
  out.append(value)
  return bytes(out)


def _field(number: int, body: bytes) -> bytes:
  return _varint(number << 3 | _LENGTH) + _varint(len(body)) + body
