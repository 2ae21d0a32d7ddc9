"""Moves frames from the journal into chunks and summaries of each series.

Rules of this file:
- `plan` reads, `fold` computes, `store` writes: only the last one needs the writer, and it inserts what is ready.
- `store` compares the stream's `folded_seq` with the one that the plan was made from: what was computed from anything
  else than the present state is dropped. So a fold may be begun twice, stopped anywhere and run again.
- In one transaction points come into chunks and their frames go. Every point of every frame comes, in order of arrival.
- A rollback ends every part of its stream. Within a stretch without one, steps that do not increase go to another part,
  so chosen that of two parts which hold a step the one with the larger `first_seq` has the newer point.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import bindparam, func, insert, select, update
from sqlmodel import Session

from lossguard.protocol.frames import Columns, Steps

from ...errors import JournalDamaged
from .. import journal
from ..columns import VIEW_RANK
from ..decoding import decode_arrivals, names_of
from ..journal import Entry, StreamHead
from ..rows import Arrivals, Layouts, arrivals, joined_points
from ..tables import ChunkRow, PartRow, SummaryRow, table_of
from . import parts
from .blocks import Address, address_of, block_size, entries_of, read_blocks
from .chunks import CHUNK_POINTS, Chunk, encode_chunk
from .packing import Packer
from .parts import Part
from .summaries import BLOCK_ENTRIES, FAN_OUT, Entries, encode_entries, joined_entries, merge, summarise

PASS_BYTES = 2 << 20  # of the journal: to store and delete that takes the writer 10 to 35 ms
PASS_MESSAGES = 10_000
OPEN_PARTS = 4  # of a series, that a point may still be put into; correct with any number
_part = table_of(PartRow)
_chunk = table_of(ChunkRow)
_summary = table_of(SummaryRow)
_NEW = -1  # a part that has no number yet


@dataclass
class Growth:
    """A part and the points that come to it."""

    part: Part  # as it is stored; count 0 when it is new
    blocks: list[tuple[Steps, Columns]] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        return int(self.blocks[-1][0][-1]) if self.blocks else self.part.last_step

    @property
    def grown(self) -> Part:
        added = sum(len(steps) for steps, _ in self.blocks)
        first_step = self.part.first_step if self.part.count else int(self.blocks[0][0][0])
        return replace(self.part, first_step=first_step, last_step=self.last_step, count=self.part.count + added)


@dataclass(frozen=True)
class Plan:
    """What a pass has to work with, as of one snapshot: the messages (old_seq, new_seq] of a stream."""

    stream_id: int
    old_seq: int
    new_seq: int
    growths: Sequence[Growth]
    blocks: Mapping[Address, Chunk | Entries]  # those that are not full yet


@dataclass(frozen=True)
class Block:
    """A row of a chunk or summary; `part` counts the fold's parts from 0."""

    part: int
    level: int
    number: int
    first_step: int
    last_step: int
    data: bytes
    is_new: bool


@dataclass(frozen=True)
class Fold:
    """What is to be stored for the messages (old_seq, new_seq] of a stream: its parts as they are then, and rows."""

    stream_id: int
    old_seq: int
    new_seq: int
    parts: Sequence[Part]
    blocks: Sequence[Block]

    @property
    def size_bytes(self) -> int:
        """Of the rows' data."""
        return sum(len(block.data) for block in self.blocks)


def foldable_seq(head: StreamHead) -> int:
    """The message up to which a stream may be folded: rules read frames. Other ranks are not judged."""
    return head.judged_seq if head.key.rank == VIEW_RANK else head.last_seq


def plan(session: Session, stream_id: int, up_to_seq: int | None = None, page_bytes: int = PASS_BYTES) -> Plan | None:
    """The next pass over a stream; None when there is nothing to fold. Raises JournalDamaged."""
    head = journal.head(session, stream_id)
    if head is None:
        return None
    last = foldable_seq(head) if up_to_seq is None else min(up_to_seq, foldable_seq(head))
    if head.folded_seq >= last:
        return None
    page = journal.read(session, stream_id, head.folded_seq, min(last - head.folded_seq, PASS_MESSAGES), page_bytes)
    _check_complete(head, page)
    growths = _growths(session, head, page)
    wanted = {address for growth in growths for address in _not_full(growth)}
    return Plan(stream_id, head.folded_seq, page[-1].seq, growths, read_blocks(session, Packer(), wanted))


