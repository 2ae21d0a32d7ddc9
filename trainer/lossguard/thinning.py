"""Makes a segment smaller that the server has not taken yet: one finite metric frame of four is kept.

Rules of this file:
- Events, declarations, schemas and frames that hold a non-finite value are never touched.
- What is taken out goes under its own numbers: one gap event a segment, under the first of them, which says steps and
  points and how far it reaches; the other numbers are skipped, and go out as fillers. A second thinning of a segment
  makes one gap of both.
- A new file is written beside, in slices of a few milliseconds, put on the disk, and then takes the old one's name: at
  each moment the segment can be read whole, by its number and by a stranger after a kill.
- What was damaged in the old file is a gap of its own in the new one.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .disk_sync import DiskSync
from .protocol.codec import decode_sequenced
from .protocol.errors import BadMessage
from .protocol.gaps import Hole, gap, steps_of
from .protocol.messages import Event, Frame
from .protocol.spool_format import HEAD, Record, Scan, is_whole, pack_record, pack_skip, skipped_to

KEPT = 4  # one frame in so many of each set of series
REASON = "the spool reached its limit, and was thinned"
DAMAGE = "the trainer's spool was damaged"
ENDING = ".new"
SLICE_BYTES = 256 << 10  # read or written between two looks at the clock

Group = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A record as it is judged, without its payload: that is read again when it stays, or is `made` here."""

    seq: int
    last_seq: int
    at: int = 0
    size: int = 0
    made: bytes = b""
    group: Group | None = None  # of a finite frame
    hole: Hole | None = None  # of a frame that may go, and of an earlier thinning's gap
    steps: tuple[int, int] | None = None  # of any frame
    is_skip: bool = False
    is_damage: bool = False


class Thinning:
    """One pass over one closed segment. `step` does a slice; when it is over, the flags say what came of it."""

    def __init__(
        self, path: Path, first_seq: int, last_seq: int, header: bytes, disk: DiskSync, bad_folder: Path
    ) -> None:
        self.path, self.first_seq, self.last_seq, self._bad_folder = path, first_seq, last_seq, bad_folder
        self.is_over = self.is_complete = self.has_replaced = self.is_damaged = False
        self.is_spent = False  # no finite frame is left
        self.is_waiting = False  # for the disk: another slice at once would be for nothing
        self.size = 0
        self.points_lost = 0
        self._new = path.with_name(path.name + ENDING)
        self._header, self._disk = header, disk
        self._slices = self._run()

    def step(self) -> None:
        """Go on. Raises OSError; the segment is then as it was, and the thinning over."""
        try:
            next(self._slices)
        except StopIteration:
            self.is_over = self.is_complete = True
        except OSError:
            self.give_up()
            raise

    def give_up(self) -> None:
        """The segment is left as it is."""
        self.is_over = True
        self._slices.close()
        with contextlib.suppress(OSError):
            self._new.unlink(missing_ok=True)

    # -- the pass -----------------------------------------------------------------------------------------------

    def _run(self) -> Generator[None, None, None]:
        entries: list[_Entry] = []
        yield from self._read(entries)
        groups = Counter(entry.group for entry in entries if entry.group is not None)
        # where one in four of each set takes nothing out any more, the last ones go
        self.is_spent = all(count == 1 for count in groups.values())
        if not groups:
            return
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from self._write(self._records(_with_gaps(entries), 0 if self.is_spent else 1, fd))
        finally:
            os.close(fd)
        entries.clear()
        ticket = self._disk.ask(self._new)
        while self._is_waiting_for(ticket):
            yield
        if self._disk.has_failed(self._new):
            raise OSError("the disk did not keep the thinned segment")
        if self.is_damaged:
            self._keep_bad()
        self._new.replace(self.path)
        self._disk.ask(self.path)
        self.has_replaced = True

    def _is_waiting_for(self, ticket: int) -> bool:
        self.is_waiting = not self._disk.is_done(ticket)
        return self.is_waiting

    def _read(self, entries: list[_Entry]) -> Iterator[None]:
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            seen, last_seq = 0, self.first_seq - 1
            for record in Scan(lambda at, count: os.pread(fd, count, at), os.fstat(fd).st_size):
                if (seen := seen + len(record.payload) + 64) > SLICE_BYTES:
                    seen = 0
                    yield
                if record.seq <= last_seq:
                    continue
                self._note_missing(entries, last_seq + 1, record.seq - 1)
                entries.append(_judged(record))
                last_seq = entries[-1].last_seq
            self._note_missing(entries, last_seq + 1, self.last_seq)
        finally:
            os.close(fd)

    def _note_missing(self, entries: list[_Entry], first: int, last: int) -> None:
        if first <= last:
            self.is_damaged = True
            entries.append(_Entry(first, last, is_damage=True))

    def _keep_bad(self) -> None:
        with contextlib.suppress(OSError):
            self._bad_folder.mkdir(mode=0o700, exist_ok=True)
            os.link(self.path, self._bad_folder / self.path.name)

    def _records(self, entries: list[_Entry], kept: int, fd: int) -> Iterator[bytes]:
        """The new file's records, with so many of KEPT finite frames of a set, and one gap for all others."""
        taken: list[_Entry] = []
        seen: Counter[Group] = Counter()
        for entry in entries:
            if entry.group is not None:
                seen[entry.group] += 1
                if (seen[entry.group] - 1) % KEPT >= kept:
                    taken.append(entry)
            elif entry.hole is not None:
                taken.append(entry)
        self.points_lost = sum((e.hole.points or 0) for e in taken if e.hole is not None and e.group is not None)
        gone = {entry.seq for entry in taken}
        yield self._header
        skipped: range = range(0)
        for entry in entries:
            if entry.is_skip or (entry.seq in gone and entry is not taken[0]):
                start = skipped.start if len(skipped) else entry.seq
                skipped = range(start, entry.last_seq + 1)
                continue
            if len(skipped):
                yield pack_skip(skipped.start, skipped[-1])
                skipped = range(0)
            payload = gap(_whole(taken)) if entry.seq in gone else _payload(fd, entry)
            yield pack_record(entry.seq, payload)
        if len(skipped):
            yield pack_skip(skipped.start, skipped[-1])

    def _write(self, records: Iterator[bytes]) -> Iterator[None]:
        fd = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            waiting: list[bytes] = []
            size = 0
            for record in records:
                waiting.append(record)
                if (size := size + len(record)) > SLICE_BYTES:
                    self._put(fd, b"".join(waiting))
                    waiting, size = [], 0
                    yield
            self._put(fd, b"".join(waiting))
        finally:
            os.close(fd)

    def _put(self, fd: int, data: bytes) -> None:
        if os.write(fd, data) != len(data):
            raise OSError("the disk took only a part of a thinned segment")
        self.size += len(data)


