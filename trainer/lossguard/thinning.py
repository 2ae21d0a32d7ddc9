"""Makes a segment smaller that the server has not taken yet: one finite metric frame of four is kept.

Rules of this file:
- Events, declarations, schemas and frames that hold a non-finite value are never touched.
- What is taken out goes under its own numbers: one gap event a segment, under the first of them, which says steps and
  points and how far it reaches; the other numbers are skipped, and go out as fillers. A second thinning of a segment
  makes one gap of both.
- A new file is written beside, record by record, put on the disk, and then takes the old one's name: at each moment the
  segment can be read whole, by its number and by a stranger after a kill.
- Read twice rather than held: what is in memory is a verdict a record, less than the segment itself.
- What was damaged in the old file is a gap of its own in the new one.
"""

import contextlib
import os
from array import array
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from .disk_sync import DiskSync
from .protocol.codec import decode_sequenced
from .protocol.errors import BadMessage
from .protocol.gaps import DAMAGED, Hole, gap, steps_of
from .protocol.messages import Event, Frame, Sequenced
from .protocol.spool_format import HEAD, LEFTOVER, Record, Scan, is_whole, pack_record, pack_skip, skipped_to

KEPT = 4  # one frame in so many of each set of series
REASON = "the spool reached its limit, and was thinned"
WRITE_BYTES = 64 << 10  # of one write

_STAYS, _MAY_GO, _GOES, _SKIP, _HOLE = range(5)  # _MAY_GO: one in KEPT, which goes when nothing else is left


class _Taken:
    """What goes, as one hole."""

    def __init__(self) -> None:
        self.hole: Hole | None = None
        self.points_new = 0  # of those that no earlier thinning took

    def add(self, hole: Hole, is_new: bool) -> None:
        self.points_new += (hole.points or 0) if is_new else 0
        before = self.hole or hole
        self.hole = Hole(
            before.first_seq,
            max(before.last_seq, hole.last_seq),
            min(before.from_step, hole.from_step),
            max(before.to_step, hole.to_step),
            REASON,
            (hole.points or 0) + ((self.hole.points or 0) if self.hole is not None else 0),
            hole.time_s,
        )


class _Verdicts:
    """What becomes of each record of a segment, as parallel arrays: 29 bytes a record, and a few a hole."""

    def __init__(self, first_seq: int) -> None:
        self.seqs, self.lasts = array("Q"), array("Q")
        self.places, self.sizes = array("Q"), array("I")
        self.verdicts = bytearray()
        self.some, self.all = _Taken(), _Taken()  # one in KEPT stays, or none
        self.holes: dict[int, Hole] = {}
        self._seen: Counter[int] = Counter()  # finite frames, by a hash of their series
        self._last_seq = first_seq - 1
        self._step = 0
        self._ending: list[int] = []  # holes whose last step the next frame tells

    @property
    def has_frames(self) -> bool:
        return bool(self._seen)

    @property
    def is_spent(self) -> bool:
        """True when one in KEPT of each set takes nothing out any more."""
        return self._seen.total() == len(self._seen)

    def judge(self, record: Record) -> None:
        """The next record; one whose number was there already does not count."""
        seq, payload = record.seq, record.payload
        if seq <= self._last_seq:
            return
        self.damaged_up_to(seq - 1)
        if (last := skipped_to(payload)) is not None:
            self._add(record, max(seq, last), _SKIP)
            return
        try:
            message = decode_sequenced(payload)
        except BadMessage:  # its CRC holds: it is what was written, and not ours to judge
            self._add(record, seq, _STAYS)
            return
        self._add(record, seq, self._verdict(message))

    def damaged_up_to(self, last_seq: int) -> None:
        """What is missing up to this number cannot be read."""
        first = self._last_seq + 1
        if first > last_seq:
            return
        self.holes[first] = Hole(first, last_seq, self._step, self._step, DAMAGED)
        self._ending.append(first)
        self._add(Record(0, first, b""), last_seq, _HOLE)

    def _add(self, record: Record, last_seq: int, verdict: int) -> None:
        self.seqs.append(record.seq)
        self.lasts.append(last_seq)
        self.places.append(record.at)
        self.sizes.append(len(record.payload))
        self.verdicts.append(verdict)
        self._last_seq = last_seq

    def _verdict(self, message: Sequenced) -> int:
        if isinstance(message, Frame):
            return self._verdict_of_frame(message)
        if isinstance(message, Event) and message.kind == "gap" and message.data.get("reason") == REASON:
            data, (first, last) = message.data, message.data["seqs"]
            hole = Hole(first, last, data["from"], data["to"], REASON, data["points"], message.time_s)
            self.some.add(hole, is_new=False)
            self.all.add(hole, is_new=False)
            return _GOES
        return _STAYS

    def _verdict_of_frame(self, frame: Frame) -> int:
        first, last = steps_of(frame)
        self._end_holes(first)
        self._step = last
        if len(frame.values) % 8 or not bool(np.isfinite(np.frombuffer(frame.values, "<f8")).all()):
            return _STAYS
        group = hash(tuple(frame.series))
        hole = Hole(frame.seq, frame.seq, first, last, REASON, frame.n * len(frame.series), frame.time_s)
        self.all.add(hole, is_new=True)
        self._seen[group] += 1
        if (self._seen[group] - 1) % KEPT == 0:
            return _MAY_GO
        self.some.add(hole, is_new=True)
        return _GOES

    def _end_holes(self, step: int) -> None:
        for number in self._ending:
            hole = self.holes[number]
            first, last = min(hole.from_step, step), max(hole.from_step, step)
            self.holes[number] = replace(hole, from_step=first, to_step=last)
        self._ending.clear()


