"""Folded series: each part has its row, all its chunks and all its summaries, or is cut where points are lost.

Rules of this file:
- A part whose row is gone is made anew from its chunks, under the name that the damaged file's index still gives it.
  Where nobody knows the name its points are dropped, and their steps are said before.
- A part that has not what its row says is folded once more from its chunks, cut where one is missing.
- Which of two parts of a series is newer is told by their first messages; of a part made anew that is put between its
  neighbours', behind the rollback to its first step if there is one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sqlalchemy import Connection, text
from sqlmodel import Session

from ... import journal
from ...folded import folding, parts
from ...folded.chunks import CHUNK_POINTS, Chunk, decode_chunk
from ...folded.folding import Growth, Plan
from ...folded.packing import Packer
from ...folded.parts import Part
from ...folded.summaries import decode_entries
from ..salvage import Row
from ..soundness import summaries_of
from .recorder import REASON, Recorder

_NEW_PART = -1
_MOST = 1 << 62  # more than any message's number
_NO_NAME = f"{REASON}: points were there whose series nobody knows any more"
_DROP_ABSURD = (
    "DELETE FROM part WHERE id NOT IN (SELECT p.id FROM part p JOIN stream s ON s.id = p.stream_id"
    " WHERE p.first_seq BETWEEN 1 AND max(s.last_seq, s.folded_seq,"
    " (SELECT coalesce(max(seq), 0) FROM journal WHERE stream_id = s.id)))"
)
_NO_PLACE = (
    f"{REASON}: whether a rollback took these points back is not known, and where it may have, they are not shown"
)


@dataclass(frozen=True)
class _Piece:
    """A chunk, without its points. `is_labelled`: its row has the steps that it holds."""

    number: int
    points: int
    first_step: int
    last_step: int
    is_labelled: bool


# -- parts whose rows are gone ------------------------------------------------------------------------------------


def restore_parts(session: Session, known: Sequence[Row], cut_parts: Collection[int], wall_s: float) -> list[str]:
    """Parts whose row is gone or absurd, by their chunks. `known`: (id, stream_id, name) as an index still has;
    `cut_parts`: those of which a chunk is lost too. What is left without a name is told here and goes with the orphans.
    """
    connection, packer = session.connection(), Packer()
    runs = {row[0]: row[1] for row in connection.execute(text("SELECT id, run_id FROM stream"))}
    names = {row[0]: (row[1], row[2]) for row in known if isinstance(row[2], str) and row[1] in runs}
    connection.execute(text(_DROP_ABSURD))
    done = _tell_renamed(session, names, runs, wall_s)
    gone = {row[0] for row in connection.execute(text("SELECT part_id FROM chunk EXCEPT SELECT id FROM part"))}
    gone |= names.keys() - {row[0] for row in connection.execute(text("SELECT id FROM part"))}
    nameless = list[_Piece]()
    for number in sorted(gone):  # in the order in which they were made
        pieces = _pieces(connection, packer, number)
        if number not in names:
            nameless += pieces
            continue
        stream_id, name = names[number]
        to = Recorder(session, runs[stream_id], stream_id, wall_s)
        if pieces:
            done += _restore(to, number, name, pieces)
        if not pieces or pieces[0].number > 0 or number in cut_parts:
            done.append(to.record_steps(-1, -1, [name]))
    return done + _tell_nameless(session, nameless, wall_s)


def _tell_renamed(
    session: Session, names: Mapping[int, tuple[int, str]], runs: Mapping[int, str], wall_s: float
) -> list[str]:
    """Row and index say different things, and nobody knows which was changed: the row is kept, the other is a gap."""
    rows = session.connection().execute(text("SELECT id, stream_id, name, first_step, last_step FROM part")).all()
    done = []
    for number, stream_id, name, first_step, last_step in rows:
        if (other := names.get(number, (stream_id, name))) != (stream_id, name):
            why = f"{REASON}: these points may be those stored of {name!r} in run {runs[stream_id]!r}"
            to = Recorder(session, runs[other[0]], other[0], wall_s)
            done.append(to.record_steps(first_step, last_step, [other[1]], why))
    return done


def _restore(to: Recorder, number: int, name: str, pieces: Sequence[_Piece]) -> list[str]:
    connection, last = to.session.connection(), pieces[-1]
    first_step, last_step = min(each.first_step for each in pieces), max(each.last_step for each in pieces)
    first_seq, is_certain = _first_seq(to, number, name, first_step)
    connection.execute(
        text(
            "INSERT INTO part (id, stream_id, name, first_seq, first_step, last_step, count)"
            " VALUES (:id, :stream, :name, :seq, :first, :last, :count)"
        ),
        {
            "id": number,
            "stream": to.stream_id,
            "name": name,
            "seq": first_seq,
            "first": first_step,
            "last": last_step,
            "count": last.number * CHUNK_POINTS + last.points,
        },
    )
    done = [f"run {to.run_id}: part {number} of {name!r} was made anew, steps {first_step} to {last_step}"]
    return done if is_certain else [*done, to.record_steps(first_step, last_step, [name], _NO_PLACE)]


def _first_seq(to: Recorder, number: int, name: str, first_step: int) -> tuple[int, bool]:
    """The message that the part began with, as well as that is known; False where rollbacks leave several places."""
    connection = to.session.connection()
    same = text("SELECT id, first_seq FROM part WHERE stream_id = :id AND name = :name")
    others = connection.execute(same, {"id": to.stream_id, "name": name}).all()
    low = max([row[1] for row in others if row[0] < number], default=0)
    high = min([row[1] for row in others if row[0] > number], default=_MOST)
    alike = text(
        "SELECT DISTINCT first_seq FROM part WHERE stream_id = :id AND first_step = :step"
        " AND first_seq > :low AND first_seq < :high"
    )
    asked = {"id": to.stream_id, "step": first_step, "low": low, "high": high}
    siblings = connection.execute(alike, asked).all()
    if len(siblings) == 1:  # series come together
        return int(siblings[0][0]), True
    # the head may be wrong; but what is folded came before the frames that are still there
    unfolded = text("SELECT coalesce(min(seq), :most) FROM journal WHERE stream_id = :id AND kind = 'frame'")
    end = min(high, connection.execute(unfolded, {"id": to.stream_id, "most": _MOST}).scalar_one())
    between = [each for each in journal.rollbacks(to.session, to.stream_id, end) if low < each[0] < end]
    there = [seq for seq, step in between if step == first_step]
    if len(there) == 1:
        return there[0] + 1, True
    # behind a rollback no step comes before the one gone back to
    return low + 1, all(step > first_step for _, step in between)


def _tell_nameless(session: Session, pieces: Sequence[_Piece], wall_s: float) -> list[str]:
    if not pieces:
        return []
    first, last = min(each.first_step for each in pieces), max(each.last_step for each in pieces)
    points = sum(each.points for each in pieces)
    asked = text("SELECT id, run_id FROM stream WHERE folded_seq > 0")
    owners = session.connection().execute(asked).all()
    if len({row[1] for row in owners}) == 1:  # whose else could they be
        return [Recorder(session, owners[0][1], owners[0][0], wall_s).record_steps(first, last, why=_NO_NAME)]
    return [f"{points} points, steps {first} to {last}, of a run and series that nobody knows any more"]


# -- parts that have not what their row says ----------------------------------------------------------------------


def rebuild(to: Recorder) -> list[str]:
    """Fold every part of the stream once more that is not whole."""
    packer, done = Packer(), list[str]()
    for part in parts.of_stream(to.session, to.stream_id):
        pieces = _pieces(to.session.connection(), packer, part.id)
        if not (_is_whole(part, pieces) and _has_summaries(to, packer, part)):
            done += _rebuild(to, packer, part)
    return done


def _is_whole(part: Part, pieces: Sequence[_Piece]) -> bool:
    due = [min(CHUNK_POINTS, part.count - start) for start in range(0, len(pieces) * CHUNK_POINTS, CHUNK_POINTS)]
    return bool(
        pieces
        and [each.points for each in pieces] == due
        and [each.number for each in pieces] == list(range(len(pieces)))
        and sum(due) == part.count
        and (pieces[0].first_step, pieces[-1].last_step) == (part.first_step, part.last_step)
        and all(each.is_labelled for each in pieces)
        and all(one.last_step < two.first_step for one, two in pairwise(pieces))
    )


def _has_summaries(to: Recorder, packer: Packer, part: Part) -> bool:
    found: dict[tuple[int, int], int] = {}
    asked = text("SELECT level, number, data FROM summary WHERE part_id = :id")
    for level, number, data in to.session.connection().execute(asked, {"id": part.id}):
        found[level, number] = len(decode_entries(packer, data))
    return found == summaries_of(part)


def _rebuild(to: Recorder, packer: Packer, part: Part) -> list[str]:
    connection = to.session.connection()
    asked = text("SELECT number, data FROM chunk WHERE part_id = :id ORDER BY number")
    chunks = [(row[0], decode_chunk(packer, row[1])) for row in connection.execute(asked, {"id": part.id})]
    for table in ("summary", "chunk"):
        connection.execute(text(f"DELETE FROM {table} WHERE part_id = :id"), {"id": part.id})
    connection.execute(text("DELETE FROM part WHERE id = :id"), {"id": part.id})
    empty = replace(part, id=_NEW_PART, first_step=-1, last_step=-1, count=0)
    growths = [Growth(empty, [(chunk.steps, chunk.values) for chunk in some]) for some in _stretches(chunks)]
    head = journal.head(to.session, to.stream_id)
    assert head is not None
    plan = Plan(to.stream_id, head.folded_seq, head.folded_seq, growths, {})
    folding.store(to.session, folding.fold(plan))
    if sum(growth.grown.count for growth in growths) < part.count and (missing := _missing_steps(part, growths)):
        return [to.record_steps(first, last, [part.name]) for first, last in missing]
    return [f"run {to.run_id}: what is stored of {part.name!r} was put together anew"]


def _stretches(chunks: Sequence[tuple[int, Chunk]]) -> list[list[Chunk]]:
    """Chunks that follow one another, by number and by step."""
    found: list[list[Chunk]] = []
    before = -1
    for number, chunk in chunks:
        if not found or number != before + 1 or chunk.steps[0] <= found[-1][-1].steps[-1]:
            found.append([])
        found[-1].append(chunk)
        before = number
    return found


def _missing_steps(part: Part, growths: Sequence[Growth]) -> list[tuple[int, int]]:
    ends = [part.first_step - 1, *(step for growth in growths for step in _ends(growth)), part.last_step + 1]
    return [(low + 1, high - 1) for low, high in zip(ends[::2], ends[1::2], strict=True) if high - low > 1]


def _ends(growth: Growth) -> tuple[int, int]:
    return int(growth.blocks[0][0][0]), growth.last_step


def _pieces(connection: Connection, packer: Packer, part_id: int) -> list[_Piece]:
    """The part's chunks, in order."""
    found = []
    asked = text("SELECT number, first_step, last_step, data FROM chunk WHERE part_id = :id ORDER BY number")
    for number, first, last, data in connection.execute(asked, {"id": part_id}):
        steps = decode_chunk(packer, data).steps
        ends = int(steps[0]), int(steps[-1])
        found.append(_Piece(number, len(steps), *ends, ends == (first, last)))
    return found
