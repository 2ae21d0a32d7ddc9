"""Finds steps in folded parts, and covers ranges of points with as few entries as a level allows.

Rules of this file: an index counts a part's points from 0. Many parts are walked at once, a level at a time, so that a
query of sixty series costs about as many statements as one of a single series; but of ten thousand series no more than
BLOCKS_AT_ONCE blocks are in memory, and what is handed out is a copy, as a view of ten points would keep a block.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlmodel import Session

from lossguard.protocol.frames import Columns, Steps

from ..rows import joined_points
from .blocks import Address, Blocks, address_of, block_size, entries_of, full_points
from .chunks import CHUNK_POINTS, Chunk
from .parts import Part
from .summaries import BLOCK_ENTRIES, FAN_OUT, Entries, joined_entries, of_points

BLOCKS_AT_ONCE = 512  # 8 MB of points, 23 MB of summaries


@dataclass(frozen=True, slots=True)
class Range:
    """Points [start, stop) of a part."""

    part: Part
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(slots=True)
class _Search:
    """A step looked for among entries [start, stop) of a level; `index` once it is found."""

    part: Part
    step: int
    level: int = 0
    start: int = 0
    stop: int = 0
    index: int | None = None

    def __post_init__(self) -> None:
        if self.step <= self.part.first_step:
            self.index = 0
        elif self.step > self.part.last_step:
            self.index = self.part.count
        else:
            while entries_of(self.part, self.level) > block_size(self.level):
                self.level += 1
            self.stop = entries_of(self.part, self.level)

    def look_in(self, block: Chunk | Entries) -> None:
        """`block`: the one that holds the entries in question."""
        offset = self.start // block_size(self.level) * block_size(self.level)
        last = block.steps if isinstance(block, Chunk) else block.last_step
        at = self.start + int(last[self.start - offset : self.stop - offset].searchsorted(self.step))
        begins_there = at < self.stop and isinstance(block, Entries) and block.first_step[at - offset] >= self.step
        if self.level == 0 or begins_there:
            self.index = at * FAN_OUT**self.level
        else:
            self.descend(at)

    def descend(self, at: int) -> None:
        """To what lies below entry `at`, or behind the last."""
        is_behind = at == entries_of(self.part, self.level)
        self.level -= 1
        self.start, self.stop = at * FAN_OUT, entries_of(self.part, self.level)
        if not is_behind:
            self.stop = self.start + FAN_OUT


class Pyramid:
    """One look at a run's blocks, in one snapshot. Raises ChunkDamaged, StorageError."""

    def __init__(self, blocks: Blocks, session: Session, scope: object) -> None:
        self._blocks, self._session, self._scope = blocks, session, scope

    def find(self, wanted: Iterable[tuple[Part, int]]) -> dict[tuple[Part, int], int]:
        """For each part and step: how many of the part's points lie before the step."""
        searches = [_Search(part, step) for part, step in dict.fromkeys(wanted)]
        for start in range(0, len(searches), BLOCKS_AT_ONCE):
            self._search(searches[start : start + BLOCKS_AT_ONCE])
        return {(search.part, search.step): search.index or 0 for search in searches}

    def points(self, ranges: Sequence[Range]) -> list[tuple[Steps, Columns]]:
        """(steps [n], values [n]) of each range."""
        addresses = [list(_addresses(each.part, 0, each.start, each.stop)) for each in ranges]
        found = zip(self._read_in_turn(addresses), ranges, strict=True)
        return [_points_in(blocks, each) for blocks, each in found]

    def entries(self, ranges: Sequence[tuple[Range, int]]) -> Iterator[Entries]:
        """Each range in entries of its level where that fits, of finer ones at its ends, in order of steps."""
        covers = [list(_cover(each, level)) for each, level in ranges]
        addresses = [
            [address for level, start, stop in pieces for address in _addresses(each.part, level, start, stop)]
            for (each, _), pieces in zip(ranges, covers, strict=True)
        ]
        found = zip(self._read_in_turn(addresses), ranges, covers, strict=True)
        for blocks, (each, _), pieces in found:
            yield joined_entries([entries for piece in pieces for entries in _entries_in(blocks, each.part, *piece)])

    def step_at(self, wanted: Sequence[tuple[Part, int]]) -> list[int]:
        """The step of a part's point, by index."""
        found = self.points([Range(part, index, index + 1) for part, index in wanted])
        return [int(steps[0]) for steps, _ in found]

    def _search(self, searches: Sequence[_Search]) -> None:
        while open_ := [search for search in searches if search.index is None]:
            for search in open_:
                while search.start == search.stop and search.level:
                    search.descend(search.start)  # nothing complete there
            addresses = [address_of(search.part, search.level, search.start) for search in open_]
            found = self._read(addresses)
            for search, address in zip(open_, addresses, strict=True):
                search.look_in(found[address])

    def _read_in_turn(self, wanted: Sequence[Sequence[Address]]) -> Iterator[Mapping[Address, Chunk | Entries]]:
        """For each item the blocks that it names, among others: those of one item, or at most BLOCKS_AT_ONCE."""
        start = 0
        while start < len(wanted):
            stop, size = start + 1, len(wanted[start])
            while stop < len(wanted) and size + len(wanted[stop]) <= BLOCKS_AT_ONCE:
                size += len(wanted[stop])
                stop += 1
            blocks = self._read(chain.from_iterable(wanted[start:stop]))
            yield from (blocks for _ in range(start, stop))
            start = stop

    def _read(self, wanted: Iterable[Address]) -> Mapping[Address, Chunk | Entries]:
        return self._blocks.read(self._session, self._scope, set(wanted))


