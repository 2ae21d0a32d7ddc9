"""What components add to the total, step by step, and which share of it each holds.

Rules of this file:
- Pure; [K, n] is a row for each component and a column for each step.
- A component that is gated takes no part: it adds 0, whatever its loss. One of weight 0 does take part: 0 * NaN is NaN.
- A share is |w L| / sum of |w L|; it is NaN where a contribution is not finite or all are 0, as in a run's answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossguard.protocol import names as series_names
from lossguard.protocol.frames import Columns, Steps

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Points = Mapping[str, tuple[Steps, Columns]]


@dataclass(frozen=True)
class Table:
    """Raw losses and weights [K, n] of `components` at `steps` [n]; NaN where `has_loss` or `has_weight` is False."""

    components: tuple[str, ...]
    steps: Steps
    losses: Floats
    weights: Floats
    has_loss: Mask
    has_weight: Mask

    def only(self, where: Mask) -> "Table":
        """The steps [n] for which `where` is True."""
        columns = (self.losses, self.weights, self.has_loss, self.has_weight)
        return Table(self.components, self.steps[where], *(each[:, where] for each in columns))  # type: ignore[arg-type]


def series_of(components: Sequence[str]) -> list[str]:
    """The series that `table_of` needs."""
    return [*map(series_names.loss, components), *map(series_names.weight, components)]


def table_of(points: Points, components: Sequence[str]) -> Table:
    """Every step at which one of the raw losses was stored, in order."""
    losses = [points[series_names.loss(name)] for name in components]
    weights = [points[series_names.weight(name)] for name in components]
    steps = np.unique(np.concatenate([each for each, _ in losses])) if losses else np.empty(0, np.int64)
    (loss, has_loss), (weight, has_weight) = _at(losses, steps), _at(weights, steps)
    return Table(tuple(components), steps, loss, weight, has_loss, has_weight)


def contributions(losses: Floats, weights: Floats, gated: Mask) -> Floats:
    """[K, n]: what each component adds."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(gated, 0.0, weights * losses)


def totals(contributed: Floats) -> Floats:
    """[n]: their sum, added in the components' order, as the trainer adds them."""
    total = np.zeros(contributed.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):
        for row in contributed:
            total = total + row
    return total


def shares(contributed: Floats) -> Floats:
    """[K, n]: which part of the sum of magnitudes each holds."""
    sizes = np.abs(contributed)
    largest = sizes.max(axis=0, initial=0.0)
    known = np.isfinite(largest) & (largest > 0)
    found = np.full(sizes.shape, np.nan)
    # by the largest, because the plain sum of two values near the largest float is infinite
    parts = sizes[:, known] / largest[known]
    found[:, known] = parts / parts.sum(axis=0)
    return found


def _at(series: Sequence[tuple[Steps, Columns]], steps: Steps) -> tuple[Floats, Mask]:
    values, has = np.full((len(series), len(steps)), np.nan), np.zeros((len(series), len(steps)), np.bool_)
    for k, (own, column) in enumerate(series):
        _, here, there = np.intersect1d(steps, own, assume_unique=True, return_indices=True)
        values[k, here], has[k, here] = column[there], True
    return values, has
