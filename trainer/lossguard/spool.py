"""The trainer's append-only files of what the server has not acknowledged yet.

Rules of this file:
- One spool a stream, one thread uses it. After `append` returns, the message survives a kill of the process; `tend`
  asks the disk once a second to keep what was written, so that a power cut costs no more than that.
- Segments of 8 MiB, deleted once everything in them is acknowledged. Each says whose it is, so that a spool can be
  delivered by somebody who knows nothing else (`lossguard sync`, the next trainer).
- Bounded on disk: near the limit the oldest segments that were never sent from are thinned; where nothing is left to
  be thinned, frames are lost and leave gaps. Events, declarations and schemas are never touched.
- Bounded in memory: a disk that refuses does not stop the stream. What it does not take is in memory up to a bound,
  then frames leave gaps; when it takes data again, memory goes to disk first.
- How the bytes lie is in protocol/spool_format.py.
"""

import contextlib
import logging
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from .disk_sync import DiskSync
from .protocol.codec import encode
from .protocol.gaps import sendable, steps_of
from .protocol.messages import Declaration, Frame, Hello, Refusal, Schema, Sequenced
from .protocol.spool_format import BAD, Label, pack_definitions, pack_header, pack_label, pack_record
from .spool_files import SpoolFiles, keep_refused
from .spool_memory import SpoolMemory
from .spool_segments import Missing, Places, Segment
from .steps_reached import StepsReached
from .thinner import Thinner

log = logging.getLogger("lossguard")

SEGMENT_BYTES = 8 << 20
MEMORY_BYTES = 16 << 20
CAP_BYTES = 2 << 30
DEFINITIONS_PART = 4  # copies of declarations and schemas take at most a quarter of a file
DISK_REST_S = 5.0  # how long a disk that refused is left alone
SYNC_S = 1.0  # what a power cut may cost
GAP_S = 10.0  # how long frames that are lost one after another share a gap that is not on disk yet
FULL = "the trainer's disk and memory were full"
CAPPED = "the trainer's spool had reached its limit"