def _cover(asked: Range, top: int) -> Iterator[tuple[int, int, int]]:
    full = max(asked.start, min(asked.stop, full_points(asked.part)))
    yield from cover(asked.start, full, top)
    if full < asked.stop:
        yield 0, full, asked.stop


def cover(start: int, stop: int, top: int) -> Iterator[tuple[int, int, int]]:
    """(level, first entry, last entry + 1) in order, which together are the points [start, stop); no level above `top`.

    Levels rise from the left end to the highest that fits and fall to the right end.
    """
    falling = []
    level = 0
    while level < top and start < stop:
        inner_start, inner_stop = -(-start // FAN_OUT), stop // FAN_OUT
        if inner_start >= inner_stop:
            break
        if start < inner_start * FAN_OUT:
            yield level, start, inner_start * FAN_OUT
        if inner_stop * FAN_OUT < stop:
            falling.append((level, inner_stop * FAN_OUT, stop))
        level, start, stop = level + 1, inner_start, inner_stop
    if start < stop:
        yield level, start, stop
    yield from reversed(falling)


def _addresses(part: Part, level: int, start: int, stop: int) -> Iterator[Address]:
    size = block_size(level)
    for number in range(start // size, -(-stop // size) if stop > start else start // size):
        yield address_of(part, level, number * size)


def _points_in(blocks: Mapping[Address, Chunk | Entries], asked: Range) -> tuple[Steps, Columns]:
    found = []
    for address in _addresses(asked.part, 0, asked.start, asked.stop):
        chunk, offset = blocks[address], address.number * CHUNK_POINTS
        assert isinstance(chunk, Chunk)
        start, stop = max(0, asked.start - offset), asked.stop - offset
        found.append((chunk.steps[start:stop], chunk.values[start:stop]))
    return joined_points(found) if len(found) != 1 else (found[0][0].copy(), found[0][1].copy())


def _entries_in(
    blocks: Mapping[Address, Chunk | Entries], part: Part, level: int, start: int, stop: int
) -> Iterator[Entries]:
    if level == 0:
        yield of_points(*_points_in(blocks, Range(part, start, stop)))
        return
    for address in _addresses(part, level, start, stop):
        block, offset = blocks[address], address.number * BLOCK_ENTRIES
        assert isinstance(block, Entries)
        found = block.between(max(0, start - offset), stop - offset)
        yield Entries(found.ints.copy(), found.floats.copy())
