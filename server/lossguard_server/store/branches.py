"""Which rows are a run's own after a rollback or a new attempt; the others are an older branch, which stays stored.

Rules of this file:
- A rollback to step T in message S of an attempt cuts off, at T and after it, what came before S in its stream, and
  all of the older attempts, whenever that arrives: what is shown depends on the journal, not on the order of arrival.
- What is cut off is never shown again: a later rollback cannot bring it back.
- An attempt that trains again from step T (its `begins_step`) cuts off the older attempts at T, like a rollback.
- A rollback is a kind of its own in the journal, with T as its step, so that nothing has to be decoded to find it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sqlmodel import Session

from lossguard.protocol.frames import MAX_STEP, Columns, Steps
from lossguard.protocol.messages import Event

from . import journal
from .decoding import decode_rows, names_of
from .folded import parts
from .folded.blocks import Blocks
from .folded.parts import Part
from .folded.pyramid import Pyramid, Range
from .journal import Segment, StreamHead
from .rows import Layouts, Rows, newest_of, rows_before, rows_of

NO_LIMIT = MAX_STEP + 1
TAIL_PARTS = 4_096  # of more series a tail would take a reader longer than it may


def target_of(event: Event) -> int | None:
    """The step that a rollback went back to; None when it is another event, or names no step."""
    return step_of(event, "to") if event.kind == "rollback" else None


def step_of(event: Event, key: str) -> int | None:
    """A step in an event's data; None when there is none that a run can have."""
    step = event.data.get(key)
    return step if type(step) is int and 0 <= step <= MAX_STEP else None


def segments(cuts: Sequence[tuple[int, int]], up_to_seq: int, below_step: int = NO_LIMIT) -> list[Segment]:
    """A stream cut at its rollbacks, oldest first. `cuts`: (seq, step) in order; `below_step`: by newer attempts."""
    edges, limits = [up_to_seq], [below_step]
    for seq, step in reversed(cuts):
        if step < limits[-1]:  # else what comes before it is cut no shorter: a storm to one step is one cut
            edges.append(seq)
            limits.append(step)
    ends = pairwise([0, *reversed(edges)])
    return [Segment(after, to, limit) for (after, to), limit in zip(ends, reversed(limits), strict=True)]


def shown(session: Session, heads: Sequence[tuple[StreamHead, int]]) -> list[list[Segment]]:
    """For each stream its segments; `heads`: one rank's streams, older attempts first, each with the message up to
    which it counts."""
    found, below_step = [], NO_LIMIT
    for head, seq in reversed(heads):
        found.append(segments(journal.rollbacks(session, head.id, seq), seq, below_step))
        begins_step = NO_LIMIT if head.begins_step is None else head.begins_step
        below_step = min(found[-1][0].below_step, begins_step)
    return found[::-1]


def shown_tails(
    session: Session, heads: Sequence[tuple[StreamHead, int]], frames: int, steps: int = NO_LIMIT
) -> Iterator[list[Rows]]:
    """The last rows that each stream shows, the newest attempt's first: at most those of `frames` frames, or `frames`
    points of each series where they are folded, within its last `steps` steps.

    `heads` as for `shown`. Raises JournalDamaged.
    """
    for (head, _), found in zip(reversed(heads), reversed(shown(session, heads)), strict=True):
        yield _tail(session, head.id, found, frames, steps)


def _tail(session: Session, stream_id: int, found: Sequence[Segment], frames: int, steps: int) -> list[Rows]:
    names = names_of(session, stream_id, found[-1].up_to_seq)
    layouts, blocks, from_step = Layouts(names), list[list[Rows]](), None
    for segment in reversed(found):
        if frames <= 0 or segment.below_step <= (from_step or 0):
            break  # the segments before it show less still
        folded = parts.latest(session, stream_id, segment, TAIL_PARTS)
        if from_step is None and (newest := _newest_step(session, stream_id, segment, folded)) is not None:
            from_step = max(0, newest - steps + 1)
        entries = journal.read_tail(session, stream_id, segment, frames, from_step or 0)
        rows = [rows_before(rows, segment.below_step) for rows in decode_rows(entries, names, layouts)]
        blocks.append([row for row in rows if row is not None])
        if (frames := frames - len(entries)) > 0 and folded:
            blocks.append(_folded_tail(session, folded, segment, frames, from_step or 0))
            frames -= max((len(row.steps) for row in blocks[-1]), default=0)
    return [rows for block in reversed(blocks) for rows in block]


def _newest_step(session: Session, stream_id: int, segment: Segment, folded: Sequence[Part]) -> int | None:
    newest = journal.newest_step(session, stream_id, segment)
    if newest is None and folded:
        newest = min(folded[0].last_step, segment.below_step - 1)
    return newest


def _folded_tail(session: Session, folded: Sequence[Part], segment: Segment, points: int, from_step: int) -> list[Rows]:
    """The last rows of these parts, at most `points` of each series."""
    pyramid = Pyramid(Blocks(cache_bytes=0), session, None)
    asked = sorted((part for part in folded if part.last_step >= from_step), key=lambda part: part.first_seq)
    at = pyramid.find([(part, step) for part in asked for step in (from_step, segment.below_step)])
    ranges = []
    for part in asked:
        stop = at[part, segment.below_step]
        ranges.append(Range(part, max(at[part, from_step], stop - points), stop))
    series: dict[str, list[tuple[Steps, Columns]]] = {}
    for part, found in zip(asked, pyramid.points(ranges), strict=True):
        series.setdefault(part.name, []).append(found)
    return rows_of({name: newest_of(found) for name, found in series.items()})
