"""How a spool segment's bytes lie, for the trainer that writes it and for whoever delivers it later.

Rules of this file:
- A segment is a magic, then records of length, CRC-32, seq and payload. Records with seq 0 say whose stream it is: a
  Hello (written twice, so that one flipped bit does not make a segment nobody's) and a Label; the newest counts. So do
  copies of the declarations and schemas made so far: without them nothing later can be read.
- A record whose payload is a Skip stands for the numbers seq..last, which hold nothing; a gap event says why.
- Whatever the bytes are, reading gives records whose CRC holds, in order, and how many bytes were passed over. After a
  damaged record the next header is looked for whose CRC holds; the work is bounded by a multiple of the file's size.
- No I/O: a reader is a function of (offset, count). At most WINDOW_BYTES are held, however large the file is.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from .codec import decode_to_server, encode
from .errors import BadMessage
from .messages import MAX_MESSAGE_BYTES, Declaration, Hello, Schema

MAGIC = b"LGSPOOL1"
SUFFIX = ".lgs"
LEFTOVER = ".new"  # after a segment's name: what a thinning makes, and leaves when it is killed
BAD = "bad"  # the folder for what was damaged or refused
HEAD = struct.Struct("<IIQ")  # payload length, CRC-32 over seq and payload, seq
WINDOW_BYTES = 2 << 20
WORK_FACTOR = 8  # bytes of candidates looked at for each byte of a file: made-up headers cannot cost more
CANDIDATE_BYTES = 32  # what looking at one costs beyond its payload
JUMP_MAX = 1 << 40  # numbers that one damaged record may have stood for; above it, eight bytes are no seq

Read = Callable[[int, int], bytes]


class Label(msgspec.Struct, frozen=True, kw_only=True, tag="label"):
    """Where a stream goes: its server's socket ("": any), and whether that server has welcomed it as this stream."""

    server: str = ""
    is_known: bool = False


