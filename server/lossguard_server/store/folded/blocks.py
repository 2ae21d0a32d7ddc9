"""Chunks and blocks of summaries out of the database, decoded, in few statements; those looked at last stay in memory.

Rules of this file: a block's address holds the number of its entries, so a block that has grown since is another one,
and nothing that is remembered can be stale within a run. Parts are numbered anew when a run was deleted, hence `scope`.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlmodel import Session

from ...errors import ChunkDamaged
from ..tables import ChunkRow, SummaryRow, table_of
from .chunks import CHUNK_POINTS, Chunk, decode_chunk
from .packing import Packer
from .parts import MAX_VARIABLES, Part
from .summaries import BLOCK_ENTRIES, FAN_OUT, Entries, decode_entries

CACHE_BYTES = 64 << 20
_chunk = table_of(ChunkRow)
_summary = table_of(SummaryRow)


class Address(NamedTuple):
    """Block `number` of a part's level (0: its points), which holds `length` entries."""

    part_id: int
    level: int
    number: int
    length: int


def entries_of(part: Part, level: int) -> int:
    """Complete entries of a level, which stand for full chunks; level 0 are the points."""
    return int(full_points(part) // FAN_OUT**level) if level else part.count


def full_points(part: Part) -> int:
    """Points of full chunks. The others are few, and have no entries: so a series that grows by a few points at a time
    does not write its summaries again each time."""
    return part.count - part.count % CHUNK_POINTS


def block_size(level: int) -> int:
    """Entries of a full block."""
    return BLOCK_ENTRIES if level else CHUNK_POINTS


def address_of(part: Part, level: int, index: int) -> Address:
    """The block that holds entry `index` of a level."""
    size = block_size(level)
    number = index // size
    return Address(part.id, level, number, min(size, entries_of(part, level) - number * size))


class Blocks:
    """All runs' blocks, at most `cache_bytes` of them in memory. Thread-safe."""

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, Address], Chunk | Entries] = OrderedDict()
        self._size_bytes = 0

    def read(self, session: Session, scope: object, wanted: Iterable[Address]) -> dict[Address, Chunk | Entries]:
        """The blocks at these addresses. Raises ChunkDamaged, StorageError."""
        found: dict[Address, Chunk | Entries] = {}
        missing = []
        with self._lock:
            for address in wanted:
                if (block := self._kept.get((scope, address))) is None:
                    missing.append(address)
                else:
                    self._kept.move_to_end((scope, address))
                    found[address] = block
        if missing:
            read = read_blocks(session, Packer(), set(missing))
            self._keep(scope, read)
            found |= read
        return found

    def _keep(self, scope: object, read: Mapping[Address, Chunk | Entries]) -> None:
        with self._lock:
            for address, block in read.items():
                if (scope, address) not in self._kept:
                    self._kept[scope, address] = block
                    self._size_bytes += block.size_bytes
            while self._size_bytes > self._cache_bytes and self._kept:
                self._size_bytes -= self._kept.popitem(last=False)[1].size_bytes


def read_blocks(session: Session, packer: Packer, wanted: Collection[Address]) -> dict[Address, Chunk | Entries]:
    """The blocks at these addresses. Raises ChunkDamaged."""
    found: dict[Address, Chunk | Entries] = {}
    lengths = {address[:3]: address.length for address in wanted}
    for (level, first, last), part_ids in _alike(wanted).items():
        for start in range(0, len(part_ids), MAX_VARIABLES):
            for part_id, number, data in _select(session, level, first, last, part_ids[start : start + MAX_VARIABLES]):
                address = Address(part_id, level, number, lengths[part_id, level, number])
                found[address] = _decoded(packer, address, data)
    for address in wanted:
        if address not in found:
            raise ChunkDamaged(f"Block {address.number} of level {address.level} of part {address.part_id} is missing.")
    return found


def _alike(wanted: Collection[Address]) -> dict[tuple[int, int, int], list[int]]:
    """(level, first number, last number) -> the parts of which just these are wanted: one statement for all of them."""
    numbers: dict[tuple[int, int], list[int]] = defaultdict(list)
    for address in wanted:
        numbers[address.part_id, address.level].append(address.number)
    alike: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for (part_id, level), found in numbers.items():
        found.sort()
        start = 0
        for index in range(1, len(found) + 1):
            if index == len(found) or found[index] != found[index - 1] + 1:
                alike[level, found[start], found[index - 1]].append(part_id)
                start = index
    return alike


def _select(
    session: Session, level: int, first: int, last: int, part_ids: Sequence[int]
) -> Iterable[tuple[int, int, bytes]]:
    table = _summary if level else _chunk
    asked = select(table.c.part_id, table.c.number, table.c.data).where(
        table.c.part_id.in_(part_ids), table.c.number >= first, table.c.number <= last
    )
    if level:
        asked = asked.where(table.c.level == level)
    return ((row[0], row[1], row[2]) for row in session.connection().execute(asked))


def _decoded(packer: Packer, address: Address, data: bytes) -> Chunk | Entries:
    where = f"block {address.number} of level {address.level} of part {address.part_id}"
    try:
        block = decode_entries(packer, data) if address.level else decode_chunk(packer, data)
    except ChunkDamaged as error:
        raise ChunkDamaged(f"It is {where}. {error.detail}") from error
    if len(block) != address.length:
        raise ChunkDamaged(f"It is {where}. It holds {len(block)} entries where {address.length} are due.")
    return block
