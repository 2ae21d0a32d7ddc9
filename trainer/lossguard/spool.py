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

import contextlib
import logging
import os
import re
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .protocol.codec import encode
from .protocol.messages import Declaration, Event, Frame, Hello, Schema, Sequenced
from .protocol.spool_format import HEAD, MAGIC, SUFFIX, pack_record

log = logging.getLogger("lossguard")

SEGMENT_BYTES = 8 << 20
MEMORY_BYTES = 16 << 20
STEMS_MAX = 10
MARK_EVERY = 32  # messages between two marks of the step that they reach: 8 bytes for each 32 messages
DISK_REST_S = 5.0  # how long a disk that refused is left alone


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

    def payload(self, at: int) -> bytes:
        """The payload of the record that begins at byte `at`."""
        fd = self.fd if self.fd >= 0 else os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            length, _, _ = HEAD.unpack(os.pread(fd, HEAD.size, at))
            return os.pread(fd, length, at + HEAD.size)
        finally:
            if fd != self.fd:
                os.close(fd)

    def shut(self) -> None:
        """Let the file go, and the lock on it."""
        fd, self.fd = self.fd, -1  # first, so that a fork in between does not close the number a second time
        if fd >= 0:
            os.close(fd)


class Spool:
    """Holds the encoded messages last_acked + 1 .. last_seq of one stream."""

    def __init__(
        self,
        folder: Path,
        hello: Hello,
        segment_bytes: int = SEGMENT_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.last_seq = 0
        self.points_lost = 0
        self._hello = encode(hello)
        self._stem = f"{re.sub(r'[^A-Za-z0-9_-]', '_', hello.run)[:64]}-{hello.rank}-{hello.attempt}"
        self._segment_bytes, self._memory_room = segment_bytes, memory_bytes
        self._segments: list[_Segment] = []
        self._memory: dict[int, bytes] = {}
        self._keepsakes: dict[int, bytes] = {}  # declarations and schemas: without them nothing later can be read
        self._marks, self._last_step = array("q"), 0
        self._clock, self._disk_again_s = clock, 0.0

    def append(self, message: Sequenced) -> None:
        """Keep `message`, whose seq is last_seq + 1. Never raises for the disk's sake."""
        payload = encode(message)
        if isinstance(message, Declaration | Schema):
            self._keepsakes[message.seq] = payload
        if isinstance(message, Frame):
            self._last_step = message.first_step + message.n - 1
        if message.seq % MARK_EVERY == 0:
            self._marks.append(self._last_step)
        if self._clock() < self._disk_again_s or not self._is_written(message.seq, payload):
            self._remember(message, payload)
        self.last_seq = message.seq

    def read(self, seq: int) -> bytes:
        """The payload with this number. Raises KeyError when it is acknowledged already, or was never there."""
        if seq in self._memory:
            return self._memory[seq]
        for segment in self._segments:
            if segment.first_seq <= seq <= segment.last_seq:
                at = segment.offsets[seq - segment.first_seq]
                return segment.payload(at)
        return self._keepsakes[seq]

    def steps_between(self, first_seq: int, last_seq: int) -> tuple[int, int]:
        """The steps that these messages may hold, to within MARK_EVERY messages on both sides."""
        before, after = first_seq // MARK_EVERY - 1, -(-last_seq // MARK_EVERY) - 1
        first = self._marks[before] if 0 <= before < len(self._marks) else 0
        return first, self._marks[after] if 0 <= after < len(self._marks) else self._last_step

    def acknowledged(self, seq: int) -> None:
        """Everything up to `seq` may be forgotten."""
        for number in [n for n in self._memory if n <= seq]:
            self._memory_room += len(self._memory.pop(number))
        while self._segments and self._segments[0].last_seq <= seq and self._may_drop(self._segments[0], seq):
            self._drop(self._segments[0])

    def close(self) -> None:
        """Let the files go; what is not acknowledged stays on disk."""
        for segment in self._segments:
            segment.shut()
        self._segments.clear()

    def _drop(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        segment.shut()
        segment.path.unlink(missing_ok=True)

    def _may_drop(self, segment: _Segment, seq: int) -> bool:
        # the segment being written goes only when the whole stream is acknowledged
        return segment is not self._segments[-1] or seq >= self.last_seq

    def _is_written(self, seq: int, payload: bytes) -> bool:
        try:
            self._write(seq, payload)
        except OSError as error:
            if self._disk_again_s == 0.0:
                log.warning("lossguard cannot write its spool in %s (%s); it keeps data in memory", self.folder, error)
            # not at once again: a full disk takes the odd small record, and each would make a file of its own
            self._disk_again_s = self._clock() + DISK_REST_S
            return False
        self._disk_again_s = 0.0
        return True

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
        if len(self._segments) > 1:
            # one open file, however much is spooled; only now, for its lock says that the stream lives
            self._segments[-2].shut()

    def _open_segment(self, first_seq: int) -> _Segment:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path, fd = self._new_file(first_seq)
        head = MAGIC + pack_record(0, self._hello)
        try:
            _lock(fd)
            if os.write(fd, head) != len(head):
                raise OSError("the disk took only a part of a header")
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self._segments.append(_Segment(path, first_seq, fd, len(head)))
        return self._segments[-1]

    def _new_file(self, first_seq: int) -> tuple[Path, int]:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        for _ in range(STEMS_MAX):
            path = self.folder / f"{self._stem}.{first_seq:020d}{SUFFIX}"
            with contextlib.suppress(FileExistsError):
                return path, os.open(path, flags, 0o600)
            self._stem += "+"  # somebody else's stream lies under this name; it is not ours to touch
        raise FileExistsError(f"{path} and its like exist already")

    def _remember(self, message: Sequenced, payload: bytes) -> None:
        if isinstance(message, Frame) and len(payload) > self._memory_room:
            self.points_lost += message.n * len(message.series)
            last = message.first_step + message.n - 1
            data = {"from": message.first_step, "to": last, "reason": "the trainer's disk and memory were full"}
            payload = encode(Event(seq=message.seq, kind="gap", step=last, time_s=message.time_s, data=data))
        self._memory[message.seq] = payload
        self._memory_room -= len(payload)


def _lock(fd: int) -> None:
    """Says that this segment's trainer lives; `lossguard sync` leaves locked ones alone."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
