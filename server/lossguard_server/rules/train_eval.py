"""The same quantity has another size in training than in evaluation.

Formula   d = |ln(training / evaluation)| of series `x` and `eval/x`, at each evaluation, with the newest training
          value. Matrix norms and activations, which the mode alone may change: warning d > ln 1.5 three times, critical
          d > ln 5 twice or > ln 100 once. Losses, contributions and scalars, which the data may change too: training
          above evaluation by 5 three times is a warning, by 100 critical at once; evaluation above training by 5 three
          times is a warning, and critical where 100 came within one evaluation (what grows slowly is overfitting).
Defaults  as above. No warm-up: it speaks at the first evaluation.
Source    the ris report: R_samp 2.85e-4 in training, 46.6 in evaluation (a factor of 1.6e5), because only one of the
          two paths normalised its trace. SageMaker's Overfit (a ratio of 0.1) is about another thing.
False     mixup, dropout and heavy augmentation make training losses two or three times those of evaluation: below 5.
alarms    Signs that differ, zeros, counts, weights and times are not compared.
Remedy    words: which quantities differ and which agree shows where the two paths part. When it is
          critical the gate of the one component that it made absurd, else a pause.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from lossguard.protocol.names import EVALUATED, kind_of

from . import advice, columns
from .base import AT_ONCE, Finding, Hits, Hold, Info, Memory, Rule, Severity, ascending, parameter
from .bound import component_of
from .moment import Moment
from .scale import short_exp
from .window import CURVE, Floats, Mask, Window

NAME = "train_eval"
INFO = Info(
    "R13",
    NAME,
    "Training and evaluation disagree",
    "`x` against `eval/x`: matrix norms, activations, losses, contributions, scalars",
    "d = |ln(x / eval/x)|: matrices > ln 1.5 three times, > ln 5 twice, > ln 100 once; losses > ln 5, > ln 100",
    "the ris report: a factor of 1.6e5",
    "losses differ by data and augmentation by less than 5; a gap that grows slowly only warns",
)
THREE_TIMES, TWICE = Hold(3, 3), Hold(2, 2)
EXACT = ("matrix", "activation")
LOOSE = ("loss", "contribution", "scalar")
NORMS = ("fro", "spec", "trace")  # of a matrix: a defect is rounding noise, `worst` an index
SCANNED, PAIRS, LAST = "scanned", "pairs", "last"


@dataclass(frozen=True)
class Parameters:
    """Ratios between the two."""

    watch: float = parameter(
        1.5, "of what only the mode may change, three times: warning", low=1.01, high=1e6, unit="times"
    )
    page: float = parameter(5.0, "twice: critical; of losses a warning", low=1.01, high=1e6)
    at_once: float = parameter(100.0, "critical at the first evaluation", low=1.01, high=1e9)

    def __post_init__(self) -> None:
        ascending(self, "watch", "page", "at_once")


@dataclass(frozen=True)
class Compared:
    """Pairs of series: `d` [T, P] is ln(training / evaluation), NaN where nothing is compared."""

    evaluated: list[int]
    trained: list[int]
    is_exact: Mask
    training: Floats
    d: Floats


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """Evaluations that disagree with the training."""
    evaluated, trained = _pairs(window, memory)
    if not len(evaluated) or not window.fresh[:, evaluated].any():
        return []
    compared = _compare(window, evaluated, trained)
    d, size = compared.d, np.abs(compared.d)
    before = _jump(window, memory, compared)
    with np.errstate(invalid="ignore"):
        exact, loose = compared.is_exact, ~compared.is_exact
        sudden = (d > 0) | (np.abs(d - before) > np.log(parameters.at_once))
        once = (size > np.log(parameters.at_once)) & (exact | sudden)
        twice = (size > np.log(parameters.page)) & exact & ~once
        watch = (size > np.log(parameters.watch)) & exact & ~once & ~twice
        watch |= (size > np.log(parameters.page)) & loose & ~once
    hits = []
    for mask, severity, hold in (
        (watch, Severity.WARNING, THREE_TIMES),
        (twice, Severity.CRITICAL, TWICE),
        (once, Severity.CRITICAL, AT_ONCE),
    ):
        for p in np.flatnonzero(mask.any(axis=0)).tolist():
            explain = partial(_explain, window, compared, parameters, p, severity)
            hits.append(Hits(window.names[evaluated[p]], np.flatnonzero(mask[:, p]), severity, hold, explain))
    return hits


def _pairs(window: Window, memory: Memory) -> tuple[list[int], list[int]]:
    """The numbers of the evaluation series whose training series is known, and of those."""
    waiting: list[int] = memory.get(PAIRS, [])
    scanned: int = memory.get(SCANNED, 0)
    if scanned < len(window.names):
        names = window.names[scanned:]
        waiting = [*waiting, *(scanned + i for i, name in enumerate(names) if _is_compared(name))]
        memory[PAIRS], memory[SCANNED] = waiting, len(window.names)
    found = [(number, window.number(window.names[number].removeprefix(EVALUATED))) for number in waiting]
    known = [(number, other) for number, other in found if other is not None]
    return [number for number, _ in known], [other for _, other in known]


def _is_compared(name: str) -> bool:
    if not name.startswith(EVALUATED):
        return False
    kind = kind_of(name)
    return kind in LOOSE or (kind in EXACT and (kind != "matrix" or name.rpartition("/")[2] in NORMS))


def _compare(window: Window, evaluated: list[int], trained: list[int]) -> Compared:
    past = window.past
    before = np.where(past.count[trained] > 0, past.values[trained, CURVE - 1], np.nan)
    training = columns.latest(window.fresh[:, trained], window.values[:, trained], before)
    with np.errstate(all="ignore"):
        ratio = training / window.values[:, evaluated]
        d = np.log(ratio)  # NaN where the signs differ
    d = np.where(window.live[:, evaluated] & np.isfinite(d), d, np.nan)
    is_exact = np.array([kind_of(window.names[number]) in EXACT for number in evaluated], np.bool_)
    return Compared(evaluated, trained, is_exact, training, d)


def _jump(window: Window, memory: Memory, compared: Compared) -> Floats:
    """[T, P]: `d` at the evaluation before; NaN at the first."""
    kept = memory.get(LAST, np.zeros(0))
    kept = np.concatenate([kept, np.full(len(window.names) - len(kept), np.nan)])
    newest = columns.latest(np.isfinite(compared.d), compared.d, kept[compared.evaluated])
    before = np.vstack([kept[compared.evaluated], newest[:-1]])
    memory[LAST] = kept.copy()
    memory[LAST][compared.evaluated] = newest[-1]
    return before


def _explain(
    window: Window, compared: Compared, parameters: Parameters, p: int, severity: Severity, row: int
) -> Finding:
    moment, series = Moment(window, row), window.names[compared.evaluated[p]]
    name = series.removeprefix(EVALUATED)
    training, value = float(compared.training[row, p]), float(window.values[row, compared.evaluated[p]])
    d = float(compared.d[row, p])
    is_small, times = d < 0, short_exp(abs(d))
    differ, agree = _others(window, compared, parameters, row)
    text = (
        f"|ln({training:.4g} / {value:.4g})| = {abs(d):.2f}: training is {times} times as "
        f"{'small' if is_small else 'large'}. Different: {', '.join(differ)}."
        + (f" Alike: {', '.join(agree)}." if agree else "")
        + " What differs first in the flow of computation is computed in two ways: compare the two code paths."
    )
    if not compared.is_exact[p] and is_small:
        text += " If this has grown slowly, the model has learned its training data by heart."
    return Finding(
        f"{name} is {training:.3g} in training and {value:.3g} in evaluation at step {moment.step}: "
        f"{times} times as {'small' if is_small else 'large'}.",
        text,
        component_of(moment, series),
        {"training": training, "evaluation": value, "ratio": training / value, "differ": differ, "alike": agree},
        None,
        advice.take_out(moment, f"{name} is not the same in training and evaluation.")
        if severity is Severity.CRITICAL
        else None,
    )


def _others(window: Window, compared: Compared, parameters: Parameters, row: int) -> tuple[list[str], list[str]]:
    """The series that differ by more than a warning's factor at this row, and those that do not, in the flow of
    computation; eight of each at most."""
    differ: list[str] = []
    agree: list[str] = []
    for p in np.argsort(window.order[compared.trained], kind="stable").tolist():
        d = float(compared.d[row, p])
        if np.isfinite(d):
            (differ if abs(d) > np.log(parameters.watch) else agree).append(window.names[compared.trained[p]])
    return differ[:8], agree[:8]
