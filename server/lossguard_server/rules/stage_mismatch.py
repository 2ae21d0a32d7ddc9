"""The weights moved, and the total did not go where they and the usual raw losses say.

Formula   at the row where weights move: predicted = sum of w_k * u_k, u_k the usual raw losses before it (memory.py).
          For 20 samples: d = log total - log predicted, in units of max(spread, 0.1).
          critical  d > log `factor` and more than `deviations` units, 5 samples in a row
          warning   as far below, the first 5 samples after the move: later it may have been learned
          Each move begins anew, so a ramp is compared with what it has come to. An operator's weight moves it too.
Defaults  factor 1.5, 3 units, 20 samples. No warm-up beyond that of the total.
Source    the report: planned restarts whose loss rises x10 and x30 by design are unavoidable false alarms without it.
False     a planned stage that does what was predicted is silent, whatever its jump; a component that was not evaluated
alarms    before (never, or exactly 0) makes no prediction; a noisy total widens the unit.
Remedy    a lower weight of the component whose raw loss is not what it was; otherwise a pause.
"""

from dataclasses import dataclass
from functools import partial
from math import isfinite, log, nan

import numpy as np

from lossguard.protocol.magnitudes import AUXILIARY, NOT_EVALUATED
from lossguard.protocol.names import TOTAL

from . import advice
from .base import Finding, Hits, Hold, Info, Memory, Rows, Rule, Severity, parameter
from .blame import Share, decompose
from .moment import Moment
from .window import Floats, Window

NAME = "stage_mismatch"
INFO = Info(
    "R3",
    NAME,
    "The stage did not do what was predicted",
    TOTAL,
    "after weights moved: |log total - log predicted| > log 1.5 and > 3 max(spread, 0.1), 5 samples of 20",
    "the report: planned jumps of x10 and x30 alarm every rule that does not compare with a prediction",
    "a jump that was predicted is silent; what was not evaluated before is not predicted",
)
HOLD = Hold(5, 5)
LEAST_UNIT = 0.1
_OVER = 1_000_000  # samples since the last move, where there was none


@dataclass(frozen=True)
class Parameters:
    """Of the total against its prediction."""

    factor: float = parameter(1.5, "how far the total may be from what was predicted", 1.01, 1e6, "times")
    deviations: float = parameter(3.0, "... and in units of its spread, or of 10 %", 0.0, 1e3, "spreads")
    samples: float = parameter(20.0, "how long after the move it is compared", 5.0, 1e4, "samples", whole=True)


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


@dataclass(frozen=True)
class _Move:
    """What was known when weights moved."""

    step: int
    predicted: float
    names: tuple[str, ...]
    weights: Floats
    usual: Floats


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """At most two hits, about loss/total."""
    since_before = int(memory.get("since", _OVER))
    number = window.number(TOTAL)
    if number is None or (since_before >= parameters.samples and not window.moved.any()):
        return []
    rows = np.flatnonzero(window.live[:, number])
    if not len(rows):
        return []
    position = np.arange(len(rows))
    moves = np.flatnonzero(window.moved[rows])
    last = np.maximum.accumulate(np.where(window.moved[rows], position, -1))
    since = np.where(last >= 0, position - last, since_before + 1 + position)
    predicted = np.where(last >= 0, _predictions(window, rows)[last], memory.get("predicted", nan))
    hits = _hits(window, number, rows, since, predicted, _explainer(window, rows, last, memory, parameters), parameters)
    memory["since"] = min(int(since[-1]), _OVER)
    if len(moves):
        _remember(window, int(rows[moves[-1]]), float(predicted[-1]), memory)
    return hits


def _predictions(window: Window, rows: Rows) -> Floats:
    """[n]: NaN where no weight moved, and where a component was not evaluated before."""
    known = window.components
    with np.errstate(invalid="ignore"):
        unknown = (known.weights[rows] != 0) & ~(np.abs(known.usual[rows]) > NOT_EVALUATED)
    return np.where(unknown.any(axis=1), nan, window.predicted[rows])