def fold(found: Plan) -> Fold:
    """The rows to store. Pure."""
    packer = Packer()
    blocks = [
        block
        for number, growth in enumerate(found.growths)
        for block in _blocks_of(packer, number, growth, found.blocks)
    ]
    return Fold(found.stream_id, found.old_seq, found.new_seq, [growth.grown for growth in found.growths], blocks)


def store(session: Session, folded: Fold) -> bool:
    """An operation for the Writer: False, and nothing is done, when the stream was folded or deleted meanwhile."""
    if not journal.set_folded(session, folded.stream_id, folded.old_seq, folded.new_seq):
        return False
    _store_blocks(session, _store_parts(session, folded.parts), folded.blocks)
    return True


# -- which points come to which part ------------------------------------------------------------------------------


def _growths(session: Session, head: StreamHead, page: Sequence[Entry]) -> list[Growth]:
    names = names_of(session, head.id, head.folded_seq)
    layouts, found = Layouts(names), list[Growth]()
    stretches = _cut_at_rollbacks(page)
    for number, stretch in enumerate(stretches):
        arrived = arrivals(decode_arrivals(stretch, names, layouts))
        open_: dict[str, list[Growth]] = {}
        if number == 0:  # what lies behind a rollback of this page has no part yet
            after_seq = journal.last_rollback(session, head.id, head.folded_seq)
            known = {name for rows in arrived for name in rows.names}
            for part in parts.of_names(session, [head.id], known, after_seq):
                open_.setdefault(part.name, []).append(Growth(part))
        _take_up(head.id, arrived, open_)
        found += [growth for growths in open_.values() for growth in growths if growth.blocks]
    return found


def _take_up(stream_id: int, arrived: Sequence[Arrivals], open_: dict[str, list[Growth]]) -> None:
    for rows in arrived:
        is_sorted = bool(np.all(rows.steps[1:] > rows.steps[:-1]))
        # out of order each message by itself, so that each finds the part in which it can be
        frames = [] if is_sorted else (np.flatnonzero(rows.seqs[1:] != rows.seqs[:-1]) + 1).tolist()
        for start, stop in pairwise([0, *frames, len(rows.steps)]):
            steps, seq = rows.steps[start:stop], int(rows.seqs[start])
            for name, column in zip(rows.names, rows.columns, strict=True):
                growth = _place(open_.setdefault(name, []), int(steps[0]))
                if growth is None:
                    growth = Growth(Part(_NEW, stream_id, name, seq, -1, -1, 0))
                    open_[name].append(growth)
                growth.blocks.append((steps, column[start:stop]))


def _place(growths: Sequence[Growth], step: int) -> Growth | None:
    """The oldest part that may take points from `step` on: neither it nor a newer one has one there or behind.

    The oldest, not the newest: a series of which every step came twice is two parts then, and not a part a step.
    """
    found = None
    for growth in growths[: -OPEN_PARTS - 1 : -1]:
        if growth.last_step >= step:
            break
        found = growth
    return found


def _cut_at_rollbacks(page: Sequence[Entry]) -> list[Sequence[Entry]]:
    """The page in order, in stretches that end with a rollback."""
    ends = [index + 1 for index, entry in enumerate(page) if entry.kind == journal.ROLLBACK]
    return [page[start:end] for start, end in pairwise([0, *ends, len(page)]) if start < end]


def _check_complete(head: StreamHead, page: Sequence[Entry]) -> None:
    for due, seq in enumerate([entry.seq for entry in page] or [-1], head.folded_seq + 1):
        if seq != due:
            raise JournalDamaged(f"Message {due} of stream {head.id} is missing.")


# -- what becomes of a part ---------------------------------------------------------------------------------------


def _not_full(growth: Growth) -> Iterator[Address]:
    """The blocks that a growth goes on with."""
    part, grown = growth.part, growth.grown
    level = 0
    while (count := entries_of(part, level)) < entries_of(grown, level):
        if count % block_size(level):
            yield address_of(part, level, count - 1)
        level += 1