class Spool:
    """Holds the encoded messages last_acked + 1 .. last_seq of one stream."""

    def __init__(
        self,
        folder: Path,
        hello: Hello,
        segment_bytes: int = SEGMENT_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        clock: Callable[[], float] = time.monotonic,
        cap_bytes: int = CAP_BYTES,
        server: str = "",
    ) -> None:
        """`server`: the address that this stream is for; "" where any will do."""
        self.folder = folder
        self.last_seq = 0
        self._hello, self._label = hello, Label(server=server)
        self.files = SpoolFiles(folder, hello)
        self._segment_bytes, self._cap_bytes = segment_bytes, cap_bytes
        self._segments: list[Segment] = []
        self._closed_bytes = 0  # of all segments but the newest
        self._dirty: dict[Path, None] = {}  # written to since the disk was last asked to keep them
        self._reading: Segment | None = None
        self._memory = SpoolMemory(memory_bytes)
        self._keepsakes: dict[int, bytes] = {}  # declarations and schemas: without them nothing later can be read
        self._reached = StepsReached()
        self._clock, self._disk_again_s = clock, 0.0
        self._sync_due_s, self._gap_due_s = clock() + SYNC_S, 0.0
        self._whose_due_s = 0.0  # not before, where the newest segment does not say yet whose it is
        self._ticket = 0
        self._warned: set[str] = set()
        # thinning begins early enough to be done before frames are lost
        thin_bytes = max(cap_bytes - 4 * segment_bytes, 3 * cap_bytes // 4)
        self._thinner = Thinner(self._segments, thin_bytes, folder / BAD, self._count_bytes, self._warn, clock)

    @property
    def points_lost(self) -> int:
        """Values that are in no message any more, for want of room."""
        return self._memory.points_lost + self._thinner.points_lost

    @property
    def bytes_on_disk(self) -> int:
        """What the segments take."""
        return self._closed_bytes + (self._segments[-1].size if self._segments else 0)

    @property
    def unwritten(self) -> int:
        """How many of the newest messages are in memory only."""
        return self._memory.messages

    def append(self, message: Sequenced) -> None:
        """Keep `message`, whose seq is last_seq + 1, or a gap in its place. Never raises for the disk's sake."""
        payload, unfit = sendable(message)
        if unfit:
            self._warn("unfit", f"it cannot send message {message.seq}, and a gap takes its place: {unfit}")
        if isinstance(message, Declaration | Schema):
            self._keepsakes[message.seq] = payload
        self._reached.note(message.seq, steps_of(message) if isinstance(message, Frame) else None)
        if isinstance(message, Frame) and self.bytes_on_disk + len(payload) > self._cap_bytes:
            if not len(self._memory):
                self._gap_due_s = self._clock() + GAP_S
            self._memory.lose(message, CAPPED)
            self._warn(
                "cap", f"its spool has reached its limit of {self._cap_bytes / 2**30:g} GiB; points are left out"
            )
        elif not (self._disk_takes() and self._is_written(message.seq, payload)):
            self._memory.keep(message, payload, FULL)
        self.last_seq = message.seq

    def find(self, seq: int) -> bytes | Missing:
        """What goes out under this number, checked; Missing where it is damaged.

        Raises KeyError when it is acknowledged already or was never there, OSError where it may be read another time.
        """
        if (payload := self._memory.find(seq)) is not None:
            return payload
        at = bisect_right(self._segments, seq, key=lambda segment: segment.first_seq) - 1
        if at >= 0 and seq <= self._segments[at].last_seq:
            self._read_in(self._segments[at])
            return self._segments[at].find(seq)
        return self._keepsakes[seq]

    def steps_between(self, first_seq: int, last_seq: int) -> tuple[int, int]:
        """The steps that these messages may hold; exact to a few dozen messages on both sides."""
        return self._reached.between(first_seq, last_seq)

    def acknowledged(self, seq: int) -> None:
        """Everything up to `seq` may be forgotten."""
        self._memory.acknowledged(seq)
        while self._segments and self._segments[0].last_seq <= seq and self._may_drop(self._segments[0], seq):
            self._drop(self._segments[0])

    def confirm(self, hello: Hello, server: str) -> None:
        """The server knows this stream, under this Hello: whoever delivers it later goes on where the server is."""
        self._hello, self._label = hello, Label(server=server, is_known=True)
        self._say_whose()

    def quarantine(self, seq: int, payload: bytes, refusal: Refusal) -> bool:
        """Keep a message that the server refuses, and what it said, where a person may look at it; True when it is."""
        try:
            keep_refused(self.folder / BAD, self.files.name(seq), payload, refusal)
        except OSError:
            return False
        return True

    # -- what is done now and then ------------------------------------------------------------------------------

    def tend(self, disk: DiskSync, sent_seq: int) -> None:
        """A few milliseconds of upkeep. `sent_seq`: segments up to it may be at the server, and are not changed."""
        now_s = self._clock()
        if len(self._memory) and now_s >= max(self._gap_due_s, self._disk_again_s):
            self._is_flushed()
            self._gap_due_s = now_s + GAP_S
        if now_s >= self._whose_due_s:
            self._say_whose()
        if now_s >= self._sync_due_s and disk.is_done(self._ticket):
            self.sync(disk)
        self._thinner.tend(disk, self.bytes_on_disk, sent_seq, lambda: self._header(True))

    def sync(self, disk: DiskSync) -> int:
        """Ask the disk to keep all that was written; returns the number of the last request."""
        self._sync_due_s = self._clock() + SYNC_S
        for path in self._dirty:
            self._ticket = disk.ask(path)
        self._dirty.clear()
        return self._ticket

    def close(self) -> None:
        """Let the files go; what is not acknowledged stays on disk."""
        for segment in self._segments:
            segment.shut()
        self._segments.clear()

    def flush(self) -> None:
        """Write what is in memory, if the disk takes it."""
        self._is_flushed()

    # -- inside -------------------------------------------------------------------------------------------------

    def _header(self, has_room: bool) -> bytes:
        definitions = self._definitions(self._segment_bytes) if has_room else []
        return pack_header(self._hello, self._label, definitions)

    def _definitions(self, file_bytes: int) -> list[bytes]:
        """Declarations and schemas so far; none where they would be more than a part of a file of this size."""
        is_small = DEFINITIONS_PART * sum(map(len, self._keepsakes.values())) <= file_bytes
        return list(self._keepsakes.values()) if is_small else []

    def _say_whose(self) -> None:
        """Write into the newest segment whose it is, if it does not say so; `tend` tries again."""
        newest = self._segments[-1] if self._segments else None
        if newest is None or newest.fd < 0 or newest.whose == (self._hello, self._label):
            return
        try:
            newest.append(pack_record(0, encode(self._hello)) + pack_label(self._label), 0, 0)
        except OSError:
            self._whose_due_s = self._clock() + DISK_REST_S
            return
        newest.whose = (self._hello, self._label)
        self._dirty[newest.path] = None

    def _define(self, segment: Segment) -> None:
        """Copy the definitions into a stream's first segment once that is a small part of it.

        While all is acknowledged at once, each few messages have a file of their own, which has no room for them.
        """
        if not segment.is_defined and (definitions := self._definitions(segment.size)):
            with contextlib.suppress(OSError):
                segment.append(pack_definitions(definitions), 0, 0)
                segment.is_defined = True

    def _count_bytes(self) -> None:
        self._closed_bytes = sum(segment.size for segment in self._segments[:-1])

    def _read_in(self, segment: Segment) -> None:
        if self._reading is not None and self._reading is not segment:
            self._reading.forget_places()
        self._reading = segment

    def _drop(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self._count_bytes()
        self._thinner.leave(segment)
        segment.drop(self.folder / BAD)

    def _may_drop(self, segment: Segment, seq: int) -> bool:
        # the segment being written goes only when the whole stream is acknowledged
        return segment is not self._segments[-1] or seq >= self.last_seq

    def _disk_takes(self) -> bool:
        return self._clock() >= self._disk_again_s and self._is_flushed()

    def _is_flushed(self) -> bool:
        """Write what is in memory, oldest first; False when some of it is still there."""
        count = 0
        for records in self._memory.records():
            if not all(self._is_record_written(*record) for record in records):
                break
            count += 1
        is_all = count == len(self._memory)
        self._memory.drop(count)
        return is_all

    def _is_written(self, seq: int, payload: bytes) -> bool:
        return self._is_record_written(pack_record(seq, payload), seq, seq)

    def _is_record_written(self, record: bytes, seq: int, last_seq: int) -> bool:
        if self._segments and seq <= self._segments[-1].last_seq:
            return True  # the first half of an item whose second half the disk did not take
        try:
            self._write(record, seq, last_seq)
        except OSError as error:
            if self._disk_again_s == 0.0:
                log.warning("lossguard cannot write its spool in %s (%s); it keeps data in memory", self.folder, error)
            # not at once again: a full disk takes the odd small record, and each would make a file of its own
            self._disk_again_s = self._clock() + DISK_REST_S
            return False
        self._disk_again_s = 0.0
        return True

    def _write(self, record: bytes, seq: int, last_seq: int) -> None:
        segment = self._segments[-1] if self._segments else None
        # numbers within a segment are consecutive, so that a hole in it is damage and nothing else
        if segment is None or segment.size >= self._segment_bytes or segment.last_seq + 1 != seq or segment.fd < 0:
            segment = self._open_segment(seq)
        try:
            segment.append(record, seq, last_seq)
        except OSError:
            if segment.last_seq < segment.first_seq:  # else each refusal would leave one more open file
                self._drop(segment)
            raise
        self._define(segment)
        self._dirty[segment.path] = None
        if len(self._segments) > 1 and self._segments[-2].fd >= 0:
            # one open file, however much is spooled; only now, for its lock says that the stream lives
            self._segments[-2].shut()
            if self._segments[-2] is not self._reading:
                self._segments[-2].forget_places()

    def _open_segment(self, first_seq: int) -> Segment:
        has_older = bool(self._segments)
        head = self._header(has_older)
        path, fd = self.files.make(first_seq, head, is_first=not has_older)
        segment = Segment(path, first_seq, first_seq - 1, len(head), fd, Places(), (self._hello, self._label))
        segment.is_defined = has_older
        self._segments.append(segment)
        self._count_bytes()
        return segment

    def _warn(self, kind: str, what: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            log.warning("lossguard: %s (in %s).", what, self.folder)
