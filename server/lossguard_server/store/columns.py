"""Every point of a run in memory, decoded from the journal as it grows.

Rules of this file:
- This is the thin read path; chunks and the pyramid will replace it behind the same `RunColumns.series`.
- Only what was appended since the last look is read and decoded, a page at a time: no cursor outlives READ_LIMIT_S.
- Where two points share a step, the newer wins: later attempt first, later message second.
- What a rollback cut off is dropped (store/branches.py says what that is).
- Views show rank 0. Other ranks are stored like it and not shown yet.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from sqlmodel import Session

from lossguard.protocol.frames import Columns, Steps

from ..errors import JournalDamaged
from . import journal
from .branches import NO_LIMIT
from .decoding import decode_rows
from .journal import Entry, StreamHead
from .rows import Layouts, Rows, joined, rows_before

PAGE_MESSAGES = 2_000
VIEW_RANK = 0
_INDEX_BYTES = 250  # of a name in an index: itself, a dictionary's entry, a list, a tuple

_Kind = TypeVar("_Kind", np.int64, np.float64)
Reading = Callable[[], AbstractContextManager[Session]]


@dataclass
class _Table:
    """Rows of one combination of series, in order of arrival; buffers grow by doubling.

    They begin as small as the first rows: there may be 100,000 names of three points each.
    """

    names: tuple[str, ...]
    steps: Steps
    values: Columns
    count: int = 0

    @classmethod
    def of(cls, rows: Rows) -> "_Table":
        return cls(rows.names, rows.steps.astype(np.int64), rows.columns.astype(np.float64), len(rows.steps))

    @property
    def size_bytes(self) -> int:
        return self.steps.nbytes + self.values.nbytes + _INDEX_BYTES * len(self.names)

    def append(self, rows: Rows) -> None:
        end = self.count + len(rows.steps)
        if end > len(self.steps):
            capacity = max(end, 2 * len(self.steps))
            self.steps = _grown(self.steps, self.count, (capacity,))
            self.values = _grown(self.values, self.count, (len(self.names), capacity))
        self.steps[self.count : end] = rows.steps
        self.values[:, self.count : end] = rows.columns
        self.count = end

    def cut(self, below_step: int) -> None:
        """Drop what is at or after `below_step`."""
        is_kept = self.steps[: self.count] < below_step
        if not is_kept.all():
            # new buffers: views of the old ones have been handed out
            self.steps, self.values = self.steps[: self.count][is_kept], self.values[:, : self.count][:, is_kept]
            self.count = len(self.steps)


@dataclass
class _Stream:
    """How far one stream has been decoded, and what its ids mean."""

    names: dict[int, str] = field(default_factory=dict)
    seq: int = 0
    tables: dict[tuple[str, ...], _Table] = field(default_factory=dict)
    index: dict[str, list[tuple[_Table, int]]] = field(default_factory=dict)  # name -> where its columns are
    below_step: int = NO_LIMIT  # what newer attempts have left of it

    def __post_init__(self) -> None:
        self.layouts = Layouts(self.names)

    def append(self, rows: Rows) -> None:
        if (kept := rows_before(rows, self.below_step)) is not None:
            self._append(kept)

    def cut(self, below_step: int) -> None:
        """Drop what is at or after `below_step`."""
        for table in self.tables.values():
            table.cut(below_step)

    def _append(self, rows: Rows) -> None:
        if (table := self.tables.get(rows.names)) is not None:
            table.append(rows)
            return
        self.tables[rows.names] = table = _Table.of(rows)
        for column, name in enumerate(rows.names):
            self.index.setdefault(name, []).append((table, column))


class RunColumns:
    """One run's columns. Thread-safe."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}  # by stream id; ids grow with attempts
        self._order: list[int] = []
        self.size_bytes = 0  # of buffers and names after the last look; read without the lock, which a look may hold

    def refresh(self, reading: Reading) -> None:
        """Decode what the journal has gained. Raises JournalDamaged, StorageError."""
        with self._lock:
            with reading() as session:
                heads = [head for head in journal.streams(session, self._run_id) if head.key.rank == VIEW_RANK]
            self._order = [head.id for head in heads]
            for head in heads:
                self._follow(head, reading)
            tables = [table for stream in self._streams.values() for table in stream.tables.values()]
            self.size_bytes = sum(table.size_bytes for table in tables)

    def names(self) -> list[str]:
        """Every series that has a point."""
        with self._lock:
            found = [(name, where) for stream in self._in_order() for name, where in stream.index.items()]
            return list(dict.fromkeys(name for name, where in found if any(table.count for table, _ in where)))

    def series(self, name: str) -> tuple[Steps, Columns]:
        """(steps [n] int64, strictly increasing; values [n] float64) of one series; empty when it has no point."""
        with self._lock:
            parts = [
                (table.steps[: table.count], table.values[column, : table.count])
                for stream in self._in_order()
                for table, column in stream.index.get(name, ())
            ]
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        if len(parts) == 1:  # a view: what is there already never changes, and a buffer that grows leaves the old one
            return newest_by_step(*parts[0])
        steps, values = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        return newest_by_step(steps, values)

    def last_step(self) -> int:
        """The last step of any series, -1 when there is none."""
        with self._lock:
            tables = [table for stream in self._in_order() for table in stream.tables.values()]
            return max((int(table.steps[: table.count].max()) for table in tables if table.count), default=-1)

    def _in_order(self) -> list[_Stream]:
        return [self._streams[number] for number in self._order if number in self._streams]

    def _follow(self, head: StreamHead, reading: Reading) -> None:
        stream = self._streams.setdefault(head.id, _Stream())
        while stream.seq < head.last_seq:
            with reading() as session:
                page = journal.read(session, head.id, stream.seq, PAGE_MESSAGES)
            if not page:
                raise JournalDamaged(f"Message {stream.seq + 1} of stream {head.id} is missing.")
            for part in _cut_at_rollbacks(page):
                for rows in joined(decode_rows(part, stream.names, stream.layouts)):
                    stream.append(rows)
                stream.seq = part[-1].seq
                if part[-1].kind == journal.ROLLBACK:
                    self._go_back(head.id, part[-1])

    def _go_back(self, stream_id: int, rollback: Entry) -> None:
        """Drop what the rollback cut off, of this attempt and of the older ones, which may still bring more."""
        assert rollback.first_step is not None
        older = self._order[: self._order.index(stream_id)]
        self._streams[stream_id].cut(rollback.first_step)
        for stream in (self._streams.setdefault(number, _Stream()) for number in older):
            stream.below_step = min(stream.below_step, rollback.first_step)
            stream.cut(stream.below_step)


def _cut_at_rollbacks(page: list[Entry]) -> list[list[Entry]]:
    """The page in order, in parts that end with a rollback."""
    ends = [index + 1 for index, entry in enumerate(page) if entry.kind == journal.ROLLBACK]
    return [page[start:end] for start, end in pairwise([0, *ends, len(page)]) if start < end]


def newest_by_step(steps: Steps, values: Columns) -> tuple[Steps, Columns]:
    """The points in order of step; where several share one, the last given."""
    if len(steps) < 2 or bool(np.all(steps[1:] > steps[:-1])):
        return steps, values
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    last_of_step = np.append(ordered[1:] != ordered[:-1], True)
    return ordered[last_of_step], values[order][last_of_step]


def _grown(buffer: npt.NDArray[_Kind], count: int, shape: tuple[int, ...]) -> npt.NDArray[_Kind]:
    larger = np.empty(shape, buffer.dtype)
    larger[..., :count] = buffer[..., :count]
    return larger
