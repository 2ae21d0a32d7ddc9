"""Frames to rows of named columns, contributions included.

Rules of this file: pure. `contribution/<component>` = weight * raw, in float64, wherever a frame carries both; this is
the only place that derives it, so what is judged, drawn and stored agree to the last bit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lossguard.protocol import names as series_names
from lossguard.protocol.frames import Columns, Steps

_LOSS = "loss/"


@dataclass(frozen=True)
class Rows:
    """Values of `names` at `steps`: `steps` [n] int64, increasing; `columns` [len(names), n] float64."""

    steps: Steps
    names: tuple[str, ...]
    columns: Columns


@dataclass(frozen=True)
class _Layout:
    names: tuple[str, ...]
    loss_at: list[int]
    weight_at: list[int]


class Layouts:
    """Turns a stream's frames into rows; remembers what each combination of series ids means."""

    def __init__(self, series: Mapping[int, str]) -> None:
        """`series` may grow later, as schemas arrive; a name never changes."""
        self._series = series
        self._layouts: dict[tuple[int, ...], _Layout] = {}

    def rows(self, ids: Sequence[int], steps: Steps, columns: Columns) -> Rows:
        """The frame's columns under their names, followed by the derived contributions."""
        key = tuple(ids)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = _layout([self._series[number] for number in key])
        if not layout.loss_at:
            return Rows(steps, layout.names, columns)
        with np.errstate(all="ignore"):  # inf * 0 is NaN, and that is what we want to see
            derived = columns[layout.weight_at] * columns[layout.loss_at]
        return Rows(steps, layout.names, np.concatenate([columns, derived]))


def _layout(names: list[str]) -> _Layout:
    position = {name: index for index, name in enumerate(names)}
    derived, loss_at, weight_at = [], [], []
    for name in names:
        component = name.removeprefix(_LOSS)
        target = series_names.contribution(component)
        weight = series_names.weight(component)
        if name.startswith(_LOSS) and weight in position and target not in position:
            derived.append(target)
            loss_at.append(position[name])
            weight_at.append(position[weight])
    return _Layout((*names, *derived), loss_at, weight_at)


def rows_before(rows: Rows, step: int) -> Rows | None:
    """The rows of steps before `step`; None when there is none."""
    if rows.steps[-1] < step:
        return rows
    count = int(rows.steps.searchsorted(step))
    return Rows(rows.steps[:count], rows.names, rows.columns[:, :count]) if count else None


def joined(blocks: Iterable[Rows]) -> list[Rows]:
    """The same rows in as few blocks as possible: neighbours with equal names and increasing steps become one."""
    groups: list[list[Rows]] = []
    for block in blocks:
        last = groups[-1][-1] if groups else None
        if last is not None and last.names == block.names and block.steps[0] > last.steps[-1]:
            groups[-1].append(block)
        else:
            groups.append([block])
    return [group[0] if len(group) == 1 else _concatenated(group) for group in groups]


def _concatenated(group: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([block.steps for block in group]),
        group[0].names,
        np.concatenate([block.columns for block in group], axis=1),
    )


@dataclass(frozen=True)
class Arrivals:
    """Rows of `names` in order of arrival, so with steps in any order; `seqs` [n]: the message each came with."""

    names: tuple[str, ...]
    steps: Steps
    seqs: Steps
    columns: Columns


def arrivals(found: Iterable[tuple[int, Rows]]) -> list[Arrivals]:
    """The same rows, in as few blocks as their order allows."""
    groups: list[list[tuple[int, Rows]]] = []
    for seq, rows in found:
        if groups and groups[-1][-1][1].names == rows.names:
            groups[-1].append((seq, rows))
        else:
            groups.append([(seq, rows)])
    return [_arrived(group) for group in groups]


def _arrived(group: list[tuple[int, Rows]]) -> Arrivals:
    blocks = [rows for _, rows in group]
    seqs = np.repeat(np.array([seq for seq, _ in group], np.int64), [len(rows.steps) for rows in blocks])
    whole = blocks[0] if len(blocks) == 1 else _concatenated(blocks)
    return Arrivals(whole.names, whole.steps, seqs, whole.columns)


def newest_by_step(steps: Steps, values: Columns) -> tuple[Steps, Columns]:
    """The points in order of step; where several share one, the last given."""
    if len(steps) < 2 or bool(np.all(steps[1:] > steps[:-1])):
        return steps, values
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    last_of_step = np.append(ordered[1:] != ordered[:-1], True)
    return ordered[last_of_step], values[order][last_of_step]


def newest_of(blocks: Sequence[tuple[Steps, Columns]]) -> tuple[Steps, Columns]:
    """The points of all blocks, older ones first, in order of step; where several share one, the last given."""
    return newest_by_step(*joined_points(blocks))


def joined_points(blocks: Sequence[tuple[Steps, Columns]]) -> tuple[Steps, Columns]:
    """One block after the other; a single one is not copied."""
    if len(blocks) == 1:
        return blocks[0]
    if not blocks:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    return np.concatenate([steps for steps, _ in blocks]), np.concatenate([values for _, values in blocks])


def rows_of(series: Mapping[str, tuple[Steps, Columns]]) -> list[Rows]:
    """The same points as rows, in order of step: each step once, with all the series that have it.

    `series`: (steps [n], increasing; values [n]) by name.
    """
    alike: dict[bytes, list[str]] = {}
    for name, (steps, _) in series.items():
        if len(steps):
            alike.setdefault(steps.tobytes(), []).append(name)
    groups = [(series[names[0]][0], names, np.stack([series[name][1] for name in names])) for names in alike.values()]
    if not groups:
        return []
    every = np.unique(np.concatenate([steps for steps, _, _ in groups]))
    has = np.stack([np.isin(every, steps, assume_unique=True) for steps, _, _ in groups])
    edges = [0, *(np.flatnonzero((has[:, 1:] != has[:, :-1]).any(axis=0)) + 1).tolist(), len(every)]
    return [_row_of(groups, has[:, start], every[start:stop]) for start, stop in pairwise(edges)]


def _row_of(groups: Sequence[tuple[Steps, list[str], Columns]], has: npt.NDArray[np.bool_], steps: Steps) -> Rows:
    names, columns = list[str](), []
    for index in np.flatnonzero(has).tolist():
        own, own_names, values = groups[index]
        start = int(own.searchsorted(steps[0]))
        names += own_names
        columns.append(values[:, start : start + len(steps)])
    return Rows(steps, tuple(names), np.concatenate(columns))
