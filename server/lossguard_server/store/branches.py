"""Which rows are a run's own after a rollback; the others are an older branch, which stays in the journal.

Rules of this file:
- A rollback to step T in message S of an attempt cuts off, at T and after it, what came before S in its stream, and
  all of the older attempts, whenever that arrives: what is shown depends on the journal, not on the order of arrival.
- What is cut off is never shown again: a later rollback cannot bring it back.
- A rollback is a kind of its own in the journal, with T as its step, so that nothing has to be decoded to find it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sqlmodel import Session

from lossguard.protocol.frames import MAX_STEP
from lossguard.protocol.messages import Event

from . import journal
from .decoding import decode_rows, names_of
from .journal import Segment, StreamHead
from .rows import Layouts, Rows, rows_before

NO_LIMIT = MAX_STEP + 1


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


def shown_tails(
    session: Session, heads: Sequence[tuple[StreamHead, int]], frames: int, steps: int = NO_LIMIT
) -> Iterator[list[Rows]]:
    """The last rows that each stream shows, the newest attempt's first: at most those of `frames` frames, within its
    last `steps` steps.

    `heads`: one rank's streams, older attempts first, each with the message up to which it counts.
    Raises JournalDamaged.
    """
    below_step = NO_LIMIT
    for head, seq in reversed(heads):
        parts = segments(journal.rollbacks(session, head.id, seq), seq, below_step)
        yield _tail(session, head.id, parts, frames, steps)
        below_step = parts[0].below_step


def _tail(session: Session, stream_id: int, parts: Sequence[Segment], frames: int, steps: int) -> list[Rows]:
    names = names_of(session, stream_id, parts[-1].up_to_seq)
    layouts, blocks, from_step = Layouts(names), list[list[Rows]](), None
    for part in reversed(parts):
        if frames <= 0 or part.below_step <= (from_step or 0):
            break  # the parts before it show less still
        if from_step is None and (newest := journal.newest_step(session, stream_id, part)) is not None:
            from_step = max(0, newest - steps + 1)
        entries = journal.read_tail(session, stream_id, part, frames, from_step or 0)
        rows = [rows_before(rows, part.below_step) for rows in decode_rows(entries, names, layouts)]
        blocks.append([row for row in rows if row is not None])
        frames -= len(entries)
    return [rows for block in reversed(blocks) for rows in block]
