"""The journal of a stream: every number is there, once, up to the last.

Rules of this file:
- A stream's numbers are filled again, because everything that reads a journal counts on that: the first missing one by
  the gap, the others by a schema that names nothing, as a trainer does it.
- Where nothing follows what is lost, the stream is set back to what is left: a trainer that still has more sends it.
- A head that contradicts the messages is wrong: frames go in the transaction in which they are folded.
"""

from collections.abc import Collection, Iterator
from itertools import pairwise

from sqlalchemy import text

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.gaps import Hole, filler, gap
from lossguard.protocol.messages import Frame, Schema

from ... import journal
from ...journal import StreamHead
from .recorder import REASON, Recorder


def fill(to: Recorder, named: Collection[int]) -> list[str]:
    """Make the stream's journal whole. `named`: numbers that the damaged file's index knew and that are lost."""
    if named:
        _drop_unnamed(to)
    head = journal.head(to.session, to.stream_id)
    assert head is not None
    present = _numbers(to)
    folded = _folded_seq(to, head, present)
    last = max([folded, *present])
    old = {seq for seq in named if 0 < seq <= folded}  # of declarations, schemas and events, which stay for ever
    end = max([last, head.last_seq, *named])
    holes = [*_stretches(sorted(old - present)), *_missing(folded, {seq for seq in present if seq > folded}, end)]
    done = []
    for first_seq, last_seq in holes:
        hole = _hole(to, first_seq, last_seq)
        done.append(to.record(hole))
        if first_seq < last:
            _insert(to, hole)
    return done + _set_head(to, head, folded, last)


def _numbers(to: Recorder) -> set[int]:
    asked = text("SELECT seq FROM journal WHERE stream_id = :id")
    return {row[0] for row in to.session.connection().execute(asked, {"id": to.stream_id})}


def _folded_seq(to: Recorder, head: StreamHead, present: Collection[int]) -> int:
    asked = text("SELECT min(seq) FROM journal WHERE stream_id = :id AND kind = 'frame'")
    frame = to.session.connection().execute(asked, {"id": to.stream_id}).scalar()
    most = max([head.last_seq, *present]) if frame is None else frame - 1
    return max(0, min(head.folded_seq, most))


def _set_head(to: Recorder, head: StreamHead, folded: int, last: int) -> list[str]:
    judged = min(head.judged_seq, last)
    if (head.folded_seq, head.last_seq, head.judged_seq) == (folded, last, judged):
        return []
    to.session.connection().execute(
        text("UPDATE stream SET last_seq = :last, judged_seq = :judged, folded_seq = :folded WHERE id = :id"),
        {"last": last, "judged": judged, "folded": folded, "id": to.stream_id},
    )
    to.session.expire_all()  # what reads the head from now on reads the new one
    return [f"run {to.run_id}: stream {to.stream_id} was set from {head.last_seq} to {last} (folded up to {folded})"]


def _hole(to: Recorder, first_seq: int, last_seq: int) -> Hole:
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


def _insert(to: Recorder, hole: Hole) -> None:
    add = text("INSERT INTO journal (stream_id, seq, kind, payload) VALUES (:id, :seq, :kind, :payload)")
    told = {"id": to.stream_id, "seq": hole.first_seq, "kind": journal.EVENT, "payload": gap(hole)}
    rows = [
        {"id": to.stream_id, "seq": seq, "kind": journal.SCHEMA, "payload": filler(seq)}
        for seq in range(hole.first_seq + 1, hole.last_seq + 1)
    ]
    to.session.connection().execute(add, [told, *rows])


def _drop_unnamed(to: Recorder) -> None:
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


def _missing(after: int, present: Collection[int], last: int) -> Iterator[tuple[int, int]]:
    """(first, last) of each stretch in (after, last] that is not there. Never a set of what is due: a damaged head may
    ask for 2^60 messages."""
    for one, two in pairwise([after, *sorted(present), last + 1]):
        if two > one + 1:
            yield one + 1, two - 1


def _stretches(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of consecutive numbers."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[start], numbers[at - 1]
            start = at
