"""What each series of a run normally does: a level, a spread and a tail, updated in O(1) and blind to outliers.

Rules of this file:
- All state is columns over the series of one run; one row of values is judged or learned with a fixed number of array
  operations, whatever the number of series.
- Everything is in log space (asinh for a series that has been negative), so a ratio is a difference and one default
  fits a loss of 1e-3 and a gradient norm of 20.
- Learning is winsorised at 3 spreads: a spike of any height moves the level as little as a 3-sigma sample does, and for
  50 samples after one the learning rate is a tenth. Non-finite values are never learned from.
- While `quiet` counts down (the first 30 samples of a series; 10 after its logging interval grew) it is not judged.

Formulas and numbers: measured on 3,100 public training logs, see docs/rules.md. Plain z-scores fail there: a healthy
log exceeds 6 sigma a million times more often than a Gaussian would.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

WARM_UP_SAMPLES = 30
RE_WARM_SAMPLES = 10
HISTORY = 64
CADENCE_FACTOR = (
    5.0  # an interval this much longer is a new cadence: two thirds of a prototype's false alarms sat there
)
CLIP = 3.0
SHOCK = 6.0  # deviations above this slow the learning down
SHOCK_SAMPLES = 50.0
RATE_MIN, RATE_MAX = 0.01, 0.05
FAST_RATE = 0.2
TAIL_RATE = 0.002
TAIL_EXCESS_RATE = 0.02
TAIL_EXCESS_MAX = 6.0  # one blow-up must not make the run deaf
TAIL_PRIOR = 0.01, 0.5  # of a run not yet known: light, but not Gaussian (which would be 0.001, 0.3)
TINY = 1e-30

# mean |x| of a Gaussian winsorised at 3 is 1 / 1.28 of its sigma
_ABS_TO_SIGMA = 1.28
# between the 10 % and the 90 % quantile; the median absolute deviation would not see the second kind of batches of a
# run whose losses are 1.2 or 3.3 (mixup), and call each of them a jump
_DECILES_TO_SIGMA = 2.563

_COLUMNS: dict[str, type[np.generic]] = {
    **dict.fromkeys(("values", "y", "scale", "deviation"), np.float64),
    **dict.fromkeys(("fresh", "live", "judged", "excused", "signed", "was_over"), np.bool_),
    **dict.fromkeys(("level", "spread", "fast", "floor", "unit", "shock", "learned"), np.float64),
    **dict.fromkeys(("tail_rate", "tail_excess", "interval"), np.float64),
    **dict.fromkeys(("seen", "quiet", "re_warm", "last_step"), np.int64),
}


class Baselines:
    """Columns over the series of one run, by series number."""

    values: Floats  # the last value of each series
    y: Floats  # ... in log space
    fresh: Mask  # the present row carries it
    live: Mask  # ... and it is finite
    judged: Mask  # ... and its level is known
    excused: Mask  # ... but says nothing of what is normal: neither judged nor learned from
    deviation: Floats  # (y - level) / scale
    scale: Floats  # the spread, at least the floor
    level: Floats
    spread: Floats
    fast: Floats  # a level of the last ten samples or so, winsorised like the other
    floor: Floats
    signed: Mask
    unit: Floats  # of a signed series: its usual magnitude
    shock: Floats  # samples left of slow learning
    learned: Floats
    was_over: Mask  # the sample before lay above 3 spreads
    tail_rate: Floats  # share of samples at which an excursion above 3 spreads begins
    tail_excess: Floats  # by how much, on average
    interval: Floats  # steps from sample to sample
    seen: Counts
    quiet: Counts
    re_warm: Counts
    last_step: Counts

    def __init__(self) -> None:
        self.count = 0
        self._capacity = 0
        self._columns: dict[str, npt.NDArray[np.generic]] = {}
        self.history = np.zeros((0, HISTORY))
        self.history_steps = np.zeros((0, HISTORY), dtype=np.int64)
        self.history_excused = np.zeros((0, HISTORY), dtype=np.bool_)
        self._grow(16)

    def add(self, floor: float) -> int:
        """A new series' number. `floor` is the least spread believed, in log units (0.01: 1 %)."""
        if self.count == self._capacity:
            self._grow(2 * self._capacity)
        number = self.count
        self.count += 1
        self._view()
        self.values[number] = np.nan
        self.floor[number] = floor
        self.spread[number] = floor
        self.unit[number] = 1.0
        self.quiet[number] = self.re_warm[number] = WARM_UP_SAMPLES
        self.tail_rate[number], self.tail_excess[number] = TAIL_PRIOR
        return number

    def see(self, step: int, ids: npt.NDArray[np.intp], row: Floats) -> None:
        """Take a row's values (`row` [len(ids)]) and measure how far each lies from its level. Learns nothing."""
        self.fresh[:] = False
        self.fresh[ids] = True
        self.values[ids] = row
        np.isfinite(self.values, out=self.live)
        self.live &= self.fresh
        negative = self.live & (self.values < 0) & ~self.signed
        if negative.any():
            for number in np.flatnonzero(negative):
                self._make_signed(int(number))
        self._guard_cadence(step)
        np.log(np.maximum(np.abs(self.values), TINY), out=self.y)
        if self._any_signed:
            self.y[self.signed] = np.arcsinh(self.values[self.signed] / self.unit[self.signed])
        np.equal(self.quiet, 0, out=self.judged)
        self.judged &= self.live
        self.excused[:] = False
        self.measure()

    def excuse(self, numbers: npt.NDArray[np.intp]) -> None:
        """The present row's values of these series are not of a step that counts."""
        self.excused[numbers] = self.fresh[numbers]
        self.judged[numbers] = False

    def measure(self) -> None:
        """How far the present row lies from the levels, in spreads."""
        np.maximum(self.spread, self.floor, out=self.scale)
        np.subtract(self.y, self.level, out=self.deviation)
        self.deviation /= self.scale

    def learn(self, step: int) -> None:
        """Take the row that `see` took into the levels, spreads, tails and the history."""
        deviation, judged = self.deviation, self.judged
        moved = np.minimum(np.maximum(deviation, -CLIP), CLIP) * self.scale
        slow = np.where(self.shock > 0, 0.1, 1.0)
        rate = np.minimum(np.maximum(1.0 / (self.learned + 1.0), RATE_MIN), RATE_MAX) * slow
        np.add(self.fast, FAST_RATE * (self.level + moved - self.fast), out=self.fast, where=judged)
        np.add(self.level, rate * moved, out=self.level, where=judged)
        spread_step = rate * (_ABS_TO_SIGMA * np.abs(moved) - self.spread)
        np.add(self.spread, spread_step, out=self.spread, where=judged)
        over = deviation > CLIP
        # only where an excursion begins: a tail is made of outliers, a lasting jump must not make the run deaf
        begins = over & ~self.was_over & judged
        np.add(self.tail_rate, TAIL_RATE * (begins - self.tail_rate), out=self.tail_rate, where=judged)
        if begins.any():
            excess = np.minimum(deviation[begins] - CLIP, TAIL_EXCESS_MAX)
            self.tail_excess[begins] += TAIL_EXCESS_RATE * (excess - self.tail_excess[begins])
        np.copyto(self.was_over, over, where=judged)
        calmer = np.maximum(self.shock - 1.0, 0.0)
        np.copyto(self.shock, np.where(deviation > SHOCK, SHOCK_SAMPLES, calmer), where=judged)
        self.learned += judged
        self._remember(step)
        warming = self.live & ~judged & ~self.excused
        if warming.any():
            self._warm_up(np.flatnonzero(warming))

    def threshold(self, number: int, rate: float, at_least: float) -> float:
        """The deviation that healthy samples of this series exceed with probability `rate` (exponential tail over 3).

        Light tails give about 9 at 1e-5, a DDPG critic 30 to 50: so one default serves LLM, vision and RL.
        """
        over = max(float(self.tail_rate[number]) / rate, 1.0)
        return max(at_least, CLIP + float(self.tail_excess[number]) * float(np.log(over)))

    def natural(self, logs: Floats) -> Floats:
        """`logs` [count], log-space levels, as values."""
        values = np.exp(logs)
        if self._any_signed:
            values[self.signed] = np.sinh(logs[self.signed]) * self.unit[self.signed]
        return values

    def recent(self, number: int) -> list[tuple[int, float]]:
        """The last 64 (step, value) seen, oldest first, non-finite ones included."""
        order = self._last_slots(number)
        steps, values = self.history_steps[number, order].tolist(), self.history[number, order].tolist()
        return list(zip(steps, values, strict=True))

    def settle(self, number: int, level: float) -> None:
        """Say what the level now is: it moved for a known reason."""
        self.level[number] = self.fast[number] = level

    # -- the slow paths: a series is new, turned negative, or changed its cadence ------------------------------------

    def _guard_cadence(self, step: int) -> None:
        gap = step - self.last_step
        slower = self.fresh & (self.interval > 0) & (gap > CADENCE_FACTOR * self.interval)
        if slower.any():
            self.quiet[slower] = np.maximum(self.quiet[slower], RE_WARM_SAMPLES)
            self.re_warm[slower] = np.maximum(self.quiet[slower], RE_WARM_SAMPLES)
            self.interval[slower] = gap[slower]
        known = self.fresh & (self.seen > 0) & (gap > 0)
        first = self.interval == 0
        np.add(self.interval, np.where(first, gap, 0.1 * (gap - self.interval)), out=self.interval, where=known)
        np.copyto(self.last_step, step, where=self.fresh)

    def _warm_up(self, numbers: npt.NDArray[np.intp]) -> None:
        for number in numbers.tolist():
            y, fast = float(self.y[number]), float(self.fast[number])
            self.settle(number, y if self.quiet[number] == WARM_UP_SAMPLES else fast + FAST_RATE * (y - fast))
            self.quiet[number] -= 1
            if self.quiet[number] == 0:
                self._start(number, int(self.re_warm[number]))

    def _start(self, number: int, samples: int) -> None:
        """Level and spread from the last samples: a robust line takes the fall of a young loss out of the spread."""
        order = self._last_slots(number)
        values, excused = self.history[number, order], self.history_excused[number, order]
        values = values[np.isfinite(values) & ~excused][-samples:]
        if self.signed[number]:
            self.unit[number] = max(float(np.median(np.abs(values))), TINY)
        y = self._log(number, values)
        self.settle(number, float(np.median(y[-RE_WARM_SAMPLES:])))
        self.spread[number] = max(_scatter(y), self.floor[number])
        self.learned[number] = 0.0

    def _last_slots(self, number: int) -> npt.NDArray[np.int64]:
        """Where the last 64 samples of a series are, oldest first."""
        length = min(int(self.seen[number]), HISTORY)
        return np.asarray((int(self.seen[number]) - length + np.arange(length)) % HISTORY)

    def _log(self, number: int, values: Floats) -> Floats:
        if self.signed[number]:
            return np.asarray(np.arcsinh(values / self.unit[number]))
        return np.asarray(np.log(np.maximum(np.abs(values), TINY)))

    def _make_signed(self, number: int) -> None:
        self.signed[number] = self._any_signed = True
        self.unit[number] = max(abs(float(self.values[number])), TINY)  # until the warm-up knows better
        self.settle(number, -float(np.arcsinh(1.0)))
        self.quiet[number] = self.re_warm[number] = WARM_UP_SAMPLES

    def _remember(self, step: int) -> None:
        numbers = np.flatnonzero(self.fresh)
        slots = self.seen[numbers] % HISTORY
        self.history[numbers, slots] = self.values[numbers]
        self.history_steps[numbers, slots] = step
        self.history_excused[numbers, slots] = self.excused[numbers]
        self.seen[numbers] += 1

    # -- storage ------------------------------------------------------------------------------------------------------

    def _grow(self, capacity: int) -> None:
        for name, kind in _COLUMNS.items():
            column = np.zeros(capacity, dtype=kind)
            if name in self._columns:
                column[: self._capacity] = self._columns[name]
            self._columns[name] = column
        history, steps = np.zeros((capacity, HISTORY)), np.zeros((capacity, HISTORY), dtype=np.int64)
        excused = np.zeros((capacity, HISTORY), dtype=np.bool_)
        history[: self._capacity], steps[: self._capacity] = self.history, self.history_steps
        excused[: self._capacity] = self.history_excused
        self.history, self.history_steps, self.history_excused = history, steps, excused
        self._capacity = capacity
        self._any_signed = bool(self._columns["signed"].any())
        self._view()

    def _view(self) -> None:
        for name, column in self._columns.items():
            setattr(self, name, column[: self.count])


def _scatter(y: Floats) -> float:
    """Sigma of `y` about a robust line; 0 where there are too few."""
    half = len(y) // 2
    if half == 0:
        return 0.0
    slope = float(np.median(y[half : 2 * half] - y[:half])) / half
    low, high = np.quantile(y - slope * np.arange(len(y)), (0.1, 0.9))
    return float(high - low) / _DECILES_TO_SIGMA