def _judged(record: Record) -> _Entry:
    seq, payload = record.seq, record.payload
    place = _Entry(seq, seq, record.at, len(payload))
    if (last := skipped_to(payload)) is not None:
        return replace(place, last_seq=max(seq, last), is_skip=True)
    try:
        message = decode_sequenced(payload)
    except BadMessage:  # its CRC holds: it is what was written, and not ours to judge
        return place
    if isinstance(message, Frame):
        steps = steps_of(message)
        if len(message.values) % 8 or not bool(np.isfinite(np.frombuffer(message.values, "<f8")).all()):
            return replace(place, steps=steps)
        hole = Hole(seq, seq, *steps, REASON, message.n * len(message.series), message.time_s)
        return replace(place, group=tuple(message.series), hole=hole, steps=steps)
    if isinstance(message, Event) and message.kind == "gap" and message.data.get("reason") == REASON:
        data, (first, last) = message.data, message.data["seqs"]
        return replace(place, hole=Hole(first, last, data["from"], data["to"], REASON, data["points"], message.time_s))
    return place


def _payload(fd: int, entry: _Entry) -> bytes:
    """Checked once more: what is packed again has a fresh checksum, which would make damage true."""
    if entry.made:
        return entry.made
    head, payload = os.pread(fd, HEAD.size, entry.at), os.pread(fd, entry.size, entry.at + HEAD.size)
    if not is_whole(head, payload, entry.seq):
        raise OSError("a segment changed while it was thinned")
    return payload


def _with_gaps(entries: list[_Entry]) -> list[_Entry]:
    """What was damaged as a gap and a skip, from the step of the frame before it to that of the frame after it."""
    found: list[_Entry] = []
    step = 0
    for at, entry in enumerate(entries):
        if entry.steps is not None:
            step = entry.steps[1]
        if not entry.is_damage:
            found.append(entry)
            continue
        after = next((later.steps[0] for later in entries[at:] if later.steps is not None), step)
        hole = Hole(entry.seq, entry.last_seq, min(step, after), max(step, after), DAMAGE)
        found.append(_Entry(entry.seq, entry.seq, made=gap(hole)))
        if entry.last_seq > entry.seq:
            found.append(_Entry(entry.seq + 1, entry.last_seq, is_skip=True))
    return found


def _whole(taken: list[_Entry]) -> Hole:
    """One hole of all: the first number to the last, the lowest step to the highest."""
    holes = [entry.hole for entry in taken if entry.hole is not None]
    return Hole(
        holes[0].first_seq,
        max(hole.last_seq for hole in holes),
        min(hole.from_step for hole in holes),
        max(hole.to_step for hole in holes),
        REASON,
        sum(hole.points or 0 for hole in holes),
        holes[-1].time_s,
    )