def _hits(
    window: Window,
    number: int,
    rows: Rows,
    since: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    predicted: Floats,
    explain: "partial[Finding]",
    parameters: Parameters,
) -> list[Hits]:
    with np.errstate(all="ignore"):
        off = np.log(window.values[rows, number] / predicted)  # NaN for a total that is not positive
        unit = np.maximum(window.levels.scale[rows, number], LEAST_UNIT)
        far = np.maximum(parameters.deviations * unit, log(parameters.factor))
        high = (off > far) & (since < parameters.samples)
        low = (off < -far) & (since < HOLD.need)
    found = []
    for mask, severity in ((high, Severity.CRITICAL), (low, Severity.WARNING)):
        if mask.any():
            found.append(Hits(TOTAL, rows[mask], severity, HOLD, explain))
    return found


def _remember(window: Window, row: int, predicted: float, memory: Memory) -> None:
    known = window.components.at(row)
    memory["predicted"], memory["step"] = predicted, int(window.steps[row])
    memory["names"] = list(known.names)
    memory["weights"], memory["usual"] = known.weights.copy(), known.usual.copy()


# -- words ------------------------------------------------------------------------------------------------------------


def _explainer(window: Window, rows: Rows, last: Rows, memory: Memory, parameters: Parameters) -> "partial[Finding]":
    """`memory` as it is now: it will have moved on when the words are asked for."""
    before = None
    if "step" in memory:
        names = tuple(memory["names"])
        before = _Move(memory["step"], memory["predicted"], names, memory["weights"], memory["usual"])
    return partial(_explain, window, rows, last, before, parameters)


def _move_of(window: Window, rows: Rows, last: Rows, before: _Move | None, row: int) -> _Move:
    at = int(last[np.searchsorted(rows, row)])
    if at < 0 and before is not None:
        return before
    moved = int(rows[max(at, 0)])
    known = window.components.at(moved)
    step, predicted = int(window.steps[moved]), float(window.predicted[moved])
    return _Move(step, predicted, known.names, known.weights, known.usual)


def _explain(window: Window, rows: Rows, last: Rows, before: _Move | None, parameters: Parameters, row: int) -> Finding:
    moment, move = Moment(window, row), _move_of(window, rows, last, before, row)
    total = moment.value(TOTAL) or nan
    shares = _shares(moment, move)
    blame = decompose(move.step, moment.step, shares)
    culprit = max(
        shares, key=lambda share: abs(share.weight1 * share.loss1 - share.weight0 * share.loss0), default=None
    )
    stage = moment.stage
    what = "The new weights" if stage is None or stage.start != move.step else f"Stage {stage.name!r}"
    message = (
        f"{what} of step {move.step} did not do what was predicted: predicted {move.predicted:.3g}, got {total:.3g}."
    )
    if culprit is not None:
        message += f" The raw loss of {culprit.component} is {culprit.loss1:.4g}; it was {culprit.loss0:.4g}."
    number = moment.index[TOTAL]
    unit = max(float(window.levels.scale[row, number]), LEAST_UNIT)
    off = log(total) - log(move.predicted) if total > 0 and move.predicted > 0 else nan
    text = (
        f"log({total:.4g} / {move.predicted:.4g}) = {off:.2f}, {abs(off) / unit:.1f} units of {unit:.2f}; limits: "
        f"{log(parameters.factor):.2f} and {parameters.deviations:.2g} units, 5 samples in a row."
    )
    name = None if culprit is None else culprit.component
    k = moment.components.names.index(name) if name in moment.components.names else None
    remedy = advice.lower_weight(moment, k) if k is not None and off > 0 and moment.rank(k) < AUXILIARY else None
    if remedy is None and off > 0:
        remedy = advice.pause(
            moment.schedule, "the stage did something that nobody predicted; look at its data and losses."
        )
    numbers = {"predicted": move.predicted, "value": total, "factor": total / move.predicted, "moved_step": move.step}
    return Finding(message, text, name, numbers, blame, remedy)


def _shares(moment: Moment, move: _Move) -> list[Share]:
    """Each component as it was expected with its new weight, and as it is."""
    shares = []
    for k, name in enumerate(moment.components.names):
        weight, raw = float(moment.components.weights[k]), float(moment.components.losses[k])
        if name not in move.names or not isfinite(raw):
            continue
        then = move.names.index(name)
        usual = float(move.usual[then])
        shares.append(Share(name, float(move.weights[then]), usual if isfinite(usual) else raw, weight, raw))
    return shares
