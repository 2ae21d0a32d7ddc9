"""What a spool's disk has not taken: the newest messages of a stream, in memory, up to a bound.

Rules of this file: it holds a run of consecutive numbers, the newest. A metric frame beyond the bound leaves a gap, and
frames that are lost one after another share one, so that a disk that is full for a week costs no memory. A gap that
was read is closed: what comes after it is told by another. Events are kept whatever the bound says.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from .protocol.gaps import Hole, filler, gap, steps_of
from .protocol.messages import Frame, Sequenced
from .protocol.spool_format import pack_record, pack_skip


@dataclass
class _Kept:
    """A message, or the frames first_seq..last_seq that are lost; these have no payload yet while they are open."""

    first_seq: int
    last_seq: int
    payload: bytes | None
    hole: Hole | None = None

    def read(self, seq: int) -> bytes:
        if seq > self.first_seq:
            return filler(seq)
        if self.payload is None:
            assert self.hole is not None
            self.payload = gap(self.hole)
        return self.payload

    def records(self) -> Iterator[tuple[bytes, int, int]]:
        """(record, first, last number) to write."""
        yield pack_record(self.first_seq, self.read(self.first_seq)), self.first_seq, self.first_seq
        if self.last_seq > self.first_seq:
            yield pack_skip(self.first_seq + 1, self.last_seq), self.first_seq + 1, self.last_seq


class SpoolMemory:
    """Holds at most about `bytes_max` of frames."""

    def __init__(self, bytes_max: int) -> None:
        self.points_lost = 0
        self._room = bytes_max
        self._items: list[_Kept] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def messages(self) -> int:
        """How many numbers are here."""
        return self._items[-1].last_seq - self._items[0].first_seq + 1 if self._items else 0

    def keep(self, message: Sequenced, payload: bytes, reason: str) -> None:
        """Hold `message`; a frame for which there is no room is lost, for this reason."""
        if isinstance(message, Frame) and len(payload) > self._room:
            self.lose(message, reason)
            return
        self._items.append(_Kept(message.seq, message.seq, payload))
        self._room -= len(payload)

    def lose(self, frame: Frame, reason: str) -> None:
        """The frame is not kept; its number is."""
        points, (first, last) = frame.n * len(frame.series), steps_of(frame)
        self.points_lost += points
        newest = self._items[-1] if self._items else None
        if newest is not None and newest.payload is None and newest.hole is not None and newest.hole.reason == reason:
            newest.hole = _extended(newest.hole, frame)
            newest.last_seq = frame.seq
            return
        hole = Hole(frame.seq, frame.seq, first, last, reason, points, frame.time_s)
        self._items.append(_Kept(frame.seq, frame.seq, None, hole))

    def find(self, seq: int) -> bytes | None:
        """What goes out under this number; None when it is not here."""
        at = bisect_right(self._items, seq, key=lambda item: item.first_seq) - 1
        return self._items[at].read(seq) if at >= 0 and seq <= self._items[at].last_seq else None

    def records(self) -> Iterator[list[tuple[bytes, int, int]]]:
        """For each item, oldest first: the records to write, as (record, first, last number)."""
        for item in self._items:
            yield list(item.records())

    def drop(self, count: int) -> None:
        """So many of the oldest items are on disk, or acknowledged."""
        for item in self._items[:count]:
            self._room += 0 if item.hole is not None else len(item.payload or b"")
        del self._items[:count]

    def acknowledged(self, seq: int) -> None:
        """Everything up to `seq` may be forgotten."""
        self.drop(bisect_right(self._items, seq, key=lambda item: item.last_seq))


def _extended(hole: Hole, frame: Frame) -> Hole:
    first, last = steps_of(frame)
    points = (hole.points or 0) + frame.n * len(frame.series)
    first, last = min(hole.from_step, first), max(hole.to_step, last)
    return Hole(hole.first_seq, frame.seq, first, last, hole.reason, points, frame.time_s)
