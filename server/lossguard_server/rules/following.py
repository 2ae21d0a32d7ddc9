"""Takes rows into a run's baselines, and keeps what was known before each of them.

Rules of this file:
- What a row is compared with depends on the rows before it, so levels go row by row, with a fixed number of array
  operations whatever the number of series; all else is done once a page.
- The outcome is the same to the last bit however the rows were cut into pages.
- Learning is winsorised at 3 spreads: a spike of any height moves the level as little as a 3-sigma sample does, and for
  50 samples after one the learning rate is a tenth. Non-finite values are never learned from.
- A row in which some series is young, shocked, eased or warming up takes the slow way, which ends in the same bits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .baseline import DRIFT, EXCESS, FAST, LEVEL, ROWS, SPREAD, TAIL, YOUNG_SAMPLES, Baselines
from .page import Page
from .restarts import LOSS_RISE_MAX
from .warm_up import TINY, logs_of
from .window import CURVE, Counts, Floats, Levels, Mask, Past

CLIP = 3.0
SHOCK = 6.0  # deviations above this slow the learning down
SHOCK_SAMPLES = 50.0
RATE_MIN, RATE_MAX = 0.01, 0.05
FAST_RATE = 0.2
TAIL_RATE = 0.002
TAIL_EXCESS_RATE = 0.02
TAIL_EXCESS_MAX = 6.0  # one blow-up must not make the run deaf
CUSUM_CAP = 4.0  # of an increment: seven bad samples at least, so one outlier can never fire it
CUSUM_MAX = 50.0  # or it would stay up long after the run has calmed down
DRIFT_SLACK, GROWTH_SLACK = 1.0, 0.75

# mean |x| of a Gaussian winsorised at 3 is 1 / 1.28 of its sigma
_ABS_TO_SIGMA = 1.28


@dataclass(frozen=True)
class Followed:
    """A page of rows after it was judged and learned: [T, S] each; `levels` are those before each row."""

    live: Mask
    judged: Mask
    levels: Levels
    come: Mask  # a sample that counts has come before the row
    past: Past
    signed: Mask
    unit: Floats


def follow(
    base: Baselines,
    page: Page,
    excused: Mask,
    stops: Mapping[int, Callable[[], None]] | None = None,
    again: Mapping[int, npt.NDArray[np.intp]] | None = None,
) -> Followed:
    """Judge and learn rows; what is not fresh is NaN. By row: a stop is called before it is judged, and the series that
    are to learn their level anew from there on.

    Where a series turns negative in another row than the first, `signed` and `unit` of the answer are of its rows from
    there on (Memory.windows cuts pages so that it does not).
    """
    with np.errstate(all="ignore"):
        return _Page(base, page, excused).run(stops or {}, again or {})


class _Page:
    """One call of `follow`: the rows, and what is known of each while they are taken."""

    def __init__(self, base: Baselines, page: Page, excused: Mask) -> None:
        steps, values = page.steps, page.values
        self.base, self.steps, self.values, self.fresh = base, steps, values, page.fresh
        self.live = np.isfinite(values)
        self.counts = self.live & ~excused  # what may be judged and learned
        self.excused = excused
        self.weight = self.counts.astype(np.float64)
        self.plain = np.asarray(self.counts.all(axis=1))
        # what does not count is 0 here and has the weight 0: NaN * 0 would be NaN
        self.y = logs_of(np.where(self.counts, values, 1.0), base.signed, base.unit)
        shape = values.shape
        self.judged = self.counts.copy()
        self.deviation, self.scale = np.empty(shape), np.empty(shape)
        self.trace = np.empty((len(steps) + 1, ROWS, shape[1]))
        self.slow = np.zeros(len(steps), np.bool_)
        self.came, self.signed, self.unit = base.come.copy(), base.signed.copy(), base.unit.copy()
        self.sums: dict[int, Floats] = {}  # by row: what the CUSUMs were after it, where something reset them then

    def run(self, stops: Mapping[int, Callable[[], None]], again: Mapping[int, npt.NDArray[np.intp]]) -> Followed:
        base = self.base
        slower = base.cadence.watch(self.steps, self.fresh, base.seen)
        for t, numbers in again.items():
            slower[t] = np.union1d(slower[t], numbers) if t in slower else numbers
        turns = self._sign_changes()
        self._mark_slow(0)
        special = {*stops, *slower, *turns}
        scratch = _Scratch(base.count)
        past = base.past
        rows = zip(self.y, self.weight, self.deviation, self.scale, self.trace, strict=False)
        for t, (y, weight, deviation, scale, trace) in enumerate(rows):
            if t in special:
                self.sums[t - 1] = base.state[DRIFT:].copy()
                for number in turns.get(t, ()):
                    self._turn(t, number)
                if t in again:
                    known = again[t][base.quiet[again[t]] == 0]
                    base.cap[known] = base.state[LEVEL, known] + LOSS_RISE_MAX
                if t in slower:
                    base.quiet[slower[t]] = base.warm_up.again(slower[t], base.quiet[slower[t]])
                if t in stops:
                    stops[t]()
                self._mark_slow(t)
            state = base.state
            np.maximum(state[SPREAD], base.floor, out=scale)
            if self.slow[t]:
                self._slow_row(t, y, weight, deviation, scale, scratch)
            else:
                trace[:] = state
                np.subtract(y, state[LEVEL], out=deviation)
                deviation /= scale
                top = scratch.learn(state, deviation, scale, None if self.plain[t] else weight)
                if top > CLIP or scratch.was_over:
                    self._tail(t, deviation, weight, scratch)
        self.trace[len(self.steps)] = base.state
        base.seen += self.fresh.sum(axis=0)
        base.past = _behind(past, self.steps, self.values, self.fresh)
        return self._followed(past)

    def _slow_row(
        self, t: int, y: Floats, weight: Floats, deviation: Floats, scale: Floats, scratch: "_Scratch"
    ) -> None:
        """A row in which some series is young, shocked, eased or warming up."""
        base = self.base
        eased = base.eased > 0
        if eased.any():
            np.maximum(scale, np.where(eased, base.eased_floor, 0.0), out=scale)
        self.trace[t] = base.state
        np.subtract(y, base.state[LEVEL], out=deviation)
        deviation /= scale
        known = base.quiet == 0
        self.judged[t] &= known
        judged = self.judged[t]
        weight = np.where(known, weight, 0.0)
        np.copyto(base.eased, np.maximum(base.eased - 1.0, 0.0), where=judged)
        slow = np.where(base.shock > 0, 0.1, 1.0)
        scratch.rate[LEVEL] = scratch.rate[SPREAD] = np.clip(1.0 / (base.learned + 1.0), RATE_MIN, RATE_MAX) * slow
        scratch.learn(base.state, deviation, scale, weight)
        scratch.rate[LEVEL] = scratch.rate[SPREAD] = RATE_MIN
        np.copyto(base.shock, np.maximum(base.shock - 1.0, 0.0), where=judged)
        np.copyto(base.learned, np.minimum(base.learned + 1.0, YOUNG_SAMPLES), where=judged)
        self._tail(t, deviation, weight, scratch)
        warming = self.counts[t] & ~known
        if warming.any():
            self._warm(t, np.flatnonzero(warming))

    def _tail(self, t: int, deviation: Floats, weight: Floats, scratch: "_Scratch") -> None:
        """An excursion above 3 spreads begins, lasts or ends."""
        base, judged = self.base, self.judged[t]
        over = (deviation > CLIP) & judged
        # only where it begins: a tail is made of outliers, a lasting jump must not make the run deaf
        begins = over & ~base.was_over
        if begins.any():
            base.state[TAIL, begins] += TAIL_RATE
            excess = np.minimum(deviation[begins] - CLIP, TAIL_EXCESS_MAX)
            base.state[EXCESS, begins] += TAIL_EXCESS_RATE * (excess - base.state[EXCESS, begins])
        np.copyto(base.was_over, over, where=judged)
        scratch.was_over = bool(base.was_over.any())
        shocked = (deviation > SHOCK) & judged
        if shocked.any():
            base.shock[shocked] = SHOCK_SAMPLES
            self._mark_slow(t + 1)

    def _warm(self, t: int, numbers: npt.NDArray[np.intp]) -> None:
        base = self.base
        for number in numbers.tolist():
            y, fast = float(self.y[t, number]), float(base.state[FAST, number])
            is_first = self.base.warm_up.take(number, float(self.values[t, number]))
            base.come[number] = True
            base.settle(number, y if is_first else fast + FAST_RATE * (y - fast))
            base.quiet[number] -= 1
            if base.quiet[number] == 0:
                self._start(t, number)

    def _start(self, t: int, number: int) -> None:
        base = self.base
        started = base.warm_up.start(number, bool(base.signed[number]), float(base.unit[number]))
        if started.unit != base.unit[number]:
            base.unit[number] = started.unit
            self._measure_again(t + 1, number)
        base.settle(number, float(np.fmin(started.level, base.cap[number])))
        base.cap[number] = np.nan
        base.state[SPREAD, number] = max(started.spread, float(base.floor[number]))
        base.learned[number] = 0.0

    # -- series that turn negative --------------------------------------------------------------------------------

    def _sign_changes(self) -> dict[int, list[int]]:
        """By row: the series that are negative there for the first time."""
        negative = self.counts & (self.values < 0) & ~self.base.signed
        found: dict[int, list[int]] = {}
        for number in np.flatnonzero(negative.any(axis=0)).tolist():
            found.setdefault(int(negative[:, number].argmax()), []).append(number)
        return found

    def _turn(self, t: int, number: int) -> None:
        base = self.base
        base.signed[number] = True
        base.unit[number] = max(abs(float(self.values[t, number])), TINY)  # until the warm-up knows better
        self.signed[number], self.unit[number] = True, base.unit[number]
        base.settle(number, -float(np.arcsinh(1.0)))
        base.quiet[number] = base.warm_up.begin([number])
        self._measure_again(t, number)

    def _measure_again(self, t: int, number: int) -> None:
        column = np.where(self.counts[t:, number], self.values[t:, number], 1.0)
        one = slice(number, number + 1)
        self.y[t:, number] = logs_of(column[:, None], self.base.signed[one], self.base.unit[one])[:, 0]

    # -- which rows need more than the usual ----------------------------------------------------------------------

    def _mark_slow(self, t: int) -> None:
        base = self.base
        busy = (base.quiet > 0) | (base.shock > 0) | (base.eased > 0) | (base.learned < YOUNG_SAMPLES)
        self.slow[t:] = self.counts[t:, busy].any(axis=1) if busy.any() else False

    def _followed(self, past: Past) -> Followed:
        before, sums = self.trace[:-1], self.trace[1:, DRIFT:].copy()
        for t, known in self.sums.items():
            if t >= 0:
                sums[t] = known
        come = np.vstack([self.came[None], self.came | np.logical_or.accumulate(self.counts[:-1], axis=0)])
        levels = Levels(
            y=self.y,
            level=before[:, LEVEL],
            scale=self.scale,
            fast=before[:, FAST],
            deviation=np.where(self.judged, self.deviation, np.nan),
            tail_rate=before[:, TAIL],
            tail_excess=before[:, EXCESS],
            drift=sums[:, 0],
            growth=sums[:, 1],
        )
        return Followed(self.live, self.judged, levels, come, past, self.signed, self.unit)


class _Scratch:
    """The arrays that one row's learning is done in, and the operations: their number is the cost of a row."""

    def __init__(self, count: int) -> None:
        self.rate = np.empty((4, count))
        self.rate[:] = np.array([RATE_MIN, RATE_MIN, FAST_RATE, TAIL_RATE])[:, None]
        self.target = np.empty((4, count))
        self.clipped, self.capped = np.empty(count), np.empty(count)
        self.cusum = np.empty((2, count))
        self.slack = np.array([[DRIFT_SLACK], [GROWTH_SLACK]])
        self.was_over = True  # the first row asks

    def learn(self, state: Floats, deviation: Floats, scale: Floats, weight: Floats | None) -> float:
        """Take a row into `state`; `weight` [S] is 0 for what does not count. Returns the largest deviation."""
        target, clipped, capped, cusum = self.target, self.clipped, self.capped, self.cusum
        np.minimum(deviation, CLIP, out=clipped)
        np.maximum(clipped, -CLIP, out=clipped)
        moved = target[LEVEL]
        np.multiply(clipped, scale, out=moved)
        np.abs(moved, out=target[SPREAD])
        target[SPREAD] *= _ABS_TO_SIGMA
        target[SPREAD] -= state[SPREAD]
        np.add(state[LEVEL], moved, out=target[FAST])
        target[FAST] -= state[FAST]
        np.negative(state[TAIL], out=target[TAIL])
        target *= self.rate
        np.minimum(deviation, CUSUM_CAP, out=capped)
        np.subtract(capped, self.slack, out=cusum)
        if weight is not None:
            target *= weight
            cusum *= weight
            capped *= weight
        state[:4] += target
        sums = state[DRIFT:]
        sums += cusum
        np.maximum(sums, 0.0, out=sums)
        np.minimum(sums, CUSUM_MAX, out=sums)
        return float(capped.max(initial=0.0))


def _behind(past: Past, steps: Counts, values: Floats, fresh: Mask) -> Past:
    """The last 64 samples of each series after these rows."""
    new_steps, new_values = past.steps.copy(), past.values.copy()
    patterns: dict[bytes, list[int]] = {}
    for number, pattern in enumerate(np.packbits(fresh.T, axis=1)):
        patterns.setdefault(pattern.tobytes(), []).append(number)
    for numbers in patterns.values():
        rows = np.flatnonzero(fresh[:, numbers[0]])[-CURVE:]
        if len(rows):
            kept = CURVE - len(rows)
            at = np.array(numbers)
            new_steps[at] = np.concatenate([past.steps[at, CURVE - kept :], np.tile(steps[rows], (len(at), 1))], axis=1)
            new_values[at] = np.concatenate([past.values[at, CURVE - kept :], values[np.ix_(rows, at)].T], axis=1)
    return Past(new_steps, new_values, np.minimum(past.count + fresh.sum(axis=0), CURVE))
