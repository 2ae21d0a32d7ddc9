"""A series left the range that a person declared for it.

Formula   low <= x <= high, either side open. Outside for 3 samples in a row: warning. Not finite, or more than a factor
          of 3 beyond the bound: critical at once. Beyond a positive bound b is x > 3 b above and x < b / 3 below, for a
          negative one the other way round; a bound of 0 has no factor, there 2 widths of the range count.
Defaults  hold 3, factor 3. No warm-up: it is right at step 0, before the first update.
Source    the ris report: R_samp 2.85e-4 where 30 to 60 is due, R_blend 3.5e12 where 50 to 100 is: 5 and 10 decades,
          both visible at the first evaluation, long before any curve could tell.
False     only where the declaration is wrong; the message therefore shows it. The gradient norms of a step at which a
alarms    float16 GradScaler probes are left out, as in nonfinite.py.
Remedy    a pause when it is critical: no weight mends a wrong quantity.
"""

from dataclasses import dataclass
from math import inf, isfinite, isnan, log10, nan

import numpy as np

from . import advice
from .base import AT_ONCE, Finding, Hold, Rule, Severity, Verdict
from .window import Window

NAME = "contract"
HOLD = Hold(3, 3)


@dataclass(frozen=True)
class Parameters:
    """`factor`: how far beyond a bound is critical at once."""

    factor: float = 3.0
    hold: Hold = HOLD


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(NAME, lambda window: judge(window, parameters))


def judge(window: Window, parameters: Parameters) -> list[Verdict]:
    """A verdict for each declared series of this row that is outside its range."""
    declared = ~(np.isnan(window.low) & np.isnan(window.high)) & window.fresh
    values = window.values
    outside = declared & ((values < window.low) | (values > window.high) | ~window.live)
    if window.is_probe:
        outside &= ~window.base.excused
    return [_verdict(window, int(number), parameters) for number in np.flatnonzero(outside)] if outside.any() else []


def limits(low: float, high: float, factor: float) -> tuple[float, float]:
    """Beyond these a breach is critical. `low` or `high` may be NaN (open)."""
    width = 0.0 if isnan(low) or isnan(high) else high - low
    below, above = (-inf if isnan(low) else _beyond(low, -1, width, factor)), inf
    if not isnan(high):
        above = _beyond(high, 1, width, factor)
    return below, above


def _beyond(bound: float, side: int, width: float, factor: float) -> float:
    if bound == 0:
        return side * (factor - 1) * width if width > 0 else side * inf
    return bound * factor if bound * side > 0 else bound / factor


def _verdict(window: Window, number: int, parameters: Parameters) -> Verdict:
    value, low, high = (float(column[number]) for column in (window.values, window.low, window.high))
    below, above = limits(low, high, parameters.factor)
    is_far = not (below <= value <= above) or not isfinite(value)
    series = window.names[number]
    return Verdict(
        series,
        Severity.CRITICAL if is_far else Severity.WARNING,
        AT_ONCE if is_far else parameters.hold,
        lambda: _explain(window, series, value, low, high, is_far),
    )


def _explain(window: Window, series: str, value: float, low: float, high: float, is_far: bool) -> Finding:
    declared = f"[{'-' if isnan(low) else f'{low:g}'}, {'-' if isnan(high) else f'{high:g}'}]"
    message = f"{series} is {value:.3g} at step {window.step}; declared is {declared}."
    decades = _decades(value, low, high)
    text = f"{value!r} against {declared}."
    if abs(decades) >= 1:
        way = "large" if decades > 0 else "small"
        text = f"{text} That is {abs(decades):.1f} decades too {way}: look for a missing or doubled scale."
    remedy = advice.pause(window.schedule, f"{series} is far outside its declared range.") if is_far else None
    name = series.removeprefix("loss/")
    component = name if name in window.components.names else None
    return Finding(
        message, text, component, {"value": value, "low": low, "high": high, "decades": decades}, None, remedy
    )


def _decades(value: float, low: float, high: float) -> float:
    """Powers of ten between a positive value and the bound that it broke; NaN where that means nothing."""
    bound = high if value > high else low
    return log10(value / bound) if isfinite(value) and value > 0 and bound > 0 else nan
