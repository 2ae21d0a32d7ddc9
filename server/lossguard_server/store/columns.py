"""A run's points that are not folded yet, in memory: decoded as the journal grows, forgotten as they are folded.

Rules of this file:
- What is shown is decided when it is asked (branches.shown): here lies what came, whatever was cut off since.
- A run's lock is taken before the snapshot is opened. So snapshots follow one another, and what a later one forgets
  because it is folded, no earlier one still needs.
- Only what was appended since the last look is decoded, a page in each snapshot: no cursor outlives READ_LIMIT_S, and
  the lock is free after each, so that several who look share the work. The last snapshot, in which nothing was left, is
  the one that the caller reads chunks in.
- Views show rank 0. Other ranks are stored like it and not shown yet.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from sqlmodel import Session

from lossguard.protocol.frames import Columns, Steps

from ..errors import JournalDamaged
from . import journal, runs
from .branches import shown
from .decoding import decode_arrivals, names_of
from .folded import parts
from .journal import Segment, StreamHead
from .rows import Arrivals, Layouts, arrivals, newest_of

PAGE_MESSAGES = 2_000
VIEW_RANK = 0
_INDEX_BYTES = 250  # of a name in an index: itself, a dictionary's entry, a list, a tuple

_Kind = TypeVar("_Kind", np.int64, np.float64)
_Seqs = npt.NDArray[np.int64]
Reading = Callable[[], AbstractContextManager[Session]]
PartEnds = npt.NDArray[np.int64]  # [parts, 4]: id, first_seq, first_step, last_step


@dataclass
class _Table:
    """Rows of one combination of series, in order of arrival; buffers grow by doubling.

    They begin as small as the first rows: there may be 100,000 names of three points each.
    """

    names: tuple[str, ...]
    steps: Steps
    seqs: _Seqs  # the message that each row came with
    values: Columns
    count: int = 0

    @classmethod
    def of(cls, rows: Arrivals) -> "_Table":
        steps, columns = rows.steps.astype(np.int64), rows.columns.astype(np.float64)
        return cls(rows.names, steps, rows.seqs, columns, len(steps))

    @property
    def size_bytes(self) -> int:
        return self.steps.nbytes + self.seqs.nbytes + self.values.nbytes + _INDEX_BYTES * len(self.names)

    def append(self, rows: Arrivals) -> None:
        end = self.count + len(rows.steps)
        if end > len(self.steps):
            capacity = max(end, 2 * len(self.steps))
            self.steps = _grown(self.steps, self.count, (capacity,))
            self.seqs = _grown(self.seqs, self.count, (capacity,))
            self.values = _grown(self.values, self.count, (len(self.names), capacity))
        self.steps[self.count : end] = rows.steps
        self.seqs[self.count : end] = rows.seqs
        self.values[:, self.count : end] = rows.columns
        self.count = end

    def without(self, up_to_seq: int) -> "_Table | None":
        """What came later; new buffers, as views of the old ones have been handed out."""
        start = int(self.seqs[: self.count].searchsorted(up_to_seq, "right"))
        if start == self.count:
            return None
        kept = slice(start, self.count)
        values = self.values[:, kept].copy()
        return _Table(self.names, self.steps[kept].copy(), self.seqs[kept].copy(), values, self.count - start)


@dataclass
class _Stream:
    """The messages (folded_seq, seq] of a stream, decoded, and what its ids mean."""

    folded_seq: int
    names: dict[int, str]
    part_ends: PartEnds
    seq: int = field(init=False)
    tables: dict[tuple[str, ...], _Table] = field(default_factory=dict)
    index: dict[str, list[tuple[_Table, int]]] = field(default_factory=dict)  # name -> where its columns are

    def __post_init__(self) -> None:
        self.seq, self.layouts = self.folded_seq, Layouts(self.names)

    def append(self, rows: Arrivals) -> None:
        if (table := self.tables.get(rows.names)) is not None:
            table.append(rows)
        else:
            self._add(_Table.of(rows))

    def forget(self, folded_seq: int) -> None:
        """What came up to this message is folded."""
        kept = [table.without(folded_seq) for table in self.tables.values()]
        self.folded_seq, self.tables, self.index = folded_seq, {}, {}
        for table in kept:
            if table is not None:
                self._add(table)

    def _add(self, table: _Table) -> None:
        self.tables[table.names] = table
        for column, name in enumerate(table.names):
            self.index.setdefault(name, []).append((table, column))


@dataclass(frozen=True)
class _Shown:
    """A table's rows as one snapshot shows them. What is there already never changes, so the values are a view."""

    steps: Steps
    _values: Columns
    _where: npt.NDArray[np.bool_] | None  # None: all of them

    @classmethod
    def of(cls, table: _Table, edges: _Seqs, limits: Steps) -> "_Shown":
        steps, seqs, values = table.steps[: table.count], table.seqs[: table.count], table.values[:, : table.count]
        where: npt.NDArray[np.bool_] = steps < limits[edges.searchsorted(seqs).clip(max=len(edges) - 1)]
        return cls(steps, values, None) if where.all() else cls(steps[where], values, where)

    def column(self, number: int) -> Columns:
        values: Columns = self._values[number]
        return values if self._where is None else values[self._where]


