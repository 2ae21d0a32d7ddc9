"""The gradient norm grows by a constant factor a step, and when it will overflow.

Formula   the line through log g since the last zero of the growth CUSUM (k = 0.75, cap 4): slope b, its standard error,
          fitted level, at least 20 samples. Warning: b > 6 errors, growth so far > ln 2, fitted level > 3 times the
          level when it began, overflow within 10,000 samples at this rate and before the run is seven times as old,
          the loss does not improve; 3 in a row. Critical: 20 times, above 1.0 (the reports' healthy range), overflow
          within 5,000 samples and before the run is four times as old.
Overflow  65504 / loss_scale where there is one (float16), else 1.8e19 (the squared norm overflows in float32).
Defaults  as above. Warm-up 30 samples.
Source    in simulation (growth to the limit in 1,600 steps, Student noise) the forecast 100 steps after the onset is
          1 % (float32) to 23 % (float16) off; a sliding fit is 3.8 times too hopeful.
False     growth alone is no alarm: 20 times alone has 0.8 false alarms per 100,000 healthy samples, all of them slow
alarms    growth over hundreds of samples, or the way out of a plateau; the limits beside it leave none. A horizon in
          samples alone depends on how often a run logs: four image transformers whose norm grew 300 times in peace
          paged when every third sample was taken. The run's age counts in the same samples.
Remedy    the weight of the auxiliary component with the largest gradient share; otherwise back, or clip at twice the
          level when it began.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np

from lossguard.protocol.names import GRAD_NORM_TOTAL, LOSS_SCALE

from . import forecast, gradient
from .base import Finding, Hits, Hold, Info, Memory, Rule, Severity, ascending, parameter
from .composition import JUMP
from .forecast import FP16_MAX, SQUARE_MAX
from .moment import Moment
from .rise import share_parameter
from .segment import Fits, fits_of
from .window import Counts, Floats, Mask, Window

NAME = "grad_growth"
HOLD = Hold(3, 3)
FASTER = 4  # rises in a row, each larger than the one before
INFO = Info(
    "R8",
    NAME,
    "The gradient norm grows exponentially",
    "grad_norm/total, before clipping",
    "Line through log g since the growth began: slope > 6 standard errors, level > 3 x (warning) or 20 x (critical) "
    "the level then, overflow within 10,000 or 5,000 samples and 6 or 3 times the run's age at this rate, 3 in a row, "
    "the loss does not improve.",
    "Simulated growth to overflow: the forecast is 1 to 23 % off 100 steps after the onset; a sliding fit 3.8 times.",
    "It must be fast enough to matter, above the healthy range, and the loss must not improve.",
    warm_up=30,
)


@dataclass(frozen=True)
class Parameters:
    """Factors are of the level when the growth began; horizons are in samples."""

    samples_min: float = parameter(20, "so many samples make a line", 5, 10_000, "samples", whole=True)
    errors: float = parameter(6.0, "the slope is so many of its standard errors", 1.0, 100.0)
    grown: float = parameter(2.0, "growth along the line so far", 1.01, 1e6, "times")
    factor_warning: float = parameter(3.0, "the fitted level is so far up: warning", 1.01, 1e6, "times")
    factor_critical: float = parameter(20.0, "the fitted level is so far up: critical", 1.01, 1e6, "times")
    horizon_warning: float = parameter(10_000, "it overflows within so many samples: warning", 10, 1e9, "samples")
    horizon_critical: float = parameter(5_000, "it overflows within so many samples: critical", 10, 1e9, "samples")
    ages_warning: float = parameter(6.0, "and within so many times the samples so far: warning", 0.01, 1e9, "times")
    ages_critical: float = parameter(3.0, "and within so many times the samples so far: critical", 0.01, 1e9, "times")
    healthy: float = parameter(1.0, "a norm below it is never critical, unless that is near the overflow", 0.0, 1e30)
    threshold: float = parameter(5.0, "the norm whose crossing is foretold", 1e-9, 1e30)
    gate: float = gradient.gate_parameter()
    dominant_share: float = share_parameter()

    def __post_init__(self) -> None:
        ascending(self, "factor_warning", "factor_critical")


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
    """About grad_norm/total. The memory holds the sums of the open segment (segment.py)."""
    number = window.number(GRAD_NORM_TOTAL)
    if number is None:
        return []
    levels, judged = window.levels, window.judged[:, number]
    earlier = memory.get("samples", 0)
    memory["samples"] = earlier + int(window.fresh[:, number].sum())
    segments = fits_of(
        memory,
        window.steps,
        levels.y[:, number],
        levels.level[:, number],
        np.where(_raised(window, number, memory), 0.0, levels.growth[:, number]),
        judged,
        int(parameters.samples_min),
    )
    if not segments:
        return []
    overflows, ages = _overflows(window), earlier + np.cumsum(window.fresh[:, number])
    found: list[Hits] = []
    for fits in segments:
        found += _hits(window, fits, overflows[fits.rows], ages[fits.rows], parameters)
    return found


def _raised(window: Window, number: int, memory: Memory) -> Mask:
    """[T]: new weights raised the norm's level (composition.py); what grew before has nothing to do with what follows.
    `memory["level"]`: that of the last row."""
    level = window.levels.level[:, number]
    last, memory["level"] = memory.get("level", level[0]), float(level[-1])
    if not window.moved.any():
        return window.moved
    before = np.concatenate([[last], level[:-1]])
    return np.asarray(np.isfinite(window.predicted) & (level - before > log(JUMP)))


def _overflows(window: Window) -> Floats:
    """[T]: the norm that overflows."""
    number = window.number(LOSS_SCALE)
    limits = np.full(len(window.steps), SQUARE_MAX)
    if number is None:
        return limits
    samples = window.samples(number)
    usable = np.isfinite(samples.values) & (samples.values > 0)
    at, scales = samples.row[usable], samples.values[usable]
    newest = np.searchsorted(at, np.arange(len(limits)), side="right") - 1
    known = newest >= 0
    limits[known] = FP16_MAX / scales[newest[known]]
    return limits


def _hits(window: Window, fits: Fits, overflows: Floats, ages: Counts, parameters: Parameters) -> list[Hits]:
    up = fits.level - fits.base
    with np.errstate(all="ignore"):
        grows = (
            (fits.samples >= parameters.samples_min)
            & (fits.slope > parameters.errors * fits.slope_error)
            & (fits.slope * fits.span > log(parameters.grown))
            & (up > log(parameters.factor_warning))
        )
        if not grows.any():
            return []
        grows &= gradient.stalled(window, parameters.gate)[fits.rows]
        a_sample = fits.slope * fits.span / np.maximum(fits.samples - 1, 1)
        left = (np.log(overflows) - fits.level) / a_sample
        # float16 with a large scale overflows below the healthy range
        large = fits.level > np.log(np.minimum(parameters.healthy, overflows / 10))
    soon = left < np.minimum(parameters.horizon_critical, parameters.ages_critical * ages)
    critical = grows & (up > log(parameters.factor_critical)) & soon & large
    warning = grows & (left < np.minimum(parameters.horizon_warning, parameters.ages_warning * ages)) & ~critical
    return _said(window, fits, overflows, [(warning, Severity.WARNING), (critical, Severity.CRITICAL)], parameters)


def _said(
    window: Window, fits: Fits, overflows: Floats, split: list[tuple[Mask, Severity]], parameters: Parameters
) -> list[Hits]:
    def explain(row: int) -> Finding:
        i = int(np.searchsorted(fits.rows, row))
        return _explain(Moment(window, row), fits, i, float(overflows[i]), parameters)

    return [Hits(GRAD_NORM_TOTAL, fits.rows[mask], severity, HOLD, explain) for mask, severity in split if mask.any()]


def _explain(moment: Moment, fits: Fits, i: int, overflow: float, parameters: Parameters) -> Finding:
    fit = replace(fits.at(i), fastest=_fastest(moment, float(fits.slope[i])))
    # numpy's: a fitted level may lie above the largest float
    level, base, up = (float(np.exp(y)) for y in (fit.level, fits.base[i], fits.level[i] - fits.base[i]))
    doubles = fit.doubles_every_steps
    text = (
        f"log slope {fit.slope:.3g} +- {fit.slope_error:.2g} a step over {fit.samples} samples since step "
        f"{fit.step - int(fits.span[i])}; fitted level {level:.4g}, {up:.1f} times the {base:.3g} it began "
        f"from (warning {parameters.factor_warning:g}, critical {parameters.factor_critical:g})."
    )
    said = f"The gradient norm doubles every {doubles:.3g} steps and is {up:.0f} times what it was at step "
    said = f"{said}{fit.step - int(fits.span[i])}. {forecast.words(fit, parameters.threshold, overflow)}".rstrip()
    more: dict[str, Any] = {"forecast": forecast.numbers_of(fit, parameters.threshold, overflow), "slope": fit.slope}
    component = gradient.driver(moment, parameters.dominant_share)
    otherwise = f"Save a checkpoint now; clip the norm at {2 * base:.3g}, twice what it began from."
    return gradient.finding(moment, said, text, component, more, otherwise, go_back=True)


def _fastest(moment: Moment, slope: float) -> float | None:
    """The last rise a step, where the last four rises each were larger than the one before; None otherwise."""
    points = [point for point in moment.history(GRAD_NORM_TOTAL) if np.isfinite(point[1]) and point[1] > 0]
    points = points[-FASTER - 1 :]
    gaps = np.diff([step for step, _ in points])
    if len(points) <= FASTER or (gaps <= 0).any():
        return None
    rises = np.diff(np.log([value for _, value in points])) / gaps
    return float(rises[-1]) if rises[0] > 0 and (np.diff(rises) > 0).all() and rises[-1] > slope else None
