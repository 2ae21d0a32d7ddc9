"""Frames to rows of named columns, contributions included.

Rules of this file: pure. `contribution/<component>` = weight * raw, in float64, wherever a frame carries both; this is
the only place that derives it, so what is judged, drawn and stored agree to the last bit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
