"""The rows of a run's frames, put together to what rules judge at once.

Rules of this file:
- A step's rows (frames of different series) are one row: it is whole when its loss/total has come, or a row of a later
  step, or `flush`. What still comes for a step that is whole is a row by itself.
- The outcome depends on the order of the rows, never on how they were cut into batches.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...rules.memory import Numbers
from ...rules.page import Page

ROWS_MAX = 1_024  # of a page
CELLS_MAX = 1 << 20  # rows times series: judging a page takes some 20 arrays of them

Steps = npt.NDArray[np.int64]
Columns = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Block:
    """Rows of the same series: `values` [n, len(ids)]."""

    steps: Steps
    ids: Numbers
    values: Columns

    def part(self, first: int, last: int) -> "_Block":
        return _Block(self.steps[first:last], self.ids, self.values[first:last])


class RowBuffer:
    """Takes rows, and gives those that are whole."""

    def __init__(self) -> None:
        self._whole: list[_Block] = []
        self._step = -1  # the newest step taken
        self._has_total = False  # ... and whether its total has come
        self._waiting: list[tuple[Numbers, Columns]] = []  # ... and its rows that are not whole yet

    def take(self, steps: Steps, ids: Numbers, values: Columns, has_total: bool) -> None:
        """Rows of one layout: `values` [n, len(ids)]."""
        if not len(steps):
            return
        cuts = np.flatnonzero(steps[1:] <= steps[:-1]) + 1
        if len(cuts):  # steps that do not increase come one by one
            for piece in np.split(np.arange(len(steps)), cuts):
                self.take(steps[piece], ids, values[piece], has_total)
        elif has_total:
            self._take_whole(steps, ids, values)
        else:
            self._take_partial(steps, ids, values)

    def flush(self) -> None:
        """The step that waits gets no more."""
        if self._waiting:
            self._add(np.array([self._step], np.int64), *_merged(self._waiting))
            self._waiting = []

    def pages(self, count: int) -> Iterator[Page]:
        """What is whole, over `count` series, once; as pages of a bounded size."""
        blocks, self._whole = self._whole, []
        rows_max = max(1, min(ROWS_MAX, CELLS_MAX // max(1, count)))
        taken: list[_Block] = []
        room = rows_max
        for block in blocks:
            while len(block.steps):
                taken.append(block.part(0, room))
                room -= len(taken[-1].steps)
                block = block.part(len(taken[-1].steps), len(block.steps))
                if not room:
                    yield _page(taken, count)
                    taken, room = [], rows_max
        if taken:
            yield _page(taken, count)

    def _take_whole(self, steps: Steps, ids: Numbers, values: Columns) -> None:
        if self._waiting and int(steps[0]) == self._step:
            merged = _merged([*self._waiting, (ids, values[0])])
            self._waiting = []
            self._add(steps[:1], *merged)
            steps, values = steps[1:], values[1:]
        self.flush()
        if len(steps):
            self._add(steps, ids, values)
            self._step = int(steps[-1])
        self._has_total = True

    def _take_partial(self, steps: Steps, ids: Numbers, values: Columns) -> None:
        passed = int(steps.searchsorted(self._step))
        if passed:  # late values of steps that are over
            self._add(steps[:passed], ids, values[:passed])
        for step, row in zip(steps[passed:].tolist(), values[passed:], strict=True):
            if step == self._step and self._has_total:
                self._add(np.array([step], np.int64), ids, row[None])
                continue
            if step != self._step:
                self.flush()
                self._step, self._has_total = step, False
            self._waiting.append((ids, row))

    def _add(self, steps: Steps, ids: Numbers, values: Columns) -> None:
        self._whole.append(_Block(steps, ids, values))

    # -- kept over restarts -------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """What waits."""
        waiting = [[ids, row] for ids, row in self._waiting]
        return {"step": self._step, "has_total": self._has_total, "waiting": waiting}

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "RowBuffer":
        """What `dump` gave."""
        buffer = cls()
        buffer._step, buffer._has_total = data["step"], data["has_total"]
        buffer._waiting = [(np.array(ids, np.intp), np.array(row)) for ids, row in data["waiting"]]
        return buffer


def _page(blocks: Sequence[_Block], count: int) -> Page:
    steps = np.concatenate([block.steps for block in blocks])
    values = np.full((len(steps), count), np.nan)
    fresh = np.zeros((len(steps), count), np.bool_)
    at = 0
    for block in blocks:
        rows = slice(at, at + len(block.steps))
        values[rows, block.ids] = block.values
        fresh[rows, block.ids] = True
        at = rows.stop
    return Page(steps, values, fresh)


def _merged(parts: list[tuple[Numbers, Columns]]) -> tuple[Numbers, Columns]:
    """The rows of one step as one row; of a series that came twice the last value counts."""
    last = {int(number): float(value) for ids, row in parts for number, value in zip(ids, row, strict=True)}
    return np.array(list(last), np.intp), np.array([list(last.values())])
