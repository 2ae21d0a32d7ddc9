"""When a quantity that grows by a constant factor a step reaches a limit, and how sure that is.

Formula   the fit is a line through log g since the change point (the last zero of the growth CUSUM): slope b with its
          standard error, and the fitted level. Steps to a limit L*: (ln L* - level) / b; the interval takes
          b +- max(3 standard errors, 10 % of b), because 2 errors cover only 78 to 95 % in simulation, and the level's
          own error. An interval wider than a factor of 4 is not shown.
Source    a fit over a sliding window is 3.9 times too hopeful 100 steps after the onset, with no coverage at all; one
          that begins at the change point is 1 to 23 % off.
Rules of this file: arithmetic only; which rows are fitted is grad_growth's.
"""

from dataclasses import dataclass
from math import inf, isfinite, log
from typing import Any

import numpy as np

SHOWN_FACTOR = 4.0
ERRORS, SLOPE_SHARE = 3.0, 0.1
FP16_MAX = 65504.0
SQUARE_MAX = 1.8e19  # float32 and bfloat16: the squared norm overflows first


@dataclass(frozen=True)
class Fit:
    """A line through log values: at `step` it is at `level`, and rises by `slope` a step."""

    step: int
    samples: int
    slope: float
    slope_error: float
    level: float
    level_error: float
    fastest: float | None = None  # the last rise a step, where the growth itself grows

    @property
    def doubles_every_steps(self) -> float:
        return log(2.0) / self.slope if self.slope > 0 else inf


def steps_to(fit: Fit, limit: float) -> tuple[float, float, float] | None:
    """(low, middle, high) steps from `fit.step` until `limit` (a value) is reached.

    None: it is reached already, never will be, or nobody can tell within a factor of 4.
    """
    if not (fit.slope > 0 and isfinite(limit) and limit > 0):
        return None
    way = log(limit) - fit.level
    either = max(ERRORS * fit.slope_error, SLOPE_SHARE * fit.slope)
    if way <= 0 or either >= fit.slope:
        return None
    low = (way - 2 * fit.level_error) / (fit.slope + either)
    high = (way + 2 * fit.level_error) / (fit.slope - either)
    return (low, way / fit.slope, high) if low > 0 and high < SHOWN_FACTOR * low else None


def at_most_steps(fit: Fit, limit: float) -> float | None:
    """Where the growth itself grows, the last rise gives an upper bound; None otherwise."""
    way = log(limit) - fit.level
    if fit.fastest is None or not fit.fastest > 0 or not way > 0:
        return None
    steps = way / fit.fastest
    return steps if isfinite(steps) else None


def numbers_of(fit: Fit, threshold: float, overflow: float) -> dict[str, Any]:
    """The forecast as an alert carries it. Steps are of the run, rounded; null where there is nothing to show."""
    bound = at_most_steps(fit, overflow)
    return {
        "level": float(np.exp(fit.level)),
        "doubles_every_steps": fit.doubles_every_steps,
        "threshold": threshold,
        "threshold_step": _span(fit, threshold),
        "overflow": overflow,
        "overflow_step": None if bound is not None else _span(fit, overflow),
        "overflow_within_steps": None if bound is None else round(bound),
    }


def words(fit: Fit, threshold: float, overflow: float) -> str:
    """The same for a person; empty where nothing can be told."""
    bound = at_most_steps(fit, overflow)
    if bound is not None:
        return f"It grows faster and faster: it overflows in less than {max(1, round(bound))} steps."
    crosses, bursts = _span(fit, threshold), _span(fit, overflow)
    parts = [] if crosses is None else [f"crosses {threshold:g} at about step {_said(crosses)}"]
    parts += [] if bursts is None else [f"overflows at about step {_said(bursts)}"]
    return f"At this rate it {' and '.join(parts)}." if parts else ""


def _span(fit: Fit, limit: float) -> list[int] | None:
    steps = steps_to(fit, limit)
    return None if steps is None else [fit.step + round(far) for far in steps]


def _said(span: list[int]) -> str:
    low, middle, high = span
    return f"{middle} ({low} to {high})"
