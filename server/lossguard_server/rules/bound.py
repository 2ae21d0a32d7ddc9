"""A value outside the bound that it has by its definition; and a loss that lies at its ceiling.

Formula   low - t <= x <= high + t, t = 1e-6 * max(1, |bound|): 1 - cos within [0, 2], a KL at least 0, R2 at most 1.
          The first violation, or a value that is not finite, is critical. A loss with both bounds in the upper 5 % of
          them for more than 200 rows is a warning: it is bounded, so it cannot grow, and cannot learn there either.
Defaults  tolerance 1e-6, ceiling 0.95 for 200 rows. No warm-up. The bound holds of `eval/` of the series too.
Source    the ris report: a loss of 1.7e25 whose spectrum term lies within [0, 2] by its formula.
False     float32 rounding is within the tolerance; an accuracy near 1 is no loss, so it has no ceiling here.
alarms
Remedy    pause: the formula is not what it is taken for; no weight mends that.
"""

from dataclasses import dataclass
from functools import partial
from math import inf

import numpy as np

from lossguard.protocol.names import EVALUATED, kind_of

from . import advice, columns, scale
from .base import AT_ONCE, Finding, Hits, Info, Memory, Rows, Rule, Severity, parameter
from .moment import Moment
from .window import Counts, Floats, Window

NAME = "bound"
INFO = Info(
    "R14",
    NAME,
    "Outside what is possible",
    "series declared with `bounded`, and `eval/` of them",
    "low - 1e-6 <= x <= high + 1e-6; at its ceiling: x >= low + 0.95 (high - low) for 200 rows",
    "arithmetic; the ris report's loss of 1.7e25",
    "what is impossible does not happen in a healthy run, save by rounding, which is tolerated",
)
AT_CEILING, SINCE = "at_ceiling", "since"


@dataclass(frozen=True)
class Parameters:
    """How strictly."""

    tolerance: float = parameter(1e-6, "how far beyond its bound rounding may bring a value", low=0, high=0.1)
    ceiling: float = parameter(0.95, "from which part of its range on a loss is at its ceiling", low=0.5, high=1.0)
    ceiling_rows: float = parameter(200, "for so many rows", low=1, high=1e6, unit="rows", whole=True)


@dataclass(frozen=True)
class Bounds:
    """The bounds of series that have come: [M] each, open ones infinite."""

    numbers: Rows
    low: Floats
    high: Floats


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """Values outside their bounds, and losses at their ceilings."""
    bounds = _bounds(window)
    if not len(bounds.numbers):
        return []
    values, fresh = window.values[:, bounds.numbers], window.fresh[:, bounds.numbers]
    low, high = bounds.low - _slack(bounds.low, parameters), bounds.high + _slack(bounds.high, parameters)
    inside = (values >= low) & (values <= high) & np.isfinite(values)
    hits = _ceilings(window, parameters, memory, bounds, values)
    outside = fresh & ~inside
    if outside.any():
        excused = window.probe[:, None] & window.excused[:, bounds.numbers]
        outside &= ~excused
        broken = np.flatnonzero(outside.any(axis=0)).tolist()
        hits += [_violated(window, bounds, m, np.flatnonzero(outside[:, m])) for m in broken]
    return hits


def _slack(side: Floats, parameters: Parameters) -> Floats:
    return np.where(np.isfinite(side), parameters.tolerance * np.maximum(1.0, np.abs(side)), 0.0)


def _bounds(window: Window) -> Bounds:
    found: list[tuple[int, float, float]] = []
    for contract in window.schedule.declaration.contracts:
        if contract.kind == NAME:
            low = -inf if contract.low is None else contract.low
            high = inf if contract.high is None else contract.high
            for series in (contract.series, EVALUATED + contract.series):
                if (number := window.number(series)) is not None:
                    found.append((number, low, high))
    numbers, lows, highs = ([each[i] for each in found] for i in range(3))
    return Bounds(np.array(numbers, np.intp), np.array(lows, np.float64), np.array(highs, np.float64))


