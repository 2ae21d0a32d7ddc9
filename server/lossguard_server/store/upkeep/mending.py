"""Makes a whole of the rows that were saved from a damaged database.

Rules of this file:
- Nothing is invented: what is lost is recorded as a gap, with steps where what is left tells them.
- A stream's numbers are filled again, because everything that reads a journal counts on that: the first missing one by
  the gap, the others by a schema that names nothing, as a trainer does it.
- Where nothing follows what is lost, the stream is set back to what is left: a trainer that still has more sends it.
- A folded series is cut where a chunk is missing, and its summaries are made anew.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import Connection, text
from sqlmodel import Session

from lossguard.protocol import BadFrame, BadMessage
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.gaps import Hole, filler, gap
from lossguard.protocol.messages import Frame, Schema

from ...errors import ChunkDamaged
from .. import events, journal
from ..events import StoredEvent
from ..folded import folding, parts
from ..folded.blocks import block_size, entries_of
from ..folded.chunks import CHUNK_POINTS, decode_chunk
from ..folded.folding import Growth, Plan
from ..folded.packing import Packer
from ..folded.parts import Part
from ..folded.summaries import decode_entries
from .salvage import Row

REASON = "the server's database was damaged here"
_NEW_PART = -1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LostKeys:
    """What indices of the damaged file still name: (stream_id, seq) of messages, (id, run_id, rank, attempt)."""

    messages: Sequence[Row]
    streams: Sequence[Row]


def is_sound_message(columns: Sequence[str]) -> Callable[[Row], bool]:
    """Whether a row of the journal still holds the message with its number."""
    at_seq, at_payload = columns.index("seq"), columns.index("payload")

    def is_sound(row: Row) -> bool:
        try:
            message = decode_sequenced(row[at_payload])
            if isinstance(message, Frame):
                unpack_frame(message)
            return bool(message.seq == row[at_seq])
        except (BadMessage, BadFrame, TypeError):
            return False

    return is_sound


def is_sound_chunk(columns: Sequence[str]) -> Callable[[Row], bool]:
    """Whether a row still holds points."""
    return _decodes(columns, decode_chunk)


def is_sound_summary(columns: Sequence[str]) -> Callable[[Row], bool]:
    """Whether a row still holds entries."""
    return _decodes(columns, decode_entries)


def _decodes(columns: Sequence[str], decode: Callable[[Packer, bytes], object]) -> Callable[[Row], bool]:
    packer, at = Packer(), columns.index("data")

    def is_sound(row: Row) -> bool:
        try:
            decode(packer, row[at])
        except (ChunkDamaged, TypeError):
            return False
        return True

    return is_sound


def mend(session: Session, lost: LostKeys, wall_s: float) -> list[str]:
    """Make what was copied consistent; returns what had to be done, a sentence each.

    The session's connection must not enforce foreign keys: SQLite counts broken ones wrongly that it did not see break.
    """
    connection = session.connection()
    done = [*_restore_streams(connection, lost.streams), *_restore_runs(connection)]
    done += _drop_orphans(connection)
    named: dict[int, set[int]] = {}
    for stream_id, seq in lost.messages:
        named.setdefault(stream_id, set()).add(seq)
    for stream_id, run_id in connection.execute(text("SELECT id, run_id FROM stream")).all():
        recorder = _Recorder(session, run_id, stream_id, wall_s)
        done += _fill_journal(recorder, named.get(stream_id, set()))
        done += _rebuild_parts(recorder)
    return done


@dataclass(frozen=True)
class _Recorder:
    session: Session
    run_id: str
    stream_id: int
    wall_s: float

    def record(self, hole: Hole, names: Sequence[str] = ()) -> str:
        """The gap as an event of the run; returns the sentence."""
        steps = {"from": hole.from_step, "to": hole.to_step} if hole.from_step >= 0 else {}
        data = {**steps, "reason": hole.reason, "stream": self.stream_id}
        data |= {"seqs": [hole.first_seq, hole.last_seq]} if hole.last_seq else {}
        data |= {"series": list(names[:20])} if names else {}
        at = max(0, hole.to_step)
        events.add(self.session, self.run_id, StoredEvent(at, "gap", self.wall_s, data))
        return f"run {self.run_id}: gap {data}"


# -- rows whose parents are gone ----------------------------------------------------------------------------------


def _restore_streams(connection: Connection, known: Sequence[Row]) -> list[str]:
    """Streams whose row is gone, but of which an index had the name; what was judged once is not judged again."""
    present = {row[0] for row in connection.execute(text("SELECT id FROM stream"))}
    gone = [row for row in known if row[0] not in present]
    for number, run_id, rank, attempt in gone:
        last = connection.execute(text("SELECT max(seq) FROM journal WHERE stream_id = :id"), {"id": number}).scalar()
        is_frame = "SELECT min(seq) FROM journal WHERE stream_id = :id AND kind = 'frame'"
        frame = connection.execute(text(is_frame), {"id": number}).scalar()
        row = {"id": number, "run": run_id, "rank": rank, "attempt": attempt, "last": last or 0}
        connection.execute(
            text(
                "INSERT INTO stream (id, run_id, rank, attempt, last_seq, judged_seq, folded_seq)"
                " VALUES (:id, :run, :rank, :attempt, :last, :last, :folded)"
            ),
            {**row, "folded": (last or 0) if frame is None else frame - 1},
        )
    return [f"run {row[1]}: the head of rank {row[2]}, attempt {row[3]} was made anew" for row in gone]


def _restore_runs(connection: Connection) -> list[str]:
    """Runs whose row is gone: what is theirs is there, their project and name are not."""
    missing = "SELECT run_id, max(attempt) FROM stream WHERE run_id NOT IN (SELECT id FROM run) GROUP BY run_id"
    gone = connection.execute(text(missing)).all()
    for run_id, attempt in gone:
        connection.execute(
            text(
                "INSERT INTO run (id, project, name, created_s, seen_s, world_size, attempt)"
                " VALUES (:id, 'recovered', :id, 0, 0, 1, :attempt)"
            ),
            {"id": run_id, "attempt": attempt},
        )
    return [f"run {row[0]}: its project and its name are lost" for row in gone]


def _drop_orphans(connection: Connection) -> list[str]:
    """What belongs to nothing any more, children first gone by the next look."""
    counts: dict[str, int] = {}
    while orphans := connection.execute(text("PRAGMA foreign_key_check")).all():
        for table, rowid, *_ in orphans:
            connection.execute(text(f"DELETE FROM {table} WHERE rowid = :rowid"), {"rowid": rowid})
            counts[table] = counts.get(table, 0) + 1
    return [f"{count} rows of table {table} belonged to nothing that is left" for table, count in counts.items()]


# -- the journal --------------------------------------------------------------------------------------------------


def _fill_journal(to: _Recorder, named: set[int]) -> list[str]:
    head = journal.head(to.session, to.stream_id)
    assert head is not None
    if named:
        _drop_unnamed(to)
    connection = to.session.connection()
    asked = text("SELECT seq FROM journal WHERE stream_id = :id")
    present = {row[0] for row in connection.execute(asked, {"id": to.stream_id})}
    last = max([head.folded_seq, *present])
    missing = sorted({*range(head.folded_seq + 1, head.last_seq + 1), *named} - present)
    done = []
    for first_seq, last_seq in _stretches(missing):
        hole = _hole(to, first_seq, last_seq)
        done.append(to.record(hole))
        if first_seq < last:
            _fill(to, hole)
    if last < head.last_seq:
        connection.execute(
            text("UPDATE stream SET last_seq = :seq, judged_seq = min(judged_seq, :seq) WHERE id = :id"),
            {"seq": last, "id": to.stream_id},
        )
        done.append(f"run {to.run_id}: stream {to.stream_id} was set back from {head.last_seq} to {last}")
    return done


def _hole(to: _Recorder, first_seq: int, last_seq: int) -> Hole:
    connection = to.session.connection()
    before = text("SELECT max(last_step) FROM journal WHERE stream_id = :id AND seq < :seq")
    after = text("SELECT min(first_step) FROM journal WHERE stream_id = :id AND seq > :seq")
    low = connection.execute(before, {"id": to.stream_id, "seq": first_seq}).scalar()
    if low is None:  # folded
        low = connection.execute(text("SELECT max(last_step) FROM part WHERE stream_id = :id"), {"id": to.stream_id})
        low = low.scalar()
    high = connection.execute(after, {"id": to.stream_id, "seq": last_seq}).scalar()
    steps = [step for step in (low, high) if step is not None] or [-1]
    return Hole(first_seq, last_seq, min(steps), max(steps), REASON, time_s=to.wall_s)


def _fill(to: _Recorder, hole: Hole) -> None:
    add = text("INSERT INTO journal (stream_id, seq, kind, payload) VALUES (:id, :seq, :kind, :payload)")
    told = {"id": to.stream_id, "seq": hole.first_seq, "kind": journal.EVENT, "payload": gap(hole)}
    rows = [
        {"id": to.stream_id, "seq": seq, "kind": journal.SCHEMA, "payload": filler(seq)}
        for seq in range(hole.first_seq + 1, hole.last_seq + 1)
    ]
    to.session.connection().execute(add, [told, *rows])


def _drop_unnamed(to: _Recorder) -> None:
    """Frames whose series a lost schema had named: nobody can read them."""
    connection = to.session.connection()
    known: set[int] = set()
    unread: list[int] = []
    asked = text("SELECT seq, payload FROM journal WHERE stream_id = :id AND kind IN ('schema', 'frame') ORDER BY seq")
    for seq, payload in connection.execute(asked, {"id": to.stream_id}):
        message = decode_sequenced(payload)
        if isinstance(message, Schema):
            known |= {series.id for series in message.series}
        elif isinstance(message, Frame) and not known.issuperset(message.series):
            unread.append(seq)
    gone = text("DELETE FROM journal WHERE stream_id = :id AND seq = :seq")
    for seq in unread:
        connection.execute(gone, {"id": to.stream_id, "seq": seq})


def _stretches(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) of each run of consecutive numbers."""
    if not numbers:
        return []
    ends = [index + 1 for index, (one, two) in enumerate(pairwise(numbers)) if two != one + 1]
    return [(numbers[start], numbers[end - 1]) for start, end in pairwise([0, *ends, len(numbers)])]


