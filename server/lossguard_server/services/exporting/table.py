"""A run's points as a table: one row a step, one column a series, in blocks that fit memory.

Rules of this file:
- Pure but for the source that it is given; the formats are `text` and `parquet`.
- What is exported is fixed at the start: a run that grows meanwhile is cut at the last step that it had then. One of
  which something is taken back meanwhile cannot be exported further: half of it would be of another branch.
- Missing is not NaN: a block carries the values, and which of them are there.
- Memory is bounded by WINDOW_POINTS points read and a format's `cells` laid out at once, however long, wide or sparse
  the run is: steps may lie 2^50 apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lossguard.protocol.frames import MAX_STEP, Columns, Steps

from ...errors import RunChanged, SeriesNotThere
from ...store.points import Branch, PointsAnswer, SeriesExtent

WINDOW_POINTS = 1 << 19  # 8 MB of steps and values, a tenth of a second of CSV
STEP = "step"
NAMES_TOLD = 3

Window = Mapping[str, tuple[Steps, Columns]]


class Source(Protocol):
    """What an export asks of store.points.Points."""

    def extents(self, run_id: str) -> list[SeriesExtent]: ...

    def query(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None, width: int | None
    ) -> PointsAnswer: ...

    def raw(self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None) -> Window: ...

    def branch(self, run_id: str) -> Branch: ...


@dataclass(frozen=True)
class Cut:
    """What is exported: `names` over [first_step, last_step]; empty when last < first.

    `points`: how many there are of the whole series; `rows`: of the longest one; `branch`: what was shown at the start.
    """

    run_id: str
    names: tuple[str, ...]
    first_step: int
    last_step: int
    points: int
    rows: int
    branch: Branch


@dataclass(frozen=True)
class Block:
    """Rows of the table: `steps` [n], increasing; `values` and `present` [n, names]; not present: there is no point."""

    steps: Steps
    values: Columns
    present: npt.NDArray[np.bool_]


class Format(Protocol):
    """A table's bytes, part after part."""

    media_type: str
    cells: int  # of a block

    def begin(self, asked: Cut) -> bytes: ...

    def rows(self, block: Block) -> bytes: ...

    def end(self) -> bytes: ...


def cut(source: Source, run_id: str, wanted: Sequence[str], first_step: int | None, last_step: int | None) -> Cut:
    """What there is now of the wanted series (none: of all), in the order of the run. Raises SeriesNotThere."""
    branch = source.branch(run_id)  # before the extents: what changes between the two is found by the first window
    extents = source.extents(run_id)
    if wanted:
        missing = sorted(set(wanted) - {extent.name for extent in extents})
        if missing:
            more = f" and {len(missing) - NAMES_TOLD} more" if len(missing) > NAMES_TOLD else ""
            raise SeriesNotThere(f"It is {', '.join(map(repr, missing[:NAMES_TOLD]))}{more}.")
        extents = [extent for extent in extents if extent.name in set(wanted)]
    low = min((extent.first_step for extent in extents), default=0)
    high = max((extent.last_step for extent in extents), default=-1)
    return Cut(
        run_id,
        tuple(extent.name for extent in extents),
        low if first_step is None else max(low, first_step),
        high if last_step is None else min(high, last_step),
        sum(extent.count for extent in extents),
        max((extent.count for extent in extents), default=0),
        branch,
    )


def table(source: Source, asked: Cut, form: Format, points: int = WINDOW_POINTS) -> Iterator[bytes]:
    """The table's bytes; `points` are read at once. Raises RunChanged, StorageError."""
    yield form.begin(asked)
    for window in windows(source, asked, points):
        for block in blocks(window, asked.names, form.cells):
            yield form.rows(block)
    yield form.end()


def windows(source: Source, asked: Cut, points: int) -> Iterator[Window]:
    """The cut in parts of at most `points` points (or of one step, where that has more). Raises RunChanged."""
    sure = max(1, points // max(1, len(asked.names)))  # steps that cannot hold more
    span = MAX_STEP if asked.points <= points else sure
    first = asked.first_step
    while first <= asked.last_step:
        while sure < span < MAX_STEP and _count(source, asked, first, first + span - 1) > points:
            span = max(sure, span // 2)
        last = min(asked.last_step, first + span - 1)
        window = source.raw(asked.run_id, asked.names, first, last)
        # after it was read, as what was taken back never comes again
        if not source.branch(asked.run_id).is_same_up_to(asked.last_step, asked.branch):
            raise RunChanged(f"{first} was the next step.")
        yield window
        if 2 * sum(len(steps) for steps, _ in window.values()) <= points:
            span = min(2 * span, MAX_STEP - 1)  # sparse steps: 53 doublings cross any gap
        first = last + 1


def _count(source: Source, asked: Cut, first_step: int, last_step: int) -> int:
    """The points in a part of the cut."""
    answer = source.query(asked.run_id, asked.names, first_step, min(last_step, asked.last_step), 1)
    return sum(int(buckets.count.sum()) for buckets in answer.series.values())


def blocks(window: Window, names: Sequence[str], cells: int) -> Iterator[Block]:
    """The rows of a window, at most `cells` cells (or one row) at once."""
    parts = [window[name] for name in names if name in window]
    counts = [len(window[name][0]) if name in window else 0 for name in names]
    if not sum(counts):
        return
    steps = np.concatenate([part[0] for part in parts])
    order = np.argsort(steps, kind="stable")
    steps = steps[order]
    values = np.concatenate([part[1] for part in parts])[order]
    columns = np.repeat(np.arange(len(names)), counts)[order]
    is_first = np.append(True, steps[1:] != steps[:-1])
    rows, row = steps[is_first], np.cumsum(is_first) - 1
    height = max(1, cells // len(names))
    for start in range(0, len(rows), height):
        shape = (min(height, len(rows) - start), len(names))
        within = slice(*np.searchsorted(row, [start, start + height]).tolist())
        block = Block(rows[start : start + height], np.zeros(shape), np.zeros(shape, np.bool_))
        block.values[row[within] - start, columns[within]] = values[within]
        block.present[row[within] - start, columns[within]] = True
        yield block