def _blocks_of(
    packer: Packer, number: int, growth: Growth, stored: Mapping[Address, Chunk | Entries]
) -> Iterator[Block]:
    part, grown = growth.part, growth.grown
    steps, values = _points_with(growth, stored)
    base = part.count - part.count % CHUNK_POINTS
    for start, end in _rows(base, len(steps), CHUNK_POINTS):
        some = steps[start:end]
        data = encode_chunk(packer, some, values[start:end])
        is_new = start > 0 or base == part.count
        at = (base + start) // CHUNK_POINTS
        yield Block(number, 0, at, int(some[0]), int(some[-1]), data, is_new)
    below = slice(entries_of(part, 1) * FAN_OUT - base, entries_of(grown, 1) * FAN_OUT - base)
    fresh, level = summarise(steps[below], values[below]), 1
    while len(fresh):
        entries, base = _entries_with(part, level, fresh, stored)
        for start, end in _rows(base, len(entries), BLOCK_ENTRIES):
            group = entries.between(start, end)
            data = encode_entries(packer, group)
            is_new = start > 0 or base == entries_of(part, level)
            at = (base + start) // BLOCK_ENTRIES
            yield Block(number, level, at, int(group.first_step[0]), int(group.last_step[-1]), data, is_new)
        level += 1
        fresh = merge(
            entries.between(entries_of(part, level) * FAN_OUT - base, entries_of(grown, level) * FAN_OUT - base)
        )


def _points_with(growth: Growth, stored: Mapping[Address, Chunk | Entries]) -> tuple[Steps, Columns]:
    """The growth's points, behind those of the chunk that is not full."""
    part = growth.part
    if part.count % CHUNK_POINTS == 0:
        return joined_points(growth.blocks)
    chunk = stored[address_of(part, 0, part.count - 1)]
    assert isinstance(chunk, Chunk)
    return joined_points([(chunk.steps, chunk.values), *growth.blocks])


def _entries_with(
    part: Part, level: int, fresh: Entries, stored: Mapping[Address, Chunk | Entries]
) -> tuple[Entries, int]:
    """The fresh entries of a level behind those of its block that is not full, and the index of the first of all."""
    count = entries_of(part, level)
    if count % BLOCK_ENTRIES == 0:
        return fresh, count
    block = stored[address_of(part, level, count - 1)]
    assert isinstance(block, Entries)
    return joined_entries([block, fresh]), count - len(block)


def _rows(base: int, length: int, size: int) -> Iterator[tuple[int, int]]:
    assert base % size == 0
    return ((start, min(start + size, length)) for start in range(0, length, size))


# -- rows ---------------------------------------------------------------------------------------------------------


def _store_parts(session: Session, found: Sequence[Part]) -> list[int]:
    """Their numbers in the database."""
    connection = session.connection()
    # numbers are given here, as an insertion of many rows does not tell them; nobody else inserts parts
    free = connection.execute(select(func.coalesce(func.max(_part.c.id), 0))).scalar_one() + 1
    ids, new, old = list[int](), list[dict[str, Any]](), list[dict[str, int]]()
    for part in found:
        if part.id == _NEW:
            new.append({**asdict(part), "id": free + len(new)})
            ids.append(new[-1]["id"])
        else:
            old.append({"of": part.id, "last": part.last_step, "points": part.count})
            ids.append(part.id)
    if new:
        connection.execute(insert(_part), new)
    if old:
        grow = update(_part).where(_part.c.id == bindparam("of"))
        connection.execute(grow.values(last_step=bindparam("last"), count=bindparam("points")), old)
    return ids


def _store_blocks(session: Session, ids: Sequence[int], blocks: Sequence[Block]) -> None:
    for table, is_summary in ((_chunk, False), (_summary, True)):
        some = [block for block in blocks if (block.level > 0) == is_summary]
        if new := [_row(ids, block) for block in some if block.is_new]:
            session.connection().execute(insert(table), new)
        if old := [_row(ids, block, "of_") for block in some if not block.is_new]:
            keys = ("part_id", "level", "number") if is_summary else ("part_id", "number")
            others = [name for name in _row(ids, some[0]) if name not in keys]
            grow = update(table).where(*(table.c[name] == bindparam(f"of_{name}") for name in keys))
            session.connection().execute(grow.values({name: bindparam(f"of_{name}") for name in others}), old)


def _row(ids: Sequence[int], block: Block, prefix: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {"part_id": ids[block.part], "number": block.number, "data": block.data}
    if block.level:
        row["level"] = block.level
    else:
        row |= {"first_step": block.first_step, "last_step": block.last_step}
    return {f"{prefix}{name}": value for name, value in row.items()}