# -- folded series ------------------------------------------------------------------------------------------------


def _rebuild_parts(to: _Recorder) -> list[str]:
    done = []
    for part in parts.of_stream(to.session, to.stream_id):
        numbers = _numbers(to, "SELECT number FROM chunk WHERE part_id = :id ORDER BY number", part)
        if numbers == list(range(-(-part.count // CHUNK_POINTS))) and _has_summaries(to, part):
            continue
        done += _rebuild(to, part, numbers)
    return done


def _has_summaries(to: _Recorder, part: Part) -> bool:
    levels: dict[int, list[int]] = {}
    asked = text("SELECT level, number FROM summary WHERE part_id = :id ORDER BY level, number")
    for level, number in to.session.connection().execute(asked, {"id": part.id}):
        levels.setdefault(level, []).append(number)
    wanted: dict[int, list[int]] = {}
    level = 1
    while count := entries_of(part, level):
        wanted[level] = list(range(-(-count // block_size(level))))
        level += 1
    return levels == wanted


def _rebuild(to: _Recorder, part: Part, numbers: list[int]) -> list[str]:
    connection, packer = to.session.connection(), Packer()
    asked = text("SELECT number, data FROM chunk WHERE part_id = :id ORDER BY number")
    chunks = {row[0]: decode_chunk(packer, row[1]) for row in connection.execute(asked, {"id": part.id})}
    for table in ("summary", "chunk"):
        connection.execute(text(f"DELETE FROM {table} WHERE part_id = :id"), {"id": part.id})
    connection.execute(text("DELETE FROM part WHERE id = :id"), {"id": part.id})
    growths = [
        Growth(
            Part(_NEW_PART, part.stream_id, part.name, part.first_seq, -1, -1, 0),
            [(chunks[number].steps, chunks[number].values) for number in range(first, last + 1)],
        )
        for first, last in _stretches(numbers)
    ]
    head = journal.head(to.session, to.stream_id)
    assert head is not None
    plan = Plan(to.stream_id, head.folded_seq, head.folded_seq, growths, {})
    folding.store(to.session, folding.fold(plan))
    return [
        to.record(Hole(0, 0, first, last, REASON), [part.name]) for first, last in _missing_steps(part, growths)
    ] or [f"run {to.run_id}: the summaries of {part.name!r} were made anew"]


def _missing_steps(part: Part, growths: Sequence[Growth]) -> list[tuple[int, int]]:
    ends = [part.first_step - 1, *(step for growth in growths for step in _ends(growth)), part.last_step + 1]
    return [(low + 1, high - 1) for low, high in zip(ends[::2], ends[1::2], strict=True) if high - low > 1]


def _ends(growth: Growth) -> tuple[int, int]:
    return int(growth.blocks[0][0][0]), growth.last_step


def _numbers(to: _Recorder, asked: str, part: Part) -> list[int]:
    return [row[0] for row in to.session.connection().execute(text(asked), {"id": part.id})]