class Thinning:
    """Two passes over one closed segment, a record a `step`. When it is over, the flags say what came of it."""

    def __init__(
        self, path: Path, first_seq: int, last_seq: int, header: bytes, disk: DiskSync, bad_folder: Path
    ) -> None:
        self.path, self.first_seq, self.last_seq, self._bad_folder = path, first_seq, last_seq, bad_folder
        self.is_over = self.is_complete = self.has_replaced = self.is_damaged = False
        self.is_spent = False  # no finite frame is left
        self.is_waiting = False  # for the disk: another slice at once would be for nothing
        self.size = 0
        self.points_lost = 0
        self._new = path.with_name(path.name + LEFTOVER)
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

    # -- the passes ---------------------------------------------------------------------------------------------

    def _run(self) -> Generator[None, None, None]:
        verdicts = _Verdicts(self.first_seq)
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for record in Scan(lambda at, count: os.pread(fd, count, at), os.fstat(fd).st_size):
                verdicts.judge(record)
                yield
            verdicts.damaged_up_to(self.last_seq)
            self.is_damaged, self.is_spent = bool(verdicts.holes), verdicts.is_spent
            if not verdicts.has_frames:
                return
            yield from self._write(self._records(verdicts, fd))
        finally:
            os.close(fd)
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

    def _keep_bad(self) -> None:
        with contextlib.suppress(OSError):
            self._bad_folder.mkdir(mode=0o700, exist_ok=True)
            os.link(self.path, self._bad_folder / self.path.name)

    def _records(self, verdicts: _Verdicts, fd: int) -> Iterator[bytes]:
        """The new file's records, in small pieces, with one gap for all that goes."""
        going, taken = (_GOES, verdicts.some) if not self.is_spent else (_MAY_GO, verdicts.all)
        assert taken.hole is not None
        self.points_lost, first_gone = taken.points_new, taken.hole.first_seq
        yield self._header
        skip_from = 0  # the first of the numbers that are being skipped; 0: none are
        last_seq = 0
        columns = (verdicts.seqs, verdicts.lasts, verdicts.places, verdicts.sizes, verdicts.verdicts)
        for seq, last, at, size, verdict in zip(*columns, strict=True):
            goes = going <= verdict <= _GOES
            if verdict == _SKIP or (goes and seq != first_gone):
                skip_from = skip_from or seq
                yield b""
            else:
                if skip_from:
                    yield pack_skip(skip_from, last_seq)
                skip_from = 0
                if verdict == _HOLE:
                    yield pack_record(seq, gap(verdicts.holes[seq]))
                    skip_from = seq + 1 if last > seq else 0
                else:
                    yield pack_record(seq, gap(taken.hole) if goes else _payload(fd, seq, at, size))
            last_seq = last
        if skip_from:
            yield pack_skip(skip_from, last_seq)

    def _write(self, records: Iterator[bytes]) -> Iterator[None]:
        fd = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            waiting: list[bytes] = []
            size = 0
            for record in records:
                waiting.append(record)
                if (size := size + len(record)) > WRITE_BYTES:
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


def _payload(fd: int, seq: int, at: int, size: int) -> bytes:
    """Checked once more: what is packed again has a fresh checksum, which would make damage true."""
    data = os.pread(fd, HEAD.size + size, at)
    head, payload = data[: HEAD.size], data[HEAD.size :]
    if not is_whole(head, payload, seq):
        raise OSError("a segment changed while it was thinned")
    return payload
