"""Annotation files -> `Record`s, and a record's frames as uint8 RGB arrays."""

from jaction.records.record import Record

__all__ = ["Record"]
