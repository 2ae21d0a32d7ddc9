"""Folded series as parts: their rows in the database, and which steps of them are shown.

Rules of this file: a part lies between two rollbacks, so it belongs to one segment of its stream, the one that holds
its first message. Of two that hold a step the newer counts: later attempt first, then the larger `first_seq`.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlmodel import Session

from ..journal import Segment
from ..tables import PartRow, table_of

MAX_VARIABLES = 500  # of one statement; a longer list of names or ids is asked for in several
_part = table_of(PartRow)
_p = _part.c
_rows = select(_p.id, _p.stream_id, _p.name, _p.first_seq, _p.first_step, _p.last_step, _p.count)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """Points of one series of a stream, in strictly increasing steps; what a PartRow says."""

    id: int
    stream_id: int
    name: str
    first_seq: int
    first_step: int
    last_step: int
    count: int


def of_names(session: Session, stream_ids: Sequence[int], names: Collection[str], after_seq: int = -1) -> list[Part]:
    """The parts of these series that began after `after_seq`, oldest first within a stream and series."""
    found = []
    for some in _some(list(dict.fromkeys(names))):
        asked = _rows.where(_p.stream_id.in_(stream_ids), _p.name.in_(some), _p.first_seq > after_seq)
        found += [Part(*row) for row in session.connection().execute(asked)]
    found.sort(key=lambda part: part.first_seq)
    return found


def of_stream(session: Session, stream_id: int) -> list[Part]:
    """Every part of a stream, oldest first."""
    asked = _rows.where(_p.stream_id == stream_id).order_by(_p.id)
    return [Part(*row) for row in session.connection().execute(asked)]


def latest(session: Session, stream_id: int, segment: Segment, limit: int) -> list[Part]:
    """The segment's parts with points that it shows, those that go on longest first."""
    is_inside = (_p.first_seq > segment.after_seq, _p.first_seq <= segment.up_to_seq)
    asked = _rows.where(_p.stream_id == stream_id, *is_inside, _p.first_step < segment.below_step)
    return [Part(*row) for row in session.connection().execute(asked.order_by(_p.last_step.desc()).limit(limit))]


def of_ids(session: Session, ids: Sequence[int]) -> list[Part]:
    """These parts, in any order."""
    return [Part(*row) for some in _some(ids) for row in session.connection().execute(_rows.where(_p.id.in_(some)))]


def ends_of(session: Session, stream_id: int) -> list[tuple[int, int, int, int]]:
    """(id, first_seq, first_step, last_step) of every part of a stream."""
    asked = select(_p.id, _p.first_seq, _p.first_step, _p.last_step).where(_p.stream_id == stream_id)
    return [(row[0], row[1], row[2], row[3]) for row in session.connection().execute(asked)]


def below_step(segments: Sequence[Segment], seq: int) -> int:
    """The step below which what came with message `seq` is shown."""
    at = bisect_left(segments, seq, key=lambda segment: segment.up_to_seq)
    return segments[min(at, len(segments) - 1)].below_step


def _some(everything: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(everything), MAX_VARIABLES):
        yield everything[start : start + MAX_VARIABLES]