@dataclass(frozen=True)
class StreamTail:
    """What a stream has beyond its folded parts, in one snapshot, and its segments."""

    head: StreamHead
    segments: Sequence[Segment]
    part_ends: PartEnds
    names: Sequence[str]
    _index: Mapping[str, Sequence[tuple[_Table, int]]]
    _tables: Mapping[int, _Shown]

    @classmethod
    def of(cls, head: StreamHead, segments: Sequence[Segment], stream: _Stream) -> "StreamTail":
        edges = np.array([segment.up_to_seq for segment in segments])
        limits = np.array([segment.below_step for segment in segments])
        tables = {id(table): _Shown.of(table, edges, limits) for table in stream.tables.values()}
        return cls(head, segments, stream.part_ends, list(stream.index), stream.index, tables)

    def series(self, name: str) -> tuple[Steps, Columns]:
        """(steps [n] int64, strictly increasing; values [n] float64) that are shown of one series."""
        # a table that is not among those of the snapshot came later
        found = [(self._tables.get(id(table)), column) for table, column in self._index.get(name, ())]
        return newest_of([(rows.steps, rows.column(column)) for rows, column in found if rows is not None])

    def last_step(self) -> int:
        """The last step shown of any series, -1 when there is none."""
        return max((int(rows.steps.max()) for rows in self._tables.values() if len(rows.steps)), default=-1)


class RunColumns:
    """One run's points that are not folded. Thread-safe."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}
        self._created_s: float | None = None
        self.size_bytes = 0  # of buffers and names after the last look; read without the lock, which a look may hold

    @contextmanager
    def look(self, reading: Reading) -> Iterator[tuple[Session, list[StreamTail], object]]:
        """(a snapshot, the tails of its streams, older attempts first, what names this run among deleted ones).

        Raises JournalDamaged, StorageError.
        """
        found = None
        while found is None:
            with ExitStack() as stack:
                with self._lock:
                    session = stack.enter_context(reading())
                    found = self._tails(session)
                if found is not None:
                    yield session, *found

    def _tails(self, session: Session) -> tuple[list[StreamTail], object] | None:
        """None when there is more to decode than a page."""
        heads = self._follow(session)
        tables = [table for stream in self._streams.values() for table in stream.tables.values()]
        self.size_bytes = sum(table.size_bytes for table in tables)
        if heads is None:
            return None
        limits = shown(session, [(head, head.last_seq) for head in heads])
        tails = [
            StreamTail.of(head, segments, self._streams[head.id]) for head, segments in zip(heads, limits, strict=True)
        ]
        return tails, (self._run_id, self._created_s)

    def _follow(self, session: Session) -> list[StreamHead] | None:
        """The streams, once all that this snapshot has of them is decoded; None when there is more than a page."""
        stored = runs.get(session, self._run_id)
        created_s = None if stored is None else stored.created_s
        if created_s != self._created_s:  # the run was deleted; its streams' numbers may be given anew
            self._created_s, self._streams = created_s, {}
        heads = [head for head in journal.streams(session, self._run_id) if head.key.rank == VIEW_RANK]
        # no stream after one of which there is more: of a backlog a look takes up one page
        return heads if all(self._follow_stream(session, head) for head in heads) else None

    def _follow_stream(self, session: Session, head: StreamHead) -> bool:
        stream = self._streams.get(head.id)
        if stream is None or stream.seq < head.folded_seq:
            names = names_of(session, head.id, head.folded_seq)
            stream = self._streams[head.id] = _Stream(head.folded_seq, names, _part_ends(session, head))
        elif stream.folded_seq < head.folded_seq:
            stream.forget(head.folded_seq)
            stream.part_ends = _part_ends(session, head)
        if stream.seq == head.last_seq:
            return True
        page = journal.read(session, head.id, stream.seq, PAGE_MESSAGES)
        if not page:
            raise JournalDamaged(f"Message {stream.seq + 1} of stream {head.id} is missing.")
        for rows in arrivals(decode_arrivals(page, stream.names, stream.layouts)):
            stream.append(rows)
        stream.seq = page[-1].seq
        return stream.seq == head.last_seq


def _part_ends(session: Session, head: StreamHead) -> PartEnds:
    return np.array(parts.ends_of(session, head.id), np.int64).reshape(-1, 4)


def _grown(buffer: npt.NDArray[_Kind], count: int, shape: tuple[int, ...]) -> npt.NDArray[_Kind]:
    larger = np.empty(shape, buffer.dtype)
    larger[..., :count] = buffer[..., :count]
    return larger
