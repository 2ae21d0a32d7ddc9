"""Two stretches of a noisy series: did it move, by more than its noise and the way it was going?

Formula   on a log scale (asinh of value / usual magnitude for a series that is not positive): change = median after -
          median before. Noise = 3 * sqrt(SE_b^2 + SE_a^2 + SE_way^2), SE = 1.2533 * sigma / sqrt(n (1 - r) / (1 + r)):
          the standard error of a median, sigma = 1.4826 * MAD, r = the correlation of neighbours, in 0 .. 0.95.
          Way: the line through the medians of both halves of a longer past, carried on; and of the stretch before,
          where that line is above its own noise. Of both the one that explains more.
Source    median and MAD: half of the samples may be anything. 3 sigma of a difference of medians: once in 370 looks.
          Without the way, a loss that falls by 0.1 % a step is found to have answered a command that did nothing in one
          look of five (simulated: 10 % noise, 50 steps).

Rules of this file: pure. Values that are not finite are counted and take no further part. A change counts only where it
is above noise and above where the way led: what would have come anyway is nobody's merit, and nobody's fault.
"""

from dataclasses import dataclass
from math import ceil, isfinite, log, nan, sqrt

import numpy as np
import numpy.typing as npt

from lossguard.protocol.frames import Steps

Floats = npt.NDArray[np.float64]

SIGMAS = 3.0
MAD_TO_SIGMA = 1.4826
MEDIAN_SE = 1.2533  # sqrt(pi / 2)
CORRELATION_MAX = 0.95
MIN_SAMPLES = 8  # of a side: with fewer a median is hardly better than a single value
SMALLEST = 0.1  # the log ratio that as many samples as are asked for can tell from noise
BROKEN = 0.1  # of the samples not finite: such a side is broken
MOSTLY = 0.5  # of them: what is left of such a side is no level to compare with
TINY = 1e-300  # a share of 0 has no logarithm
LARGEST = float(np.finfo(np.float64).max)  # a value beside a tiny usual magnitude is no infinity


@dataclass(frozen=True)
class Samples:
    """Values of one series at `steps` [n], increasing."""

    steps: Steps
    values: Floats

    @property
    def is_broken(self) -> bool:
        """Not finite, not only once in a while."""
        return bool((~np.isfinite(self.values)).sum() > BROKEN * len(self.values))

    @property
    def is_mostly_broken(self) -> bool:
        """Half or more is not finite."""
        return bool(len(self.values)) and bool((~np.isfinite(self.values)).sum() >= MOSTLY * len(self.values))

    @property
    def is_enough(self) -> bool:
        """There are enough finite ones to compare."""
        return int(np.isfinite(self.values).sum()) >= MIN_SAMPLES

    def finite(self) -> "Samples":
        """Those that are."""
        where = np.isfinite(self.values)
        return Samples(self.steps[where], self.values[where])

    def median(self) -> float | None:
        """None without samples, NaN where none is finite."""
        if not len(self.values):
            return None
        known = self.values[np.isfinite(self.values)]
        return float(np.median(known)) if len(known) else nan


@dataclass(frozen=True)
class Change:
    """How a series moved: `log_ratio` from before to after; `noise` and how far it would have gone by itself, downwards
    (`low` <= 0) and upwards (`high` >= 0), on the same scale."""

    before: float
    after: float
    log_ratio: float
    noise: float
    low: float = 0.0
    high: float = 0.0

    def rose(self, least: float, explained: float = 0.0) -> bool:
        """From where what is `explained` leads, by more than `least`, its noise and its way (all as log ratios)."""
        return self.log_ratio - explained > self.high + max(self.noise, least)

    def fell(self, least: float, explained: float = 0.0) -> bool:
        """The same downwards."""
        return self.log_ratio - explained < self.low - max(self.noise, least)

    @property
    def is_its_way(self) -> bool:
        """More than noise, and it was going there."""
        return abs(self.log_ratio) > self.noise and (self.low if self.log_ratio < 0 else self.high) != 0


