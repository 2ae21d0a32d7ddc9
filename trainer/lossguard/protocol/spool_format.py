"""How a spool segment's bytes lie, for the trainer that writes it and for whoever delivers it later.

Rules of this file: a segment is a magic, then records of length, CRC-32, seq and payload; the first record has seq 0
and holds the stream's Hello. A reader stops at the first record that is torn or damaged, and says how many bytes it
left.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from .codec import decode_to_server
from .errors import BadMessage
from .messages import Hello

MAGIC = b"LGSPOOL1"
SUFFIX = ".lgs"
HEAD = struct.Struct("<IIQ")  # payload length, CRC-32 over seq and payload, seq


@dataclass(frozen=True)
class SegmentContent:
    """What a reader found in one segment: its stream, (seq, payload) records, and how many bytes it could not read."""

    hello: Hello
    records: list[tuple[int, bytes]]
    damaged_bytes: int


def parse_segment(data: bytes) -> SegmentContent:
    """The content of a segment file. Raises BadMessage when not even its header can be read."""
    if not data.startswith(MAGIC):
        raise BadMessage("It is no spool segment.")
    records, end = [], len(MAGIC)
    for seq, payload, next_at in _records(data, end):
        records.append((seq, payload))
        end = next_at
    if not records or records[0][0] != 0:
        raise BadMessage("The segment's header is damaged.")
    hello = decode_to_server(records[0][1])
    if not isinstance(hello, Hello):
        raise BadMessage("The segment's header is no Hello.")
    return SegmentContent(hello, records[1:], len(data) - end)


def pack_record(seq: int, payload: bytes) -> bytes:
    """One record."""
    return HEAD.pack(len(payload), zlib.crc32(payload, zlib.crc32(seq.to_bytes(8, "little"))), seq) + payload


def _records(data: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    while at + HEAD.size <= len(data):
        length, crc, seq = HEAD.unpack_from(data, at)
        payload = data[at + HEAD.size : at + HEAD.size + length]
        if len(payload) != length or zlib.crc32(payload, zlib.crc32(seq.to_bytes(8, "little"))) != crc:
            return
        at += HEAD.size + length
        yield seq, payload, at
