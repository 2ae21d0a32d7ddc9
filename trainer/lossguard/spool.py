"""The trainer's append-only file of what the server has not acknowledged yet.

Rules of this file:
- One spool a stream, one thread uses it. A record is one `write` of length, CRC-32, seq and payload; after it returns,
  the record survives a kill of the process.
- Segments of 8 MiB, deleted once everything in them is acknowledged. Each begins with the stream's Hello, so that a
  spool can be delivered by somebody who knows nothing else (`lossguard sync`).
- A disk that refuses does not stop the stream: payloads are kept in memory up to a bound; beyond it a metric frame is
  replaced, under its own number, by a gap event that says so.
- How the bytes lie is in protocol/spool_format.py.
"""

import logging
import os
import re
from array import array
from dataclasses import dataclass, field
from pathlib import Path

from .protocol.codec import encode
from .protocol.messages import Event, Frame, Hello, Sequenced
from .protocol.spool_format import HEAD, MAGIC, SUFFIX, pack_record

log = logging.getLogger("lossguard")

SEGMENT_BYTES = 8 << 20
MEMORY_BYTES = 16 << 20


@dataclass
class _Segment:
    path: Path
    first_seq: int
    fd: int
    size: int = 0
    offsets: "array[int]" = field(default_factory=lambda: array("Q"))

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.offsets) - 1


class Spool:
    """Holds the encoded messages last_acked + 1 .. last_seq of one stream."""

    def __init__(
        self, folder: Path, hello: Hello, segment_bytes: int = SEGMENT_BYTES, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self.folder = folder
        self.last_seq = 0
        self.points_lost = 0
        self._hello = encode(hello)
        self._stem = f"{re.sub(r'[^A-Za-z0-9_-]', '_', hello.run)[:64]}-{hello.rank}-{hello.attempt}"
        self._segment_bytes, self._memory_room = segment_bytes, memory_bytes
        self._segments: list[_Segment] = []
        self._memory: dict[int, bytes] = {}
        self._disk_refused = False

    def append(self, message: Sequenced) -> None:
        """Keep `message`, whose seq is last_seq + 1. Never raises for the disk's sake."""
        payload = encode(message)
        try:
            self._write(message.seq, payload)
            self._disk_refused = False
        except OSError as error:
            if not self._disk_refused:
                log.warning("lossguard cannot write its spool in %s (%s); it keeps data in memory", self.folder, error)
            self._disk_refused = True
            self._remember(message, payload)
        self.last_seq = message.seq

    def read(self, seq: int) -> bytes:
        """The payload with this number. Raises KeyError when it is acknowledged already, or was never there."""
        if seq in self._memory:
            return self._memory[seq]
        for segment in self._segments:
            if segment.first_seq <= seq <= segment.last_seq:
                at = segment.offsets[seq - segment.first_seq]
                length, _, _ = HEAD.unpack(os.pread(segment.fd, HEAD.size, at))
                return os.pread(segment.fd, length, at + HEAD.size)
        raise KeyError(seq)

    def acknowledged(self, seq: int) -> None:
        """Everything up to `seq` may be forgotten."""
        for number in [n for n in self._memory if n <= seq]:
            self._memory_room += len(self._memory.pop(number))
        while self._segments and self._segments[0].last_seq <= seq and self._may_drop(self._segments[0], seq):
            self._drop(self._segments[0])

    def close(self) -> None:
        """Let the files go; what is not acknowledged stays on disk."""
        for segment in self._segments:
            os.close(segment.fd)
        self._segments.clear()

    def _drop(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        os.close(segment.fd)
        segment.path.unlink(missing_ok=True)

    def _may_drop(self, segment: _Segment, seq: int) -> bool:
        # the segment being written goes only when the whole stream is acknowledged
        return segment is not self._segments[-1] or seq >= self.last_seq

    def _write(self, seq: int, payload: bytes) -> None:
        segment = self._segments[-1] if self._segments else None
        # numbers within a segment are consecutive, so a message that went to memory ends it
        if segment is None or segment.size >= self._segment_bytes or segment.last_seq + 1 != seq:
            segment = self._open_segment(seq)
        record = pack_record(seq, payload)
        try:
            written = os.write(segment.fd, record)
            if written != len(record):
                os.ftruncate(segment.fd, segment.size)
                raise OSError("the disk took only a part of a record")
        except OSError:
            if not segment.offsets:  # else each refusal would leave one more open file
                self._drop(segment)
            raise
        segment.offsets.append(segment.size)
        segment.size += written

    def _open_segment(self, first_seq: int) -> _Segment:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{self._stem}.{first_seq:020d}{SUFFIX}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        head = MAGIC + pack_record(0, self._hello)
        try:
            if os.write(fd, head) != len(head):
                raise OSError("the disk took only a part of a header")
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self._segments.append(_Segment(path, first_seq, fd, len(head)))
        return self._segments[-1]

    def _remember(self, message: Sequenced, payload: bytes) -> None:
        if isinstance(message, Frame) and len(payload) > self._memory_room:
            self.points_lost += message.n * len(message.series)
            last = message.first_step + message.n - 1
            data = {"from": message.first_step, "to": last, "reason": "the trainer's disk and memory were full"}
            payload = encode(Event(seq=message.seq, kind="gap", step=last, time_s=message.time_s, data=data))
        self._memory[message.seq] = payload
        self._memory_room -= len(payload)
