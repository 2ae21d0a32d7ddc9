"""The read side of points: what charts, tables and exports ask.

Rules of this file: callers know `Points` and nothing of how points are stored; chunks and a pyramid come in behind it.
Memory is bounded: the columns of the runs looked at last, up to CACHE_BYTES together, and always the one in use.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from .buckets import Buckets, bucketise
from .columns import Reading, RunColumns

CACHE_BYTES = 512 << 20


@dataclass(frozen=True)
class SeriesExtent:
    """What a run has of one series."""

    name: str
    first_step: int
    last_step: int
    count: int


@dataclass(frozen=True)
class PointsAnswer:
    """The asked series' buckets, and the last step that any of the run's series has (-1: none)."""

    series: dict[str, Buckets]
    last_step: int


class Points:
    """All runs' points. Thread-safe."""

    def __init__(self, reading: Reading, cache_bytes: int = CACHE_BYTES) -> None:
        self._reading, self._cache_bytes = reading, cache_bytes
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, RunColumns] = OrderedDict()

    def extents(self, run_id: str) -> list[SeriesExtent]:
        """Every series of the run that has a point."""
        columns = self._columns(run_id)
        found = []
        for name in columns.names():
            steps, _ = columns.series(name)
            found.append(SeriesExtent(name, int(steps[0]), int(steps[-1]), len(steps)))
        return found

    def query(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None, width: int | None
    ) -> PointsAnswer:
        """Buckets of `names` over [first_step, last_step] (None: as far as there is any). Unknown names are empty."""
        columns = self._columns(run_id)
        found = {name: columns.series(name) for name in names}
        ends = [steps for steps, _ in found.values() if len(steps)]
        low = first_step if first_step is not None else min((int(steps[0]) for steps in ends), default=0)
        high = last_step if last_step is not None else max((int(steps[-1]) for steps in ends), default=-1)
        answer = {}
        for name, (steps, values) in found.items():
            start, end = steps.searchsorted(low, "left"), steps.searchsorted(high, "right")
            answer[name] = bucketise(steps[start:end], values[start:end], low, high, width)
        return PointsAnswer(answer, columns.last_step())

    def _columns(self, run_id: str) -> RunColumns:
        with self._lock:
            columns = self._runs.setdefault(run_id, RunColumns(run_id))
            self._runs.move_to_end(run_id)
        columns.refresh(self._reading)
        self._forget_old()
        return columns

    def _forget_old(self) -> None:
        with self._lock:
            while len(self._runs) > 1 and sum(run.size_bytes for run in self._runs.values()) > self._cache_bytes:
                self._runs.popitem(last=False)
