"""What a rule sees of a run at one step.

Rules of this file:
- A window is a view of what was known before the step, plus the step's own values; rules read it and change nothing.
  It is valid until its history learns the row.
- Series are numbers here (`index` has the numbers of names); `values`, `fresh`, `live`, ... are columns over them.
- A comparison with NaN is False, so rules look at `live` (finite, in this row) or at `judged` (live, with a level).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np

from lossguard.protocol.names import LOSS_SCALE, TOTAL

from .baseline import Baselines, Floats, Mask
from .blame import Share
from .remedy import Remedy
from .schedule import Schedule, Stage

BUFFERS = "buffers"  # what a trip names when all that was measured is finite; no row has a series of it
GRADIENT_ORDER = 4.0  # in the flow of computation, gradients come from here on
PROBES_MAX = 30  # in a row; each halves the scale, and what overflows at a billionth of it is no matter of scale
AUXILIARY = 1 - 1e-9  # equal weights, though computed differently, are equal


@dataclass(frozen=True)
class Reference:
    """The last healthy point, for blame and for growth: weights and robust raw losses (not one noisy step)."""

    step: int
    samples: int  # rows with a total, up to and including this one
    names: tuple[str, ...]
    weights: Floats
    losses: Floats  # NaN for a component that was never evaluated

    def of(self, component: str) -> tuple[float, float] | None:
        """(weight, raw loss) of a component; None where either is not known or not finite."""
        if component not in self.names:
            return None
        k = self.names.index(component)
        weight, loss = float(self.weights[k]), float(self.losses[k])
        return (weight, loss) if isfinite(weight) and isfinite(loss) else None


@dataclass(frozen=True)
class Components:
    """The terms of the loss at this step; arrays over the components. `losses` is NaN where this row has none."""

    names: tuple[str, ...]
    weights: Floats
    losses: Floats
    contributions: Floats
    rest: float  # |total - sum of contributions|: what the total holds beside the components that are known

    @cached_property
    def shares(self) -> Floats:
        """|contribution| / (sum of |contributions| + rest); 0 where a contribution is not known or not finite."""
        sizes = np.abs(np.where(np.isfinite(self.contributions), self.contributions, 0.0))
        with np.errstate(over="ignore"):
            whole = float(sizes.sum()) + self.rest
        return np.asarray(sizes / whole) if 0 < whole < np.inf else np.zeros(len(sizes))


@dataclass(frozen=True)
class Window:
    """One step of one run."""

    step: int
    stage: Stage | None
    steps_since_start: int
    index: Mapping[str, int]
    names: Sequence[str]
    base: Baselines
    order: Floats  # by series: where it stands in the flow of computation; infinite for those not checked
    low: Floats  # by series: declared range, NaN where open
    high: Floats
    schedule: Schedule
    components: Components
    reference: Reference | None
    skipped_rows: int  # so many updates in a row were kept out of the weights, this one included
    open: frozenset[tuple[str, str]]  # (rule, series) of the alerts that are open
    remedies: Mapping[str, Remedy]  # by component: what an open alert already advises

    @property
    def values(self) -> Floats:
        return self.base.values

    @property
    def fresh(self) -> Mask:
        return self.base.fresh

    @property
    def live(self) -> Mask:
        return self.base.live

    @property
    def steps_in_stage(self) -> int:
        return self.steps_since_start if self.stage is None else self.step - self.stage.start

    def number(self, name: str) -> int | None:
        """The number of a series that this row carries; None otherwise."""
        number = self.index.get(name)
        return number if number is not None and self.base.fresh[number] else None

    def carries(self, name: str) -> bool:
        """Whether this row says anything about the series; a contribution is known where its raw loss is."""
        if name == BUFFERS:
            return self.is_whole  # a step of which no trip was told
        if name not in self.index and name.startswith("contribution/"):
            name = f"loss/{name.removeprefix('contribution/')}"
        number = self.number(name)
        return number is not None and not self.base.excused[number]

    @property
    def is_skipped(self) -> bool:
        """The row says that its update was kept out of the weights."""
        return self.skipped_rows > 0

    @property
    def is_probe(self) -> bool:
        """A float16 GradScaler tried a scale that was too large, and skipped the step: nothing but its gradients is
        infinite, and that by intention."""
        if not 0 < self.skipped_rows <= PROBES_MAX or self.number(LOSS_SCALE) is None:
            return False
        before_gradients = self.fresh & (self.order < GRADIENT_ORDER)
        return bool(self.live[before_gradients].all())

    @property
    def is_whole(self) -> bool:
        """The row carries the total, or the run has none: components can be weighed against each other."""
        return TOTAL not in self.index or self.number(TOTAL) is not None

    def rank(self, k: int) -> float:
        """The intended weight of component k, relative to the largest of the stage: below 1 it is auxiliary."""
        aims = np.nan_to_num(np.abs([self._aim(j) for j in range(len(self.components.names))]))
        largest = float(aims.max())
        return float(aims[k]) / largest if 0 < largest < np.inf else 1.0

    def dominant(self, share: float) -> int | None:
        """The auxiliary component that holds the most, if that is more than `share` of the total; else None."""
        if not self.is_whole:
            return None
        shares = self.components.shares
        large = [k for k in np.flatnonzero(shares > share).tolist() if self.rank(k) < AUXILIARY]
        return max(large, key=lambda k: float(shares[k]), default=None)

    def _aim(self, k: int) -> float:
        """The weight that the stage leads to; the weight in force where no stage is declared."""
        aim = self.schedule.aim_at(self.components.names[k], self.step)
        return float(self.components.weights[k]) if aim is None else aim

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
        """The last 64 [step, value] of a series before this step, and this step's."""
        number = self.index.get(name)
        if number is None:
            return []
        pairs: list[list[float]] = [[step, value] for step, value in self.base.recent(number)]
        if self.base.fresh[number]:
            pairs.append([self.step, float(self.base.values[number])])
        return pairs[-64:]
