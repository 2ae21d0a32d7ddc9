"""The journal: every sequenced message as it came, one row each, and the stream's fence.

Rules of this file:
- `append` is the only road in. It advances the stream's `last_seq` by compare-and-swap in the same transaction, so a
  repeat, a hole or a second connection of the same stream cannot double or lose anything, whoever calls.
- Rows are never changed; `set_folded` deletes those of frames whose points lie in chunks by then.
- A stream's number is given once: what somebody still does for a deleted stream must not land in another.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, bindparam, delete, insert, update
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from ..errors import OutOfOrder, RunBeingDeleted
from .tables import JournalRow, StreamRow, table_of

FRAME, DECLARATION, SCHEMA, EVENT = "frame", "declaration", "schema", "event"
ROLLBACK = "rollback"  # an event whose row's step is the one that the run went back to
PAGE_BYTES = 8 << 20
_FETCH_ROWS = 256
# SQLite gives the largest number again when its row was deleted. At random, because a counter would have to outlive
# the rows. 53 bits, because these numbers stand in events, which a page reads as doubles: of a million streams two are
# alike once in 18,000 databases, and then the second one's row is refused, and its trainer tries again.
NUMBER_BITS = 53
_journal = table_of(JournalRow)
# columns, not rows as objects: pages of the journal are the one place where that costs
_c = _journal.c
_stream = table_of(StreamRow)
# compare-and-swap: a stream that is elsewhere does not move, and is missed in the count of rows
_advance = (
    update(_stream)
    .where(_stream.c.id == bindparam("stream"), _stream.c.last_seq == bindparam("before"))
    .values(last_seq=bindparam("after"))
)
_begin = (
    update(_stream)
    .where(_stream.c.id == bindparam("stream"), _stream.c.begins_step.is_(None))
    .values(begins_step=bindparam("step"))
)
_entries = select_columns(_c.seq, _c.kind, _c.payload, _c.first_step, _c.last_step)


@dataclass(frozen=True)
class StreamKey:
    """What names a stream."""

    run: str
    rank: int
    attempt: int


@dataclass(frozen=True)
class StreamHead:
    """How far a stream is stored (`last_seq`), judged, folded and told (`found_seq`), and from which step on older
    attempts are hidden."""

    id: int
    key: StreamKey
    last_seq: int
    judged_seq: int
    folded_seq: int = 0
    begins_step: int | None = None
    found_seq: int = 0


@dataclass(frozen=True)
class Entry:
    """One message: its bytes as they came, and what a query needs to find it."""

    seq: int
    kind: str
    payload: bytes
    first_step: int | None = None
    last_step: int | None = None


@dataclass(frozen=True)
class Appended:
    """What a stream brings. `begins_step`: of the first entry with a total; the stream keeps the first it is told."""

    stream_id: int
    entries: Sequence[Entry]
    begins_step: int | None = None


@dataclass(frozen=True)
class Segment:
    """The messages (after_seq, up_to_seq] of a stream, of which the rows before `below_step` are asked for."""

    after_seq: int
    up_to_seq: int
    below_step: int


def open_stream(session: Session, key: StreamKey) -> StreamHead:
    """The stream's head; the stream is made when it is new. Its run must exist."""
    row = session.exec(
        select(StreamRow).where(
            StreamRow.run_id == key.run, StreamRow.rank == key.rank, StreamRow.attempt == key.attempt
        )
    ).one_or_none()
    if row is None:
        row = StreamRow(id=secrets.randbits(NUMBER_BITS), run_id=key.run, rank=key.rank, attempt=key.attempt)
        session.add(row)
        session.flush()
    return _head(row)


def append(session: Session, stream_id: int, entries: Sequence[Entry], begins_step: int | None = None) -> None:
    """Store `entries`, whose seq follow one another and the stream's last. Raises OutOfOrder, storing nothing."""
    append_all(session, [Appended(stream_id, entries, begins_step)])


