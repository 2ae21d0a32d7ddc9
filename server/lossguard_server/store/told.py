"""What a run shows beside its points, for whoever judges it again: its declarations and its trips.

Rules of this file: a declaration counts from the step at which its attempt begins. A trip on a branch that was cut off
is not told, as its rows are not shown.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from lossguard.protocol import BadMessage
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.messages import Declaration, Event

from ..errors import JournalDamaged
from . import journal
from .branches import shown
from .columns import VIEW_RANK
from .decoding import definitions_of
from .journal import Segment, StreamHead
from .tables import JournalRow, table_of

_journal = table_of(JournalRow)
_c = _journal.c


@dataclass(frozen=True)
class Trip:
    """The guard said at this step that it was not finite; `data` as it came."""

    step: int
    data: dict[str, Any]


@dataclass(frozen=True)
class Told:
    """In order of step. `trips_left_out`: there were more than the caller wanted."""

    declarations: Sequence[tuple[int, Declaration]]
    trips: Sequence[Trip]
    trips_left_out: bool


def is_trip(event: Event) -> bool:
    """A step was not finite: of rank 0 itself, or, by its word, of another rank."""
    return event.kind == "trip" or (event.kind == "nonfinite" and "rank" in event.data)


def told(session: Session, run_id: str, most_trips: int) -> Told:
    """What the run shows now: of its trips the first `most_trips` of each attempt. Raises JournalDamaged."""
    heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
    declarations, trips = list[tuple[int, Declaration]](), list[Trip]()
    is_cut = False
    for head, segments in zip(heads, shown(session, [(head, head.last_seq) for head in heads]), strict=True):
        if made := definitions_of(session, head.id, head.last_seq)[0]:
            declarations.append((head.begins_step or 0, made[-1]))
        found = _trips(session, head, segments, most_trips + 1)
        is_cut = is_cut or len(found) > most_trips
        trips += found[:most_trips]
    # stable: of two attempts that begin at one step the newer declares last
    return Told(sorted(declarations, key=lambda each: each[0]), sorted(trips, key=lambda trip: trip.step), is_cut)


def _trips(session: Session, head: StreamHead, segments: Sequence[Segment], limit: int) -> list[Trip]:
    # `kind != frame` is the partial index's own condition, without which SQLite would walk every frame
    is_event = (_c.stream_id == head.id, _c.kind != journal.FRAME, _c.kind == journal.EVENT)
    rows = session.connection().execute(select(_c.seq, _c.payload).where(*is_event).order_by(_c.seq))
    found: list[Trip] = []
    for seq, payload in rows:
        at = bisect_left(segments, seq, key=lambda segment: segment.up_to_seq)
        event = _event(seq, payload)
        if is_trip(event) and at < len(segments) and event.step < segments[at].below_step:
            found.append(Trip(event.step, event.data))
            if len(found) == limit:
                break
    rows.close()
    return found


def _event(seq: int, payload: bytes) -> Event:
    try:
        message = decode_sequenced(payload)
    except BadMessage as error:
        raise JournalDamaged(f"It is message {seq}: {error}") from error
    if not isinstance(message, Event):
        raise JournalDamaged(f"Message {seq} is stored as an event and is none.")
    return message
