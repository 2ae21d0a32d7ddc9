"""Every point of a run in memory, decoded from the journal as it grows.

Rules of this file:
- This is the thin read path; chunks and the pyramid will replace it behind the same `RunColumns.series`.
- Only what was appended since the last look is read and decoded, a page at a time: no cursor outlives READ_LIMIT_S.
- Where two points share a step, the newer wins: later attempt first, later message second.
- Views show rank 0. Other ranks are stored like it and not shown yet.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from sqlmodel import Session

from lossguard.protocol import BadFrame, BadMessage
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import Columns, Steps, unpack_frame
from lossguard.protocol.messages import Frame, Schema

from ..errors import JournalDamaged
from . import journal
from .journal import Entry, StreamHead
from .rows import Layouts, Rows, joined

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


@dataclass
class _Stream:
    """How far one stream has been decoded, and what its ids mean."""

    names: dict[int, str] = field(default_factory=dict)
    seq: int = 0
    tables: dict[tuple[str, ...], _Table] = field(default_factory=dict)
    index: dict[str, list[tuple[_Table, int]]] = field(default_factory=dict)  # name -> where its columns are

    def __post_init__(self) -> None:
        self.layouts = Layouts(self.names)

    def append(self, rows: Rows) -> None:
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
            return list(dict.fromkeys(name for stream in self._in_order() for name in stream.index))

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
            return max((int(table.steps[: table.count].max()) for table in tables), default=-1)

    def _in_order(self) -> list[_Stream]:
        return [self._streams[number] for number in self._order if number in self._streams]

    def _follow(self, head: StreamHead, reading: Reading) -> None:
        stream = self._streams.setdefault(head.id, _Stream())
        while stream.seq < head.last_seq:
            with reading() as session:
                page = journal.read(session, head.id, stream.seq, PAGE_MESSAGES)
            if not page:
                raise JournalDamaged(f"Message {stream.seq + 1} of stream {head.id} is missing.")
            for rows in joined(decode_rows(page, stream.names, stream.layouts)):
                stream.append(rows)
            stream.seq = page[-1].seq


def decode_rows(page: list[Entry], names: dict[int, str], layouts: Layouts) -> list[Rows]:
    """The rows of a page of the journal; `names` learns from the schemas on it. Raises JournalDamaged."""
    blocks = []
    for entry in page:
        if entry.kind not in (journal.FRAME, journal.SCHEMA):
            continue
        try:
            message = decode_sequenced(entry.payload)
            if isinstance(message, Schema):
                names.update({series.id: series.name for series in message.series})
            elif isinstance(message, Frame):
                blocks.append(layouts.rows(message.series, *unpack_frame(message)))
        except (BadMessage, BadFrame, KeyError) as error:
            raise JournalDamaged(f"It is message {entry.seq}: {error}") from error
    return blocks


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