def change(before: Samples, after: Samples, past: Samples | None = None) -> Change | None:
    """None where one of them has too few finite values. `past`: what ends with `before` and begins earlier."""
    if not (before.is_enough and after.is_enough):
        return None
    long = before if past is None or len(past.values) < len(before.values) else past
    long, before, after = long.finite(), before.finite(), after.finite()
    scaled_long, scaled, later = _scaled(long.values, before.values, after.values)
    spread, correlation = _spread(scaled_long)
    own, followed = _spread(later)
    centre = float(np.median(after.steps))
    way, way_error = _way(long.steps, scaled_long, float(np.median(before.steps)), centre)
    recent, recent_error = _way(before.steps, scaled, float(np.median(before.steps)), centre)
    ways = [0.0, way, recent if abs(recent) > SIGMAS * recent_error else 0.0]
    errors = _error(spread, correlation, len(scaled)), _error(own, max(correlation, followed), len(later)), way_error
    return Change(
        before=float(np.median(before.values)),
        after=float(np.median(after.values)),
        log_ratio=float(np.median(later)) - float(np.median(scaled)),
        noise=SIGMAS * sqrt(sum(error**2 for error in errors)),
        low=min(ways),
        high=max(ways),
    )


def samples_needed(before: Samples) -> int:
    """So many of each side tell a change by `SMALLEST` from the noise; 0 where there is too little to say it from."""
    if not before.is_enough:
        return 0
    values = before.finite().values
    spread, correlation = _spread(_scaled(values)[0])
    longer = (1 + correlation) / (1 - correlation)
    return ceil(min(2 * longer * (SIGMAS * MEDIAN_SE * spread / SMALLEST) ** 2, 1e9))


def log_ratio(one: float, other: float) -> float | None:
    """log(other / one) of two positive numbers; None where there is none."""
    # not of the quotient, which may be 0 or infinite
    return log(other) - log(one) if one > 0 and other > 0 and isfinite(one) and isfinite(other) else None


def _scaled(*sides: Floats) -> list[Floats]:
    if all((side > 0).all() for side in sides):
        return [np.log(side) for side in sides]
    if all((side >= 0).all() for side in sides):  # a share of 0: far below everything, and still a number
        return [np.log(np.maximum(side, TINY)) for side in sides]
    unit = float(np.median(np.abs(sides[0]))) or 1.0
    with np.errstate(over="ignore"):
        return [np.arcsinh(np.clip(side / unit, -LARGEST, LARGEST)) for side in sides]


def _spread(scaled: Floats) -> tuple[float, float]:
    """(sigma, the correlation of neighbours), the trend taken out."""
    rest = scaled - _line(scaled)
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(rest - np.median(rest))))
    if sigma == 0:
        return 0.0, 0.0
    bounded = np.clip(rest / sigma, -SIGMAS, SIGMAS)
    power = float((bounded * bounded).mean())
    correlation = float((bounded[1:] * bounded[:-1]).mean()) / power if power > 0 else 0.0
    return sigma, min(max(correlation, 0.0), CORRELATION_MAX)


def _error(sigma: float, correlation: float, count: int) -> float:
    """The standard error of a median of so many."""
    return MEDIAN_SE * sigma / sqrt(count * (1 - correlation) / (1 + correlation))


def _line(scaled: Floats) -> Floats:
    """A line through the medians of both halves."""
    half = len(scaled) // 2
    low, high = float(np.median(scaled[:half])), float(np.median(scaled[-half:]))
    at = np.arange(len(scaled), dtype=np.float64)
    return low + (high - low) * (at - (half - 1) / 2) / (len(scaled) - half)


def _way(steps: Steps, scaled: Floats, from_step: float, to_step: float) -> tuple[float, float]:
    """(how far the line through both halves goes from one step to the other, the standard error of that)."""
    half = len(scaled) // 2
    moved = float(np.median(scaled[-half:])) - float(np.median(scaled[:half]))
    error = sqrt(2) * _error(*_spread(scaled), half)
    far = (to_step - from_step) / (float(np.median(steps[-half:])) - float(np.median(steps[:half])))
    return moved * far, error * far
