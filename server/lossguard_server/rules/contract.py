"""A series left the range that a person declared for it, or a matrix has norms that it cannot have.

Formula   low <= x <= high, either side open. Outside for 3 samples in a row: warning. Not finite, or more than a factor
          of 3 beyond the bound: critical at once. Beyond a positive bound b is x > 3 b above and x < b / 3 below, for a
          negative one the other way round; a bound of 0 has no factor, there 2 widths of the range count.
          A ratio is judged as a range of x / (the newest y). Matrices that are declared positive semi-definite, or a
          blend of others, are judged by matrix.py; norms for which nothing is declared by learned.py (warnings only).
Defaults  hold 3, factor 3. No warm-up: it is right at step 0, before the first update. Ratios, and ranges of matrices,
          hold in evaluation mode too.
Source    the ris report: R_samp 2.85e-4 where 30 to 60 is due, R_blend 3.5e12 where 50 to 100 is: 5 and 10 decades,
          both visible at the first evaluation, long before any curve could tell.
False     only where the declaration is wrong; the message therefore shows it. The gradient norms of a step at which a
alarms    float16 GradScaler probes are left out, as in nonfinite.py. Counts are count.py's, bounds bound.py's, shares
          contribution_dominates.py's.
Remedy    when it is critical: the gate of the one component that it made absurd or not finite, else a pause, because
          no weight mends a wrong quantity. The text names the likely slip (scale.py).
"""

from dataclasses import dataclass
from functools import partial
from math import inf, isfinite, isnan, log10, nan

import numpy as np

from lossguard.protocol.messages import ContractSpec
from lossguard.protocol.names import EVALUATED, kind_of

from . import advice, columns, learned, matrix, scale
from .base import AT_ONCE, Finding, Hits, Hold, Info, Memory, Rule, Severity, parameter
from .bound import component_of, range_text
from .count import is_count
from .moment import Moment
from .window import CURVE, Floats, Mask, Window

NAME = "contract"
INFO = Info(
    "R12",
    NAME,
    "Outside its declared range",
    "declared series and ratios, declared matrices, and the norms of watched matrices",
    "low <= x <= high; psd: fro <= trace, trace as declared; blend: fro <= the largest of its parts",
    "the ris report: 5 and 10 decades at the first evaluation",
    "a declaration is what a person knows; learned ranges of matrices only warn",
)
HOLD = Hold(3, 3)
LEARNED = "learned"


@dataclass(frozen=True)
class Parameters:
    """How far off is what."""

    factor: float = parameter(3.0, "how far beyond a bound is critical at once", low=1, high=1e6, unit="times")
    tolerance: float = parameter(0.01, "what traces and blends may miss their invariants by", low=0, high=1)
    asymmetry: float = parameter(1e-5, "of a declared PSD matrix: max |A - A^H| over its norm", low=0, high=1)
    learn: float = parameter(
        200, "values from which an undeclared matrix norm's range is learned", low=20, high=1e5, whole=True
    )
    widen: float = parameter(4.0, "how far beyond that range is a warning", low=1, high=1e6, unit="times")


@dataclass(frozen=True)
class Ranges:
    """What is to lie where: values [T, M], whether the row carries it, and its limits [M], open ones infinite."""

    names: list[str]  # of the series that the alert is about
    labels: list[str]  # ... and of the quantity
    values: Floats
    fresh: Mask
    low: Floats
    high: Floats


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """What lies outside; of several that speak of one series the declared range comes last, so it has the word."""
    hits: list[Hits] = []
    contracts = window.schedule.declaration.contracts
    declared = [contract for contract in contracts if is_range(contract)]
    kept = memory.setdefault(LEARNED, {})
    hits += learned.judge(window, [contract.series for contract in declared], parameters.learn, parameters.widen, kept)
    if contracts:
        hits += matrix.judge(window, contracts, parameters.tolerance, parameters.asymmetry, parameters.factor)
        if ratios := [contract for contract in contracts if contract.kind == "ratio" and contract.of]:
            hits += _outside(window, _ratios(window, ratios), parameters)
        hits += _outside(window, _ranges(window, declared), parameters)
    return hits


def is_range(contract: ContractSpec) -> bool:
    """Whether the contract is a range of a series that the run logs, and this rule's."""
    if contract.kind not in ("", "range") or is_count(contract):
        return False
    return kind_of(contract.series) != "share" and not (contract.low is None and contract.high is None)


def limits(low: float, high: float, factor: float) -> tuple[float, float]:
    """Beyond these a breach is critical. `low` or `high` may be NaN or infinite (open)."""
    below, above = _limits(np.array([-inf if isnan(low) else low]), np.array([inf if isnan(high) else high]), factor)
    return float(below[0]), float(above[0])


