"""What a rule sees: some consecutive rows of one run, and what was known before each of them.

Rules of this file:
- A window is arrays: T rows, S series, K components. Row t's `level`, `scale`, ... are what was known before row t was
  learned; its `values` are its own. Rules read a window and change nothing.
- A row carries some of the series: `fresh` says which. A comparison with NaN is False, so rules look at `live` (fresh
  and finite) or at `judged` (live, with a known level, of an update that counts).
- Rules judge windows and explain moments (moment.py: one row with everything about it).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite

import numpy as np
import numpy.typing as npt

from lossguard.protocol.magnitudes import AUXILIARY
from lossguard.protocol.names import LOSS_SCALE, TOTAL

from .remedy import Remedy
from .schedule import Schedule

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

BUFFERS = "buffers"  # what a trip names when all that was measured is finite; no row has a series of it
GRADIENT_ORDER = 4.0  # in the flow of computation, gradients come from here on
PROBES_MAX = 30  # in a row; each halves the scale, and what overflows at a billionth of it is no matter of scale
CURVE = 64


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
class Samples:
    """The samples of one series: those of the window behind the last 64 before it. `row` is -1 before the window."""

    row: npt.NDArray[np.intp]
    steps: Counts
    values: Floats


@dataclass(frozen=True)
class Components:
    """The terms of the loss: [T, K] each in a window, [K] in a moment. `losses` is NaN where a row has none.

    `weights` are those in force, carried on from row to row; `usual` the robust raw losses known before the row.
    """

    names: tuple[str, ...]
    weights: Floats
    losses: Floats
    usual: Floats
    contributions: Floats
    rest: Floats  # [T] or scalar: |total - sum of contributions|, what the total holds beside the known components
    shares: Floats  # |contribution| / (sum of |contributions| + rest); 0 where it is not known or not finite

    def at(self, row: int) -> "Components":
        arrays = (self.weights, self.losses, self.usual, self.contributions, self.rest, self.shares)
        return Components(self.names, *(array[row] for array in arrays))


@dataclass(frozen=True)
class Past:
    """The last 64 samples of each series before the window, oldest first: [S, 64], of which `count` [S] are there."""

    steps: Counts
    values: Floats
    count: Counts


@dataclass(frozen=True)
class Levels:
    """What the baselines knew before each row, and how far the row lies from it: [T, S] each."""

    y: Floats  # log |value|; asinh of a signed series
    level: Floats
    scale: Floats  # the spread, at least its floor
    fast: Floats  # a level of the last ten samples or so
    deviation: Floats  # (y - level) / scale; NaN where the row is not judged
    tail_rate: Floats  # share of samples at which an excursion above 3 spreads begins
    tail_excess: Floats  # by how much, on average
    drift: Floats  # after the row: CUSUM of min(deviation, 4) - 1
    growth: Floats  # after the row: CUSUM of min(deviation, 4) - 0.75


@dataclass(frozen=True)
class References:
    """The last healthy point of each row: a row of this window, or (-1) the one from before it."""

    before: Reference | None
    row: npt.NDArray[np.intp]  # [T]
    samples: Counts  # [T]: of the reference; -1 where there is none
    contributions: Floats  # [T, K]: |weight * loss| there; 0 for what was not known then


@dataclass(frozen=True)
class Window:
    """Consecutive rows of one run."""

    steps: Counts  # [T]
    index: Mapping[str, int]
    names: Sequence[str]
    values: Floats  # [T, S]; NaN where the row does not carry the series
    fresh: Mask
    live: Mask
    excused: Mask  # fresh, but of an update that was not taken: neither judged nor learned from
    judged: Mask
    levels: Levels
    signed: Mask  # [S]: the series has been negative, so its y is an asinh
    unit: Floats  # [S]: of a signed series, its usual magnitude
    known_before: Mask  # [S]: the series' level was known when the window began
    past: Past
    order: Floats  # [S]: where a series stands in the flow of computation; infinite for those not checked
    schedule: Schedule
    first_step: int  # of the run
    samples_before: int  # rows with a total before the window
    components: Components
    skipped_rows: Counts  # [T]: so many updates in a row were kept out of the weights, this one included
    moved: Mask  # [T]: the weights in force are not those of the row before
    predicted: Floats  # [T]: where the weights moved, the total they make of the usual raw losses; NaN elsewhere
    references: References
    remedies: Mapping[str, Remedy] = field(default_factory=dict)  # by component: what an open alert already advises

    # -- series ---------------------------------------------------------------------------------------------------

    def number(self, name: str) -> int | None:
        """The number of a series of the run; None while nothing of it has come."""
        return self.index.get(name)

    def limit(self, number: int, rate: float, at_least: float = 0.0) -> Floats:
        """[T]: the deviation that healthy samples of the series exceed with probability `rate` (exponential tail
        over 3, measured on the run itself: light tails give about 9 at 1e-5, a DDPG critic 30 to 50)."""
        over = np.maximum(self.levels.tail_rate[:, number] / rate, 1.0)
        return np.asarray(np.maximum(3.0 + self.levels.tail_excess[:, number] * np.log(over), at_least))

    def rise(self, number: int) -> Floats:
        """[T]: y - level, so a ratio in log units; NaN where the row is not judged."""
        return np.where(
            self.judged[:, number], self.levels.y[:, number] - self.levels.level[:, number], np.nan
        )  # fmt: skip

    def natural_level(self, row: int, number: int) -> float:
        """The level as a value."""
        level = float(self.levels.level[row, number])
        return float(np.sinh(level) * self.unit[number]) if self.signed[number] else float(np.exp(level))

    def samples(self, number: int) -> Samples:
        """The series' samples: those of the window behind the last 64 before it."""
        rows = np.flatnonzero(self.fresh[:, number])
        kept = int(self.past.count[number])
        before = np.full(kept, -1, dtype=np.intp)
        return Samples(
            np.concatenate([before, rows]),
            np.concatenate([self.past.steps[number, CURVE - kept :], self.steps[rows]]),
            np.concatenate([self.past.values[number, CURVE - kept :], self.values[rows, number]]),
        )

    # -- rows -----------------------------------------------------------------------------------------------------

    @cached_property
    def whole(self) -> Mask:
        """[T]: the row carries the total, or the run has none: components can be weighed against each other."""
        number = self.index.get(TOTAL)
        return np.ones(len(self.steps), np.bool_) if number is None else self.fresh[:, number]

    @cached_property
    def probe(self) -> Mask:
        """[T]: a float16 GradScaler tried a scale that was too large, and skipped the step: nothing but its gradients
        is infinite, and that by intention."""
        number = self.index.get(LOSS_SCALE)
        if number is None:
            return np.zeros(len(self.steps), np.bool_)
        early = self.order < GRADIENT_ORDER
        is_finite = (self.live[:, early] | ~self.fresh[:, early]).all(axis=1)
        tried = (self.skipped_rows > 0) & (self.skipped_rows <= PROBES_MAX)
        return np.asarray(tried & self.fresh[:, number] & is_finite)

    def improving(self, gate: float) -> Mask:
        """[T]: the total's fast level is more than `gate` spreads below its level, or its level is not known yet:
        nothing says that the loss is not falling as it should. False in a run without a total."""
        number = self.index.get(TOTAL)
        if number is None:
            return np.zeros(len(self.steps), np.bool_)
        levels = self.levels
        below = levels.fast[:, number] <= levels.level[:, number] - gate * levels.scale[:, number]
        return np.asarray(below | ~self.known(number))

    def known(self, number: int) -> Mask:
        """[T]: the level of the series is known, also where the row does not carry it."""
        rows = np.arange(len(self.steps))
        newest = np.maximum.accumulate(np.where(self.live[:, number] & ~self.excused[:, number], rows, -1))
        return np.asarray(np.where(newest >= 0, self.judged[newest, number], self.known_before[number]))

    @cached_property
    def stages(self) -> Counts:
        """[T]: the number of the row's stage; -1 before the first, or where none is declared."""
        return self.schedule.stages_at(self.steps)

    @cached_property
    def auxiliary(self) -> Mask:
        """[T, K]: the stage leads to a weight of the component that is not its largest."""
        return self.ranks < AUXILIARY

    @cached_property
    def ranks(self) -> Floats:
        """[T, K]: the weight that the stage leads to, relative to the largest of the stage; the weight in force where
        no stage is declared; 1 where nothing can be told."""
        aims = np.abs(np.nan_to_num(self.components.weights))
        for stage in np.unique(self.stages).tolist():
            rows = self.stages == stage
            step = int(self.steps[rows][0])
            for k, name in enumerate(self.components.names):
                aim = self.schedule.aim_at(name, step)
                if aim is not None:
                    aims[rows, k] = abs(aim)
        largest = aims.max(axis=1, initial=0.0, keepdims=True)
        known = (largest > 0) & np.isfinite(largest)
        return np.asarray(np.divide(aims, largest, out=np.ones_like(aims), where=np.broadcast_to(known, aims.shape)))
