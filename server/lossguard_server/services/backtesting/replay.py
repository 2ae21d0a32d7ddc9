"""A stored run, shown to an engine once more.

Rules of this file:
- Shown are the rows that the run shows now, in order of step, each step once: what a rollback or a newer attempt cut
  off is not judged again. Declarations and trips come before the first row of their step.
- Memory is bounded by PAGE_POINTS points read and CELLS cells judged at once, however long or sparse the run is.
- A page is one unit of work: between two of them others get their turn, and the caller may stop.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lossguard.protocol.messages import Declaration

from ...errors import BacktestTooLarge
from ...rules.alert import AlertChange
from ...store.columns import Reading
from ...store.rows import Rows, rows_of
from ...store.told import Told, told
from ..exporting.table import Cut, Source, cut, windows

PAGE_POINTS = 1 << 16  # 1 MB; of 20 series about 0.1 s of reading and judging, for which a chart may have to wait
CELLS = 1 << 20  # of a window's arrays, of which an engine makes about twenty
MOST_ROWS = 2_048
MOST_SERIES = 5_000
MOST_TRIPS = 20_000  # of an attempt; each cuts a window


class Judging(Protocol):
    """What is asked of services.engine.Engine."""

    def declare(self, run_id: str, declaration: Declaration) -> None: ...
    def observe(self, run_id: str, parts: Sequence[Rows]) -> Sequence[AlertChange]: ...
    def tripped(self, run_id: str, step: int, data: Mapping[str, Any]) -> Sequence[AlertChange]: ...
    def flush(self, run_id: str) -> Sequence[AlertChange]: ...


@dataclass(frozen=True)
class Page:
    """What came of some rows. `last_step`: everything up to there has been judged. The last page has no rows."""

    last_step: int
    rows: int
    changes: Sequence[AlertChange]
    is_last: bool = False


@dataclass(frozen=True)
class Stored:
    """A run as it was when the replay began."""

    cut: Cut
    told: Told


def find(source: Source, reading: Reading, run_id: str, first_step: int | None, last_step: int | None) -> Stored:
    """What there is of the run over [first_step, last_step] (None: as far as it goes).

    Raises BacktestTooLarge, StorageError.
    """
    found = cut(source, run_id, [], first_step, last_step)
    if len(found.names) > MOST_SERIES:
        raise BacktestTooLarge(f"Run {run_id} has {len(found.names)} series, and at most {MOST_SERIES} are judged.")
    with reading() as session:
        return Stored(found, told(session, run_id, MOST_TRIPS))


class Replay:
    """One run before one fresh engine."""

    def __init__(self, source: Source, stored: Stored, engine: Judging) -> None:
        self._source, self._stored, self._engine = source, stored, engine
        self._run_id = stored.cut.run_id
        self._due = deque(self._occasions())
        self._parts: list[Rows] = []
        self._waiting = 0  # rows in these parts
        self._changes: list[AlertChange] = []
        self._most_rows = max(1, min(MOST_ROWS, CELLS // max(1, len(stored.cut.names))))

    def pages(self, points: int = PAGE_POINTS) -> Iterator[Page]:
        """Each page's work is done when it is asked for. Raises RunChanged, StorageError."""
        for window in windows(self._source, self._stored.cut, points):
            last_step, count = -1, 0
            for rows in rows_of(window):
                self._show(rows)
                last_step, count = int(rows.steps[-1]), count + len(rows.steps)
            if count:
                self._judge()
                yield Page(last_step, count, self._taken())
        while self._due:
            self._due.popleft()[1]()
        self._changes += self._engine.flush(self._run_id)
        yield Page(self._stored.cut.last_step, 0, self._taken(), is_last=True)

    def _occasions(self) -> list[tuple[int, Callable[[], None]]]:
        """What is to be done before the first row of a step, in order."""
        first, last = self._stored.cut.first_step, self._stored.cut.last_step
        found: list[tuple[int, Callable[[], None]]] = []
        for step, declaration in self._stored.told.declarations:
            if step <= last:
                found.append((step, lambda said=declaration: self._engine.declare(self._run_id, said)))  # type: ignore[misc]
        for trip in self._stored.told.trips:
            if first <= trip.step <= last:
                found.append((trip.step, lambda said=trip: self._tripped(said.step, said.data)))  # type: ignore[misc]
        return sorted(found, key=lambda each: each[0])

    def _tripped(self, step: int, data: Mapping[str, Any]) -> None:
        self._changes += self._engine.tripped(self._run_id, step, data)

    def _show(self, rows: Rows) -> None:
        start = 0
        while self._due and self._due[0][0] <= rows.steps[-1]:
            step, act = self._due.popleft()
            stop = int(rows.steps.searchsorted(step))
            self._add(rows, start, stop)
            self._judge()
            act()
            start = stop
        self._add(rows, start, len(rows.steps))

    def _add(self, rows: Rows, start: int, stop: int) -> None:
        while start < stop:
            end = min(stop, start + self._most_rows - self._waiting)
            self._parts.append(Rows(rows.steps[start:end], rows.names, rows.columns[:, start:end]))
            self._waiting += end - start
            start = end
            if self._waiting >= self._most_rows:
                self._judge()

    def _judge(self) -> None:
        parts, self._parts, self._waiting = self._parts, [], 0
        if parts:
            self._changes += self._engine.observe(self._run_id, parts)

    def _taken(self) -> list[AlertChange]:
        changes, self._changes = self._changes, []
        return changes
