"""What holds of every positive semi-definite matrix, and of every blend of matrices, whatever their values.

Formula   A declared `psd`: max |A - A^H| <= asymmetry * ||A||; every diagonal element >= 0, trace t > 0; ||A|| <= t
          (its eigenvalues are not negative); t as declared, within 1 %. (t / sqrt(n) <= ||A|| holds of any matrix, so
          it tells nothing.) Of a batch ||A|| is the largest and t the mean, so it is compared where t is declared.
          A `blend` a A + (1 - a) B, 0 <= a <= 1: ||blend|| <= max(||A||, ||B||), within 1 %: the triangle inequality.
Severity  broken by arithmetic: critical at once. A trace off by less than a factor of 3, an asymmetry below 1 % of the
          norm, a blend less than 10 % above its largest part: a warning after 3 rows.
Source    the ris report: R_samp without its trace normalisation (trace 1e-4 where n = 144 is due), R_blend 3.5e12.

Rules of this file: a part of the rule `contract`; it holds in evaluation mode too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from lossguard.protocol.messages import ContractSpec
from lossguard.protocol.names import EVALUATED

from . import advice
from .base import AT_ONCE, Finding, Hits, Hold, Severity
from .moment import Moment
from .scale import short
from .window import Floats, Mask, Window

HOLD = Hold(3, 3)
ASYMMETRY_MAX = 0.01  # of the norm: no rounding of any format makes so much
BLEND_FAR = 1.1  # times its largest part: below it, rounding or a weight just above 1 may be all
BLEND_TEXT = "A blend cannot be larger than its parts"


@dataclass(frozen=True)
class Breach:
    """Rows [T] at which the matrix breaks an invariant; `text` of one row says which and how."""

    series: str
    critical: Mask
    warning: Mask
    text: Callable[[int], str]


def judge(
    window: Window, contracts: Sequence[ContractSpec], tolerance: float, asymmetry: float, factor: float
) -> list[Hits]:
    """Rows of declared matrices that break an invariant."""
    hits = []
    for breach in _breaches(window, contracts, tolerance, asymmetry, factor):
        for mask, severity, hold in (
            (breach.warning & ~breach.critical, Severity.WARNING, HOLD),
            (breach.critical, Severity.CRITICAL, AT_ONCE),
        ):
            if mask.any():
                explain = partial(_explain, window, breach, severity)
                hits.append(Hits(breach.series, np.flatnonzero(mask), severity, hold, explain))
    return hits


def notes(moment: Moment, series: str, tolerance: float) -> list[str]:
    """What else is broken at this row of the matrix that a series is a norm of, as sentences."""
    contracts = moment.schedule.declaration.contracts
    name = series.rpartition("/")[0]
    return [
        breach.text(moment.row)
        for breach in _breaches(moment.window, contracts, tolerance, ASYMMETRY_MAX, 1.0)
        if breach.series.rpartition("/")[0] == name and (breach.critical | breach.warning)[moment.row]
    ]


def likely(moment: Moment, series: str, tolerance: float) -> str:
    """What explains that a norm of a declared matrix is off: that its trace is; empty where it is not."""
    name = series.rpartition("/")[0]
    due = next(iter(sizes_of(moment.window, series).values()), None)
    trace = moment.value(f"{name}/trace")
    if due is None or trace is None or not trace > 0 or abs(trace - due) <= tolerance * due:
        return ""
    return _normalisation(due)


def sizes_of(window: Window, series: str) -> dict[str, float]:
    """The size that a matrix is declared to have: its trace, which is n of a normalised one."""
    name = series.removeprefix(EVALUATED).rpartition("/")[0]
    return {
        f"the trace of {name}": due
        for contract in window.schedule.declaration.contracts
        if contract.kind == "psd" and contract.series == name and (due := _due(contract)) is not None
    }


def _due(contract: ContractSpec) -> float | None:
    """The declared trace; what is not above 0 is the trace of no such matrix, so nothing is declared by it."""
    return contract.expected if contract.expected is not None and contract.expected > 0 else None


def _breaches(
    window: Window, contracts: Sequence[ContractSpec], tolerance: float, asymmetry: float, factor: float
) -> Iterator[Breach]:
    for contract in contracts:
        for mode in ("", EVALUATED):
            if contract.kind == "psd":
                yield from _psd(window, contract, mode, tolerance, asymmetry, factor)
            elif contract.kind == "blend":
                yield from _blend(window, contract, mode, tolerance)


def _psd(
    window: Window, contract: ContractSpec, mode: str, tolerance: float, asymmetry: float, factor: float
) -> Iterator[Breach]:
    name = mode + contract.series
    fro, trace = _norm(window, name, "fro"), _norm(window, name, "trace")
    defect, least = _norm(window, name, "defect"), _norm(window, name, "diag_min")
    none = np.zeros(len(window.steps), np.bool_)
    if trace is not None:
        yield _trace(window, contract, name, trace, tolerance, factor)
    # rounding of a diagonal element is of the size of the matrix, not of the element
    if least is not None and fro is not None and (negative := least < -asymmetry * fro).any():
        below = least
        yield Breach(f"{name}/diag_min", negative, none, lambda row: _negative_text(name, below[row]))
    if fro is not None and trace is not None:
        sizes, traces = fro, trace
        above = _above_trace(window, contract, name, fro, trace, tolerance)
        yield Breach(f"{name}/fro", above, none, lambda row: _norm_text(name, sizes[row], traces[row]))
    if defect is not None and fro is not None and (skew := defect > asymmetry * fro).any():
        worst, sizes_too = defect, fro
        far = skew & (defect > ASYMMETRY_MAX * fro)
        yield Breach(f"{name}/defect", far, skew, lambda row: _defect_text(name, worst[row], sizes_too[row]))


def _trace(window: Window, contract: ContractSpec, name: str, trace: Floats, tolerance: float, factor: float) -> Breach:
    due = _due(contract)
    none = np.zeros(len(trace), np.bool_)
    lost = trace <= 0
    if due is None:
        return Breach(f"{name}/trace", lost, none, lambda row: f"The trace of {name} is {trace[row]:.3g}, not above 0.")
    with np.errstate(invalid="ignore"):
        off = np.abs(trace - due) > tolerance * due
        far = lost | (off & ((trace > factor * due) | (trace < due / factor)))
    return Breach(f"{name}/trace", far, off, lambda row: _trace_text(name, float(trace[row]), due))


def _above_trace(
    window: Window, contract: ContractSpec, name: str, fro: Floats, trace: Floats, tolerance: float
) -> Mask:
    if window.number(f"{name}/trace_min") is None:
        return np.asarray(fro > trace * (1 + tolerance))
    if (due := _due(contract)) is None:
        return np.zeros(len(fro), np.bool_)
    # of a batch the trace is a mean: where it is as declared, that of the largest item is taken to be so too
    is_normal = np.abs(trace - due) <= tolerance * due
    return np.asarray(is_normal & (fro > due * (1 + 2 * tolerance)))


def _blend(window: Window, contract: ContractSpec, mode: str, tolerance: float) -> Iterator[Breach]:
    name = mode + contract.series
    fro = _norm(window, name, "fro")
    parts = [_norm(window, mode + part, "fro") for part in contract.of]
    known = [part for part in parts if part is not None]
    if fro is None or not known or len(known) < len(parts):
        return
    largest = np.max(np.stack(known), axis=0)  # NaN where one is not there: then nothing is said
    if (above := fro > largest * (1 + tolerance)).any():
        far = above & (fro >= largest * BLEND_FAR)
        of = ", ".join(contract.of)
        yield Breach(f"{name}/fro", far, above, lambda row: _blend_text(name, of, fro[row], largest[row]))


def _norm(window: Window, name: str, norm: str) -> Floats | None:
    """[T]; NaN where a row has none."""
    number = window.number(f"{name}/{norm}")
    if number is None or not window.live[:, number].any():
        return None
    return np.where(window.live[:, number], window.values[:, number], np.nan)


def _trace_text(name: str, trace: float, due: float) -> str:
    if trace <= 0:
        return f"The trace of {name} is {trace:.3g}, not above 0; declared is {due:g}."
    times = short(max(trace / due, due / trace))
    way = "small" if trace < due else "large"
    return (
        f"The trace of {name} is {trace:.3g} where {due:g} is declared, {times} times too {way}: {_normalisation(due)}."
    )


def _normalisation(due: float) -> str:
    return f"missing trace normalisation (A * {due:g} / trace(A))"


def _norm_text(name: str, fro: float, trace: float) -> str:
    return (
        f"The norm of {name}, {fro:.3g}, is above its trace, {trace:.3g}: it has negative eigenvalues, so it is no "
        "positive semi-definite matrix."
    )


def _negative_text(name: str, least: float) -> str:
    return f"{name} has a negative element on its diagonal, {least:.3g}: it is no positive semi-definite matrix."


def _defect_text(name: str, defect: float, fro: float) -> str:
    return (
        f"{name} is not Hermitian: max |A - A^H| is {defect:.3g}, {defect / fro:.2g} of its norm {fro:.3g}. "
        "Use (A + A^H) / 2."
    )


def _blend_text(name: str, of: str, fro: float, largest: float) -> str:
    parts = f"the largest of its parts ({of}: {largest:.3g}). {BLEND_TEXT}"
    if fro < largest * BLEND_FAR:
        return f"The norm of {name} is {fro:.3g}, {short(100 * (fro / largest - 1))} % above {parts}."
    if fro < 2 * largest:
        far = f"{100 * (fro / largest - 1):.0f} % above"
    else:
        far = f"{short(fro / largest) if largest > 0 else 'infinitely many'} times"
    return f"The norm of {name} is {fro:.3g}, {far} {parts}: what happens between them and it is wrong, not the data."


def _explain(window: Window, breach: Breach, severity: Severity, row: int) -> Finding:
    moment, text = Moment(window, row), breach.text(row)
    value = moment.value(breach.series)
    why = f"{breach.series.rpartition('/')[0]} is not what it is declared to be."
    return Finding(
        f"At step {moment.step}: {text}",
        f"{breach.series} = {value!r}. {text}",
        None,
        {"value": value},
        None,
        advice.take_out(moment, why) if severity is Severity.CRITICAL else None,
    )
