"""One row of a window with everything about it: what findings, remedies and blame are made from.

Rules of this file: a view; rules judge windows, and ask for a moment only to explain one row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lossguard.protocol.magnitudes import AUXILIARY

from .blame import Share
from .healthy import reference_at
from .remedy import Remedy
from .schedule import Schedule, Stage
from .window import CURVE, Components, Floats, Mask, Reference, Window


@dataclass(frozen=True)
class Moment:
    """Row `row` of a window."""

    window: Window
    row: int

    @property
    def step(self) -> int:
        return int(self.window.steps[self.row])

    @property
    def names(self) -> Sequence[str]:
        return self.window.names

    @property
    def index(self) -> Mapping[str, int]:
        return self.window.index

    @property
    def values(self) -> Floats:
        return np.asarray(self.window.values[self.row])

    @property
    def fresh(self) -> Mask:
        return np.asarray(self.window.fresh[self.row])

    @property
    def live(self) -> Mask:
        return np.asarray(self.window.live[self.row])

    @property
    def schedule(self) -> Schedule:
        return self.window.schedule

    @property
    def remedies(self) -> Mapping[str, Remedy]:
        return self.window.remedies

    @property
    def stage(self) -> Stage | None:
        return self.window.schedule.stage_at(self.step)

    @property
    def steps_in_stage(self) -> int:
        return self.step - (self.window.first_step if self.stage is None else self.stage.start)

    @property
    def is_skipped(self) -> bool:
        """The row says that its update was kept out of the weights."""
        return bool(self.window.skipped_rows[self.row] > 0)

    @property
    def is_whole(self) -> bool:
        return bool(self.window.whole[self.row])

    @cached_property
    def components(self) -> Components:
        return self.window.components.at(self.row)

    @cached_property
    def reference(self) -> Reference | None:
        """The last healthy point before this row."""
        at = int(self.window.references.row[self.row])
        if at < 0:
            return self.window.references.before
        samples = int(self.window.references.samples[self.row])
        return reference_at(self.window.components, at, int(self.window.steps[at]), samples)

    def number(self, name: str) -> int | None:
        """The number of a series that this row carries; None otherwise."""
        number = self.window.index.get(name)
        return number if number is not None and self.fresh[number] else None

    def value(self, name: str) -> float | None:
        """What this row carries of a series; None where it carries nothing."""
        number = self.number(name)
        return None if number is None else float(self.values[number])

    def rank(self, k: int) -> float:
        """The intended weight of component k, relative to the largest of the stage: below 1 it is auxiliary."""
        return float(self.window.ranks[self.row, k])

    def dominant(self, share: float) -> int | None:
        """The auxiliary component that holds the most, if that is more than `share` of the total; else None."""
        if not self.is_whole:
            return None
        shares = self.components.shares
        large = [k for k in np.flatnonzero(shares > share).tolist() if self.rank(k) < AUXILIARY]
        return max(large, key=lambda k: float(shares[k]), default=None)

    def changes(self) -> list[Share]:
        """Every known component at the reference and now. What was not known before counts as brought in by the
        schedule: its raw loss then is taken to be what it is now, its weight 0."""
        if self.reference is None:
            return []
        shares = []
        for k, name in enumerate(self.components.names):
            if self.number(f"loss/{name}") is not None:
                weight, loss = float(self.components.weights[k]), float(self.components.losses[k])
                before = self.reference.of(name) or (0.0, loss)
                shares.append(Share(name, *before, weight, loss))
        return shares

    def curve(self, series: str) -> list[list[float]]:
        """The history that an alert about the series shows; of a contribution that nobody sent, its raw loss's."""
        return self.history(series if series in self.index else f"loss/{series.partition('/')[2]}")

    def history(self, name: str) -> list[list[float]]:
        """The last 64 [step, value] of a series up to this row."""
        number = self.window.index.get(name)
        if number is None:
            return []
        samples = self.window.samples(number)
        known = samples.row <= self.row
        pairs = zip(samples.steps[known].tolist(), samples.values[known].tolist(), strict=True)
        return [[step, value] for step, value in pairs][-CURVE:]
