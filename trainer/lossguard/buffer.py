"""The queue between the training thread and the link thread.

Rules of this file: appending is one deque append and never waits; it is bounded; what does not fit is a metric row,
never an event, and leaves a gap that says which steps are missing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS_MAX = 65_536  # about 30 MB at 24 series: ten minutes at 100 steps/s with a disk that does not answer


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one step: `names` and as many float64."""

    step: int
    names: tuple[str, ...]
    values: Sequence[float] | npt.NDArray[np.float64]
    time_s: float


@dataclass(frozen=True, slots=True)
class Note:
    """An event on its way: kind and data as in the protocol's Event."""

    kind: str
    step: int
    time_s: float
    data: dict[str, Any] = field(default_factory=dict)


class SampleBuffer:
    """Bounded, for one writer of rows, any writer of notes, and one reader."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._items: deque[Row | Note] = deque()
        self._rows_max = rows_max
        self._gap: tuple[int, int] | None = None
        self.points_dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def add_row(self, row: Row) -> None:
        """Queue a row, or drop it and remember the gap when the queue is full."""
        if len(self._items) >= self._rows_max:
            self.points_dropped += len(row.names)
            self._gap = (self._gap[0] if self._gap else row.step, row.step)
            return
        if (gap := self.untold_gap(row.time_s)) is not None:
            self.add_note(gap)
        self._items.append(row)

    def add_note(self, note: Note) -> None:
        """Queue an event; never dropped."""
        self._items.append(note)

    def untold_gap(self, time_s: float) -> Note | None:
        """What was dropped and not told yet; by the thread that writes rows, or when there is none any more."""
        if self._gap is None:
            return None
        (first, last), self._gap = self._gap, None
        return Note("gap", last, time_s, {"from": first, "to": last, "reason": "the trainer's queue was full"})

    def drain(self) -> list[Row | Note]:
        """Everything queued so far, oldest first."""
        items: list[Row | Note] = []
        while True:
            try:
                items.append(self._items.popleft())
            except IndexError:
                return items