def append_all(session: Session, batches: Sequence[Appended]) -> None:
    """Store a batch of each of several streams. Raises OutOfOrder, of one of them, storing nothing of any."""
    connection = session.connection()
    moves = [
        {"stream": batch.stream_id, "before": batch.entries[0].seq - 1, "after": batch.entries[-1].seq}
        for batch in batches
    ]
    if connection.execute(_advance, moves).rowcount != len(batches):
        raise OutOfOrder(expected=_due(session, batches))
    for batch in batches:
        first = batch.entries[0].seq
        if [entry.seq for entry in batch.entries] != list(range(first, first + len(batch.entries))):
            raise OutOfOrder(expected=first)
    if begins := [
        {"stream": batch.stream_id, "step": batch.begins_step} for batch in batches if batch.begins_step is not None
    ]:
        connection.execute(_begin, begins)
    connection.execute(
        insert(_journal),
        [
            {
                "stream_id": batch.stream_id,
                "seq": entry.seq,
                "kind": entry.kind,
                "first_step": entry.first_step,
                "last_step": entry.last_step,
                "payload": entry.payload,
            }
            for batch in batches
            for entry in batch.entries
        ],
    )


def _due(session: Session, batches: Sequence[Appended]) -> int:
    """The number that is due in the stream whose batch did not follow; what did follow has moved its stream by now."""
    stored = [
        session.exec(select(StreamRow.last_seq).where(StreamRow.id == batch.stream_id)).one_or_none()
        for batch in batches
    ]
    known = [seq for seq in stored if seq is not None]
    if len(known) < len(stored):
        raise RunBeingDeleted()
    misfits = [seq for seq, batch in zip(known, batches, strict=True) if seq != batch.entries[-1].seq]
    return (misfits or known)[0] + 1


def set_judged(session: Session, stream_id: int, seq: int) -> None:
    """Everything of the stream up to `seq` has been judged. Never goes back, nor behind the last message."""
    is_ahead = (col(StreamRow.judged_seq) < seq, col(StreamRow.last_seq) >= seq)
    session.execute(update(StreamRow).where(col(StreamRow.id) == stream_id, *is_ahead).values(judged_seq=seq))


def set_found(session: Session, stream_id: int, seq: int) -> None:
    """What the rules found in the stream up to `seq` is stored. Never goes back."""
    is_ahead = (col(StreamRow.found_seq) < seq, col(StreamRow.last_seq) >= seq)
    session.execute(update(StreamRow).where(col(StreamRow.id) == stream_id, *is_ahead).values(found_seq=seq))


def streams(session: Session, run_id: str) -> list[StreamHead]:
    """The run's streams, older attempts first."""
    rows = session.exec(
        select(StreamRow).where(StreamRow.run_id == run_id).order_by(col(StreamRow.attempt), col(StreamRow.rank))
    )
    return [_head(row) for row in rows]


def unjudged(session: Session) -> list[StreamHead]:
    """Streams with messages that the rules have not seen, of every run."""
    rows = session.exec(select(StreamRow).where(col(StreamRow.judged_seq) < col(StreamRow.last_seq)))
    return [_head(row) for row in rows]


def read(session: Session, stream_id: int, after_seq: int, limit: int, page_bytes: int | None = None) -> list[Entry]:
    """The next messages after `after_seq`, in order: at most `limit`, and not many more than `page_bytes`."""
    statement = (
        _entries.where(_c.stream_id == stream_id, _c.seq > after_seq)
        .order_by(_c.seq)
        .limit(limit)
        .execution_options(yield_per=_FETCH_ROWS)
    )
    found: list[Entry] = []
    size_bytes, page_bytes = 0, PAGE_BYTES if page_bytes is None else page_bytes
    with session.connection().execute(statement) as rows:
        for row in rows:
            found.append(Entry(*row))
            size_bytes += len(found[-1].payload)
            if size_bytes >= page_bytes:
                break
    return found


def read_tail(session: Session, stream_id: int, part: Segment, frames: int, from_step: int = 0) -> list[Entry]:
    """The last frames of `part`, in order: at most `frames`, each with a row at `from_step` or later."""
    statement = (
        _entries.where(*_frames_in(stream_id, part), _c.last_step >= from_step).order_by(_c.seq.desc()).limit(frames)
    )
    return [Entry(*row) for row in session.connection().execute(statement)][::-1]


def newest_step(session: Session, stream_id: int, part: Segment) -> int | None:
    """The last step of the last frame of `part`, as far as it is asked for; None when there is no frame."""
    statement = select_columns(_c.last_step).where(*_frames_in(stream_id, part)).order_by(_c.seq.desc()).limit(1)
    step = session.connection().execute(statement).scalar()
    return None if step is None else min(step, part.below_step - 1)


