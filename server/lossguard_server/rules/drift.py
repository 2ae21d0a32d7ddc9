"""The total, or a raw component, drifts up by steps that are each too small for a jump.

Formula   S = max(0, S + min(r, 4) - 1), the capped CUSUM of baseline.py, r in spreads; and d, the median of the last
          five samples since S was 0, above the level. Total: critical at S > 14 W and d > ln 1.4, warning at S > 10 and
          d > ln 1.2; W is how the loss wanders by itself (trend.py). A raw component whose weight is not 0: warning at
          S > 12 and d > ln 1.4.
Defaults  as above. Warm-up 30 samples. The cap makes it take five bad samples at least, so one outlier never fires it.
Source    capped CUSUM in simulation: none in 100,000 samples of Gaussian, Student or autocorrelated noise, where the
          uncapped one of trainscope has 69 to 873. With it 110 of 112 sustained spikes are shown, 85 without
          (docs/rules.md).
False     the median of five asks for a lasting and visible rise, whatever the spread; where weights moved, the level
alarms    and S begin anew; of a total that rises steadily S and d are taken from where that has taken its level
          (trend.py); a component alone is never critical, nor a total that was negative in the last 100 samples:
          what passes through 0 is no multiple of anything.
Remedy    the component with the largest own drift, if it made most of the rise and is auxiliary: its weight; otherwise
          back to before it began, or a lower learning rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import median

import numpy as np

from lossguard.protocol.names import TOTAL

from . import advice, rise, trend
from .base import AT_ONCE, Finding, Hits, Info, Memory, Rule, Severity, parameter
from .following import CUSUM_CAP, CUSUM_MAX, DRIFT_SLACK
from .moment import Moment
from .remedy import Remedy
from .trend import Habit
from .window import Floats, Mask, Window

NAME = "drift"
SUM_MAX = CUSUM_MAX - 1  # a limit beyond it would never be met
LAST = 5  # samples whose median must be up
PREFIX = "loss/"
INFO = Info(
    "R5",
    NAME,
    "A loss drifts up",
    "loss/total and each loss/<component>",
    "S = max(0, S + min(r, 4) - 1); total: critical at S > 14 (more where the loss wanders by itself) and the median "
    "of the last five samples > 1.4 x level, "
    "warning at S > 10 and > 1.2 x; a component: warning at S > 12 and > 1.4 x.",
    "Capped CUSUM: no false alarm in 100,000 samples of Gaussian, Student-t or autocorrelated noise, where an uncapped "
    "one has 69 to 873.",
    "Five bad samples at least, a median that is visibly up, and steady growth is taken out; where weights moved, it "
    "begins anew.",
    warm_up=30,
)


@dataclass(frozen=True)
class Parameters:
    """`sum`s are of the capped CUSUM, in spreads; factors are of the level."""

    sum_critical: float = parameter(14.0, "CUSUM above which the total's drift is critical", 3.0, 49.0, "spreads")
    sum_warning: float = parameter(10.0, "CUSUM above which the total's drift is a warning", 3.0, 49.0, "spreads")
    sum_component: float = parameter(12.0, "CUSUM above which a component's drift is a warning", 3.0, 49.0, "spreads")
    factor_critical: float = parameter(1.4, "how far up the median must be: critical", 1.01, 1e3, "times")
    factor_warning: float = parameter(1.2, "how far up the median must be: warning", 1.01, 1e3, "times")
    factor_component: float = parameter(1.4, "how far up a component's median must be", 1.01, 1e3, "times")
    dominant_share: float = rise.share_parameter()


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
    """About loss/total and the raw components. `memory["y"]`: by series, the samples since its CUSUM was 0."""
    numbers = _numbers(window, memory)
    drift: Floats = window.levels.drift[:, numbers]
    least = min(parameters.sum_critical, parameters.sum_warning, parameters.sum_component)
    over: Mask = np.any(drift > least, axis=0)
    before, memory["y"] = memory.get("y", {}), {}
    total = window.number(TOTAL)
    habit = None if total is None else trend.habit(window, total, memory)
    found: list[Hits] = []
    for at in np.flatnonzero(over | (drift[-1] > 0)).tolist():
        number = numbers[at]
        rows = np.flatnonzero(window.judged[:, number])
        earlier = before.get(str(number), [])
        if over[at]:
            usual = habit if number == total else None
            found += _hits(window, number, rows, earlier, usual, parameters, least)
        memory["y"][str(number)] = _since_zero(window, number, rows, earlier)
    return found


def _numbers(window: Window, memory: Memory) -> list[int]:
    """Of the losses; only names that are new are read."""
    numbers: list[int] = memory.setdefault("numbers", [])
    read = memory.get("read", 0)
    numbers += [n for n in range(read, len(window.names)) if window.names[n].startswith(PREFIX)]
    memory["read"] = len(window.names)
    return numbers


def _since_zero(window: Window, number: int, rows: np.ndarray, earlier: list[float]) -> list[float]:
    """The last four samples since the CUSUM was 0; what a later window's median needs."""
    drift = window.levels.drift[:, number]
    zero = np.flatnonzero(drift == 0)
    if len(zero):
        rows, earlier = rows[rows > zero[-1]], []
    kept: list[float] = [*earlier, *window.levels.y[rows, number].tolist()]
    return kept[1 - LAST :]