def _limits(low: Floats, high: Floats, factor: float) -> tuple[Floats, Floats]:
    with np.errstate(invalid="ignore"):
        width = high - low
        spare = np.where(np.isfinite(width) & (width > 0), (factor - 1) * width, inf)
        below = np.where(low > 0, low / factor, np.where(low < 0, low * factor, -spare))
        above = np.where(high > 0, high * factor, np.where(high < 0, high / factor, spare))
    return below, above


def _ranges(window: Window, declared: list[ContractSpec]) -> Ranges:
    found = []
    for contract in declared:
        modes = ("", EVALUATED) if kind_of(contract.series) == "matrix" else ("",)
        for series in (mode + contract.series for mode in modes):
            if (number := window.number(series)) is not None:
                found.append((number, series, *_sides(contract)))
    numbers, labels, low, high = zip(*found, strict=True) if found else ((), (), (), ())
    at = np.array(numbers, np.intp)
    fresh = window.fresh[:, at]
    if len(at) and window.probe.any():
        fresh = fresh & ~(window.probe[:, None] & window.excused[:, at])
    return Ranges(list(labels), list(labels), window.values[:, at], fresh, np.array(low), np.array(high))


def _ratios(window: Window, declared: list[ContractSpec]) -> Ranges:
    found = []
    for contract in declared:
        for mode in ("", EVALUATED):
            pair = window.number(mode + contract.series), window.number(mode + contract.of[0])
            if None not in pair:
                found.append((*pair, mode + contract.series, mode + contract.of[0], *_sides(contract)))
    top, bottom, names, others, low, high = zip(*found, strict=True) if found else ((), (), (), (), (), ())
    above, below = np.array(top, np.intp), np.array(bottom, np.intp)
    newest = columns.latest(window.fresh[:, below], window.values[:, below], window.past.values[below, CURVE - 1])
    is_known = columns.latest(
        window.fresh[:, below], np.ones_like(newest), (window.past.count[below] > 0).astype(np.float64)
    ) > 0  # fmt: skip
    with np.errstate(all="ignore"):
        values = window.values[:, above] / newest
    labels = [f"{name} / {other}" for name, other in zip(names, others, strict=True)]
    return Ranges(list(names), labels, values, window.fresh[:, above] & is_known, np.array(low), np.array(high))


def _sides(contract: ContractSpec) -> tuple[float, float]:
    return (-inf if contract.low is None else contract.low), (inf if contract.high is None else contract.high)


def _outside(window: Window, ranges: Ranges, parameters: Parameters) -> list[Hits]:
    if not ranges.names:
        return []
    outside = ranges.fresh & ~((ranges.values >= ranges.low) & (ranges.values <= ranges.high))
    outside |= ranges.fresh & ~np.isfinite(ranges.values)
    if not outside.any():
        return []
    below, above = _limits(ranges.low, ranges.high, parameters.factor)
    near = (ranges.values >= below) & (ranges.values <= above) & np.isfinite(ranges.values)
    hits = []
    for m in np.flatnonzero(outside.any(axis=0)).tolist():
        for rows, severity, hold in (
            (np.flatnonzero(outside[:, m] & near[:, m]), Severity.WARNING, HOLD),
            (np.flatnonzero(outside[:, m] & ~near[:, m]), Severity.CRITICAL, AT_ONCE),
        ):
            if len(rows):
                explain = partial(_explain, window, ranges, m, severity is Severity.CRITICAL, parameters)
                hits.append(Hits(ranges.names[m], rows, severity, hold, explain))
    return hits


def _explain(window: Window, ranges: Ranges, m: int, is_far: bool, parameters: Parameters, row: int) -> Finding:
    moment, series, label = Moment(window, row), ranges.names[m], ranges.labels[m]
    value, low, high = float(ranges.values[row, m]), float(ranges.low[m]), float(ranges.high[m])
    declared = range_text(low, high)
    sizes = matrix.sizes_of(window, series)
    slip = scale.slip(value, low, high, scale.counts_of(moment), sizes)
    notes = matrix.notes(moment, series, parameters.tolerance)
    times = f": {slip.times}" if slip is not None and abs(slip.decades) >= log10(parameters.factor) else ""
    likely = matrix.likely(moment, series, parameters.tolerance)
    times += f"; {likely}" if likely else ""
    text = " ".join([f"{value!r} against {declared}.", *([slip.text] if slip else []), *notes])
    numbers = {"value": value, "low": low, "high": high, "decades": slip.decades if slip else nan}
    why = f"{label} is far outside its declared range."
    return Finding(
        f"{label} is {value:.3g} at step {moment.step}; declared is {declared}{times}.",
        text,
        component_of(moment, series),
        numbers | ({"factor": slip.factor} if slip and isfinite(slip.factor) else {}),
        None,
        advice.take_out(moment, why) if is_far else None,
    )