def rollbacks(session: Session, stream_id: int, up_to_seq: int) -> list[tuple[int, int]]:
    """(seq, the step gone back to) of the stream's rollbacks, in order."""
    statement = (
        select_columns(_c.seq, _c.first_step)
        .where(_c.stream_id == stream_id, _c.kind != FRAME, _c.kind == ROLLBACK, _c.seq <= up_to_seq)
        .order_by(_c.seq)
    )
    return [(seq, step) for seq, step in session.connection().execute(statement)]


def next_rollback(session: Session, stream_id: int, after_seq: int) -> int | None:
    """The stream's first rollback after `after_seq`."""
    is_rollback = (_c.stream_id == stream_id, _c.kind != FRAME, _c.kind == ROLLBACK, _c.seq > after_seq)
    return session.connection().execute(select_columns(_c.seq).where(*is_rollback).order_by(_c.seq).limit(1)).scalar()


def last_rollback(session: Session, stream_id: int, up_to_seq: int) -> int:
    """The stream's last rollback up to `up_to_seq`; 0 when there is none."""
    is_rollback = (_c.stream_id == stream_id, _c.kind != FRAME, _c.kind == ROLLBACK, _c.seq <= up_to_seq)
    newest = select_columns(_c.seq).where(*is_rollback).order_by(_c.seq.desc()).limit(1)
    return session.connection().execute(newest).scalar() or 0


def head(session: Session, stream_id: int) -> StreamHead | None:
    """The stream's head; None when there is no such stream any more."""
    row = session.get(StreamRow, stream_id)
    return None if row is None else _head(row)


def set_folded(session: Session, stream_id: int, old_seq: int, new_seq: int) -> bool:
    """The frames up to `new_seq` lie in chunks, and their rows go. False, and nothing is done, unless it was
    `old_seq` until now and there are so many messages."""
    is_next = (col(StreamRow.folded_seq) == old_seq, col(StreamRow.last_seq) >= new_seq)
    moved = session.connection().execute(
        update(StreamRow).where(col(StreamRow.id) == stream_id, *is_next).values(folded_seq=new_seq)
    )
    if moved.rowcount != 1:
        return False
    is_folded = (_c.stream_id == stream_id, _c.seq > old_seq, _c.seq <= new_seq, _c.kind == FRAME)
    session.connection().execute(delete(_journal).where(*is_folded))
    return True


def unfolded_runs(session: Session) -> list[str]:
    """Runs with messages that no chunk holds."""
    is_behind = col(StreamRow.folded_seq) < col(StreamRow.last_seq)
    return list(session.exec(select(StreamRow.run_id).where(is_behind).distinct()))


def read_definitions(session: Session, stream_id: int) -> list[Entry]:
    """The stream's declarations and schemas, in order."""
    # `kind != frame` is the partial index's own condition, without which SQLite would walk every frame
    is_definition = (_c.stream_id == stream_id, _c.kind != FRAME, _c.kind.in_((DECLARATION, SCHEMA)))
    statement = _entries.where(*is_definition).order_by(_c.seq)
    return [Entry(*row) for row in session.connection().execute(statement)]


def read_told(session: Session, stream_id: int) -> Iterator[Entry]:
    """The stream's declarations and events, in order; rollbacks are events."""
    is_told = (_c.stream_id == stream_id, _c.kind != FRAME, _c.kind != SCHEMA)
    statement = _entries.where(*is_told).order_by(_c.seq).execution_options(yield_per=_FETCH_ROWS)
    with session.connection().execute(statement) as rows:
        yield from (Entry(*row) for row in rows)


def _frames_in(stream_id: int, part: Segment) -> tuple[ColumnElement[bool], ...]:
    is_between = (_c.seq > part.after_seq, _c.seq <= part.up_to_seq)
    return (_c.stream_id == stream_id, *is_between, _c.kind == FRAME, _c.first_step < part.below_step)


def _head(row: StreamRow) -> StreamHead:
    assert row.id is not None
    key = StreamKey(row.run_id, row.rank, row.attempt)
    return StreamHead(row.id, key, row.last_seq, row.judged_seq, row.folded_seq, row.begins_step, row.found_seq)