def _rises(window: Window, number: int, rows: np.ndarray, earlier: list[float], flagged: np.ndarray) -> Floats:
    """At the flagged positions of `rows`: the median of the last five samples since S was 0, above the level."""
    y = [*earlier, *window.levels.y[rows, number].tolist()]
    zero = window.levels.drift[:, number] == 0
    # the first sample since the last zero, as a position in y
    begins = np.maximum.accumulate(np.where(zero[rows], np.arange(len(rows)) + 1 + len(earlier), 0))
    # a zero may stand on a row that carries no sample: where the level was set anew
    silent = np.flatnonzero(zero & ~window.judged[:, number])
    if len(silent):
        after = np.searchsorted(silent, rows)  # so many silent zeros before the row
        reset = np.where(after > 0, np.searchsorted(rows, silent[np.maximum(after - 1, 0)]) + len(earlier), 0)
        begins = np.maximum(begins, reset)
    levels = window.levels.level[rows, number]
    medians = [
        median(y[max(int(begins[i]), i + len(earlier) + 1 - LAST) : i + len(earlier) + 1]) for i in flagged.tolist()
    ]
    return np.asarray(np.array(medians, dtype=np.float64) - levels[flagged])


def _hits(
    window: Window,
    number: int,
    rows: np.ndarray,
    earlier: list[float],
    habit: Habit | None,
    parameters: Parameters,
    least: float,
) -> list[Hits]:
    sums = window.levels.drift[rows, number]
    usable = (sums > least) & (window.levels.level[rows, number] >= rise.NOTHING)
    series = window.names[number]
    if series != TOTAL:
        usable &= _weighs(window, series.removeprefix(PREFIX))[rows]
    flagged = np.flatnonzero(usable)
    up = _rises(window, number, rows, earlier, flagged)
    sums, at = sums[flagged], rows[flagged]
    if habit is not None:
        visible = up > log(min(parameters.factor_critical, parameters.factor_warning))
        sums, at, up = sums[visible], at[visible], up[visible]
        lag = habit.lags(at)
        up = up - lag
        sums = np.array([_above(habit, *each) for each in zip(at.tolist(), sums.tolist(), lag.tolist(), strict=True)])

    def explain(row: int) -> Finding:
        i = int(np.searchsorted(at, row))
        return _explain(Moment(window, row), number, float(up[i]), float(sums[i]), parameters)

    if series != TOTAL:
        critical = np.zeros(len(at), np.bool_)
        warning = (sums > parameters.sum_component) & (up > log(parameters.factor_component))
    else:
        critical = (sums > parameters.sum_critical) & (up > log(parameters.factor_critical))
        if habit is not None and critical.any():
            found = at[critical]
            limits = np.minimum(parameters.sum_critical * habit.wanders(found), SUM_MAX)
            above_zero = habit.lowest(found) + window.levels.level[found, number] > 0 if window.signed[number] else True
            critical[critical] = (sums[critical] > limits) & above_zero
        warning = (sums > parameters.sum_warning) & (up > log(parameters.factor_warning)) & ~critical
    split = [(at[critical], Severity.CRITICAL), (at[warning], Severity.WARNING)]
    return [Hits(series, which, severity, AT_ONCE, explain) for which, severity in split if len(which)]


def _above(habit: Habit, row: int, drift: float, lag: float) -> float:
    """The CUSUM of deviations from where the trend has taken the level, over the last 100 samples."""
    if lag == 0:
        return drift
    rests, scales = habit.upto(row)
    steps = np.minimum((rests - lag) / scales, CUSUM_CAP) - DRIFT_SLACK
    return max(min(drift, float(np.cumsum(steps[::-1]).max())), 0.0)  # the best beginning is the last zero of a CUSUM


def _weighs(window: Window, component: str) -> np.ndarray:
    """[T]: the component is a known part of the total. What is only watched (weight 0, a mean return) may drift."""
    if component not in window.components.names:
        return np.zeros(len(window.steps), np.bool_)
    weights = window.components.weights[:, window.components.names.index(component)]
    return np.asarray((weights != 0) & np.isfinite(weights))


def _explain(moment: Moment, number: int, rose: float, sum_of: float, parameters: Parameters) -> Finding:
    series = moment.names[number]
    level, _, _ = rise.standing(moment, number)
    limits = f"warning {parameters.sum_warning:g}, critical {parameters.sum_critical:g}"
    if series != TOTAL:
        limits = f"warning {parameters.sum_component:g}"
    text = (
        f"CUSUM of min(r, 4) - 1: {sum_of:.1f} ({limits}); the median of the last five samples is "
        f"{np.exp(rose):.2f} times the level of {level:.4g}."
    )
    numbers = {"level": level, "value": float(moment.values[number]), "cusum": sum_of, "factor": float(np.exp(rose))}
    if series == TOTAL:
        return _explain_total(moment, level, text, numbers, parameters)
    name = series.removeprefix(PREFIX)
    message = f"The raw loss of {name} drifts up: {np.exp(rose):.2g} times its level at step {moment.step}."
    return Finding(message, text, name, numbers, None, _remedy(moment, name))


def _explain_total(
    moment: Moment, level: float, text: str, numbers: dict[str, float], parameters: Parameters
) -> Finding:
    total = rise.total_of(moment)
    blame = rise.blame_of(moment, total, level)
    name = rise.mover(moment, blame, parameters.sum_warning)
    k = moment.dominant(parameters.dominant_share)
    component = name if k is None and name is not None else rise.culprit(moment, blame, parameters.dominant_share)
    remedy = _remedy(moment, component) if k is None else advice.lower_weight(moment, k)
    text += " If no component is at fault: two thirds of the learning rate, or other batches."
    message = f"The total loss drifts up, {rise.words(moment, blame, total, level)}"
    return Finding(message, text, component, dict(numbers), blame, remedy)


def _remedy(moment: Moment, component: str | None) -> Remedy | None:
    lowered = None if component is None else rise.lower_auxiliary(moment, component)
    why = "the drift has no end in sight; go on with other batches and two thirds of the learning rate."
    return lowered or advice.rollback(moment.schedule, why)
