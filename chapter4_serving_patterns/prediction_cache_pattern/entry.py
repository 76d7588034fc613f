"""What is kept for one answer, as bytes: a head of 30, the content, a checksum of 4."""

import struct
import zlib
from typing import NamedTuple

VERSION = 1
"""Of this layout, in the first byte. What another version has written is not read, but computed again."""
MAX_BYTES = 4096
"""Longest content that is kept."""
_HEAD = struct.Struct("<B?dfdd")
_SUM = struct.Struct("<I")

Marks = tuple[float, float]
"""Of the last invalidation of the model and of the item, or 0: what was made under other marks does not count."""


class Entry(NamedTuple):
    """One answer. made_at: seconds since 1970; fresh_s: seconds from then on; refused: the item's own fault."""

    refused: bool
    made_at: float
    fresh_s: float
    marks: Marks
    content: bytes


def encode(entry: Entry) -> bytes:
    """The entry as bytes."""
    head = _HEAD.pack(VERSION, entry.refused, entry.made_at, entry.fresh_s, *entry.marks)
    return head + entry.content + _SUM.pack(zlib.crc32(entry.content, zlib.crc32(head)))


def decode(raw: bytes) -> Entry | None:
    """The entry; None if the bytes are truncated, damaged, of another version, or something else altogether."""
    if len(raw) < _HEAD.size + _SUM.size or raw[0] != VERSION:
        return None
    body = memoryview(raw)[: -_SUM.size]
    if _SUM.pack(zlib.crc32(body)) != raw[-_SUM.size :]:
        return None
    _, refused, made_at, fresh_s, *marks = _HEAD.unpack_from(body)
    return Entry(refused, made_at, fresh_s, (marks[0], marks[1]), bytes(body[_HEAD.size :]))