class Skip(msgspec.Struct, frozen=True, kw_only=True, tag="skip"):
    """In place of the messages up to and including `last`."""

    last: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose CRC holds, and where it begins. `is_after_damage`: bytes right before it could not be read."""

    at: int
    seq: int
    payload: bytes
    is_after_damage: bool = False


class Scan:
    """Iterates over the records of a segment of `size` bytes; afterwards `damaged_bytes` says what was passed over."""

    def __init__(self, read: Read, size: int) -> None:
        self.damaged_bytes = 0
        self.tail_at: int | None = None  # where the last thing that could not be read begins, when nothing follows it
        self._read, self._size = read, size
        self._window, self._window_at = b"", 0
        self._work_left = WORK_FACTOR * size + WINDOW_BYTES

    def __iter__(self) -> Iterator[Record]:
        at, last_seq, is_after_damage = len(MAGIC), 0, False
        self.damaged_bytes = 0 if self._bytes(0, at) == MAGIC else min(at, self._size)
        while at < self._size:
            if (record := self._record(at)) is None:
                following = self._next(at, last_seq)
                self.tail_at = at if following is None else None
                is_after_damage = True
                self.damaged_bytes += (self._size if following is None else following) - at
                at = self._size if following is None else following
                continue
            seq, payload = record
            yield Record(at, seq, payload, is_after_damage)
            at += HEAD.size + len(payload)
            last_seq, is_after_damage = max(last_seq, seq), False

    def _record(self, at: int) -> tuple[int, bytes] | None:
        head = self._bytes(at, HEAD.size)
        if len(head) < HEAD.size:
            return None
        length, crc, seq = HEAD.unpack(head)
        if length > MAX_MESSAGE_BYTES or at + HEAD.size + length > self._size:
            return None
        payload = self._bytes(at + HEAD.size, length)
        return (seq, payload) if len(payload) == length and crc == _crc(seq, payload) else None

    def _next(self, at: int, last_seq: int) -> int | None:
        """Where the next whole record begins after the damaged one at `at`."""
        head = self._bytes(at, HEAD.size)
        if len(head) == HEAD.size:
            # its length may be right: then nothing that its payload looks like can mislead us
            landing: int = at + HEAD.size + HEAD.unpack(head)[0]
            if (found := self._record(landing)) is not None and found[0] == last_seq + 2:
                return landing
        at += 1
        while at + HEAD.size <= self._size:
            for candidate in self._candidates(at, last_seq):
                if (found := self._record(candidate)) is not None:
                    return candidate
                self._work_left -= CANDIDATE_BYTES + HEAD.unpack(self._bytes(candidate, HEAD.size))[0]
                if self._work_left < 0:
                    return None
            at += WINDOW_BYTES // 4
        return None

    def _candidates(self, at: int, last_seq: int) -> list[int]:
        """The places of the next quarter of a window where a header may begin, by its length and its seq."""
        data = self._bytes(at, WINDOW_BYTES // 4 + HEAD.size - 1)
        count = len(data) - HEAD.size + 1
        lengths: np.ndarray[tuple[int], np.dtype[np.uint32]]
        lengths = np.ndarray((count,), "<u4", data, 0, (1,))
        seqs: np.ndarray[tuple[int], np.dtype[np.uint64]]
        seqs = np.ndarray((count,), "<u8", data, 8, (1,))
        is_length = (lengths >= 1) & (lengths <= MAX_MESSAGE_BYTES)
        is_seq = (seqs == 0) | ((seqs > np.uint64(last_seq)) & (seqs <= np.uint64(min(last_seq + JUMP_MAX, 2**64 - 1))))
        found: list[int] = (np.flatnonzero(is_length & is_seq) + at).tolist()
        return found

    def _bytes(self, at: int, count: int) -> bytes:
        start = at - self._window_at
        if not 0 <= start <= len(self._window) - count:
            self._window, self._window_at = self._read(at, max(WINDOW_BYTES, count)), at
            start = 0
        return self._window[start : start + count]


def about(payload: bytes) -> Hello | Label | Declaration | Schema | None:
    """What a record with seq 0 says; None when it says nothing known."""
    try:
        said = decode_to_server(payload)
        return said if isinstance(said, Hello | Declaration | Schema) else None
    except BadMessage:
        pass
    try:
        return _label.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError):
        return None


def skipped_to(payload: bytes) -> int | None:
    """The last number that a Skip stands for; None when the payload is none."""
    if b"skip" not in payload[:16]:
        return None
    try:
        skip: Skip = _skip.decode(payload)
        return skip.last
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError):
        return None


def pack_record(seq: int, payload: bytes) -> bytes:
    """One record."""
    return HEAD.pack(len(payload), _crc(seq, payload), seq) + payload


def pack_header(hello: Hello, label: Label, definitions: Iterable[bytes] = ()) -> bytes:
    """What a segment begins with. `definitions`: declarations and schemas, encoded."""
    said = pack_record(0, encode(hello))
    return MAGIC + said + pack_label(label) + said + pack_definitions(definitions)


def pack_definitions(definitions: Iterable[bytes]) -> bytes:
    """Records with copies of what gives the later messages their meaning."""
    return b"".join(pack_record(0, payload) for payload in definitions)


def pack_label(label: Label) -> bytes:
    """A record that says where the stream goes."""
    return pack_record(0, _encoder.encode(label))


def pack_skip(seq: int, last: int) -> bytes:
    """A record in place of the messages seq..last."""
    return pack_record(seq, _encoder.encode(Skip(last=last)))


def is_whole(head: bytes, payload: bytes, seq: int) -> bool:
    """True when a record read by its place is the one with this number, undamaged."""
    return len(head) == HEAD.size and HEAD.unpack(head) == (len(payload), _crc(seq, payload), seq)


def _crc(seq: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(seq.to_bytes(8, "little")))


_encoder = msgspec.msgpack.Encoder()
_label = msgspec.msgpack.Decoder(Label)
_skip = msgspec.msgpack.Decoder(Skip)