def _ceilings(window: Window, parameters: Parameters, memory: Memory, bounds: Bounds, values: Floats) -> list[Hits]:
    with np.errstate(invalid="ignore"):
        threshold = bounds.low + parameters.ceiling * (bounds.high - bounds.low)
        is_loss = np.array([kind_of(window.names[number]) == "loss" for number in bounds.numbers.tolist()])
        live = window.live[:, bounds.numbers]
        has_room = np.isfinite(bounds.low) & np.isfinite(bounds.high) & (bounds.low < bounds.high)
        at = live & (values >= threshold) & is_loss & has_room
    kept = columns.grown(memory.get(AT_CEILING, np.zeros(0, np.int64)), len(window.names))
    if not at.any() and not kept.any():
        return []
    lasting = columns.streaks(live, at, kept[bounds.numbers])
    memory[AT_CEILING] = kept.copy()
    memory[AT_CEILING][bounds.numbers] = lasting[-1]
    long = live & (lasting > parameters.ceiling_rows)
    return [
        Hits(
            window.names[int(bounds.numbers[m])],
            np.flatnonzero(long[:, m]),
            Severity.WARNING,
            AT_ONCE,
            partial(_explain_ceiling, window, bounds, m, lasting),
        )
        for m in np.flatnonzero(long.any(axis=0)).tolist()
    ]


def _violated(window: Window, bounds: Bounds, m: int, rows: Rows) -> Hits:
    series = window.names[int(bounds.numbers[m])]
    return Hits(series, rows, Severity.CRITICAL, AT_ONCE, partial(_explain, window, bounds, m))


def _explain(window: Window, bounds: Bounds, m: int, row: int) -> Finding:
    moment, number = Moment(window, row), int(bounds.numbers[m])
    series, value = window.names[number], float(window.values[row, number])
    low, high = float(bounds.low[m]), float(bounds.high[m])
    declared = range_text(low, high)
    slip = scale.slip(value, low, high, scale.counts_of(moment))
    said = f" {slip.text}" if slip is not None else ""
    return Finding(
        f"{series} is {value:.3g} at step {moment.step}; by its definition it lies within {declared}.",
        f"{value!r} against {declared}: not possible if the formula is the one that was declared.{said}",
        component_of(moment, series),
        {"value": value, "low": low, "high": high} | ({} if slip is None else {"factor": slip.factor}),
        None,
        advice.pause(moment.schedule, f"{series} has a value that its formula cannot have."),
    )


def _explain_ceiling(window: Window, bounds: Bounds, m: int, lasting: Counts, row: int) -> Finding:
    moment, number = Moment(window, row), int(bounds.numbers[m])
    series, value = window.names[number], float(window.values[row, number])
    low, high = float(bounds.low[m]), float(bounds.high[m])
    rows = int(lasting[row, m])
    return Finding(
        f"{series} has been at its ceiling for {rows} rows: {value:.3g} of at most {high:g}.",
        f"{value!r} is {100 * (value - low) / (high - low):.3g} % of {range_text(low, high)} for {rows} rows. A "
        "bounded loss at its ceiling has next to no gradient: what it compares has nothing in common, or a "
        "sign is wrong.",
        component_of(moment, series),
        {"value": value, "low": low, "high": high, "rows": rows},
    )


def range_text(low: float, high: float) -> str:
    """ "[0, 2]", an open side as "-"."""
    sides = ["-" if not np.isfinite(side) else f"{side:g}" for side in (low, high)]
    return f"[{', '.join(sides)}]"


def component_of(moment: Moment, series: str) -> str | None:
    """The component that a loss, a contribution or a share is of."""
    kind, _, name = series.removeprefix(EVALUATED).partition("/")
    return name if kind in ("loss", "contribution", "share") and name in moment.components.names else None
