"""A matrix norm for which nothing is declared left the range that its first values had.

Formula   the first 200 finite values of a norm: warning outside [q01 / 4, 4 * q99] for 3 rows (a negative limit is
          taken the other way round). `fro`, `spec` and `trace` only: a defect is rounding noise, `worst` an index.

Rules of this file: a part of the rule `contract`; it warns only, because the first values may be what is wrong.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from . import scale
from .base import Finding, Hits, Hold, Memory, Severity
from .bound import range_text
from .columns import grown
from .moment import Moment
from .window import Counts, Floats, Mask, Window

HOLD = Hold(3, 3)
NORMS = ("fro", "spec", "trace")
NUMBERS, COUNT, LOW, HIGH, WIDENED, SCANNED = "numbers", "count", "low", "high", "widened", "scanned"
LEARN, LEARNING, FIRST = "learn", "learning", "first"


def judge(window: Window, declared: Sequence[str], learn: float, widen: float, memory: Memory) -> list[Hits]:
    """Rows in which a norm lies outside its learned range for no declared reason."""
    if memory.get(LEARN, learn) != learn:
        memory.clear()  # a person has changed it: the ranges are to be learned anew
    memory[LEARN] = learn
    memory.setdefault(WIDENED, np.full(len(memory.get(NUMBERS, ())), widen))  # an older version kept no such column
    _scan(window, memory, int(learn))
    numbers: Counts = memory[NUMBERS]
    live = window.live[:, numbers]
    if not live.any():
        return []
    values = window.values[:, numbers]
    at = memory[COUNT] + np.cumsum(live, axis=0) - 1  # the number of each value among those of its series
    if len(memory[LEARNING]):
        _learn(memory, live, values, at, int(learn), widen)
    memory[COUNT] = at[-1] + 1
    low, high, wide = memory[LOW], memory[HIGH], memory[WIDENED]
    with np.errstate(invalid="ignore"):
        outside = live & (at >= learn) & ((values < low) | (values > high))
    if not outside.any():
        return []
    known = {number for name in declared if (number := window.number(name)) is not None}
    return [
        Hits(
            window.names[int(numbers[m])],
            np.flatnonzero(outside[:, m]),
            Severity.WARNING,
            HOLD,
            partial(_explain, window, int(numbers[m]), float(low[m]), float(high[m]), float(wide[m]), int(learn)),
        )
        for m in np.flatnonzero(outside.any(axis=0)).tolist()
        if int(numbers[m]) not in known
    ]


def _scan(window: Window, memory: Memory, learn: int) -> None:
    """Take up norms that have come since."""
    if not memory.get(SCANNED):
        memory |= {NUMBERS: np.zeros(0, np.intp), COUNT: np.zeros(0, np.int64), LOW: np.zeros(0), HIGH: np.zeros(0)}
        memory |= {LEARNING: np.zeros(0, np.intp), FIRST: np.zeros((0, learn)), SCANNED: 0}
    scanned: int = memory[SCANNED]
    if scanned == len(window.names):
        return
    new = [number for number, name in enumerate(window.names[scanned:], scanned) if _is_norm(name)]
    count = len(memory[NUMBERS])
    memory[SCANNED] = len(window.names)
    memory[NUMBERS] = np.concatenate([memory[NUMBERS], np.array(new, np.intp)])
    memory[LEARNING] = np.concatenate([memory[LEARNING], count + np.arange(len(new))])
    memory[FIRST] = np.vstack([memory[FIRST], np.zeros((len(new), learn))])
    for column in (COUNT, LOW, HIGH, WIDENED):
        memory[column] = grown(memory[column], count + len(new))


def _is_norm(name: str) -> bool:
    return name.startswith("matrix/") and name.rpartition("/")[2] in NORMS


def _learn(memory: Memory, live: Mask, values: Floats, at: Counts, learn: int, widen: float) -> None:
    """Keep the first values of those that are not known yet, and the range of those that are known now."""
    learning: Counts = memory[LEARNING]
    rows, slots = np.nonzero(live[:, learning] & (at[:, learning] < learn))
    memory[FIRST][slots, at[rows, learning[slots]]] = values[rows, learning[slots]]
    is_done = at[-1, learning] + 1 >= learn
    for slot in np.flatnonzero(is_done).tolist():
        m = int(learning[slot])
        low, high = np.quantile(memory[FIRST][slot], [0.01, 0.99])
        memory[LOW][m] = low / widen if low > 0 else low * widen
        memory[HIGH][m] = high * widen if high > 0 else high / widen
        memory[WIDENED][m] = widen
    memory[LEARNING], memory[FIRST] = learning[~is_done], memory[FIRST][~is_done]


def _explain(window: Window, number: int, low: float, high: float, widened: float, learn: int, row: int) -> Finding:
    moment, series = Moment(window, row), window.names[number]
    value = float(window.values[row, number])
    slip = scale.slip(value, low, high, scale.counts_of(moment))
    limit = _limit_text(value, low, high, widened)
    return Finding(
        f"{series} is {value:.3g} at step {moment.step}, {limit} of its first {learn} values.",
        f"{value!r} against {range_text(low, high)}: the 1st to the 99th percentile of its first {learn} values, "
        f"widened {widened:g} times."
        + (f" {slip.text}" if slip else "")
        + " If it is meant to be so, declare a range.",
        None,
        {"value": value, "low": low, "high": high, "decades": slip.decades if slip else None},
    )


def _limit_text(value: float, low: float, high: float, widened: float) -> str:
    """ "below 13.8, a quarter of the 1st percentile"; a negative limit was taken the other way round."""
    is_low = value < low
    limit = low if is_low else high
    part = "a quarter of" if widened == 4 else f"1/{widened:g} of"
    much = part if is_low == (limit > 0) else f"{widened:g} times"
    return f"{'below' if is_low else 'above'} {limit:.3g}, {much} the {'1st' if is_low else '99th'} percentile"
